//! Items of a responder: order, fragments, and where they end.

use super::{
    lone::{Lone, Raw},
    pair::{batch, stream, value, Pair, Seen},
};
use crate::{
    limits::Limits,
    proto::{Answer, CallKey, NotSent, ServedKey, StreamKey},
    wire::{CloseCode, Flags, FrameKind, Ran, Refusal, RefusalCode},
};

const KEY: ServedKey = ServedKey { slot: 0, seq: 1 };
const MUCH: (u32, u32) = (1 << 30, 1 << 30);
const KIB: usize = 1024;

/// A pair with a stream that takes a lot.
fn streaming() -> (Pair, CallKey) {
    let mut pair = Pair::open();
    let call = pair.client.open(MUCH, false);
    pair.drive_until_idle();
    assert_eq!(pair.server.calls(), [KEY]);
    (pair, call)
}

/// A client with a stream under way, fed by hand.
fn listening(credit: (u32, u32)) -> (Lone, CallKey) {
    let mut client = Lone::open_client();
    let call = client.conn.call(stream("Stream", credit, false)).unwrap();
    client.output();
    (client, call)
}

#[test]
fn p099_a_one_way_send_carries_no_items() {
    let oneway = Flags::INITIATOR.with(Flags::ONEWAY);
    for raw in [
        Raw::stream(0, 0, (1, 0), false).flags(oneway),
        Raw::stream(0, 0, (0, 1), false).flags(oneway),
        Raw::stream(0, 0, (0, 0), true).flags(oneway.with(Flags::ITEMS)),
    ] {
        assert_eq!(Lone::open_server().close_code(&raw.bytes()), Some(CloseCode::BAD_FRAME));
    }
    let mut client = Lone::open_client();
    client.conn.send(&stream("Notice", (9, 9), true)).unwrap();
    let sent = client.frames().remove(0);
    assert_eq!((sent.header.flags, sent.header.words), (oneway, 2));
}

#[test]
fn p100_items_come_in_one_frame_or_in_fragments_with_their_total() {
    let (mut pair, call) = streaming();
    pair.server.give(KEY, &[b"one", b"", b"three"]);
    let long = vec![7; 600 * KIB];
    pair.server.give(KEY, &[b"before", &long]);
    pair.drive_until_idle();
    let expected = [&b"one"[..], b"", b"three", b"before", &long];
    assert_eq!(pair.client.items(call), expected);
    let mut server = Lone::open_server();
    server.feed(&Raw::stream(0, 1, MUCH, false).bytes());
    server.conn.send_items(KEY.into(), &mut batch(&[long]), false).unwrap();
    let frames = server.frames();
    assert_eq!(frames[0].words, (600 * KIB as u64 + 4).to_le_bytes());
    let kinds: Vec<_> = frames.iter().map(|sent| sent.header.kind).collect();
    assert_eq!(kinds, [FrameKind::ITEM, FrameKind::MORE, FrameKind::MORE]);
}

#[test]
fn p101_lengths_that_do_not_add_up_close() {
    for payload in [&[1][..], &[0, 0, 0, 0, 1], &[5, 0, 0, 0, 1, 2], &[0xff; 8]] {
        let (mut client, _) = listening(MUCH);
        let raw = Raw::items(0, 1, &[]).payload(payload);
        assert_eq!(client.close_code(&raw.bytes()), Some(CloseCode::BAD_FRAME), "{payload:?}");
        let (mut client, _) = listening(MUCH);
        let (first, rest) = payload.split_at(1);
        if rest.is_empty() {
            continue;
        }
        let raw = Raw::items(0, 1, &[]).payload(first).first_items(payload.len() as u64);
        assert_eq!(client.feed(&raw.bytes()), []);
        let raw = Raw::last(0, 1, rest).of_responder();
        assert_eq!(client.close_code(&raw.bytes()), Some(CloseCode::BAD_FRAME), "{payload:?}");
    }
}

#[test]
fn p102_items_keep_their_order_and_the_final_frame_comes_behind_them() {
    let answers: [fn() -> Answer; 3] = [
        || value("end"),
        || Answer::Error(b"failed".to_vec().into()),
        || Answer::Refusal(Refusal::new(RefusalCode::PANICKED, Ran::Yes, "panicked")),
    ];
    for answer in answers {
        let limits = Limits::default().output_soft(64 << 20).output_hard(64 << 20);
        let mut pair = Pair::with(limits.clone(), limits);
        pair.server.script = super::pair::Script::Hold;
        let call = pair.client.open(MUCH, false);
        pair.drive_until_idle();
        pair.server.write_step = 10_000;
        let mut sent = Vec::new();
        for n in 0..12u8 {
            // Long ones and short ones, so that each kind waits for the other.
            let item = vec![n; if n % 3 == 0 { 700 * KIB } else { usize::from(n) }];
            pair.server.give(KEY, &[&item]);
            sent.push(item);
        }
        pair.server.conn.answer(KEY, answer());
        pair.drive_until_idle();
        assert_eq!(pair.client.items(call), sent);
        let last = pair.client.seen.last();
        assert!(
            matches!(last, Some(Seen::Value(..) | Seen::Error(..) | Seen::Refused(..))),
            "{last:?}"
        );
        assert_eq!((pair.client.conn.memory(), pair.server.conn.memory()), (0, 0));
        assert_eq!((pair.client.conn.in_flight(), pair.server.conn.serving_streams()), (0, 0));
        assert!(!pair.client.conn.streams.has_own());
    }
}

#[test]
fn p103_a_message_of_a_call_begins_only_when_the_one_before_it_is_whole() {
    let mut server = Lone::open_server_with(Limits::default().output_soft(8 << 20));
    server.feed(&Raw::stream(0, 1, MUCH, false).bytes());
    for item in [vec![1; 300 * KIB], vec![2; 5], vec![3; 300 * KIB], vec![4; 5]] {
        server.conn.send_items(KEY.into(), &mut batch(&[item]), false).unwrap();
    }
    server.conn.ping(1);
    server.conn.answer(KEY, value("end"));
    let kinds = server.kinds();
    let (item, more) = (FrameKind::ITEM, FrameKind::MORE);
    let expected = [item, FrameKind::PING, more, item, item, more, item, FrameKind::REPLY];
    assert_eq!(kinds, expected);
    let (mut client, _) = listening(MUCH);
    client.feed(&Raw::items(0, 1, &[b"long"]).first_items(100).bytes());
    let code = client.close_code(&Raw::items(0, 1, &[b"short"]).bytes());
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
    let (mut client, _) = listening(MUCH);
    client.feed(&Raw::items(0, 1, &[b"long"]).first_items(100).bytes());
    let code = client.close_code(&Raw::reply(0, 1, b"end").bytes());
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
}

#[test]
fn p104_a_refusal_in_the_middle_of_items_drops_what_came_of_them() {
    let (mut client, call) = listening(MUCH);
    client.feed(&Raw::items(0, 1, &[&[7; 500]]).first_items(1000).bytes());
    assert!(client.conn.memory() > 500);
    let seen = client.feed(&Raw::refusal(0, 1, 8, 1).bytes());
    assert_eq!(seen, [Seen::Refused(call, RefusalCode::CANCELLED, Ran::Yes)]);
    assert_eq!((client.conn.memory(), client.conn.in_flight()), (0, 0));
}

#[test]
fn p107_end_means_nothing_on_items_of_the_responder() {
    let (mut client, call) = listening(MUCH);
    let end = Raw::items(0, 1, &[b"a"]).flags(Flags::END).bytes();
    for _ in 0..2 {
        assert_eq!(client.feed(&end), [Seen::Items(call.into(), vec![b"a".to_vec()])]);
    }
    let mut server = Lone::open_server();
    server.feed(&Raw::stream(0, 1, MUCH, false).bytes());
    server.conn.send_items(KEY.into(), &mut batch(&["last"]), true).unwrap();
    assert_eq!(server.frames()[0].header.flags, Flags::default());
    server.conn.send_items(KEY.into(), &mut batch(&["not the last"]), false).unwrap();
}

#[test]
fn long_items_take_turns_with_other_answers() {
    let (mut pair, stream) = streaming();
    let call = pair.client.start("Short", "x");
    pair.drive_until_idle();
    pair.server.give(KEY, &[&vec![1; 4 << 20]]);
    pair.server.conn.answer(ServedKey { slot: 1, seq: 1 }, value("short"));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen[0], Seen::Value(call, b"short".to_vec()));
    assert_eq!(pair.client.items(stream).len(), 1);
}

#[test]
fn items_wait_while_too_much_is_unread() {
    let (mut pair, stream) = streaming();
    pair.server.blocked = true;
    let mut large = batch(&[vec![0; 700 * KIB]]);
    pair.server.conn.send_items(KEY.into(), &mut large, false).unwrap();
    let mut next = batch(&[vec![0; 700 * KIB]]);
    let key = StreamKey::Served(KEY);
    assert_eq!(pair.server.conn.send_items(key, &mut next, false), Err(NotSent::Full));
    assert_eq!(next.items(), 1, "the batch is kept");
    assert!(pair.server.conn.wants_input(), "items alone do not stop this side from reading");
    pair.server.blocked = false;
    pair.drive_until_idle();
    pair.server.conn.send_items(key, &mut next, false).unwrap();
    pair.drive_until_idle();
    assert_eq!(pair.client.items(stream).len(), 2);
}

#[test]
fn a_message_of_items_is_no_longer_than_the_other_side_accepts() {
    let mut pair = Pair::with(Limits::default().message(100_000), Limits::default());
    pair.server.script = super::pair::Script::Hold;
    let call = pair.client.open(MUCH, false);
    pair.drive_until_idle();
    let too_large = Err(NotSent::TooLarge { limit: 100_000 });
    let mut long = batch(&[vec![0; 99_997]]);
    assert_eq!(pair.server.conn.send_items(KEY.into(), &mut long, false), too_large);
    pair.server.give(KEY, &[&vec![0; 99_996]]);
    pair.drive_until_idle();
    assert_eq!(pair.client.items(call)[0].len(), 99_996);
}

#[test]
fn p059_items_above_the_longest_message_close_by_what_they_announce() {
    let (mut client, _) = listening(MUCH);
    let first = Raw::items(0, 1, &[b"x"]).first_items((8 << 20) + 1).bytes();
    let code = client.close_code(&first[..24]);
    assert_eq!(code, Some(CloseCode::MESSAGE_TOO_LARGE));
}

#[test]
fn a_stream_is_lost_as_a_call_is() {
    let (mut pair, call) = streaming();
    pair.server.give(KEY, &[b"one"]);
    pair.drive_until_idle();
    pair.client.conn.handle_eof();
    assert_eq!(pair.client.conn.take_lost(), [(call, Ran::Unknown)]);
    pair.server.conn.close(CloseCode::STOPPING);
    let ended = pair.server.conn.send_items(KEY.into(), &mut batch(&["two"]), false);
    assert_eq!((ended, pair.server.conn.serving_streams()), (Err(NotSent::Ended), 0));
}

#[test]
fn a_drained_stream_goes_on_to_its_end() {
    let (mut pair, call) = streaming();
    pair.server.conn.drain();
    pair.server.give(KEY, &[b"one"]);
    pair.drive_until_idle();
    pair.client.conn.consumed(call.into(), 7, 1, true);
    pair.server.give(KEY, &[b"two"]);
    pair.server.conn.answer(KEY, value("end"));
    pair.drive_until_idle();
    assert_eq!(pair.client.items(call), [b"one", b"two"]);
    assert_eq!(pair.client.seen.last(), Some(&Seen::Value(call, b"end".to_vec())));
}
