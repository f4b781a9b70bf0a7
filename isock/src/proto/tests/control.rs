//! Pings and drains.

use super::{
    lone::{split, Lone, Raw},
    pair::{call, ms, value, Pair, Script, Seen},
};
use crate::{
    proto::{NotStarted, ServedKey},
    wire::{CloseCode, Flags, FrameKind, Ran, RefusalCode, HEADER_LEN},
};

#[test]
fn p075_a_ping_or_pong_of_another_length_closes() {
    for kind in [FrameKind::PING, FrameKind::PONG] {
        for len in [0, 7, 9] {
            let raw = Raw::new(kind, Flags::default(), 0, 0).payload(&vec![0; len]);
            assert_eq!(Lone::open_server().close_code(&raw.bytes()), Some(CloseCode::BAD_FRAME));
        }
    }
}

#[test]
fn p076_pings_are_answered_in_order_whatever_the_handlers_do() {
    let mut pair = Pair::open();
    for _ in 0..512 {
        pair.client.start("Stuck", "");
    }
    pair.client.conn.ping(1);
    pair.client.conn.ping(2);
    pair.server.conn.ping(3);
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Pong(1), Seen::Pong(2)]);
    assert_eq!(pair.server.seen.last(), Some(&Seen::Pong(3)));
}

#[test]
fn p148_a_pong_that_waits_answers_the_newest_ping() {
    let mut server = Lone::open_server();
    let pings: Vec<u8> = (1..=500).flat_map(|n| Raw::ping(n).bytes()).collect();
    server.feed(&pings);
    let pongs = server.frames();
    assert_eq!((pongs.len(), pongs[0].header.kind), (1, FrameKind::PONG));
    assert_eq!(pongs[0].payload, 500_u64.to_le_bytes());
    server.feed(&Raw::ping(501).bytes());
    assert_eq!(
        server.frames()[0].payload,
        501_u64.to_le_bytes(),
        "one that has left is not changed"
    );
}

#[test]
fn a_pong_that_has_begun_to_leave_is_not_changed() {
    for left in 0..=HEADER_LEN + 8 {
        let mut server = Lone::open_server();
        server.feed(&Raw::call(0, 1, b"").bytes());
        server.conn.answer(ServedKey { slot: 0, seq: 1 }, value(vec![7; 10_000]));
        server.feed(&Raw::ping(1).bytes());
        let before = server.conn.output_len() - (HEADER_LEN + 8);
        let mut bytes = server.some_output(before + left);
        server.feed(&Raw::ping(2).bytes());
        server.feed(&Raw::ping(3).bytes());
        bytes.extend(server.output());
        let pongs = split(&bytes).into_iter().filter(|sent| sent.header.kind == FrameKind::PONG);
        let numbers: Vec<u8> = pongs.map(|pong| pong.payload[0]).collect();
        let expected: &[u8] = if left == 0 { &[3] } else { &[1, 3] };
        assert_eq!(numbers, expected, "{left} bytes of it had left");
    }
}

#[test]
fn p149_a_pong_answers_the_pings_before_its_own() {
    let mut client = Lone::open_client();
    for n in [5, 6, 0, 7] {
        client.conn.ping(n);
    }
    client.output();
    let pong = |number| {
        let mut bytes = Raw::ping(number).bytes();
        bytes[4] = FrameKind::PONG.0;
        bytes
    };
    assert_eq!(client.feed(&pong(0)), [Seen::Pong(5), Seen::Pong(6), Seen::Pong(0)]);
    assert_eq!(client.feed(&pong(6)), [], "it has been answered");
    assert_eq!(client.feed(&pong(7)), [Seen::Pong(7)]);
}

#[test]
fn p077_a_flood_of_pings_closes_and_a_steady_hundred_does_not() {
    let mut server = Lone::open_server();
    for n in 0..3000 {
        assert_eq!(server.close_code(&Raw::ping(n).bytes()), None);
        assert_eq!(server.kinds(), [FrameKind::PONG]);
        server.now += ms(10);
    }
    let mut burst = 0;
    while server.close_code(&Raw::ping(0).bytes()).is_none() {
        burst += 1;
    }
    assert_eq!(burst, 1000);
    let closed = server.frames().pop().unwrap();
    assert_eq!((closed.header.kind, closed.words[0]), (FrameKind::CLOSE, 11));
}

/// Two calls arrive, the server drains, and two more cross the drain.
fn drained() -> (Pair, [crate::proto::CallKey; 4]) {
    let mut pair = Pair::open();
    pair.client.conn.send(&call("Notice", "counted as well")).unwrap();
    let mut start = || pair.client.start("A", "");
    let accepted = [start(), start()];
    pair.drive_until_idle();
    let crossing = [pair.client.start("B", ""), pair.client.start("C", vec![0; 2 << 20])];
    pair.server.conn.drain();
    pair.drive_until_idle();
    (pair, [accepted[0], accepted[1], crossing[0], crossing[1]])
}

#[test]
fn p078_a_drain_counts_every_call_frame_that_was_read() {
    let mut server = Lone::open_server();
    let oneway = Raw::call(0, 0, b"").flags(Flags::INITIATOR.with(Flags::ONEWAY));
    for raw in [oneway, Raw::call(0, 1, b""), Raw::call(0, 1, b""), Raw::call(1, 7, b"")] {
        server.feed(&raw.bytes());
    }
    server.output();
    server.conn.drain();
    assert_eq!(server.frames()[0].words, 4u64.to_le_bytes());
}

#[test]
fn p079_counted_calls_are_still_answered_also_in_mid_message() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"x").bytes());
    server.feed(&Raw::first(1, 1, 3, b"a").bytes());
    server.conn.drain();
    server.output();
    assert_eq!(server.feed(&Raw::last(1, 1, b"bc").bytes()).len(), 1);
    server.conn.answer(ServedKey { slot: 0, seq: 1 }, value(""));
    server.conn.answer(ServedKey { slot: 1, seq: 1 }, value(""));
    assert_eq!(server.kinds(), [FrameKind::REPLY, FrameKind::REPLY]);
}

#[test]
fn p080_calls_after_the_count_are_neither_run_nor_answered() {
    let mut server = Lone::open_server();
    server.conn.drain();
    server.output();
    for raw in [
        Raw::call(0, 1, b"x"),
        Raw::first(1, 1, 9, b"x"),
        Raw::more(1, 1, b"x"),
        Raw::last(1, 1, &[0; 7]),
        Raw::cancel(0, 1),
        Raw::stream(2, 1, (9, 9), true),
        Raw::credit(2, 1, (9, 9)),
        Raw::upload(2, 1, &[b"x"]),
        Raw::upload(2, 1, &[b"x"]).first_items(9),
        Raw::last(2, 1, b"rest"),
        Raw::call(0, 0, b"x").flags(Flags::INITIATOR.with(Flags::ONEWAY)),
    ] {
        assert_eq!(server.feed(&raw.bytes()), []);
    }
    assert_eq!((server.output(), server.conn.serving()), (vec![], 0));
}

#[test]
fn p081_a_drained_side_starts_no_further_calls() {
    let (mut pair, _) = drained();
    assert_eq!(pair.client.conn.call(call("D", "")), Err(NotStarted::Draining));
    assert_eq!(pair.client.conn.send(&call("D", "")), Err(NotStarted::Draining));
    assert!(pair.client.conn.is_drained());
    pair.client.forget_and_echo();
    let back = pair.server.start("Back", "still allowed");
    pair.drive_until_idle();
    let reply = Seen::Value(back, b"still allowed".to_vec());
    assert_eq!(pair.server.seen.last(), Some(&reply));
}

#[test]
fn p082_calls_beyond_the_count_have_not_run_and_the_others_end() {
    let (mut pair, [first, second, third, fourth]) = drained();
    let refused = |call| Seen::Refused(call, RefusalCode::DRAINING, Ran::No);
    assert_eq!(pair.client.seen, [Seen::Draining, refused(third), refused(fourth)]);
    assert_eq!(pair.server.calls().len(), 2);
    for key in pair.server.calls() {
        pair.server.conn.answer(key, value("ran"));
    }
    pair.drive_until_idle();
    let replies = [Seen::Value(first, b"ran".to_vec()), Seen::Value(second, b"ran".to_vec())];
    assert_eq!(pair.client.seen[3..], replies);
    assert_eq!((pair.client.conn.in_flight(), pair.client.conn.memory()), (0, 0));
}

#[test]
fn a_drain_stops_what_is_still_leaving_of_a_refused_call() {
    let mut pair = Pair::open();
    let call = pair.client.start("Long", vec![0; 6 << 20]);
    pair.client.write_step = 1000;
    pair.server.conn.drain();
    pair.drive_until_idle();
    assert!(pair.client.written < 2 << 20);
    let refused = Seen::Refused(call, RefusalCode::DRAINING, Ran::No);
    assert_eq!(pair.client.seen, [Seen::Draining, refused]);
}

#[test]
fn a_drain_before_the_handshake_accepts_nothing() {
    let mut pair = Pair::new();
    pair.server.conn.drain();
    let call = pair.client.start("A", "");
    pair.drive_until_idle();
    let refused = Seen::Refused(call, RefusalCode::DRAINING, Ran::No);
    assert_eq!(pair.client.seen, [Seen::Ready, Seen::Draining, refused]);
    assert_eq!(pair.server.seen, [Seen::Ready]);
}

#[test]
fn both_sides_may_drain() {
    let mut pair = Pair::open();
    pair.client.script = Script::Hold;
    pair.client.conn.drain();
    pair.server.conn.drain();
    pair.server.conn.drain();
    pair.drive_until_idle();
    assert_eq!(
        (&pair.client.seen[..], &pair.server.seen[..]),
        (&[Seen::Draining][..], &[Seen::Draining][..])
    );
}

#[test]
fn p083_a_second_drain_or_an_impossible_count_closes() {
    let mut client = Lone::open_client();
    client.conn.call(call("A", "")).unwrap();
    client.conn.send(&call("B", "")).unwrap();
    assert_eq!(client.feed(&Raw::drain(2).bytes()), [Seen::Draining]);
    assert_eq!(client.close_code(&Raw::drain(2).bytes()), Some(CloseCode::BAD_FRAME));
    let code = Lone::open_client().close_code(&Raw::drain(1).bytes());
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
    let code = Lone::open_client().close_code(&Raw::drain(1).words(&[]).bytes());
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
}
