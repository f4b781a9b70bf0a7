//! Calls as futures, in the smallest of executors.

use super::{connect, spawn, PEER};
use isock::{Client, ProblemKind, Ran, Server, ServerBuilder};
use isock_tests::{
    actions::*,
    gate::Gate,
    process::Process,
    waiting::{block_on, eventually, join_all, ms, poll_once},
};
use std::{
    net::TcpListener,
    sync::{mpsc, Mutex},
    thread,
    time::Instant,
};

fn squares() -> ServerBuilder {
    Server::builder().on::<Square>(|n, _| Ok(n * n))
}

fn holding(gate: &Gate) -> ServerBuilder {
    let (once, read) = (gate.clone(), gate.clone());
    squares()
        .on::<Hold>(move |number, _| {
            once.pass();
            Ok(number)
        })
        .on::<Peek>(move |number, _| {
            read.pass();
            Ok(number)
        })
}

#[test]
fn a_call_is_a_future() {
    let server = spawn(squares());
    let client = server.client();
    assert_eq!(block_on(client.start::<Square>(4)).unwrap(), 16);
    assert_eq!(block_on(client.start::<Square>(5)).unwrap(), 25);
}

#[test]
fn a_hundred_futures_are_under_way_at_once() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    let futures: Vec<_> = (0..100).map(|n| client.start::<Hold>(n)).collect();
    thread::scope(|scope| {
        let joined = scope.spawn(|| block_on(join_all(futures)));
        gate.wait_for(100);
        gate.open();
        for (n, result) in joined.join().unwrap().into_iter().enumerate() {
            assert_eq!(result.unwrap() as usize, n);
        }
    });
}

#[test]
fn futures_share_a_client_with_blocking_callers() {
    let server = spawn(squares());
    let client = connect(&server);
    thread::scope(|scope| {
        for thread in 0..4 {
            let client = &client;
            scope.spawn(move || {
                for n in (0..200).map(|n| n * 4 + thread) {
                    let square = match thread % 2 {
                        0 => client.run::<Square>(n),
                        _ => block_on(client.start::<Square>(n)),
                    };
                    assert_eq!(square.unwrap(), n * n);
                }
            });
        }
    });
}

#[test]
fn a_dropped_future_is_cancelled_at_the_server() {
    let (saw, seen) = mpsc::channel();
    let saw = Mutex::new(saw);
    let server = spawn(Server::builder().on::<Hold>(move |number, cx| {
        let saw = saw.lock().unwrap();
        saw.send(false).unwrap();
        eventually("the call is cancelled", ms(10_000), || cx.cancelled());
        saw.send(true).unwrap();
        Ok(number)
    }));
    let client = connect(&server);
    let mut future = client.start::<Hold>(1);
    assert!(poll_once(&mut future).is_pending());
    assert!(!seen.recv().unwrap(), "the handler runs");
    drop(future);
    assert!(seen.recv().unwrap(), "it saw the cancel");
}

#[test]
fn a_detached_call_runs_although_its_client_is_gone() {
    let (saw, seen) = mpsc::channel();
    let saw = Mutex::new(saw);
    let server = spawn(Server::builder().on::<Square>(move |n, _| {
        saw.lock().unwrap().send(n).unwrap();
        Ok(n * n)
    }));
    let connected = connect(&server);
    connected.start::<Square>(1).detach();
    assert_eq!(seen.recv().unwrap(), 1);
    // It was never connected before.
    server.client().start::<Square>(2).detach();
    assert_eq!(seen.recv().unwrap(), 2);
}

#[test]
fn a_future_ends_by_its_deadline() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    let before = Instant::now();
    let error = block_on(client.request::<Hold>(1).timeout(ms(100)).start()).unwrap_err();
    assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Deadline), Ran::Unknown));
    assert!(before.elapsed() < ms(250), "{:?}", before.elapsed());
}

#[test]
fn a_future_without_a_server_fails_as_a_blocking_call_does() {
    let free = TcpListener::bind("127.0.0.6:0").unwrap().local_addr().unwrap();
    let client = Client::builder().connect_lazy(free).unwrap();
    let error = block_on(client.start::<Square>(1)).unwrap_err();
    assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::NotConnected), Ran::No));
    assert_eq!(error.problem().unwrap().attempts(), 3);
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}

#[test]
fn a_future_of_a_closed_client_says_so() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    let mut pending = client.start::<Hold>(1);
    assert!(poll_once(&mut pending).is_pending());
    gate.wait_for(1);
    client.close();
    assert_eq!(block_on(pending).unwrap_err().ran(), Ran::Unknown);
    let error = block_on(client.start::<Square>(1)).unwrap_err();
    assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Closed), Ran::No));
}

#[test]
fn a_finished_call_is_known_without_waiting() {
    let server = spawn(squares());
    let client = connect(&server);
    let first = client.start::<Square>(1);
    // Whoever reads reads for all, and the answers come in order here.
    assert_eq!(client.run::<Square>(2).unwrap(), 4);
    eventually("the first one has ended", ms(2000), || {
        client.run::<Square>(3).is_ok() && first.is_finished()
    });
    assert_eq!(first.wait().unwrap(), 1);
}

#[test]
fn a_future_goes_on_at_once_when_a_blocking_caller_leaves() {
    let server = spawn(squares().on::<Hold>(|number, _| Ok(number)).on::<Peek>(|number, _| {
        isock_tests::waiting::pass(ms(3));
        Ok(number)
    }));
    let client = connect(&server);
    let mut rounds: Vec<_> = (0..20)
        .map(|n| {
            let before = Instant::now();
            thread::scope(|scope| {
                let blocking = scope.spawn(|| client.run::<Hold>(n));
                assert_eq!(block_on(client.start::<Peek>(n)).unwrap(), n);
                blocking.join().unwrap().unwrap();
            });
            before.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    // Ticks of 50 ms between two readers would be in every round; a busy machine is in some.
    assert!(rounds[10] < ms(40), "{rounds:?}");
}

#[test]
fn the_thread_of_futures_ends_with_its_client() {
    let server = spawn(squares());
    let mut process = Process::start(PEER, &["churn", &server.address().to_string()]);
    assert_eq!(process.line(), "nothing is left");
}
