//! How a client finds its server, and what it says if it does not.

use super::{connect, spawn};
use isock::{
    wire::{Close, CloseCode, FrameKind, Header},
    Client, ConnectError, ExpectError, Limits, ProblemKind, Ran, Server,
};
use isock_tests::{
    actions::*,
    gate::Gate,
    raw::{self, Then},
    waiting::{eventually, in_time, ms},
};
use std::{
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

#[test]
fn a_lazy_client_can_exist_before_its_server() {
    let reserved = TcpListener::bind("127.0.0.5:0").unwrap();
    let address = reserved.local_addr().unwrap();
    let client = Client::builder().connect_lazy(address).unwrap();
    drop(reserved);
    assert_eq!(client.run::<Echo>("nobody").unwrap_err().kind(), Some(ProblemKind::NotConnected));
    let _server =
        Server::builder().on::<Echo>(|text, _| Ok(text)).bind(address).unwrap().spawn().unwrap();
    assert_eq!(client.run::<Echo>("somebody").unwrap(), "somebody");
}

fn refusal_of_versions_7_to_9() -> Vec<u8> {
    let mut bytes = raw::welcome(0, (7, 9));
    let close = Close::new(CloseCode::VERSION);
    Header::new(FrameKind::CLOSE, Default::default(), 1, close.text.len()).write(&mut bytes);
    close.write_words(&mut bytes);
    bytes.extend_from_slice(close.text.as_bytes());
    bytes
}

#[test]
fn what_answers_and_is_no_isock_server_is_called_by_its_name() {
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec();
    let tls_alert = vec![0x15, 3, 3, 0, 2, 2, 70];
    let peers = [
        (http, "speaks HTTP, not isock"),
        (tls_alert, "speaks TLS"),
        (b"220 mail.example ESMTP".to_vec(), "no isock server"),
        ((0..200u8).map(|n| n.wrapping_mul(37).wrapping_add(11)).collect(), "no isock server"),
        (raw::welcome(77, (7, 99)), "speaks the protocol versions 7 to 99, this client speaks 1"),
        (refusal_of_versions_7_to_9(), "versions 7 to 9, this client speaks 1"),
    ];
    for (bytes, said) in peers {
        let address = raw::answering(bytes.clone(), Then::Stay);
        match Client::connect(&address) {
            Err(ConnectError::WrongPeer { address: named, why }) => {
                assert_eq!(named, address);
                assert!(why.contains(said), "{why}");
            }
            other => panic!("{other:?}"),
        }
        let lazy = Client::builder().connect_lazy(raw::answering(bytes, Then::Stay)).unwrap();
        let error = lazy.run::<Echo>("hi").unwrap_err();
        assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::WrongPeer), Ran::No));
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_silent_peer_is_given_up_after_one_handshake_and_called_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let limits = Limits::default().handshake(ms(150));
    let before = Instant::now();
    let error = Client::builder().attempts(5).limits(limits).connect(address).unwrap_err();
    assert!(error.to_string().contains("no isock preface came"), "{error}");
    assert!(error.to_string().contains("1 attempt:"), "{error}");
    assert!(before.elapsed() < ms(600), "{:?}", before.elapsed());
}

#[test]
fn a_call_to_a_silent_peer_ends_by_its_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::builder().connect_lazy(silent.local_addr().unwrap()).unwrap();
    let error =
        in_time(ms(300), || client.request::<Echo>("hi").timeout(ms(200)).run().unwrap_err());
    assert_eq!(error.ran(), Ran::No, "{error}");
}

#[test]
fn an_expectation_names_what_the_server_lacks() {
    let server = spawn(Server::builder().on::<Echo>(|text, _| Ok(text)));
    let client = connect(&server);
    match client.expect(Shop) {
        Err(ExpectError::Missing(missing)) => assert_eq!(missing, ["Place", "Ticks"]),
        other => panic!("{other:?}"),
    }
    let text = client.expect(Counter).unwrap_err().to_string();
    assert_eq!(text, "the server has no `Place`; register them there");
    server.on::<Place>(|_, _| Ok(Receipt { id: 1 })).unwrap();
    client.expect(Counter).unwrap();
    server.stop();
    assert!(matches!(client.expect(Counter), Err(ExpectError::Problem(_))));
}

#[test]
fn a_closed_client_is_closed_for_all_its_clones() {
    let gate = Gate::new();
    let held = gate.clone();
    let server =
        spawn(Server::builder().on::<Echo>(|text, _| Ok(text)).on::<Hold>(move |number, _| {
            held.pass();
            Ok(number)
        }));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    let clone = client.clone();
    thread::scope(|scope| {
        let blocked = scope.spawn(|| clone.run::<Hold>(1));
        let started = client.start::<Hold>(2);
        gate.wait_for(2);
        let before = Instant::now();
        client.close();
        for error in [blocked.join().unwrap().unwrap_err(), started.wait().unwrap_err()] {
            assert_eq!(error.ran(), Ran::Unknown, "{error}");
        }
        assert!(before.elapsed() < ms(300), "{:?}", before.elapsed());
    });
    let error = clone.run::<Echo>("later").unwrap_err();
    assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Closed), Ran::No));
    assert_eq!(error.to_string().matches("closed").count(), 1, "{error}");
}

#[test]
fn dropping_the_last_clone_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(move || Client::connect(address).unwrap());
        let mut stream = listener.accept().unwrap().0;
        std::io::Write::write_all(&mut stream, &raw::welcome(1, (1, 1))).unwrap();
        let client = client.join().unwrap();
        let clone = client.clone();
        drop(client);
        assert!(ended(&stream).is_none(), "a clone is left");
        drop(clone);
        eventually("the connection ends", ms(2000), || ended(&stream).is_some());
    });
}

/// Whether the other side has ended the connection.
fn ended(mut stream: &TcpStream) -> Option<()> {
    stream.set_nonblocking(true).unwrap();
    loop {
        match std::io::Read::read(&mut stream, &mut [0; 1024]) {
            Ok(0) => return Some(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(_) => return Some(()),
        }
    }
}

#[test]
fn closing_reaches_those_who_wait_for_a_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::builder().connect_lazy(silent.local_addr().unwrap()).unwrap();
    thread::scope(|scope| {
        let dialling = scope.spawn(|| client.run::<Echo>("first"));
        let (stream, _) = silent.accept().unwrap();
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1, "the first byte of its preface");
        let waiting = scope.spawn(|| client.run::<Echo>("second"));
        // Nothing tells that the second one waits; closing before it does is no other outcome.
        isock_tests::waiting::pass(ms(20));
        let before = Instant::now();
        client.close();
        let error = waiting.join().unwrap().unwrap_err();
        assert!(before.elapsed() < ms(500), "{:?}", before.elapsed());
        assert_eq!(error.kind(), Some(ProblemKind::Closed), "{error}");
        let error = dialling.join().unwrap().unwrap_err();
        assert!(before.elapsed() < ms(500), "{:?}", before.elapsed());
        assert_eq!(error.ran(), Ran::No, "{error}");
    });
}
