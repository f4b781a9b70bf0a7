//! Items of an initiator: their end, and what crosses it.

use super::{
    lone::{Lone, Raw},
    pair::{batch, stream, value, Pair, Seen},
};
use crate::{
    proto::{CallKey, NotSent, ServedKey, StreamKey},
    wire::{CloseCode, Flags, FrameKind, Ran, RefusalCode},
};

const KEY: ServedKey = ServedKey { slot: 0, seq: 1 };
const SERVED: StreamKey = StreamKey::Served(KEY);
const LAST: Flags = Flags(0x10 | 0x04);

/// A pair with an upload that may begin.
fn uploading() -> (Pair, CallKey) {
    let mut pair = Pair::open();
    let call = pair.client.open((0, 0), true);
    pair.drive_until_idle();
    pair.server.conn.take_items(KEY);
    pair.drive_until_idle();
    pair.forget_events();
    (pair, call)
}

/// A server that takes an upload, fed by hand.
fn taking() -> Lone {
    let mut server = Lone::open_server();
    server.feed(&Raw::stream(0, 1, (0, 0), true).bytes());
    server.conn.take_items(KEY);
    server.output();
    server
}

fn items(key: ServedKey, items: &[&str]) -> Seen {
    Seen::Items(key.into(), items.iter().map(|item| item.as_bytes().to_vec()).collect())
}

#[test]
fn p105_the_last_items_say_so_also_when_there_are_none() {
    let (mut pair, call) = uploading();
    pair.client.give(call, &[b"one"]);
    pair.client.conn.send_items(call.into(), &mut batch(&["two", "three"]), true).unwrap();
    pair.drive_until_idle();
    let expected = [items(KEY, &["one"]), items(KEY, &["two", "three"]), Seen::ItemsEnd(KEY)];
    assert_eq!(pair.server.seen, expected);
    pair.server.conn.answer(KEY, value("3"));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Value(call, b"3".to_vec())]);
    let mut server = Lone::open_server();
    server.feed(&Raw::stream(0, 1, (0, 0), true).bytes());
    let none = Raw::upload(0, 1, &[]).flags(LAST).bytes();
    assert_eq!(server.feed(&none), [Seen::ItemsEnd(KEY)], "without any credit");
}

#[test]
fn p105_an_end_in_fragments_comes_behind_its_items() {
    let (mut pair, call) = uploading();
    let long = "x".repeat(300_000);
    pair.client.conn.send_items(call.into(), &mut batch(&[&long]), true).unwrap();
    pair.drive_until_idle();
    assert_eq!(pair.server.seen, [items(KEY, &[&long]), Seen::ItemsEnd(KEY)]);
}

#[test]
fn an_end_before_the_call_has_a_slot_follows_the_call() {
    let mut pair = Pair::new();
    pair.server.script = super::pair::Script::Hold;
    let mut long = stream("Stream", (0, 0), true);
    long.body = vec![7; 300_000].into();
    let call = pair.client.conn.call(long).unwrap();
    let none = pair.client.conn.send_items(call.into(), &mut batch(&["x"]), true);
    assert_eq!(none, Err(NotSent::NoCredit));
    pair.client.conn.send_items(call.into(), &mut batch::<&str>(&[]), true).unwrap();
    pair.drive_until_idle();
    assert!(matches!(pair.server.seen[..], [Seen::Ready, Seen::Call(..), Seen::ItemsEnd(KEY)]));
}

#[test]
fn p106_items_behind_the_end_or_a_cancel_or_without_the_flag_close() {
    let bad = Some(CloseCode::BAD_FRAME);
    for last in [Raw::upload(0, 1, &[b"last"]).flags(LAST), Raw::cancel(0, 1)] {
        for behind in [Raw::upload(0, 1, &[b"x"]), Raw::upload(0, 1, &[]).flags(LAST)] {
            let mut server = taking();
            server.feed(&last.bytes());
            assert_eq!(server.close_code(&behind.bytes()), bad);
        }
    }
    for call in [Raw::call(0, 1, b"x"), Raw::stream(0, 1, (9, 9), false)] {
        let mut server = Lone::open_server();
        server.feed(&call.bytes());
        server.conn.take_items(KEY);
        assert_eq!(server.output(), [], "there is nothing to take");
        assert_eq!(server.close_code(&Raw::upload(0, 1, &[b"x"]).bytes()), bad);
    }
    let mut server = Lone::open_server();
    let flags = Flags::INITIATOR.with(Flags::ITEMS).with(Flags::MORE);
    server.feed(&Raw::first(0, 1, 9, b"x").flags(flags).bytes());
    let early = Raw::upload(0, 1, &[]).flags(LAST).bytes();
    assert_eq!(server.close_code(&early), bad, "before the call is whole");
}

#[test]
fn p108_a_final_frame_ends_the_items_of_the_initiator() {
    let (mut pair, call) = uploading();
    pair.client.blocked = true;
    pair.client.give(call, &[b"in one frame"]);
    pair.client.give(call, &[&vec![1; 700_000]]);
    pair.server.conn.answer(KEY, value("enough"));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Value(call, b"enough".to_vec())]);
    let late = pair.client.conn.send_items(call.into(), &mut batch(&["late"]), true);
    assert_eq!(late, Err(NotSent::Ended));
    let next = pair.client.open((0, 0), true);
    pair.client.blocked = false;
    pair.drive_until_idle();
    let frames = super::lone::split(&pair.client.transcript[48..]);
    let kinds: Vec<_> = frames.iter().map(|sent| sent.header.kind).collect();
    let (call, item) = (FrameKind::CALL, FrameKind::ITEM);
    assert_eq!(kinds, [call, item, item, FrameKind::CANCEL, call]);
    let after = ServedKey { slot: 0, seq: 2 };
    assert!(matches!(pair.server.seen[..], [Seen::Call(key, ..)] if key == after));
    assert_eq!(pair.server.conn.memory(), 0, "what came of the item is dropped");
    pair.server.conn.answer(after, value("next"));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen.last(), Some(&Seen::Value(next, b"next".to_vec())));
}

#[test]
fn p109_items_that_crossed_the_answer_are_ignored() {
    for when in ["before", "in the middle"] {
        let mut server = taking();
        let first = Raw::upload(0, 1, &[&[7; 500]]).first_items(1000).bytes();
        if when == "in the middle" {
            server.feed(&first);
        }
        server.conn.answer(KEY, value("enough"));
        server.output();
        if when == "before" {
            assert_eq!(server.feed(&Raw::upload(0, 1, &[b"x"]).bytes()), []);
            assert_eq!(server.feed(&first), []);
        }
        assert_eq!(server.conn.memory(), 0);
        assert_eq!(server.feed(&Raw::last(0, 1, &[7; 496]).bytes()), []);
        assert_eq!(server.feed(&Raw::upload(0, 1, &[]).flags(LAST).bytes()), []);
        server.feed(&first);
        assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), []);
        assert_eq!(server.output(), [], "one final frame is enough, {when}");
        assert_eq!(server.feed(&Raw::call(0, 2, b"x").bytes()).len(), 1, "the slot is free");
    }
}

#[test]
fn p110_items_of_no_call_close() {
    let bad = Some(CloseCode::NO_SUCH_CALL);
    for (slot, seq) in [(0, 2), (0, 0), (1, 1), (1, 0), (600, 1)] {
        let code = taking().close_code(&Raw::upload(slot, seq, &[b"x"]).bytes());
        assert_eq!(code, bad, "{slot} {seq}");
    }
    let mut client = Lone::open_client();
    client.conn.call(stream("Stream", (9, 9), false)).unwrap();
    client.feed(&Raw::reply(0, 1, b"done").bytes());
    assert_eq!(client.close_code(&Raw::items(0, 1, &[b"x"]).bytes()), bad);
}

#[test]
fn p111_items_of_a_call_that_was_given_up_are_dropped_and_cost_their_credit() {
    let mut client = Lone::open_client();
    let call = client.conn.call(stream("Stream", (1000, 4), true)).unwrap();
    client.feed(&Raw::items(0, 1, &[&[1; 300]]).first_items(400).bytes());
    client.conn.cancel(call);
    client.output();
    let dropped = Raw::last(0, 1, &[1; 96]).of_responder();
    for raw in [dropped, Raw::items(0, 1, &[b"x", b"y"])] {
        assert_eq!(client.feed(&raw.bytes()), []);
        client.conn.consumed(call.into(), 1000, 4, true);
        assert_eq!((client.output(), client.conn.memory()), (vec![], 0));
    }
    let fragments = Raw::items(0, 1, &[&[1; 300]]).first_items(1400).bytes();
    assert_eq!(client.feed(&fragments), []);
    let rest = Raw::last(0, 1, &[1; 1096]).of_responder().bytes();
    assert_eq!(client.feed(&rest), []);
    let over = client.close_code(&Raw::items(0, 1, &[b"z"]).bytes());
    assert_eq!(over, Some(CloseCode::BAD_CREDIT));
}

#[test]
fn a_cancelled_stream_sends_nothing_more_and_gets_its_one_final_frame() {
    let mut pair = Pair::open();
    let call = pair.client.open((100_000, 100), true);
    pair.drive_until_idle();
    pair.server.conn.take_items(KEY);
    pair.server.write_step = 1000;
    pair.server.give(KEY, &[&vec![1; 900_000]]);
    pair.some_turns(20);
    assert_eq!(pair.client.conn.cancel(call), Ran::Unknown);
    pair.client.conn.cancel(call);
    let ended = pair.client.conn.send_items(call.into(), &mut batch(&["x"]), false);
    assert_eq!(ended, Err(NotSent::Ended));
    pair.some_turns(5);
    let ended = pair.server.conn.send_items(SERVED, &mut batch(&["y"]), false);
    assert_eq!(ended, Err(NotSent::Ended));
    assert_eq!(pair.server.seen.last(), Some(&Seen::Cancel(KEY)));
    pair.server.conn.answer(KEY, value("cancelled"));
    pair.drive_until_idle();
    assert_eq!((pair.client.conn.in_flight(), pair.server.conn.serving_streams()), (0, 0));
    assert_eq!((pair.client.conn.memory(), pair.server.conn.memory()), (0, 0));
    assert!(!pair.client.conn.is_closed() && pair.client.items(call).is_empty());
    let next = pair.client.start("Next", "");
    pair.drive_until_idle();
    assert_eq!(pair.server.calls().last(), Some(&ServedKey { slot: 0, seq: 2 }));
    assert_eq!(pair.client.conn.ran(next), Ran::Unknown);
}

#[test]
fn a_second_cancel_of_a_running_stream_ends_nothing() {
    let mut server = Lone::open_server();
    server.feed(&Raw::stream(0, 1, (1 << 20, 9), false).bytes());
    server.conn.send_items(SERVED, &mut batch(&[vec![0; 900_000]]), false).unwrap();
    assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), [Seen::Cancel(KEY)]);
    assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), []);
    let kinds = server.kinds();
    assert!(!kinds.contains(&FrameKind::REFUSAL), "{kinds:?}");
    server.conn.answer(KEY, value("end"));
    assert_eq!(server.kinds(), [FrameKind::REPLY]);
}

#[test]
fn an_upload_that_is_cancelled_in_mid_item_is_told_once() {
    let mut server = taking();
    server.feed(&Raw::upload(0, 1, &[&[7; 500]]).first_items(1000).bytes());
    assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), [Seen::Cancel(KEY)]);
    assert_eq!((server.conn.memory(), server.conn.serving()), (0, 1));
    assert_eq!(server.output(), []);
    server.conn.answer(KEY, value("end"));
    assert_eq!(server.kinds(), [FrameKind::REPLY]);
}

#[test]
fn items_that_have_not_left_say_nothing_about_whether_their_call_ran() {
    let (mut pair, call) = uploading();
    pair.client.blocked = true;
    pair.client.give(call, &[&vec![1; 700_000]]);
    assert_eq!(pair.client.conn.ran(call), Ran::Unknown);
    pair.client.blocked = false;
    pair.client.write_step = 50_000;
    for turns in 0..30 {
        pair.some_turns(1);
        assert_eq!(pair.client.conn.ran(call), Ran::Unknown, "after {turns} turns");
    }
    assert_eq!(pair.server.items(KEY).len(), 1);
    assert_eq!(pair.client.conn.cancel(call), Ran::Unknown);
}

#[test]
fn a_drain_takes_streams_with_it_that_were_not_counted() {
    let mut pair = Pair::open();
    pair.client.blocked = true;
    let call = pair.client.open((9, 9), true);
    pair.client.conn.send_items(call.into(), &mut batch::<&str>(&[]), true).unwrap();
    pair.server.conn.drain();
    pair.drive_until_idle();
    pair.client.blocked = false;
    pair.drive_until_idle();
    let refused = Seen::Refused(call, RefusalCode::DRAINING, Ran::No);
    assert_eq!(pair.client.seen, [Seen::Draining, refused]);
    assert_eq!((pair.server.seen.len(), pair.server.conn.serving_streams()), (0, 0));
    assert!(!pair.server.conn.is_closed() && !pair.client.conn.streams.has_own());
    let gone = pair.client.conn.send_items(call.into(), &mut batch(&["x"]), false);
    assert_eq!(gone, Err(NotSent::Ended));
}
