//! One client, many callers and many calls.

use super::{connect, spawn};
use isock::{Bytes, Failure, Server};
use isock_tests::{actions::*, gate::Gate, waiting::ms};
use std::{
    thread,
    time::{Duration, Instant},
};

#[test]
fn each_of_eight_threads_has_its_own_answers() {
    let server = spawn(Server::builder().on::<Square>(|n, _| Ok(n * n)));
    let client = connect(&server);
    thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for n in (0..1000).map(|n| n * 8 + thread) {
                    assert_eq!(client.run::<Square>(n).unwrap(), n * n);
                }
            });
        }
    });
}

#[test]
fn ten_thousand_calls_at_once_queue_beyond_the_grant() {
    let server = spawn(Server::builder().on::<Square>(|n, _| Ok(n * n)));
    let client = connect(&server);
    let calls: Vec<_> = (0..10_000).map(|n| client.start::<Square>(n)).collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.wait().unwrap(), n * n);
    }
}

#[test]
fn ten_thousand_calls_can_be_given_up_at_once() {
    let gate = Gate::new();
    let held = gate.clone();
    let server =
        spawn(Server::builder().on::<Echo>(|text, _| Ok(text)).on::<Hold>(move |number, _| {
            held.pass();
            Ok(number)
        }));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    let calls: Vec<_> = (0..10_000).map(|n| client.start::<Hold>(n)).collect();
    let before = Instant::now();
    drop(calls);
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    gate.open();
    assert_eq!(client.run::<Echo>("after").unwrap(), "after");
}

#[test]
fn large_values_both_ways_and_small_ones_between_them() {
    let server =
        spawn(Server::builder().on::<Blob>(|bytes, _| Ok(bytes)).on::<Square>(|n, _| Ok(n * n)));
    let client = connect(&server);
    let before = Instant::now();
    thread::scope(|scope| {
        for thread in 0..3u8 {
            let client = &client;
            scope.spawn(move || {
                // Together less than a client queues.
                let large = Bytes::from(vec![thread; 1_300_000]);
                for _ in 0..4 {
                    let calls: Vec<_> = (0..2).map(|_| client.start::<Blob>(&large)).collect();
                    for call in calls {
                        assert!(call.wait().unwrap() == large);
                    }
                }
            });
        }
        for n in 0..200 {
            assert_eq!(client.run::<Square>(n).unwrap(), n * n);
        }
    });
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[test]
fn small_calls_do_not_wait_behind_large_ones() {
    let server =
        spawn(Server::builder().on::<Blob>(|bytes, _| Ok(bytes)).on::<Square>(|n, _| Ok(n * n)));
    let client = connect(&server);
    let large = Bytes::from(vec![1; 7_000_000]);
    let call = client.start::<Blob>(&large);
    let before = Instant::now();
    assert_eq!(client.run::<Square>(3).unwrap(), 9);
    assert!(before.elapsed() < ms(250), "{:?}", before.elapsed());
    assert!(call.wait().unwrap() == large);
}

#[test]
fn calls_that_fail_and_calls_that_do_not_are_told_apart() {
    let server = spawn(Server::builder().on::<Square>(|n, _| match n % 3 {
        0 => Err(Failure::new(n)),
        _ => Ok(n * n),
    }));
    let client = connect(&server);
    let calls: Vec<_> = (0..300).map(|n| client.start::<Square>(n)).collect();
    for (n, call) in (0..).zip(calls) {
        match call.wait() {
            Ok(square) => assert_eq!(square, n * n),
            Err(error) => assert_eq!((n % 3, error.to_string()), (0, n.to_string())),
        }
    }
}

#[test]
fn one_client_can_call_from_a_thread_that_ends() {
    let server = spawn(Server::builder().on::<Square>(|n, _| Ok(n * n)));
    let client = connect(&server);
    let call = thread::scope(|scope| scope.spawn(|| client.start::<Square>(5)).join().unwrap());
    drop(client);
    assert_eq!(call.wait().unwrap(), 25);
}
