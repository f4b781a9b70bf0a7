//! Giving up, in every state of a call.

use super::{
    lone::{Lone, Raw},
    pair::{call, value, Pair, Seen},
};
use crate::{
    limits::Limits,
    proto::ServedKey,
    wire::{CloseCode, Flags, FrameKind, Ran, Refusal, RefusalCode},
};

const KEY: ServedKey = ServedKey { slot: 0, seq: 1 };
const MIB: usize = 1 << 20;

fn refusal(lone: &mut Lone) -> (RefusalCode, Ran) {
    let frames = lone.frames();
    let sent = frames.last().expect("a refusal");
    assert_eq!(sent.header.kind, FrameKind::REFUSAL);
    let refusal = Refusal::parse(&sent.words, &sent.payload).expect("a whole refusal");
    (refusal.code, refusal.ran)
}

#[test]
fn a_call_in_the_queue_leaves_no_trace() {
    let mut pair = Pair::with(Limits::default(), Limits::default().in_flight(16));
    pair.server.script = super::pair::Script::Hold;
    for _ in 0..16 {
        pair.client.start("A", "");
    }
    let queued = pair.client.start("B", "");
    let last = pair.client.start("C", "c");
    assert_eq!(pair.client.conn.cancel(queued), Ran::No);
    pair.drive_until_idle();
    pair.server.script = super::pair::Script::Echo;
    pair.server.conn.answer(pair.server.calls()[3], value(""));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen.last(), Some(&Seen::Value(last, b"c".to_vec())));
    assert_eq!(pair.server.calls().len(), 17);
}

#[test]
fn p068_a_call_that_is_not_all_there_is_dropped_unrun() {
    let mut server = Lone::open_server();
    server.feed(&Raw::first(0, 1, 1000, &[0; 500]).bytes());
    assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), []);
    assert_eq!(refusal(&mut server), (RefusalCode::CANCELLED, Ran::No));
    assert_eq!((server.conn.serving(), server.conn.memory()), (0, 0));
    assert_eq!(server.feed(&Raw::call(0, 2, b"x").bytes()).len(), 1, "the slot is free");
}

#[test]
fn p069_giving_up_in_mid_message_sends_a_cancel_and_nothing_more_of_it() {
    let mut pair = Pair::open();
    let call = pair.client.start("Long", vec![0; 4 * MIB]);
    assert_eq!(pair.client.conn.cancel(call), Ran::No);
    pair.drive_until_idle();
    assert!(pair.client.written < MIB);
    assert_eq!((pair.client.seen.len(), pair.server.seen.len()), (0, 0));
    assert_eq!((pair.client.conn.in_flight(), pair.server.conn.serving()), (0, 0));
}

#[test]
fn p070_a_running_call_learns_of_its_cancel_once_and_is_still_answered() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"x").bytes());
    assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), [Seen::Cancel(KEY)]);
    assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), []);
    server.conn.answer(KEY, value("late"));
    assert_eq!(server.kinds(), [FrameKind::REPLY]);
}

#[test]
fn p071_a_cancel_that_crossed_the_answer_is_ignored() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"x").bytes());
    server.conn.answer(KEY, value("done"));
    server.output();
    for cancel in [Raw::cancel(0, 1), Raw::cancel(0, 7), Raw::cancel(300, 1)] {
        assert_eq!(server.feed(&cancel.bytes()), []);
    }
    assert_eq!(server.output(), []);
}

#[test]
fn a_cancel_ends_an_answer_that_is_still_leaving() {
    let mut pair = Pair::open();
    let call = pair.client.start("Long", "");
    pair.drive_until_idle();
    pair.server.conn.answer(KEY, value(vec![0; 6 * MIB]));
    pair.server.write_step = 1000;
    pair.client.conn.cancel(call);
    pair.drive_until_idle();
    assert!(pair.server.written < 6 * MIB);
    assert_eq!((pair.client.seen.len(), pair.client.conn.in_flight()), (0, 0));
    assert_eq!(pair.client.conn.memory(), 0);
}

#[test]
fn a_reply_nobody_waits_for_is_dropped_as_it_comes() {
    let first = Raw::reply(0, 1, &[0; 500]).flags(Flags::MORE).words(&1000u64.to_le_bytes());
    let rest = Raw::new(FrameKind::MORE, Flags::default(), 0, 1).payload(&[0; 500]);
    for cancel_first in [true, false] {
        let mut client = Lone::open_client();
        let key = client.conn.call(call("A", "")).unwrap();
        if !cancel_first {
            client.feed(&first.bytes());
        }
        assert_eq!(client.conn.cancel(key), Ran::Unknown);
        if cancel_first {
            client.feed(&first.bytes());
        }
        client.output();
        assert_eq!(client.conn.memory(), 0);
        assert_eq!(client.feed(&rest.bytes()), []);
        assert_eq!(client.conn.in_flight(), 0, "the slot is free again");
    }
}

#[test]
fn p073_cancelling_a_copy_does_not_deny_the_running_call() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"x").bytes());
    server.feed(&Raw::first(0, 1, 9, b"x").bytes());
    assert_eq!(server.feed(&Raw::cancel(0, 1).bytes()), [Seen::Cancel(KEY)]);
    assert_eq!(server.output(), [], "nobody is told that it did not run");
    server.conn.answer(KEY, value("ran"));
    assert_eq!(server.kinds(), [FrameKind::REPLY]);
}

#[test]
fn p074_a_cancel_or_a_drain_with_a_payload_closes() {
    for raw in [Raw::cancel(0, 1), Raw::drain(0)] {
        let code = Lone::open_server().close_code(&raw.payload(b"x").bytes());
        assert_eq!(code, Some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn a_cancelled_call_is_silent_however_it_ends() {
    for end in [Raw::reply(0, 1, b"x"), Raw::refusal(0, 1, 8, 0), Raw::close(0, "")] {
        let mut client = Lone::open_client();
        let key = client.conn.call(call("A", "")).unwrap();
        client.conn.cancel(key);
        let seen = client.feed(&end.bytes());
        assert!(seen.iter().all(|seen| matches!(seen, Seen::Closed(_))), "{seen:?}");
        assert_eq!(client.conn.take_lost(), []);
    }
}

#[test]
fn a_call_given_up_when_its_bytes_will_never_leave_has_not_run() {
    let mut client = Lone::open_client();
    let key = client.conn.call(call("A", "")).unwrap();
    client.conn.discard_output();
    assert_eq!(client.conn.cancel(key), Ran::No);
}
