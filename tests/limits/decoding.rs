//! What decoding may cost.

use crate::{refused, server, Any, Deep, Frugal, Numbers};
use isock::{Limits, ProblemKind, Ran};

#[test]
fn decode_depth() -> Result<(), Any> {
    let at_three = server(Limits::default().decode_depth(3))?;
    at_three.client().run::<Deep>(vec![vec![vec![1]]])?;
    let at_two = server(Limits::default().decode_depth(2))?;
    let result = at_two.client().run::<Deep>(vec![vec![vec![1]]]);
    refused(result, ProblemKind::InputUndecodable, Ran::No);
    Ok(())
}

#[test]
fn decode_budget() -> Result<(), Any> {
    let server = server(Limits::default().decode_budget(20_000))?;
    let client = server.client();
    // 2222 numbers take 17,776 bytes, and the 2224 bytes of the message are set aside.
    client.run::<Numbers>(vec![1; 2222])?;
    refused(client.run::<Numbers>(vec![1; 2223]), ProblemKind::InputUndecodable, Ran::No);
    Ok(())
}

#[test]
fn decode_budget_of_an_action() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let client = server.client();
    // Eleven numbers take 88 bytes, and the 12 bytes of the message are set aside.
    client.run::<Frugal>(vec![1; 11])?;
    let result = client.run::<Frugal>(vec![1; 12]);
    assert!(result.as_ref().is_err_and(|e| e.to_string().contains("decode_budget")), "{result:?}");
    refused(result, ProblemKind::InputUndecodable, Ran::No);
    Ok(())
}
