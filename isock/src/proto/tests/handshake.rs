//! Prefaces: agreement, refusal, and those who are no isock at all.

use super::{
    lone::{hello, preface, welcome, welcome_bytes, Lone, Raw},
    pair::{call, config, Pair, Seen},
};
use crate::{
    limits::Limits,
    proto::{Closed, Config, NotStarted},
    wire::{Close, CloseCode, Hello, PeerKind, Ran, Welcome, WELCOME_LEN},
};

fn speaking(min: u8, max: u8) -> Config {
    Config { versions: (min, max), ..config(Limits::default()) }
}

fn refusal() -> Vec<u8> {
    welcome_bytes(&Welcome { version: 0, ..welcome() })
}

#[test]
fn versions_without_overlap_are_named_on_both_sides() {
    let mut pair = Pair::configured(speaking(2, 3), speaking(4, 9));
    let call = pair.client.start("Echo", "x");
    pair.drive_until_idle();
    assert_eq!(pair.client.closed(), Some(&Closed::Versions { min: 4, max: 9 }));
    let Some(Closed::ByUs(close)) = pair.server.closed() else { panic!() };
    assert_eq!(close.code, CloseCode::VERSION);
    assert_eq!(close.text, "this side speaks the versions 4 to 9");
    assert_eq!(pair.server.calls(), []);
    assert_eq!(pair.client.conn.take_lost(), [(call, Ran::No)], "all of it was sent, none was run");
}

#[test]
fn a_handshake_refused_for_another_reason_says_that_reason() {
    let mut client = Lone::client();
    assert_eq!(client.feed(&refusal()), []);
    assert_eq!(client.conn.call(call("Echo", "x")), Err(NotStarted::Closed));
    let displaced = Closed::ByPeer(Close::new(CloseCode::DISPLACED));
    let close = Raw::close(14, CloseCode::DISPLACED.text()).bytes();
    assert_eq!(client.feed(&close), [Seen::Closed(displaced)]);
}

#[test]
fn a_refused_handshake_without_its_close_blames_versions_only_if_they_differ() {
    for (max, closed) in [(1, Closed::Eof), (0, Closed::Versions { min: 0, max: 0 })] {
        let mut client = Lone::client();
        let (version, min_version) = (0, max);
        let bytes = Welcome { version, min_version, max_version: max, ..welcome() };
        assert_eq!(client.feed(&welcome_bytes(&bytes)), []);
        client.conn.handle_eof();
        assert_eq!(client.events(), [Seen::Closed(closed)]);
    }
}

#[test]
fn a_preface_that_allows_too_little_is_refused_with_one_welcome() {
    let small = [
        Hello { max_message: (64 << 10) - 1, ..hello() },
        Hello { max_fragment: (64 << 10) - 1, ..hello() },
    ];
    for hello in small {
        let mut server = Lone::server();
        assert_eq!(server.close_code(&preface(&hello)), Some(CloseCode::BAD_PREFACE));
        let bytes = server.output();
        let (welcome, _) = Welcome::parse(&bytes).unwrap().unwrap();
        assert_eq!((welcome.version, welcome.min_version, welcome.max_version), (0, 1, 1));
        assert_eq!(super::lone::split(&bytes[WELCOME_LEN..]).len(), 1);
    }
}

#[test]
fn a_welcome_that_allows_too_little_is_closed() {
    let small = [
        Welcome { max_message: (64 << 10) - 1, ..welcome() },
        Welcome { max_fragment: (64 << 10) - 1, ..welcome() },
        Welcome { slots: 15, ..welcome() },
    ];
    for welcome in small {
        let code = Lone::client().close_code(&welcome_bytes(&welcome));
        assert_eq!(code, Some(CloseCode::BAD_FRAME), "{welcome:?}");
    }
}

#[test]
fn what_is_no_isock_server_is_named_at_its_first_byte() {
    for (byte, kind) in [(b'H', PeerKind::Http), (0x15, PeerKind::Tls), (b'S', PeerKind::Other)] {
        let mut client = Lone::client();
        assert_eq!(client.feed(&[byte]), [Seen::Closed(Closed::NotIsock(kind))]);
        assert_eq!(client.output(), [], "nothing is said to a stranger");
    }
}

#[test]
fn the_end_in_the_handshake_is_the_end() {
    for mut lone in [Lone::server(), Lone::client()] {
        lone.conn.handle_eof();
        assert_eq!(lone.events(), [Seen::Closed(Closed::Eof)]);
        assert_eq!(lone.output(), []);
    }
}

#[test]
fn a_second_preface_is_no_frame() {
    let code = Lone::open_server().close_code(&preface(&hello()));
    assert_eq!(code, Some(CloseCode::BAD_LENGTH));
    let code = Lone::open_client().close_code(&welcome_bytes(&welcome()));
    assert_eq!(code, Some(CloseCode::BAD_LENGTH));
}
