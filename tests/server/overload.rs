//! More calls than the handlers can do.

use super::spawn;
use isock::{Client, ProblemKind, Ran, Server, ServerHandle};
use isock_tests::{
    actions::{Hold, Peek},
    gate::Gate,
    waiting::{eventually, ms},
};
use std::{
    collections::VecDeque,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

/// A client that makes one attempt.
fn once(server: &ServerHandle) -> Client {
    Client::builder().attempts(1).connect(server.address()).unwrap()
}

#[test]
fn a_call_that_would_wait_too_long_is_refused_at_once_and_says_when_to_come_back() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = spawn(Server::builder().workers(1).on::<Hold>(move |number, _| {
        held.pass();
        Ok(number)
    }));
    let _end = gate.opened_at_the_end();
    let (client, other) = (once(&server), once(&server));
    let patient = |number| client.request::<Hold>(number).timeout(ms(3_600_000)).start();
    let mut waiting = vec![patient(0)];
    gate.wait_for(1);
    waiting.extend((1..10).map(patient));
    // Nothing moves, so the wait becomes longer and longer, but nobody waits to be told so.
    eventually("the server expects a long wait", ms(20_000), || {
        let before = Instant::now();
        let error = other.request::<Hold>(99).timeout(ms(2_000)).run().unwrap_err();
        let Some(ProblemKind::Overloaded) = error.kind() else { return false };
        assert!(before.elapsed() < ms(1_900), "{:?}", before.elapsed());
        assert_eq!(error.ran(), Ran::No, "{error}");
        let advice = error.problem().unwrap().retry_after().expect("advice");
        assert!((ms(100)..=ms(5_000)).contains(&advice), "{advice:?}");
        true
    });
    // Who can wait still may.
    waiting.push(patient(10));
    gate.open();
    for (number, call) in (0..).zip(waiting) {
        assert_eq!(call.wait().unwrap(), number);
    }
    assert_eq!(other.run::<Hold>(7).unwrap(), 7, "and it is over");
}

/// What became of the calls of an onslaught.
#[derive(Debug, Default)]
struct Tally {
    answered: u32,
    refused: u32,
    late: u32,
}

/// Keeps many more calls in flight than can be answered in time, until so many have been.
fn press(client: &Client, runs: &AtomicU32, enough: u32) -> Tally {
    const IN_FLIGHT: usize = 100;
    let (mut tally, mut calls) = (Tally::default(), VecDeque::new());
    while runs.load(Ordering::SeqCst) < enough {
        while calls.len() < IN_FLIGHT {
            calls.push_back(client.request::<Peek>(1).timeout(ms(400)).start());
        }
        match calls.pop_front().expect("some are in flight").wait() {
            Ok(_) => tally.answered += 1,
            Err(error) if error.kind() == Some(ProblemKind::Overloaded) => {
                assert_eq!(error.ran(), Ran::No, "{error}");
                assert!(error.problem().unwrap().retry_after() >= Some(ms(100)), "{error}");
                tally.refused += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), Some(ProblemKind::Deadline), "{error}");
                tally.late += 1;
            }
        }
    }
    for call in calls {
        tally.answered += u32::from(call.wait().is_ok());
    }
    tally
}

#[test]
fn far_beyond_its_capacity_a_server_does_what_is_still_of_use() {
    const CLIENTS: usize = 16;
    const RUNS: u32 = 1000;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    // 5 ms each on four threads: the calls in flight would take two seconds.
    let server = spawn(Server::builder().workers(4).on::<Peek>(move |number, _| {
        thread::park_timeout(ms(5));
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(number)
    }));
    let clients: Vec<_> = (0..CLIENTS).map(|_| once(&server)).collect();
    let tallies: Vec<_> = thread::scope(|scope| {
        let runs = &runs;
        let press = |client| scope.spawn(move || press(client, runs, RUNS));
        let threads: Vec<_> = clients.iter().map(press).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let sum = |of: fn(&Tally) -> u32| tallies.iter().map(of).sum::<u32>();
    let (answered, refused, late) = (sum(|t| t.answered), sum(|t| t.refused), sum(|t| t.late));
    let ran = runs.load(Ordering::SeqCst);
    assert!(answered * 100 >= ran * 85, "{answered} of {ran} runs were of use, {late} late");
    assert!(refused > 2 * answered, "{refused} refused, {answered} answered");
    assert!(late * 10 < refused, "{late} late, {refused} refused");
    assert!(tallies.iter().all(|tally| tally.answered > 0), "everybody has turns: {tallies:?}");
    eventually("nothing waits any more", ms(5_000), || server.held_bytes() == 0);
}

#[test]
fn clients_that_come_back_when_they_are_told_all_have_their_answers() {
    const CLIENTS: usize = 8;
    const EACH: usize = 30;
    let server = spawn(Server::builder().workers(2).on::<Peek>(|number, _| {
        thread::park_timeout(ms(5));
        Ok(number)
    }));
    // The server knows how fast it is.
    let first = once(&server);
    let calls: Vec<_> = (0..20).map(|_| first.start::<Peek>(0)).collect();
    calls.into_iter().for_each(|call| assert_eq!(call.wait().unwrap(), 0));
    // All at once they would wait for 600 ms, and who would wait for half of 600 is refused.
    let patience = Duration::from_millis(600);
    let refused = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let client = once(&server);
            let refused = &refused;
            scope.spawn(move || {
                let start = || client.request::<Peek>(1).timeout(patience).start();
                let mut calls: Vec<_> = (0..EACH).map(|_| start()).collect();
                while !calls.is_empty() {
                    let errors = calls.drain(..).filter_map(|call| call.wait().err());
                    let advice: Vec<_> = errors
                        .map(|error| {
                            assert_eq!(error.ran(), Ran::No, "{error}");
                            error.problem().unwrap().retry_after().expect("advice")
                        })
                        .collect();
                    refused.fetch_add(advice.len() as u32, Ordering::SeqCst);
                    if let Some(longest) = advice.iter().max() {
                        thread::park_timeout(*longest);
                    }
                    calls.extend(advice.iter().map(|_| start()));
                }
            });
        }
    });
    assert!(refused.into_inner() > 0, "it was not too much");
}
