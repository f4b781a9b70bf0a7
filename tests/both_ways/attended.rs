//! Clients that always read, and those that read only while they call.

use super::{Note, Square, PATIENCE};
use isock::{Client, Connection, Problem, ProblemKind, Ran, Server, ServerHandle};
use isock_tests::{
    raw::{self, Raw},
    waiting::{eventually, within},
};
use std::{
    sync::{mpsc, Mutex},
    time::{Duration, Instant},
};

fn tcp() -> ServerHandle {
    Server::builder().bind("127.0.0.1:0").unwrap().spawn().unwrap()
}

/// The connection of a client that has just connected: it may be listed a moment later.
fn latest(server: &ServerHandle) -> Connection {
    eventually("it is listed", PATIENCE, || !server.connections().is_empty());
    server.connections().latest().unwrap()
}

fn assert_unattended(problem: &Problem) {
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::UnknownAction, Ran::No));
    assert!(problem.to_string().contains("the client serves no actions"), "{problem}");
}

#[test]
fn p133_a_call_to_a_client_that_serves_nothing_is_refused_without_a_frame() {
    let server = tcp();
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    let there = latest(&server);
    let began = Instant::now();
    assert_unattended(there.run::<Square>(1).unwrap_err().problem().unwrap());
    assert_unattended(there.start::<Square>(1).wait().unwrap_err().problem().unwrap());
    assert_unattended(&there.send::<Note>("lost").unwrap_err());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    raw.send(&raw::named_call("isock.ping", 0, 1, &[]));
    assert_eq!(raw.answer().header.seq, 1, "nothing came before the answer");
}

#[test]
fn a_client_that_begins_to_serve_says_so() {
    for server in [tcp(), Server::in_memory().spawn().unwrap()] {
        let client = server.client();
        let there = latest(&server);
        assert_unattended(there.run::<Square>(3).unwrap_err().problem().unwrap());
        client.on::<Square>(|n, _| Ok(n * n)).unwrap();
        eventually("its server knows", PATIENCE, || there.run::<Square>(3).ok() == Some(9));
    }
}

#[test]
fn a_hook_can_call_whoever_has_just_connected() {
    let (sent, started) = mpsc::channel();
    let sent = Mutex::new(sent);
    let server = Server::builder()
        .on_connect(move |it| drop(sent.lock().unwrap().send(it.start::<Square>(7))))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    for _ in 0..100 {
        let client = Client::builder().on::<Square>(|n, _| Ok(n * n));
        let _client = client.connect(server.address()).unwrap();
        assert_eq!(started.recv_timeout(PATIENCE).unwrap().wait().unwrap(), 49);
    }
}

#[test]
fn a_client_that_reconnects_says_it_again() {
    let server = tcp();
    let client = server.client_with(|client| client.on::<Square>(|n, _| Ok(n * n))).unwrap();
    let first = latest(&server);
    first.disconnect("once more");
    eventually("another one is there", PATIENCE, || {
        server.connections().latest().is_some_and(|latest| latest != first)
    });
    let second = server.connections().latest().unwrap();
    assert!(within(PATIENCE, || second.run::<Square>(4).ok() == Some(16)));
    drop(client);
}
