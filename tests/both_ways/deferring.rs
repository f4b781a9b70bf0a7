//! Handlers of a client that answer later.

use super::Note;
use isock::{Client, ProblemKind, Ran, RespondError, Responder, Server, ServerHandle};
use isock_tests::waiting::{eventually, ms};
use std::sync::mpsc;

type Held = mpsc::Receiver<(String, Responder<Note>)>;

/// A server whose client answers [`Note`] later.
fn deferring() -> (ServerHandle, Client, Held) {
    let (hand, held) = mpsc::channel();
    let server = Server::builder().bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = server.client_with(|client| {
        client.log(|_| ()).on_deferred::<Note>(move |text, cx| Ok(hand.send((text, cx.defer()))?))
    });
    (server, client.unwrap(), held)
}

#[test]
fn a_client_may_answer_later() {
    let (server, _client, held) = deferring();
    let connection = server.connections().latest().unwrap();
    // More than it has threads for handlers.
    let calls: Vec<_> = (0..400).map(|n| connection.start::<Note>(n.to_string())).collect();
    let responders: Vec<_> = held.iter().take(400).collect();
    responders.into_iter().for_each(|(_, responder)| responder.respond(Ok(())).unwrap());
    calls.into_iter().for_each(|call| call.wait().unwrap());
}

#[test]
fn a_responder_of_a_client_that_is_dropped_is_told() {
    let (server, _client, held) = deferring();
    let connection = server.connections().latest().unwrap();
    let call = connection.start::<Note>("dropped");
    drop(held.recv().unwrap());
    let error = call.wait().unwrap_err();
    assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Unanswered), Ran::Yes));
}

#[test]
fn a_responder_of_a_client_that_is_closed_says_so() {
    let (server, client, held) = deferring();
    let connection = server.connections().latest().unwrap();
    let call = connection.start::<Note>("left");
    let (_, responder) = held.recv().unwrap();
    assert!(!responder.stopping());
    client.close();
    eventually("it hears of it", ms(5000), || responder.cancelled());
    assert!(responder.stopping());
    assert_eq!(responder.respond(Ok(())), Err(RespondError::Gone));
    assert!(call.wait().is_err());
}
