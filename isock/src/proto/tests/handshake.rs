//! Prefaces: agreement, refusal, and those who are no isock at all.

use super::{
    lone::{hello, preface, welcome, welcome_bytes, Lone, Raw},
    pair::{call, config, Pair, Seen},
};
use crate::{
    limits::Limits,
    proto::{Closed, Config, Connection, NotStarted},
    wire::{
        Close, CloseCode, ConnectionToken, Features, FrameKind, Hello, PeerKind, Ran, Welcome,
        HELLO_LEN, INITIAL_MESSAGE, MAGIC, WELCOME_LEN,
    },
};

fn speaking(min: u8, max: u8) -> Config {
    Config { versions: (min, max), ..config(Limits::default()) }
}

fn refusal() -> Vec<u8> {
    welcome_bytes(&Welcome { version: 0, ..welcome() })
}

#[test]
fn p011_versions_without_overlap_are_named_on_both_sides() {
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
fn p014_a_handshake_refused_for_another_reason_says_that_reason() {
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
fn p009_a_preface_that_allows_too_little_is_refused_with_one_welcome() {
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
fn p009_a_welcome_that_allows_too_little_is_closed() {
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
fn p004_what_is_no_isock_server_is_named_at_its_first_byte() {
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

#[test]
fn p003_each_direction_begins_with_the_magic_bytes() {
    let mut pair = Pair::new();
    pair.client.start("Echo", "x");
    let mut server = Lone::server();
    server.feed(&preface(&hello()));
    assert_eq!(server.output()[..8], MAGIC);
    let mut client = Connection::client(config(Limits::default()), pair.time);
    let mut slices = [std::io::IoSlice::new(&[]); 1];
    assert_eq!(client.slices(&mut slices), 1);
    assert_eq!(slices[0][..8], MAGIC);
}

#[test]
fn p004_the_first_wrong_byte_is_answered_without_an_echo() {
    for input in [&b"GET / HTTP/1.1"[..], b"\x16\x03\x01\x02", b"\xf5isock\n\n", b"\0"] {
        let mut server = Lone::server();
        let wrong = input.iter().zip(MAGIC).position(|(a, b)| *a != b).unwrap();
        assert_eq!(server.feed(&input[..wrong]), []);
        let code = server.close_code(&input[wrong..=wrong]);
        assert_eq!(code, Some(CloseCode::BAD_PREFACE), "{input:?}");
        let output = server.output();
        let close = &super::lone::split(&output[WELCOME_LEN..])[0];
        assert_eq!(close.payload, CloseCode::BAD_PREFACE.text().as_bytes());
    }
}

#[test]
fn p005_a_server_says_nothing_before_the_whole_hello() {
    let hello = preface(&hello());
    let mut server = Lone::server();
    server.conn.ping(1);
    server.conn.drain();
    server.conn.send(&call("Notice", "early")).unwrap();
    let early = server.conn.call(call("Call", "early")).unwrap();
    for byte in &hello[..hello.len() - 1] {
        assert_eq!(server.feed(&[*byte]), []);
        assert_eq!(server.conn.output_len(), 0);
    }
    server.feed(&hello[hello.len() - 1..]);
    let bytes = server.output();
    assert!(Welcome::parse(&bytes).unwrap().is_some());
    let kinds = super::lone::split(&bytes[WELCOME_LEN..]);
    let kinds: Vec<_> = kinds.iter().map(|sent| sent.header.kind).collect();
    assert_eq!(kinds, [FrameKind::CALL, FrameKind::CALL, FrameKind::DRAIN]);
    assert_eq!(server.conn.ran(early), Ran::Unknown);
}

#[test]
fn p131_the_token_of_a_connection_reaches_its_client() {
    let token = ConnectionToken([9; 16]);
    let mut server = Lone::server();
    server.conn = server.conn.named(token);
    server.feed(&preface(&hello()));
    let mut client = Lone::client();
    client.feed(&server.output());
    assert_eq!(client.conn.token(), Some(token));
    assert_eq!(Lone::open_client().conn.token(), None, "a server that names nothing");
}

#[test]
fn p006_extension_words_are_skipped() {
    let mut hello = preface(&hello());
    hello[10] = 3;
    hello.extend([9; 24]);
    hello.extend(Raw::call(0, 1, b"x").bytes());
    assert_eq!(Lone::server().feed(&hello).len(), 2, "ready, and the call behind the words");
    let mut welcome = welcome_bytes(&welcome());
    welcome[10] = 1;
    welcome.extend([9; 8]);
    assert_eq!(Lone::client().feed(&welcome), [Seen::Ready]);
}

#[test]
fn p007_a_preface_above_its_limit_is_refused_at_byte_10() {
    let mut hello = preface(&hello());
    hello[10] = 123;
    let mut server = Lone::server();
    assert_eq!(server.feed(&hello[..10]), []);
    assert_eq!(server.close_code(&hello[10..11]), Some(CloseCode::BAD_PREFACE));
    hello[10] = 122;
    assert_eq!(Lone::server().feed(&hello[..11]), [], "1024 bytes are allowed");
}

#[test]
fn p008_an_empty_range_of_versions_is_refused() {
    for (min_version, max_version) in [(0, 1), (2, 1)] {
        let hello = preface(&Hello { min_version, max_version, ..hello() });
        assert_eq!(Lone::server().close_code(&hello), Some(CloseCode::BAD_PREFACE));
    }
}

#[test]
fn p009_a_hello_may_grant_no_slots() {
    let mut server = Lone::server();
    assert_eq!(server.feed(&preface(&Hello { slots: 0, ..hello() })), [Seen::Ready]);
    server.output();
    server.conn.call(call("Never", "")).unwrap();
    assert_eq!(server.conn.output_len(), 0);
}

#[test]
fn p010_the_highest_version_of_both_is_chosen() {
    for (client, server, chosen) in [((1, 9), (1, 4), 4), ((2, 3), (1, 9), 3), ((3, 5), (5, 7), 5)]
    {
        let mut end = Lone::server();
        end.conn = Connection::server(speaking(server.0, server.1), end.now);
        end.feed(&preface(&Hello { min_version: client.0, max_version: client.1, ..hello() }));
        assert_eq!(end.output()[8], chosen);
    }
}

#[test]
fn p012_a_server_that_refuses_for_another_reason_says_so_behind_a_welcome() {
    let mut pair = Pair::new();
    pair.server.conn.close(CloseCode::DISPLACED);
    pair.drive_until_idle();
    let displaced = Close::new(CloseCode::DISPLACED);
    assert_eq!(pair.client.closed(), Some(&Closed::ByPeer(displaced)));
}

#[test]
fn p013_calls_of_a_refused_handshake_have_not_run() {
    let mut pair = Pair::configured(speaking(1, 1), speaking(2, 2));
    let calls = [pair.client.start("A", "x"), pair.client.start("B", "y")];
    pair.drive_until_idle();
    assert_eq!(pair.server.calls(), []);
    assert_eq!(pair.client.conn.take_lost(), calls.map(|call| (call, Ran::No)));
}

#[test]
fn p015_a_version_that_the_client_does_not_speak_ends_it() {
    let mut client = Lone::client();
    let strange = Welcome { version: 2, max_version: 7, ..welcome() };
    let versions = Closed::Versions { min: 1, max: 7 };
    assert_eq!(client.feed(&welcome_bytes(&strange)), [Seen::Closed(versions)]);
}

#[test]
fn p016_no_feature_is_in_force_that_was_not_offered_and_known() {
    let mut server = Lone::server();
    server.feed(&preface(&Hello { features: Features(u32::MAX), ..hello() }));
    let welcome = Welcome::parse(&server.output()).unwrap().unwrap().0;
    assert_eq!(welcome.features, Features(0));
}

#[test]
fn p017_a_client_keeps_to_what_every_server_accepts_until_it_knows_more() {
    let now = std::time::Instant::now();
    let mut client = Lone::client();
    client.conn = Connection::client(config(Limits::default()), now);
    assert_eq!(client.output().len(), HELLO_LEN);
    for _ in 0..20 {
        client.conn.call(call("Short", "x")).unwrap();
    }
    assert_eq!(client.frames().len(), 16);
    let mut client = Lone::client();
    client.conn.call(call("Long", vec![0; INITIAL_MESSAGE])).unwrap();
    assert_eq!(client.frames().len(), 1);
    client.conn.call(call("Longer", vec![0; INITIAL_MESSAGE + 1])).unwrap();
    client.conn.send(&call("Notice", vec![0; INITIAL_MESSAGE + 1])).unwrap();
    client.conn.send(&call("Notice", "in order")).unwrap();
    assert_eq!(client.frames(), []);
    client.feed(&welcome_bytes(&welcome()));
    assert_eq!(client.frames().len(), 3);
}

#[test]
fn p018_a_server_accepts_sixteen_early_calls_whatever_it_grants() {
    let small = Limits::default().in_flight(1).message(1);
    let mut server = Lone::server_with(small);
    let mut bytes = preface(&hello());
    for slot in 0..16 {
        bytes.extend(Raw::call(slot, 1, &[0; INITIAL_MESSAGE]).bytes());
    }
    assert_eq!(server.feed(&bytes).len(), 17);
}
