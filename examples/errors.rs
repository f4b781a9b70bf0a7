//! Everything that can happen to a call, and what the caller learns: `cargo run --example errors`
//!
//! A call answers with a value, with the action's own error, or with a problem that kept it from
//! either. Whatever it is, `ran()` says whether the handler ran: whether calling again is safe.

use isock::{Action, CallError, Client, Server};
use serde::{Deserialize, Serialize};
use std::{fmt::Display, thread, time::Duration};

/// Orders bread, and returns the price in cents.
#[derive(Action, Serialize, Deserialize)]
#[action(output = u32, error = Refused)]
struct Order {
    loaves: u32,
}

/// Why there is no bread.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum Refused {
    #[error("at most {most} at a time")]
    TooMany { most: u32 },
}

/// Nobody serves this one.
#[derive(Action)]
struct Deposit;

/// Takes longer than its caller waits.
#[derive(Action)]
struct Ponder;

/// Has a bug.
#[derive(Action)]
struct Stumble;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .on::<Order>(|order, _cx| match order.loaves {
            0..=5 => Ok(order.loaves * 350),
            _ => Err(Refused::TooMany { most: 5 }),
        })
        .on::<Ponder>(|(), cx| {
            thread::sleep(cx.remaining() * 2);
            Ok(())
        })
        .on::<Stumble>(|(), _cx| panic!("a bug in the handler"))
        // What the operator reads; standard error unless set. The text of a panic goes here, and
        // never to the caller.
        .log(|line| println!("log: {line}"))
        .bind("127.0.0.1:0")?
        .spawn()?;
    let client = Client::connect(server.address())?;

    // The action's own error is a value: match on it, act on it.
    let price = match client.call(Order { loaves: 12 }) {
        Err(CallError::Action(Refused::TooMany { most })) => {
            println!("12 are too many, ordering {most}");
            client.call(Order { loaves: most })?
        }
        result => result?,
    };
    println!("that is {price} cents");

    report("own error", client.call(Order { loaves: 6 }));
    report("unknown action", client.run::<Deposit>(()));
    let patience = Duration::from_millis(200);
    report("deadline", client.request::<Ponder>(()).timeout(patience).run());
    report("panic", client.run::<Stumble>(()));

    // All of that on one connection. Now there is nobody at the other end:
    server.stop();
    report("dead server", client.call(Order { loaves: 1 }));
    Ok(())
}

fn report<T, E: Display>(what: &str, result: Result<T, CallError<E>>) {
    let Err(error) = result else { return println!("{what}: it worked") };
    let ran = error.ran();
    match &error {
        CallError::Action(own) => println!("{what}: kind Action, ran {ran:?}\n    {own}"),
        CallError::Call(problem) => {
            println!("{what}: kind {:?}, ran {ran:?}\n    {problem}", problem.kind());
        }
    }
}
