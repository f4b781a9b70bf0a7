//! Two servers, and a client that goes on while they come and go: `cargo run --example several`
//!
//! One is restarted under load, which no call notices; the other one ends without a word to those
//! who wait, and the client goes on with what is left.

use isock::{Action, CallError, Client, Failure, IntoAddresses, ServeError, Server, ServerHandle};
use std::{
    collections::BTreeSet,
    sync::mpsc::{channel, Receiver, TryRecvError},
    thread,
    time::{Duration, Instant},
};

/// Which of the servers answers.
//
// Since it is `read`, a call whose server goes is sent again, to the other one.
#[derive(Action)]
#[action(output = String, kind = read, timeout = "5s")]
struct Who;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (left, right) = (serve("left", "127.0.0.1:0")?, serve("right", "127.0.0.1:0")?);
    let left_address = left.address();

    let client = Client::connect([left.address(), right.address()])?;
    let (stop, stopped) = channel();
    let load = thread::spawn({
        let client = client.clone();
        move || failures(&client, &stopped)
    });
    println!("at first: {}", answers(&client, 2)?);

    // What it has taken it finishes; the other calls go elsewhere. In a program of its own,
    // `drain_on_sigterm` does that.
    left.drain(Duration::from_secs(5));
    println!("left is drained: {}", answers(&client, 1)?);

    let left = serve("left", left_address)?;
    println!("left is back: {}", answers(&client, 2)?);

    // Nothing is finished, as in a program that is killed.
    drop(right);
    println!("right has ended: {}", answers(&client, 1)?);

    drop(stop);
    let failed = load.join().map_err(|_| "the thread of the calls panicked")?;
    println!("calls that failed meanwhile: {failed}");

    drop(left);
    let error = client.run::<Who>(()).err().ok_or("there is no server, and yet an answer")?;
    println!("left has ended: {:?}, ran {:?}", error.kind(), error.ran());
    Ok(())
}

fn serve(name: &str, address: impl IntoAddresses) -> Result<ServerHandle, ServeError> {
    let name = name.to_owned();
    Server::builder().on::<Who>(move |(), _cx| Ok(name.clone())).bind(address)?.spawn()
}

/// Who answers in a hundred calls; in more, until there are so many servers.
fn answers(client: &Client, servers: usize) -> Result<String, CallError<Failure>> {
    let mut names = BTreeSet::new();
    for _ in 0..100 {
        names.insert(client.run::<Who>(())?);
    }
    // A server that comes back is found within a moment.
    let began = Instant::now();
    while names.len() < servers && began.elapsed() < Duration::from_secs(20) {
        names.insert(client.run::<Who>(())?);
    }
    let names: Vec<String> = names.into_iter().collect();
    Ok(names.join(" and "))
}

/// Calls without a pause for as long as somebody can say stop; returns how many calls failed.
fn failures(client: &Client, stopped: &Receiver<()>) -> usize {
    let mut failed = 0;
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        if let Err(error) = client.run::<Who>(()) {
            eprintln!("{error}");
            failed += 1;
        }
    }
    failed
}
