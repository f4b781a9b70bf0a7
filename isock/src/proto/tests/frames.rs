//! Framing: lengths, flags, codecs, and what a receiver does not know.

use super::{
    lone::{split, Lone, Raw},
    pair::{call, config, stream, Pair, Seen},
};
use crate::{
    limits::Limits,
    proto::{Answer, Connection, FRAGMENT},
    wire::{CallHead, CloseCode, Flags, FrameKind, Header, Ran, Refusal, RefusalCode},
};
use std::time::Duration;

const UNKNOWN: FrameKind = FrameKind(0x7f);

fn names(seen: &[Seen]) -> Vec<u32> {
    let name = |seen: &Seen| match seen {
        Seen::Call(_, head, _) | Seen::Send(head, _) => Some(head.name),
        _ => None,
    };
    seen.iter().filter_map(name).collect()
}

#[test]
fn p001_integers_are_little_endian() {
    let mut client = Lone::open_client();
    client.conn.ping(0x0102_0304_0506_0708);
    let bytes = client.output();
    assert_eq!(bytes[..4], [24, 0, 0, 0]);
    assert_eq!(bytes[16..], [8, 7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn p002_reserved_bits_and_fields_are_sent_as_0_and_ignored() {
    let mut client = Lone::open_client();
    client.conn.call(call("Echo", "x")).unwrap();
    let bytes = client.output();
    assert_eq!((bytes[5] & 0xc0, &bytes[10..12]), (0, &[0, 0][..]));
    let mut strange = Raw::call(0, 1, b"x").bytes();
    strange[5] |= 0xc0;
    strange[10..12].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(names(&Lone::open_server().feed(&strange)), [1]);
}

#[test]
fn p019_a_frame_of_length_zero_closes() {
    assert_eq!(Lone::open_server().close_code(&[0; 16]), Some(CloseCode::BAD_LENGTH));
    let mut short = Raw::call(0, 1, b"").bytes();
    short[0] = 16 + 8;
    assert_eq!(Lone::open_server().close_code(&short[..16]), Some(CloseCode::BAD_LENGTH));
}

#[test]
fn p020_a_payload_above_the_limit_closes_before_its_body() {
    let limits = Limits::default().message(100_000);
    for (limits, most) in [(Limits::default(), FRAGMENT), (limits, 100_000)] {
        let whole = Raw::call(0, 1, &vec![0; most]).bytes();
        assert_eq!(names(&Lone::open_server_with(limits.clone()).feed(&whole)), [1]);
        let more = Raw::call(0, 1, &vec![0; most + 1]).bytes();
        let code = Lone::open_server_with(limits).close_code(&more[..16]);
        assert_eq!(code, Some(CloseCode::BAD_LENGTH));
    }
    let code = Lone::open_server().close_code(&[0xff; 16]);
    assert_eq!(code, Some(CloseCode::BAD_LENGTH));
}

#[test]
fn p021_header_words_that_are_not_known_are_skipped() {
    for mut raw in [Raw::call(0, 1, b"x"), Raw::ping(7), Raw::drain(0)] {
        raw.1.resize(16.max(raw.1.len()), 0);
        if raw.0.kind == FrameKind::CALL {
            raw.1.extend([0; 16]);
        }
        raw.1.extend([0xee; 40]);
        let mut server = Lone::open_server();
        server.feed(&raw.bytes());
        assert!(!server.conn.is_closed(), "{:?}", raw.0.kind);
    }
}

#[test]
fn p022_an_unknown_kind_that_may_be_ignored_is_skipped() {
    let unknown = Raw::new(UNKNOWN, Flags::IGNORABLE, 9, 9).words(&[1; 8]).payload(b"whatever");
    let mut bytes = unknown.bytes();
    bytes.extend(Raw::call(0, 1, b"x").bytes());
    assert_eq!(names(&Lone::open_server().feed(&bytes)), [1]);
}

#[test]
fn p023_an_unknown_kind_that_may_not_be_ignored_closes() {
    let unknown = Raw::new(UNKNOWN, Flags::default(), 0, 0).bytes();
    assert_eq!(Lone::open_server().close_code(&unknown), Some(CloseCode::UNKNOWN_KIND));
    assert_eq!(Lone::open_client().close_code(&unknown), Some(CloseCode::UNKNOWN_KIND));
}

#[test]
fn p024_flags_that_a_kind_does_not_use_change_nothing() {
    let odd = Flags(!Flags::INITIATOR.0);
    let mut server = Lone::open_server();
    server.feed(&Raw::ping(1).flags(odd).bytes());
    assert_eq!(server.kinds(), [FrameKind::PONG]);
    let odd = Flags::INITIATOR.with(Flags::END).with(Flags::IGNORABLE);
    assert_eq!(names(&server.feed(&Raw::call(0, 1, b"x").flags(odd).bytes())), [1]);
}

#[test]
fn p025_a_frame_that_is_wrong_about_the_initiator_closes() {
    let none = Flags::default();
    for raw in [Raw::call(0, 1, b"x"), Raw::cancel(0, 1), Raw::last(0, 1, b"x")] {
        let mut server = Lone::open_server();
        server.feed(&Raw::first(0, 1, 9, b"x").bytes());
        assert_eq!(server.close_code(&raw.flags(none).bytes()), Some(CloseCode::BAD_FRAME));
    }
    for raw in [Raw::reply(0, 1, b"x"), Raw::refusal(0, 1, 1, 0)] {
        let mut client = Lone::open_client();
        client.conn.call(call("Echo", "x")).unwrap();
        let code = client.close_code(&raw.flags(Flags::INITIATOR).bytes());
        assert_eq!(code, Some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn p026_frames_of_no_call_have_slot_and_seq_0() {
    let mut server = Lone::open_server();
    server.feed(&Raw::ping(1).bytes());
    server.conn.ping(2);
    server.conn.send(&call("Notice", "x")).unwrap();
    server.conn.drain();
    server.conn.close(CloseCode::DONE);
    let frames = server.frames();
    assert_eq!(frames.len(), 5);
    assert!(frames.iter().all(|sent| (sent.header.slot, sent.header.seq) == (0, 0)));
}

#[test]
fn p027_a_codec_that_is_not_known_closes() {
    let with_codec = |raw: Raw| Raw(Header { codec: 1, ..raw.0 }, raw.1, raw.2).bytes();
    let code = Lone::open_server().close_code(&with_codec(Raw::call(0, 1, b"x")));
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
    let mut client = Lone::open_client();
    client.conn.call(call("Echo", "x")).unwrap();
    let code = client.close_code(&with_codec(Raw::reply(0, 1, b"x")));
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
    let mut client = Lone::open_client();
    client.conn.call(stream("Stream", (9, 9), false)).unwrap();
    let code = client.close_code(&with_codec(Raw::items(0, 1, &[b"x"])));
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
}

#[test]
fn p028_the_same_call_has_the_same_bytes_but_for_slot_and_seq() {
    let mut client = Lone::open_client();
    client.conn.call(call("Echo", "x")).unwrap();
    client.conn.call(call("Echo", "x")).unwrap();
    let mut frames = client.frames();
    frames[1].header = frames[1].header.of_call(0, 1);
    assert_eq!(frames[0], frames[1]);
}

#[test]
fn p029_a_call_with_fewer_than_two_words_closes() {
    let call = Raw::call(0, 1, b"x").words(&[0; 8]).bytes();
    assert_eq!(Lone::open_server().close_code(&call), Some(CloseCode::BAD_FRAME));
}

#[test]
fn p031_a_call_that_states_no_shape_is_a_call() {
    let seen = Lone::open_server().feed(&Raw::call(0, 1, b"x").bytes());
    assert!(matches!(&seen[..], [Seen::Call(_, head, _)] if head.shape == 0));
}

#[test]
fn p033_metadata_is_at_most_8_kib_and_no_more_than_the_message() {
    for (metadata, len, ok) in [(8192, 8192, true), (8193, 9000, false), (5, 4, false)] {
        let mut server = Lone::open_server();
        let mut words = Vec::new();
        CallHead { metadata, ..CallHead::default() }.write(None, &mut words);
        let code = server.close_code(&Raw::call(0, 1, &vec![0; len]).words(&words).bytes());
        assert_eq!(code, (!ok).then_some(CloseCode::BAD_FRAME), "{metadata} of {len}");
    }
}

#[test]
fn metadata_above_the_limit_is_not_even_sent() {
    let mut client = Lone::open_client();
    let mut long = call("Echo", vec![0; 9000]);
    long.head.metadata = 8193;
    assert!(client.conn.call(long.clone()).is_err());
    assert!(client.conn.send(&long).is_err());
    assert_eq!(client.output(), []);
}

#[test]
fn p034_a_one_way_send_is_never_answered() {
    let mut pair = Pair::open();
    pair.client.conn.send(&call("Notice", "x")).unwrap();
    pair.drive_until_idle();
    assert!(matches!(&pair.server.seen[..], [Seen::Send(_, body)] if body == b"x"));
    assert_eq!((pair.server.conn.serving(), pair.client.conn.in_flight()), (0, 0));
    assert_eq!(pair.client.seen, []);
}

#[test]
fn p035_a_one_way_send_in_fragments_closes() {
    let flags = Flags::INITIATOR.with(Flags::MORE).with(Flags::ONEWAY);
    let first = Raw::first(0, 0, 9, b"x").flags(flags).bytes();
    assert_eq!(Lone::open_server().close_code(&first), Some(CloseCode::BAD_FRAME));
    let long = call("Notice", vec![0; FRAGMENT + 1]);
    assert!(Lone::open_client().conn.send(&long).is_err());
}

#[test]
fn p036_one_way_sends_keep_their_order() {
    let mut pair = Pair::open();
    for n in 0..50u8 {
        pair.client.conn.send(&call("Notice", vec![n; usize::from(n) * 200])).unwrap();
    }
    pair.drive_until_idle();
    let lengths: Vec<usize> = pair
        .server
        .seen
        .iter()
        .map(|seen| match seen {
            Seen::Send(_, body) => body.len() / 200,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, (0..50).collect::<Vec<_>>());
}

#[test]
fn a_refusal_that_is_too_long_is_cut_and_not_a_violation() {
    let mut pair = Pair::open();
    let call = pair.client.start("Echo", "x");
    pair.drive_until_idle();
    let refusal = Refusal {
        code: RefusalCode::PANICKED,
        ran: Ran::Yes,
        retry_after: Duration::ZERO,
        text: "é".repeat(5000),
    };
    pair.server.conn.answer(pair.server.calls()[0], Answer::Refusal(refusal));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Refused(call, RefusalCode::PANICKED, Ran::Yes)]);
}

#[test]
fn a_connection_of_another_fragment_size_is_served_in_that_size() {
    let now = std::time::Instant::now();
    let mut server = Lone::server();
    server.conn = Connection::server(config(Limits::default()), now);
    let hello = crate::wire::Hello { max_fragment: 65_536, ..super::lone::hello() };
    server.feed(&super::lone::preface(&hello));
    server.output();
    server.conn.call(call("Long", vec![0; 200_000])).unwrap();
    let sizes: Vec<_> = split(&server.output()).iter().map(|sent| sent.payload.len()).collect();
    assert_eq!(sizes, [65_536, 65_536, 65_536, 200_000 - 3 * 65_536]);
}
