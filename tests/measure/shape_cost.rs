//! What stating the hash of its types costs a call between builds that agree.
//!
//! `shape_cost stated|silent CALLS`: that many calls in memory, of an action whose hash both sides
//! state or of one that has none. Run it under `valgrind --tool=callgrind` with two numbers of calls:
//! the difference of the instructions, by the difference of the calls, is what a call costs.

use isock::{Action, Server};
use serde::{Deserialize, Deserializer, Serialize};

/// States the hash of its types.
#[derive(Action)]
#[action(input = Text, kind = read)]
struct Stated;

/// The same bytes and the same work, without a hash: its type does not bear made-up values.
#[derive(Action)]
#[action(input = Unlearnt, kind = read)]
struct Silent;

#[derive(Serialize)]
struct Text(String);

#[derive(Serialize)]
struct Unlearnt(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        let text = String::deserialize(from)?;
        assert!(text.len() < 1000, "no one sends that");
        Ok(Text(text))
    }
}

impl<'de> Deserialize<'de> for Unlearnt {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Unlearnt, D::Error> {
        let text = String::deserialize(from)?;
        assert!(text.len() == 4, "no one sends that");
        Ok(Unlearnt(text))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [how, calls] = &args[..] else {
        return Err("usage: shape_cost stated|silent CALLS".into());
    };
    let calls: u32 = calls.parse()?;
    let server =
        Server::in_memory().on::<Stated>(|_, _| Ok(())).on::<Silent>(|_, _| Ok(())).spawn()?;
    let client = server.client();
    for _ in 0..calls {
        match how.as_str() {
            "stated" => client.run::<Stated>(Text("text".into()))?,
            _ => client.run::<Silent>(Unlearnt("text".into()))?,
        }
    }
    Ok(())
}
