use super::{Down, Square};
use crate::PATIENCE;
use isock::{CallError, Client, Context, Failure, Handle, ProblemKind, Ran, Server, ServerHandle};
use isock_tests::waiting::eventually;
use std::{
    sync::{mpsc, Arc, Barrier},
    time::{Duration, Instant},
};

struct CountsDown;

impl Handle<Down> for CountsDown {
    fn handle(&self, left: u32, cx: &Context<Down>) -> Result<u32, Failure> {
        match left {
            0 => Ok(0),
            left => Ok(cx.peer().run::<Down>(left - 1)? + 1),
        }
    }
}

fn tcp() -> ServerHandle {
    let server = Server::builder().handler::<Down>(CountsDown).on::<Square>(|n, cx| {
        let doubled = cx.peer().run::<Square>(n)?;
        Ok(doubled + 1)
    });
    server.bind("127.0.0.1:0").unwrap().spawn().unwrap()
}

fn squares(server: &ServerHandle) -> Client {
    server
        .client_with(|client| client.on::<Square>(|n, _| Ok(n * n)).handler::<Down>(CountsDown))
        .unwrap()
}

#[test]
fn a_handler_calls_its_caller_back() {
    let server = tcp();
    let client = squares(&server);
    // Often enough that the action has once counted as quick, and its handler ran on the loop.
    for n in 0..200 {
        assert_eq!(client.run::<Square>(n).unwrap(), n * n + 1);
    }
}

#[test]
fn calls_nest_in_both_directions() {
    let server = tcp();
    let client = squares(&server);
    assert_eq!(client.run::<Down>(60).unwrap(), 60);
    assert_eq!(client.run::<Down>(61).unwrap(), 61);
}

#[test]
fn a_server_calls_its_client_out_of_the_blue() {
    for server in [tcp(), Server::in_memory().spawn().unwrap()] {
        let client = squares(&server);
        let connection = server.connections().latest().unwrap();
        assert_eq!(connection.run::<Square>(12).unwrap(), 144);
        let calls: Vec<_> = (0..1000).map(|n| connection.start::<Square>(n)).collect();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.wait().unwrap(), (n * n) as u64);
        }
        drop(client);
    }
}

#[test]
fn while_the_client_calls_too_nothing_is_lost() {
    let server = tcp();
    let client = squares(&server);
    let connection = server.connections().latest().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..200).for_each(|n| assert_eq!(client.run::<Square>(n).unwrap(), n * n + 1))
            });
            scope.spawn(|| {
                (0..200).for_each(|n| assert_eq!(connection.run::<Square>(n).unwrap(), n * n))
            });
        }
    });
}

#[test]
fn a_client_without_that_action_says_so_and_lives_on() {
    let server = tcp();
    let client = server.client_with(|client| client.handler::<Down>(CountsDown)).unwrap();
    let connection = server.connections().latest().unwrap();
    let Err(CallError::Call(problem)) = connection.run::<Square>(1) else { panic!() };
    assert_eq!(problem.kind(), ProblemKind::UnknownAction);
    assert_eq!(problem.ran(), Ran::No);
    assert!(problem.to_string().contains("the client has no such action"), "{problem}");
    client.on::<Square>(|n, _| Ok(n + 100)).unwrap();
    assert_eq!(connection.run::<Square>(1).unwrap(), 101);
}

#[test]
fn a_handler_of_a_client_that_panics_harms_nobody_else() {
    let server = tcp();
    let (told, log) = mpsc::channel();
    let client = server
        .client_with(|client| {
            client
                .on::<Square>(|_, _| panic!("by intention"))
                .handler::<Down>(CountsDown)
                .log(move |line| drop(told.send(line.to_owned())))
        })
        .unwrap();
    let connection = server.connections().latest().unwrap();
    let error = connection.run::<Square>(1).unwrap_err();
    assert_eq!(error.problem().map(|problem| problem.kind()), Some(ProblemKind::Panicked));
    assert_eq!(error.ran(), Ran::Yes);
    assert!(log.recv().unwrap().contains("panicked: by intention"));
    assert_eq!(connection.run::<Down>(0).unwrap(), 0);
    drop(client);
}

#[test]
fn handlers_of_a_client_run_at_the_same_time() {
    let server = tcp();
    let all_here = Arc::new(Barrier::new(8));
    let met = Arc::clone(&all_here);
    let client = server
        .client_with(|client| {
            client.on::<Square>(move |n, _| {
                met.wait();
                Ok(n)
            })
        })
        .unwrap();
    let connection = server.connections().latest().unwrap();
    let calls: Vec<_> = (0..8).map(|n| connection.start::<Square>(n)).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.wait().unwrap(), n as u64);
    }
    drop(client);
}

#[test]
fn a_call_to_a_client_that_has_gone_did_not_run() {
    let server = tcp();
    let client = squares(&server);
    let connection = server.connections().latest().unwrap();
    client.close();
    eventually("the connection ends", PATIENCE, || !connection.is_connected());
    let error = connection.run::<Square>(1).unwrap_err();
    assert_eq!(error.ran(), Ran::No);
    assert_eq!(error.problem().map(|problem| problem.kind()), Some(ProblemKind::NotConnected));
}

/// Nothing is kept of it: a handler may start as many as it likes.
#[test]
fn a_call_that_is_started_to_a_client_that_has_gone_has_ended_at_once() {
    let server = tcp();
    let client = squares(&server);
    let connection = server.connections().latest().unwrap();
    client.close();
    eventually("the connection ends", PATIENCE, || !connection.is_connected());
    let call = connection.start::<Square>(1);
    assert!(call.is_finished());
    let error = call.wait().unwrap_err();
    assert_eq!(error.ran(), Ran::No);
    assert_eq!(error.problem().map(|problem| problem.kind()), Some(ProblemKind::NotConnected));
}

#[test]
fn a_call_to_a_client_that_goes_ends_with_it() {
    let server = tcp();
    let (began, begun) = mpsc::channel();
    let (_open, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let client = server
        .client_with(|client| {
            client.on::<Square>(move |n, _| {
                began.send(())?;
                let _ = gate.lock().map(|gate| gate.recv());
                Ok(n)
            })
        })
        .unwrap();
    let connection = server.connections().latest().unwrap();
    let call = connection.start::<Square>(1);
    begun.recv().unwrap();
    client.close();
    let error = call.wait().unwrap_err();
    assert_eq!(error.ran(), Ran::Unknown);
}

#[test]
fn a_call_to_a_client_ends_by_its_deadline() {
    let server = tcp();
    let (open, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let client = server
        .client_with(|client| {
            client.on::<Square>(move |n, _| {
                let _ = gate.lock().map(|gate| gate.recv());
                Ok(n)
            })
        })
        .unwrap();
    let connection = server.connections().latest().unwrap();
    let began = Instant::now();
    let error =
        connection.request::<Square>(1).timeout(Duration::from_millis(100)).run().unwrap_err();
    assert_eq!(error.problem().map(|problem| problem.kind()), Some(ProblemKind::Deadline));
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(open);
    drop(client);
}

#[test]
fn a_client_that_serves_connects_again_by_itself() {
    let server = tcp();
    let client = squares(&server);
    let first = client.id().unwrap();
    server.connections().latest().unwrap().disconnect("for a test");
    eventually("it is back under another name", PATIENCE, || {
        server.connections().latest().is_some_and(|connection| connection.id() != first)
    });
    assert_eq!(server.connections().latest().unwrap().run::<Square>(3).unwrap(), 9);
}

#[test]
fn a_server_pings_its_clients_and_asks_what_they_serve() {
    let server = tcp();
    let client = squares(&server);
    let connection = server.connections().latest().unwrap();
    assert!(connection.ping().unwrap() < PATIENCE);
    let description = connection.describe().unwrap();
    assert!(description.action("Square").is_some() && description.action("Note").is_none());
    isock::api! { Both = [Down, Square] }
    connection.expect(Both).unwrap();
    drop(client);
}

#[test]
fn a_client_of_another_build_is_told_apart_in_words() {
    mod other {
        #[derive(isock::Action)]
        #[action(input = String, output = u64, kind = read)]
        pub struct Square;
    }
    let server = tcp();
    let client = server.client_with(|it| it.on::<other::Square>(|_, _| Ok(0))).unwrap();
    let error = server.connections().latest().unwrap().run::<Square>(1).unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::Mismatch));
    assert!(error.to_string().contains("input: value: u64 here, String there"), "{error}");
    drop(client);
}
