use super::{Note, Square};
use crate::PATIENCE;
use isock::{Client, Failure, ProblemKind, Ran, Server, ServerBuilder, ServerHandle};
use isock_tests::waiting::eventually;
use std::sync::{mpsc, Mutex};

fn keeping() -> (ServerHandle, mpsc::Receiver<String>) {
    let (kept, seen) = mpsc::channel();
    let server = Server::builder()
        .on::<Note>(move |text, _| Ok(kept.send(text)?))
        .on::<Square>(|n, _| Ok(n * n))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    (server, seen)
}

#[test]
fn sends_to_one_action_arrive_in_order() {
    let (server, seen) = keeping();
    let client = server.client();
    for n in 0..20_000 {
        client.send::<Note>(n.to_string()).unwrap();
    }
    for n in 0..20_000 {
        assert_eq!(seen.recv().unwrap(), n.to_string());
    }
}

#[test]
fn a_send_leaves_although_nobody_waits() {
    let (server, seen) = keeping();
    let client = server.client();
    client.send::<Note>("one").unwrap();
    assert_eq!(seen.recv().unwrap(), "one");
}

#[test]
fn a_server_sends_in_order_to_all() {
    let server = Server::in_memory().spawn().unwrap();
    let (kept, seen) = mpsc::channel();
    let clients: Vec<Client> = (0..3)
        .map(|me| {
            let kept = kept.clone();
            server
                .client_with(|client| client.on::<Note>(move |text, _| Ok(kept.send((me, text))?)))
        })
        .collect::<Result<_, _>>()
        .unwrap();
    for n in 0..5000 {
        let sent = server.connections().send_all::<Note>(n.to_string());
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|(_, result)| result.is_ok()));
    }
    let mut next = [0; 3];
    for _ in 0..15_000 {
        let (me, text) = seen.recv().unwrap();
        assert_eq!(text, next[me].to_string(), "client {me}");
        next[me] += 1;
    }
    drop(clients);
}

/// A server that takes no note until what holds it up is dropped, and then tells how long each is.
fn gated() -> (ServerBuilder, mpsc::Sender<()>, mpsc::Receiver<usize>) {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(Some(gate));
    let (kept, seen) = mpsc::channel();
    let server = Server::builder().on::<Note>(move |text, _| {
        if let Some(gate) = gate.lock().unwrap().take() {
            let _ = gate.recv();
        }
        Ok(kept.send(text.len())?)
    });
    (server, open, seen)
}

#[test]
fn a_slow_receiver_slows_its_senders_down_and_nothing_is_lost() {
    let (server, open, seen) = gated();
    let server =
        server.on::<Square>(|n, _| Ok(n * n)).bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let (client, other) = (server.client(), server.client());
    let sender = std::thread::spawn(move || {
        let mut busy = 0;
        for _ in 0..3000 {
            while let Err(problem) = client.send::<Note>("x".repeat(10_000)) {
                assert_eq!(problem.kind(), ProblemKind::Busy);
                busy += 1;
                std::thread::yield_now();
            }
        }
        (client, busy)
    });
    // While the first one is held up, others are served.
    assert_eq!(other.run::<Square>(3).unwrap(), 9);
    drop(open);
    for _ in 0..3000 {
        assert_eq!(seen.recv().unwrap(), 10_000);
    }
    sender.join().unwrap();
}

#[test]
fn what_a_full_socket_left_behind_leaves_although_nobody_calls_again() {
    let (server, open, seen) = gated();
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = server.client();
    let sent = (0..).take_while(|_| client.send::<Note>("x".repeat(10_000)).is_ok()).count();
    drop(open);
    for at in 0..sent {
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(10_000), "{at} of {sent}");
    }
}

#[test]
fn a_send_without_a_server_says_that_it_was_not_sent() {
    let (server, _seen) = keeping();
    let client = server.client_with(|client| client.attempts(1)).unwrap();
    server.stop();
    // Until the client has noticed, what it sends is lost without a word.
    eventually("a send fails", PATIENCE, || {
        let problem = client.send::<Note>("late").err();
        problem.is_some_and(|problem| problem.ran() == Ran::No)
    });
}

#[test]
fn what_becomes_of_a_send_is_told_to_the_operator() {
    let (told, log) = mpsc::channel();
    let server = Server::builder()
        .on::<Note>(|text, _| match text.as_str() {
            "fail" => Err(Failure::new("by intention")),
            _ => panic!("by intention"),
        })
        .log(move |line| drop(told.send(line.to_owned())))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let client = server.client();
    client.send::<Note>("fail").unwrap();
    let line = log.recv().unwrap();
    assert!(line.starts_with("`Note` called from ") && line.contains("failed"), "{line}");
    client.send::<Note>("panic").unwrap();
    assert!(log.recv().unwrap().ends_with("panicked: by intention"));
    client.send::<Square>(1).unwrap();
    let line = log.recv().unwrap();
    assert!(line.starts_with("a send to an action that is not registered"), "{line}");
    let error = client.send::<Note>("x".repeat(300_000)).unwrap_err();
    assert_eq!((error.kind(), error.ran()), (ProblemKind::InputTooLarge, Ran::No));
    assert!(error.to_string().contains("a send takes 262144, a call more"), "{error}");
}
