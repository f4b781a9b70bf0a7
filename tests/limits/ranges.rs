//! Limits that make no sense: of our own, and of a peer.

use crate::{stranger, Any};
use isock::{
    wire::{CloseCode, VERSION, WELCOME_LEN},
    Client, ConnectError, Limits, ServeError, Server,
};
use isock_tests::{
    raw::{self, Then},
    waiting::ms,
};
use std::time::Duration;

/// A value that is just right, one that is not, and what is said of that one.
type Case = (Limits, Limits, &'static str);

fn cases() -> Vec<Case> {
    let limits = Limits::default;
    let day = Duration::from_secs(24 * 60 * 60);
    vec![
        (limits().handshake(ms(1)), limits().handshake(Duration::ZERO), "`handshake` is 0ns"),
        (limits().handshake(day), limits().handshake(day + ms(1)), "at most 86400s"),
        (limits().handshake(day), limits().handshake(Duration::MAX), "at most 86400s"),
        (limits().unauthenticated(1), limits().unauthenticated(0), "`unauthenticated` is 0"),
        (
            limits().unauthenticated_per_address(1),
            limits().unauthenticated_per_address(0),
            "`unauthenticated_per_address` is 0",
        ),
        (limits().message(65_536), limits().message(65_535), "`message` is 65535"),
        (limits().message(1 << 30), limits().message((1 << 30) + 1), "at most 1073741824"),
        (limits().in_flight(16), limits().in_flight(15), "`in_flight` is 15"),
        (limits().in_flight(1 << 15), limits().in_flight((1 << 15) + 1), "at most 32768"),
        (limits().message_stall(ms(1)), limits().message_stall(ms(0)), "`message_stall` is 0ns"),
        (limits().message_stall(day), limits().message_stall(day + ms(1)), "at most 86400s"),
        (limits().output_soft(1), limits().output_soft(0), "`output_soft` is 0"),
        (
            limits().output_soft(1000).output_hard(1000),
            limits().output_soft(1000).output_hard(999),
            "`output_hard` is 999, and must be at least 1000",
        ),
        (limits().output_stall(ms(1)), limits().output_stall(ms(0)), "`output_stall` is 0ns"),
        (limits().output_stall(day), limits().output_stall(day + ms(1)), "at most 86400s"),
        (limits().pings_per_second(1), limits().pings_per_second(0), "`pings_per_second` is 0"),
        (limits().decode_depth(1), limits().decode_depth(0), "`decode_depth` is 0"),
        (limits().decode_depth(1024), limits().decode_depth(1025), "at most 1024"),
        (limits().decode_budget(1), limits().decode_budget(0), "`decode_budget` is 0"),
        (limits().total(128 << 10), limits().total((128 << 10) - 1), "`total` is 131071"),
    ]
}

#[test]
fn a_limit_out_of_its_range_is_refused_by_name() {
    for (right, wrong, said) in cases() {
        let server = |limits| Server::builder().limits(limits).bind("127.0.0.1:0");
        assert!(server(right.clone()).is_ok(), "{right:?}");
        match server(wrong.clone()) {
            Err(ServeError::Limit(why)) => assert!(why.to_string().contains(said), "{why}"),
            other => panic!("{said}: {other:?}"),
        }
        let client = |limits| Client::builder().limits(limits).connect_lazy("127.0.0.1:9");
        assert!(client(right).is_ok());
        match client(wrong) {
            Err(ConnectError::Limit(why)) => assert!(why.to_string().contains(said), "{why}"),
            other => panic!("{said}: {other:?}"),
        }
    }
}

#[test]
fn a_side_polls_for_a_second_at_most() {
    let (right, wrong) = (Duration::from_secs(1), Duration::from_nanos(1_000_000_001));
    let server = |window| Server::builder().busy_poll(window).bind("127.0.0.1:0");
    let client = |window| Client::builder().busy_poll(window).connect_lazy("127.0.0.1:9");
    assert!(server(right).is_ok() && client(right).is_ok());
    let said = "the limit `busy_poll` is 1.000000001s, and must be at most 1s";
    assert_eq!(server(wrong).unwrap_err().to_string(), said);
    assert_eq!(client(wrong).unwrap_err().to_string(), said);
}

/// The limits that a preface states: where they are, the least that works, and how wide they are.
const STATED: [(usize, u32, usize); 3] = [(16, 65_536, 4), (20, 65_536, 4), (24, 16, 2)];

#[test]
fn a_client_that_accepts_too_little_is_refused() -> Result<(), Any> {
    let server = crate::server(Limits::default())?;
    for (at, least, width) in &STATED[..2] {
        for (value, works) in [(*least, true), (least - 1, false), (0, false)] {
            let mut hello = raw::hello(VERSION, VERSION);
            hello[*at..at + width].copy_from_slice(&value.to_le_bytes()[..*width]);
            let mut raw = stranger(&server);
            raw.send(&hello);
            assert_eq!(raw.welcome().version == VERSION, works, "{value} at {at}");
            if !works {
                assert_eq!(raw.closed(), Ok(CloseCode::BAD_PREFACE));
            }
        }
    }
    Ok(())
}

#[test]
fn a_server_that_accepts_too_little_is_no_server() {
    for (at, least, width) in STATED {
        for (value, works) in [(least, true), (least - 1, false), (0, false)] {
            let mut welcome = raw::welcome(VERSION, (VERSION, VERSION));
            assert_eq!(welcome.len(), WELCOME_LEN);
            welcome[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            let address = raw::answering(welcome, Then::Stay);
            let client = Client::builder().attempts(1).connect(address);
            assert_eq!(client.is_ok(), works, "{value} at {at}: {client:?}");
        }
    }
}
