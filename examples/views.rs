//! Records that are read where they have arrived, without a copy: `cargo run --example views`
//!
//! A view is a second form of a type, with `&str` for `String`. What travels is the same, so each
//! side uses it or not.
use isock::{Action, Client, Server};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    level: u8,
    service: String,
    text: String,
}

/// The same, borrowed from the message that it came in.
#[derive(Deserialize)]
struct LineView<'a> {
    level: u8,
    service: &'a str,
    text: &'a str,
}

/// Hands in lines of a log, and says how many are kept.
#[derive(Action)]
#[action(input = Vec<Line>, output = usize, input_view = Vec<LineView<'_>>)]
struct Report;

/// The lines that were kept.
#[derive(Action)]
#[action(output = Vec<Line>, output_view = Vec<LineView<'_>>, kind = read)]
struct Kept;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    static KEPT: Mutex<Vec<Line>> = Mutex::new(Vec::new());

    let server = Server::builder()
        .on_view::<Report>(|lines, _cx| {
            // Most lines are not worth keeping: those are never copied.
            let serious = lines.iter().filter(|line| line.level >= 2);
            let kept = serious.map(|line| Line {
                level: line.level,
                service: line.service.to_owned(),
                text: line.text.to_owned(),
            });
            let mut all = KEPT.lock().unwrap();
            let before = all.len();
            all.extend(kept);
            Ok(all.len() - before)
        })
        .on::<Kept>(|(), _cx| Ok(KEPT.lock().unwrap().clone()))
        .bind("127.0.0.1:0")?
        .spawn()?;
    let client = Client::connect(server.address())?;

    let lines = [
        (2, "shop", "card refused"),
        (1, "shop", "sold a teapot"),
        (3, "mail", "the queue is full"),
    ];
    let lines = lines.map(|(level, service, text)| Line {
        level,
        service: service.to_owned(),
        text: text.to_owned(),
    });
    let kept = client.run::<Report>(&lines)?;
    println!("kept {kept} of {} lines", lines.len());

    // The view ends with the closure; what that returns stays.
    let levels = client.run_view::<Kept, _>((), |lines| {
        for LineView { service, text, .. } in &lines {
            println!("{service}: {text}");
        }
        lines.iter().map(|line| line.level).collect::<Vec<_>>()
    })?;
    println!("levels {levels:?}");
    assert_eq!(levels, [2, 3]);

    // Another caller takes the lines themselves, in the same bytes.
    let owned: Vec<Line> = client.run::<Kept>(())?;
    assert_eq!(owned.len(), levels.len());
    Ok(())
}
