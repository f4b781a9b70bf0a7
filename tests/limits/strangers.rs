//! Peers that have not shown their preface.

use crate::{assert_served, server, server_at, stranger, Any};
use isock::{
    wire::{CloseCode, HELLO_LEN, VERSION},
    Client, ConnectError, Limits, ServerHandle,
};
use isock_tests::{
    gate::Gate,
    raw::{self, Raw, Then},
    waiting::{ms, pass},
};
use std::{io::ErrorKind, net::Ipv4Addr, time::Instant};

#[track_caller]
fn assert_refused(raw: &mut Raw, code: CloseCode) {
    assert_eq!(raw.welcome().version, 0, "a refusal");
    assert_eq!(raw.closed(), Ok(code));
}

#[test]
fn handshake() -> Result<(), Any> {
    let limit = ms(1000);
    let server = server(Limits::default().handshake(limit))?;
    let hello = raw::hello(VERSION, VERSION);
    let (begun, rest) = hello.split_at(hello.len() - 1);
    let began = Instant::now();
    let (mut in_time, mut late) = (stranger(&server), stranger(&server));
    in_time.send(begun);
    late.send(begun);
    pass(limit / 2);
    in_time.send(rest);
    assert_eq!(in_time.welcome().version, VERSION);
    assert_refused(&mut late, CloseCode::HANDSHAKE_TIMEOUT);
    let took = began.elapsed();
    assert!((limit..limit * 3).contains(&took), "{took:?}");
    assert_served(&mut in_time, 0, 1);
    Ok(())
}

#[test]
fn handshake_of_a_client() {
    let limit = ms(300);
    let client = || Client::builder().limits(Limits::default().handshake(limit)).attempts(1);
    let began = Instant::now();
    match client().connect(raw::answering(Vec::new(), Then::Stay)) {
        Err(ConnectError::Unreachable { source, .. }) => {
            assert_eq!(source.kind(), ErrorKind::TimedOut);
        }
        other => panic!("{other:?}"),
    }
    let took = began.elapsed();
    assert!((limit..limit * 5).contains(&took), "{took:?}");
    let welcome = raw::welcome(VERSION, (VERSION, VERSION));
    assert!(client().connect(raw::answering(welcome, Then::Stay)).is_ok());
}

/// Before it is known who speaks, no frame may be longer than a kibibyte: a preface alone comes, and
/// its own length is judged before the rest of it.
#[test]
fn preface() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let mut hello = raw::hello(VERSION, VERSION);
    hello.resize(1024, 0);
    hello[10] = ((1024 - HELLO_LEN) / 8) as u8;
    let mut raw = stranger(&server);
    raw.send(&hello);
    assert_eq!(raw.welcome().version, VERSION);
    assert_served(&mut raw, 0, 1);
    hello[10] += 1;
    let mut raw = stranger(&server);
    raw.send(&hello[..11]);
    assert_refused(&mut raw, CloseCode::BAD_PREFACE);
    Ok(())
}

/// From another address of this machine for each host.
fn stranger_from(host: u8, server: &ServerHandle) -> Raw {
    let host = Ipv4Addr::new(127, 0, 0, host);
    Raw::new(raw::connect_from(host, &server.address()).expect("a connection"))
}

/// The first one has made room, the others are held all at once: when the newest one is answered,
/// the rest have said nothing.
fn assert_all_but_the_first_are_held(mut strangers: Vec<Raw>) {
    assert_refused(&mut strangers[0], CloseCode::DISPLACED);
    for raw in strangers[1..].iter_mut().rev() {
        assert_eq!(raw.shake_hands().version, VERSION);
    }
}

#[test]
fn unauthenticated() -> Result<(), Any> {
    let server = server(Limits::default().unauthenticated(3))?;
    assert_all_but_the_first_are_held((1..=4).map(|host| stranger_from(host, &server)).collect());
    Ok(())
}

#[test]
fn unauthenticated_per_address() -> Result<(), Any> {
    let server = server(Limits::default().unauthenticated_per_address(2))?;
    let hosts = [1, 2, 2, 3, 1, 1];
    let strangers = hosts.map(|host| stranger_from(host, &server));
    assert_all_but_the_first_are_held(strangers.into());
    Ok(())
}

#[test]
fn unauthenticated_per_user_of_a_unix_socket() -> Result<(), Any> {
    let path = std::env::temp_dir().join(format!("isock-limits-{}", std::process::id()));
    let limits = Limits::default().unauthenticated_per_address(2);
    let server = server_at(&format!("unix:{}", path.display()), limits, &Gate::new())?;
    assert_all_but_the_first_are_held((0..3).map(|_| stranger(&server)).collect());
    Ok(())
}
