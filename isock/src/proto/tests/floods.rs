//! Frames that do nothing: some are normal, many are an attack.

use super::{
    lone::{Lone, Raw},
    pair::{batch, call, ms, stream, value, Pair},
};
use crate::{
    proto::ServedKey,
    wire::{CloseCode, Flags, FrameKind},
};

const KEY: ServedKey = ServedKey { slot: 0, seq: 1 };

/// A server with a stream in both directions.
fn serving() -> Lone {
    let mut server = Lone::open_server();
    server.feed(&Raw::stream(0, 1, (1, 1), true).bytes());
    server.conn.take_items(KEY);
    server.output();
    server
}

fn idle_frames() -> Vec<(&'static str, Raw)> {
    let unknown = FrameKind(0x7f);
    vec![
        ("a pong nobody asked for", Raw(Raw::ping(1).0, vec![], vec![0; 8])),
        ("a kind to be ignored", Raw::new(unknown, Flags::IGNORABLE, 0, 0)),
        ("no items", Raw::upload(0, 1, &[])),
        ("credit", Raw::credit(0, 1, (1, 1))),
        ("credit for nothing", Raw::credit(7, 1, (1, 1))),
        ("a cancel of nothing", Raw::cancel(7, 1)),
    ]
}

/// The frame, with the kind of a pong if it is to be one.
fn bytes((name, raw): &(&str, Raw)) -> Vec<u8> {
    let mut bytes = raw.bytes();
    if name.contains("pong") {
        bytes[4] = FrameKind::PONG.0;
    }
    bytes
}

#[test]
fn p122_a_flood_of_frames_that_do_nothing_closes_and_a_steady_hundred_does_not() {
    for frame in idle_frames() {
        let (name, bytes) = (frame.0, bytes(&frame));
        let mut server = serving();
        for _ in 0..3000 {
            assert_eq!(server.close_code(&bytes), None, "{name}");
            server.now += ms(10);
        }
        let burst = (0..2000).position(|_| server.close_code(&bytes).is_some());
        assert_eq!(burst, Some(1000), "{name}");
        let closed = server.frames().pop().unwrap();
        assert_eq!(closed.words[0], CloseCode::FLOOD.0 as u8, "{name}");
    }
}

#[test]
fn p122_frames_that_do_nothing_are_made_up_for_by_work() {
    for frame in idle_frames().into_iter().filter(|(name, _)| !name.starts_with("credit")) {
        let mut server = serving();
        for n in 0..3000 {
            assert_eq!(server.close_code(&bytes(&frame)), None, "{}", frame.0);
            server.feed(&Raw::call(1, n + 1, b"").bytes());
            server.conn.answer(ServedKey { slot: 1, seq: n + 1 }, value(""));
            server.output();
        }
    }
}

#[test]
fn a_ping_that_was_sent_may_be_answered_as_often() {
    let mut pair = Pair::open();
    for n in 0..5000 {
        pair.client.conn.ping(n);
        pair.drive_until_idle();
        pair.time += ms(10);
    }
    assert!(!pair.client.conn.is_closed());
    assert_eq!(pair.client.seen.len(), 5000);
}

#[test]
fn a_window_of_one_item_is_slow_and_no_flood() {
    let mut pair = Pair::open();
    let call = pair.client.open((1, 1), false);
    pair.drive_until_idle();
    for _ in 0..5000 {
        pair.server.give(KEY, &[b"item"]);
        pair.drive_until_idle();
        pair.client.conn.consumed(call.into(), 8, 1, false);
        pair.drive_until_idle();
    }
    assert_eq!(pair.client.items(call).len(), 5000);
    assert!(!pair.server.conn.is_closed());
}

#[test]
fn credit_that_answers_items_is_no_flood_however_they_were_batched() {
    let mut server = Lone::open_server();
    server.feed(&Raw::stream(0, 1, (1 << 20, 16_384), false).bytes());
    for _ in 0..5000 {
        server.conn.send_items(KEY.into(), &mut batch(&["x"; 10]), false).unwrap();
        server.output();
        for _ in 0..10 {
            server.feed(&Raw::credit(0, 1, (5, 1)).bytes());
        }
    }
    assert!(!server.conn.is_closed());
}

/// Row 23 of the catalogue of attacks.
#[test]
fn a_million_items_that_are_none_close_with_little_memory() {
    let mut server = serving();
    let empty = Raw::upload(0, 1, &[]).bytes();
    let batch = empty.repeat(1000);
    let mut most = 0;
    let mut sent = 0;
    let code = loop {
        let code = server.close_code(&batch);
        sent += 1000;
        most = most.max(server.conn.memory());
        if code.is_some() || sent >= 1_000_000 {
            break code;
        }
    };
    assert_eq!((code, sent), (Some(CloseCode::FLOOD), 2000));
    assert!(most <= 64 << 10, "{most} bytes");
}

/// Row 22 of the catalogue of attacks.
#[test]
fn a_flood_of_settings_closes() {
    let mut client = Lone::open_client();
    client.conn.call(call("A", "")).unwrap();
    let mut closes = |sent: u32| client.close_code(&Raw::settings(sent % 2).bytes()).is_some();
    assert_eq!((0..10).position(&mut closes), Some(4));
}

#[test]
fn empty_fragments_of_items_close_at_once() {
    let mut client = Lone::open_client();
    client.conn.call(stream("Stream", (9, 9), false)).unwrap();
    let first = Raw::items(0, 1, &[]).first_items(100).bytes();
    assert_eq!(client.close_code(&first), Some(CloseCode::BAD_FRAME));
    let mut client = Lone::open_client();
    client.conn.call(stream("Stream", (9, 9), false)).unwrap();
    client.feed(&Raw::items(0, 1, &[b"x"]).first_items(100).bytes());
    let more = Raw::more(0, 1, b"").of_responder().bytes();
    assert_eq!(client.close_code(&more), Some(CloseCode::BAD_FRAME));
}
