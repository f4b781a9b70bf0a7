//! Calls that carry items: from the handler, to it, and both.

#[path = "streams/both.rs"]
mod both;
#[path = "streams/ends.rs"]
mod ends;
#[path = "streams/items.rs"]
mod items;
#[path = "streams/pressure.rs"]
mod pressure;
#[path = "streams/uploads.rs"]
mod uploads;

use isock::{Action, Client, Server, ServerHandle};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts up to a number, and says how many it has counted.
#[derive(Action)]
#[action(input = u64, stream = u64, output = u64)]
pub struct CountTo;

/// So many items of so many bytes.
#[derive(Action)]
#[action(input = (u32, u32), stream = isock::Bytes)]
pub struct Blobs;

/// Sends one item, and fails with a value of its own.
#[derive(Action)]
#[action(input = u32, stream = u32, error = Odd)]
pub struct Fails;

/// A number that is odd.
#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{0} is odd")]
pub struct Odd(pub u32);

/// Adds up what comes.
#[derive(Action)]
#[action(upload = u64, output = u64)]
pub struct Sum;

/// Sends back what comes.
#[derive(Action)]
#[action(upload = isock::Bytes, stream = isock::Bytes, output = u64)]
pub struct Mirror;

fn server() -> ServerHandle {
    serving().bind("127.0.0.1:0").unwrap().spawn().unwrap()
}

fn serving() -> isock::ServerBuilder {
    Server::builder()
        .on::<CountTo>(|to, cx| {
            (1..=to).try_for_each(|n| cx.send(n))?;
            Ok(to)
        })
        .on::<Blobs>(|(count, len), cx| {
            Ok((0..count).try_for_each(|n| cx.send(vec![n as u8; len as usize].into()))?)
        })
        .on::<Fails>(|n, cx| {
            let _ = cx.send(n);
            if n % 2 == 1 {
                Err(Odd(n))
            } else {
                Ok(())
            }
        })
        .on::<Sum>(|(), cx| {
            let mut sum = 0;
            for number in cx.items() {
                sum += number?;
            }
            Ok(sum)
        })
        .on::<Mirror>(|(), cx| {
            let mut count = 0;
            for bytes in cx.items() {
                cx.send(bytes?)?;
                count += 1;
            }
            Ok(count)
        })
}

/// Each way to reach the same server: over a socket, and without one.
fn everywhere(test: impl Fn(&Client)) {
    let tcp = server();
    test(&tcp.client());
    let memory = Server::in_memory()
        .add_all([
            CountTo::with(|to, cx| {
                (1..=to).try_for_each(|n| cx.send(n))?;
                Ok(to)
            }),
            Sum::with(|(), cx| cx.items().try_fold(0, |sum, number| Ok(sum + number?))),
        ])
        .spawn()
        .unwrap();
    test(&memory.client());
}
