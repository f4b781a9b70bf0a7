//! The wire is cut at every byte of an exchange, in both directions.

use isock::{Client, Ran, Server, ServerHandle};
use isock_tests::{
    actions::{Hold, Peek},
    cut::{Break, Cut, End},
    waiting::{eventually, ms},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// Bytes of either preface.
const PREFACE: usize = 48;

/// Calls are numbered from here: each has as many bytes as any other.
const FIRST: u32 = 100_000;
/// What is added for a second call.
const AGAIN: u32 = 100_000;

/// How often the handler has run with each number.
type Runs = Arc<Mutex<HashMap<u32, u32>>>;

fn counting() -> (ServerHandle, Runs) {
    let runs = Runs::default();
    let (once, read) = (Arc::clone(&runs), Arc::clone(&runs));
    let count = |runs: &Runs, number| *runs.lock().unwrap().entry(number).or_default() += 1;
    let server = Server::builder()
        .on::<Hold>(move |number, _| {
            count(&once, number);
            Ok(number)
        })
        .on::<Peek>(move |number, _| {
            count(&read, number);
            Ok(number)
        });
    (server.bind("127.0.0.1:0").unwrap().spawn().unwrap(), runs)
}

fn client(cut: &Cut, attempts: u32) -> Client {
    Client::builder().attempts(attempts).timeout(ms(10_000)).connect_lazy(cut.address()).unwrap()
}

/// How many bytes each end sends in an exchange that is not cut.
fn lengths(server: &ServerHandle) -> [(End, usize); 2] {
    let cut = Cut::before(server.address(), None);
    let client = client(&cut, 1);
    assert_eq!(client.run::<Hold>(FIRST).unwrap(), FIRST);
    [End::Client, End::Server].map(|end| (end, cut.passed(end)))
}

/// Every place where an exchange can break, each with a number.
fn breaks(server: &ServerHandle) -> Vec<(u32, Break)> {
    let mut breaks = Vec::new();
    for (from, len) in lengths(server) {
        for after in 0..=len {
            breaks.extend([false, true].map(|reset| Break { from, after, reset }));
        }
    }
    (FIRST + 1..).zip(breaks).collect()
}

#[test]
fn the_outcome_of_a_call_that_runs_once_is_true_at_every_byte() {
    let (server, runs) = counting();
    let mut said = Vec::new();
    let breaks = breaks(&server);
    assert!(breaks.len() > 300, "{}", breaks.len());
    for (number, at) in breaks {
        let cut = Cut::before(server.address(), Some(at));
        let ran = match client(&cut, 1).run::<Hold>(number) {
            Ok(_) => Ran::Yes,
            Err(error) => error.ran(),
        };
        said.push((number, at, ran));
    }
    // Only then, since a handler may begin after its caller has given up.
    eventually("every connection ends", ms(10_000), || server.connections().is_empty());
    server.stop();
    let runs = runs.lock().unwrap();
    let count_of = |number| runs.get(&number).copied().unwrap_or(0);
    for (number, at, ran) in &said {
        match (ran, count_of(*number)) {
            (Ran::No, 0) | (Ran::Unknown, 0 | 1) | (Ran::Yes, 1) => {}
            (ran, count) => panic!("{at:?}: said {ran:?}, and it ran {count} times"),
        }
        // And it is as sure as it can be.
        if at.after < PREFACE {
            assert_eq!(*ran, Ran::No, "before the call: {at:?}");
        }
    }
    let of = |ran| said.iter().filter(|(.., it)| *it == ran).count();
    assert!(of(Ran::No) >= 4 * PREFACE, "{}", of(Ran::No));
    let counts = [Ran::No, Ran::Unknown, Ran::Yes].map(of);
    // The last byte of the answer gets through once of each kind; a reset may overtake it.
    assert!(counts[1] > 20 && counts[2] > 0, "{counts:?}");
    let ran_unheard = said.iter().filter(|(n, _, ran)| *ran == Ran::Unknown && count_of(*n) == 1);
    assert!(ran_unheard.count() > 20, "some answers were cut off");
}

#[test]
fn attempts_never_double_what_runs_once_and_always_end_what_may_be_repeated() {
    let (server, runs) = counting();
    let mut unsure = Vec::new();
    // A reset is one end more; with pauses between attempts it would be as long again.
    for (number, at) in breaks(&server).into_iter().filter(|(_, at)| !at.reset) {
        let cut = Cut::before(server.address(), Some(at));
        let client = client(&cut, 3);
        // Every other time the connection that breaks is a read's.
        if at.after % 2 == 0 {
            assert_eq!(client.run::<Peek>(number).unwrap(), number, "{at:?}");
        }
        match client.run::<Hold>(number + AGAIN) {
            Ok(_) => {}
            Err(error) if error.ran() == Ran::Unknown => unsure.push(number),
            Err(error) => panic!("{at:?}: {error}"),
        }
    }
    eventually("every connection ends", ms(10_000), || server.connections().is_empty());
    server.stop();
    for (number, count) in
        runs.lock().unwrap().iter().filter(|(number, _)| **number > FIRST + AGAIN)
    {
        assert_eq!(*count, 1, "{number}");
    }
    assert!(!unsure.is_empty());
}
