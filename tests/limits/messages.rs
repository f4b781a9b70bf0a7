//! How long messages may be.

use crate::{refused, server, Any, Brief, Echo, Make, Small};
use isock::{Action, Bytes, Client, Limits, ProblemKind, Ran};

/// Bytes whose encoded form has this length; four of them are the length itself.
fn encoded(len: usize) -> Bytes {
    assert!((1 << 14..1 << 28).contains(&len), "three or four bytes of length");
    let prefix = if len > (1 << 21) + 4 { 4 } else { 3 };
    Bytes::from(vec![7; len - prefix])
}

#[test]
fn message() -> Result<(), Any> {
    let server = server(Limits::default().message(100_000))?;
    let client = server.client();
    assert_eq!(client.run::<Echo>(encoded(100_000))?.len(), 99_997);
    refused(client.run::<Echo>(encoded(100_001)), ProblemKind::InputTooLarge, Ran::No);
    // The connection lives, and the other direction has the same bound.
    assert_eq!(client.run::<Make>(99_997)?.len(), 99_997);
    refused(client.run::<Make>(99_998), ProblemKind::OutputTooLarge, Ran::Yes);
    assert_eq!(client.run::<Make>(1)?.len(), 1);
    Ok(())
}

#[test]
fn message_by_default() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let client = server.client();
    assert_eq!(client.run::<Echo>(encoded(8 << 20))?.len(), (8 << 20) - 4);
    refused(client.run::<Echo>(encoded((8 << 20) + 1)), ProblemKind::InputTooLarge, Ran::No);
    Ok(())
}

#[test]
fn message_of_a_client() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let limits = Limits::default().message(100_000);
    let client = Client::builder().limits(limits).connect(server.address())?;
    assert_eq!(client.run::<Make>(99_997)?.len(), 99_997);
    refused(client.run::<Make>(99_998), ProblemKind::OutputTooLarge, Ran::Yes);
    assert_eq!(client.run::<Make>(1)?.len(), 1);
    Ok(())
}

#[test]
fn max_input_and_max_output_of_an_action() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let client = server.client();
    client.run::<Small>(&[7; 15])?;
    refused(client.run::<Small>(&[7; 16]), ProblemKind::InputTooLarge, Ran::No);
    assert_eq!(client.run::<Brief>(15)?.len(), 15);
    refused(client.run::<Brief>(16), ProblemKind::OutputTooLarge, Ran::Yes);
    Ok(())
}

/// A client that does not know the action's bound: the server knows it too.
#[test]
fn max_input_is_the_servers_own() -> Result<(), Any> {
    #[derive(Action)]
    #[action(input = Bytes, kind = read, name = "Small")]
    struct Unbounded;
    let server = server(Limits::default())?;
    let client = server.client();
    client.run::<Unbounded>(&[7; 15])?;
    refused(client.run::<Unbounded>(&[7; 16]), ProblemKind::InputTooLarge, Ran::No);
    Ok(())
}
