//! How a server with several loops ends.

use crate::{LOOPS, PATIENCE};
use isock::{wire::CloseCode, Client, ProblemKind, Ran, Server};
use isock_tests::{
    actions::{Echo, Hold},
    gate::Gate,
    raw::{self, Raw},
    waiting::{eventually, ms},
};
use std::{
    collections::HashSet,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc, Mutex,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Calls until it may not any more: each that was answered has run, each that says No has not.
struct Caller {
    answered: Vec<u32>,
    refused: Vec<u32>,
}

fn call_until_the_end(client: &Client, numbers: &AtomicU32) -> Caller {
    let mut seen = Caller { answered: Vec::new(), refused: Vec::new() };
    loop {
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                (number, client.start::<Hold>(number))
            })
            .collect();
        for (number, call) in calls {
            match call.wait() {
                Ok(answer) => {
                    assert_eq!(answer, number);
                    seen.answered.push(number);
                }
                Err(error) => {
                    assert_eq!(error.ran(), Ran::No, "{error}");
                    seen.refused.push(number);
                }
            }
        }
        if !seen.refused.is_empty() {
            return seen;
        }
    }
}

/// It is not joined: one that never ends would never be told of.
fn ends(stopping: &JoinHandle<()>) {
    eventually("it ends", 2 * PATIENCE, || stopping.is_finished());
}

#[test]
fn a_drain_under_load_loses_no_call_of_any_loop() {
    let ran = Arc::<Mutex<Vec<u32>>>::default();
    let runs = Arc::clone(&ran);
    let server = Server::builder().event_loops(LOOPS).on::<Hold>(move |number, _| {
        runs.lock().unwrap().push(number);
        Ok(number)
    });
    let server = server.bind("127.0.0.1:0").unwrap();
    let (address, stopper) = (server.addresses()[0].clone(), server.stopper());
    let serving = thread::spawn(|| server.run());
    let numbers = Arc::<AtomicU32>::default();
    let callers: Vec<_> = (0..4 * LOOPS)
        .map(|_| {
            let client = Client::builder().attempts(1).connect(&address).unwrap();
            let numbers = Arc::clone(&numbers);
            thread::spawn(move || call_until_the_end(&client, &numbers))
        })
        .collect();
    eventually("calls run", PATIENCE, || ran.lock().unwrap().len() > 3000);
    stopper.drain(PATIENCE);
    ends(&serving);
    let seen: Vec<Caller> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    let all = ran.lock().unwrap();
    let ran: HashSet<u32> = all.iter().copied().collect();
    assert_eq!(ran.len(), all.len(), "a call has run twice");
    assert!(seen.iter().flat_map(|it| &it.refused).all(|number| !ran.contains(number)));
    let answered: HashSet<u32> = seen.iter().flat_map(|it| it.answered.clone()).collect();
    assert_eq!(answered, ran, "what has run has been answered");
}

#[test]
fn a_server_ends_when_the_last_of_its_loops_has() {
    let gate = Gate::new();
    let held = gate.clone();
    let _end = gate.opened_at_the_end();
    let server = Server::builder().event_loops(LOOPS).on::<Hold>(move |number, _| {
        held.pass();
        Ok(number)
    });
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let address = server.address();
    let clients: Vec<Client> = (0..LOOPS).map(|_| server.client()).collect();
    let calls: Vec<_> = clients.iter().map(|client| client.start::<Hold>(7)).collect();
    gate.wait_for(LOOPS);
    let stopping = thread::spawn(|| server.drain(PATIENCE));
    eventually("it accepts nobody more", PATIENCE, || {
        Client::builder().attempts(1).connect(&address).is_err()
    });
    assert!(!stopping.is_finished());
    gate.open();
    for call in calls {
        assert_eq!(call.wait().unwrap(), 7);
    }
    ends(&stopping);
    for client in &clients {
        assert_eq!(client.run::<Hold>(1).unwrap_err().ran(), Ran::No);
    }
}

/// The first loop has nothing left to do, and still hears of it.
#[test]
fn a_second_bound_reaches_the_loop_that_still_has_work() {
    let gate = Gate::new();
    let _end = gate.opened_at_the_end();
    for busy in 0..LOOPS {
        let held = gate.clone();
        gate.close();
        let server = Server::in_memory().event_loops(LOOPS).on::<Echo>(|text, _| Ok(text));
        let server = server.on::<Hold>(move |number, _| {
            held.pass();
            Ok(number)
        });
        let server = server.spawn().unwrap();
        let clients: Vec<Client> = (0..LOOPS).map(|_| server.client()).collect();
        let call = clients[busy].start::<Hold>(1);
        gate.wait_for(1);
        let stopper = server.stopper();
        let stopping = thread::spawn(|| server.drain(Duration::from_secs(3600)));
        for (_, client) in clients.iter().enumerate().filter(|(place, _)| *place != busy) {
            eventually("they have heard of it", PATIENCE, || client.run::<Echo>("hm?").is_err());
        }
        assert!(!stopping.is_finished());
        stopper.drain(Duration::ZERO);
        ends(&stopping);
        assert_eq!(call.wait().unwrap_err().ran(), Ran::Unknown);
        gate.open();
    }
}

#[test]
fn what_waits_for_a_worker_is_refused_for_every_loop() {
    let gate = Gate::new();
    let _end = gate.opened_at_the_end();
    let held = gate.clone();
    let server = Server::builder().event_loops(LOOPS).workers(1).on::<Hold>(move |number, _| {
        held.pass();
        Ok(number)
    });
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let connect = || Client::builder().attempts(1).connect(server.address()).unwrap();
    let clients: Vec<Client> = (0..2 * LOOPS).map(|_| connect()).collect();
    let first = clients[0].start::<Hold>(0);
    gate.wait_for(1);
    let waiting: Vec<_> = clients
        .iter()
        .flat_map(|client| (1..20).map(|n| client.start::<Hold>(n)).collect::<Vec<_>>())
        .collect();
    eventually("they wait", PATIENCE, || server.load().waiting == waiting.len());
    ends(&thread::spawn(|| server.drain(ms(50))));
    assert_eq!(first.wait().unwrap_err().ran(), Ran::Unknown);
    for call in waiting {
        let error = call.wait().unwrap_err();
        assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Stopping), Ran::No), "{error}");
    }
}

/// Those that are connected and have said nothing.
#[test]
fn strangers_are_told_that_the_server_stops() {
    let server = Server::builder().event_loops(LOOPS).on::<Echo>(|text, _| Ok(text));
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let clients: Vec<Client> = (0..LOOPS).map(|_| server.client()).collect();
    let stranger = || Raw::new(raw::connect(server.address()).unwrap());
    let mut strangers: Vec<Raw> = (0..2 * LOOPS).map(|_| stranger()).collect();
    ends(&thread::spawn(|| server.stop()));
    for raw in &mut strangers {
        assert_eq!(raw.welcome().version, 0, "a refusal");
        assert_eq!(raw.closed(), Ok(CloseCode::STOPPING));
    }
    for client in clients {
        assert_eq!(client.run::<Echo>("late").unwrap_err().ran(), Ran::No);
    }
}
