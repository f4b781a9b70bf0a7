//! Slots and numbers, from both ends.

use super::{
    lone::{Lone, Raw},
    pair::{call, value, Pair, Script, Seen},
};
use crate::{
    limits::Limits,
    proto::{Answer, ServedKey},
    wire::{CloseCode, FrameKind, Ran, Refusal, RefusalCode},
};

fn key(slot: u16, seq: u32) -> ServedKey {
    ServedKey { slot, seq }
}

fn keys(client: &mut Lone) -> Vec<(u16, u32)> {
    client.frames().iter().map(|sent| (sent.header.slot, sent.header.seq)).collect()
}

fn is_stale(server: &mut Lone) -> bool {
    let frames = server.frames();
    let [sent] = &frames[..] else { return false };
    let refusal = Refusal::parse(&sent.words, &sent.payload);
    refusal.is_some_and(|refusal| (refusal.code, refusal.ran) == (RefusalCode::STALE, Ran::Unknown))
}

#[test]
fn p037_the_slots_of_both_sides_never_meet() {
    let mut pair = Pair::open();
    pair.client.script = Script::Hold;
    let there = pair.client.start("There", "a");
    let back = pair.server.start("Back", "b");
    pair.drive_until_idle();
    assert_eq!((pair.server.calls(), pair.client.calls()), (vec![key(0, 1)], vec![key(0, 1)]));
    pair.server.conn.answer(key(0, 1), value("1"));
    pair.client.conn.answer(key(0, 1), value("2"));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen.last(), Some(&Seen::Value(there, b"1".to_vec())));
    assert_eq!(pair.server.seen.last(), Some(&Seen::Value(back, b"2".to_vec())));
}

#[test]
fn p038_a_call_takes_the_lowest_free_slot() {
    let mut client = Lone::open_client();
    for _ in 0..3 {
        client.conn.call(call("A", "")).unwrap();
    }
    assert_eq!(keys(&mut client), [(0, 1), (1, 1), (2, 1)]);
    client.feed(&Raw::reply(2, 1, b"").bytes());
    client.feed(&Raw::reply(1, 1, b"").bytes());
    client.conn.call(call("A", "")).unwrap();
    assert_eq!(keys(&mut client), [(1, 2)]);
}

#[test]
fn p039_calls_beyond_the_grant_wait_and_go_in_order() {
    let mut pair = Pair::with(Limits::default(), Limits::default().in_flight(16));
    pair.server.script = Script::Hold;
    let calls: Vec<_> = (0..40u8).map(|n| pair.client.start("A", [n])).collect();
    pair.drive_until_idle();
    assert_eq!(pair.server.calls().len(), 16);
    pair.server.script = Script::Echo;
    for key in pair.server.calls() {
        pair.server.conn.answer(key, value([key.slot as u8]));
    }
    pair.drive_until_idle();
    let values: Vec<_> = (0..40u8).map(|n| Seen::Value(calls[usize::from(n)], vec![n])).collect();
    assert_eq!(pair.client.seen[1..], values);
    assert_eq!((pair.client.conn.in_flight(), pair.server.conn.serving()), (0, 0));
}

#[test]
fn p040_each_call_on_a_slot_has_the_next_number() {
    let mut client = Lone::open_client();
    for seq in 1..5 {
        client.conn.call(call("A", "")).unwrap();
        assert_eq!(keys(&mut client), [(0, seq)]);
        client.feed(&Raw::reply(0, seq, b"").bytes());
    }
}

#[test]
fn p041_a_cancelled_call_keeps_its_slot_until_its_final_frame() {
    let mut client = Lone::open_client();
    let first = client.conn.call(call("A", "")).unwrap();
    client.conn.cancel(first);
    client.conn.call(call("B", "")).unwrap();
    assert_eq!(keys(&mut client), [(0, 1), (0, 1), (1, 1)], "call, cancel, call elsewhere");
    assert_eq!(client.feed(&Raw::reply(0, 1, b"late").bytes()), [], "nobody waits for it");
    client.conn.call(call("C", "")).unwrap();
    assert_eq!(keys(&mut client), [(0, 2)]);
}

#[test]
fn p042_the_next_number_on_a_free_slot_is_a_call() {
    let mut server = Lone::open_server();
    for seq in 1..4 {
        assert_eq!(server.feed(&Raw::call(5, seq, b"").bytes()).len(), 1);
        server.conn.answer(key(5, seq), value(""));
    }
}

#[test]
fn p043_a_slot_that_is_taken_is_no_place_for_the_next_call() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"").bytes());
    assert_eq!(server.close_code(&Raw::call(0, 2, b"").bytes()), Some(CloseCode::BAD_SLOT));
}

#[test]
fn p044_the_same_call_again_attaches_to_the_running_one() {
    let mut server = Lone::open_server();
    let bytes = Raw::call(0, 1, b"x").bytes();
    assert_eq!(server.feed(&bytes).len(), 1);
    assert_eq!(server.feed(&bytes), [], "it does not run again");
    let mut copy = Raw::first(0, 1, 9, b"x").bytes();
    copy.extend(Raw::last(0, 1, &[0; 8]).bytes());
    assert_eq!(server.feed(&copy), [], "nor in fragments");
    server.conn.answer(key(0, 1), value("once"));
    assert_eq!(server.kinds(), [FrameKind::REPLY]);
}

#[test]
fn p045_a_finished_call_again_is_stale() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"x").bytes());
    server.conn.answer(key(0, 1), value(""));
    server.output();
    assert_eq!(server.feed(&Raw::call(0, 1, b"x").bytes()), []);
    assert!(is_stale(&mut server));
}

#[test]
fn p046_a_call_with_any_other_number_is_stale_and_never_runs() {
    let mut server = Lone::open_server();
    for seq in [0, 2, 77, u32::MAX] {
        assert_eq!(server.feed(&Raw::call(0, seq, b"x").bytes()), []);
        assert!(is_stale(&mut server), "{seq} on a new slot");
    }
    server.feed(&Raw::call(0, 1, b"x").bytes());
    assert_eq!(server.feed(&Raw::call(0, 9, b"x").bytes()), []);
    assert!(is_stale(&mut server), "beside a running call");
    assert_eq!(server.feed(&Raw::first(0, 9, 9, b"x").bytes()), []);
    assert!(is_stale(&mut server), "at its first fragment");
    assert_eq!(server.feed(&Raw::last(0, 9, &[0; 8]).bytes()), []);
    assert_eq!((server.conn.serving(), server.conn.memory()), (1, 0));
}

#[test]
fn p047_a_slot_above_the_grant_closes() {
    let limits = Limits::default().in_flight(20);
    assert_eq!(
        Lone::open_server_with(limits.clone()).feed(&Raw::call(19, 1, b"").bytes()).len(),
        1
    );
    let code = Lone::open_server_with(limits).close_code(&Raw::call(20, 1, b"").bytes());
    assert_eq!(code, Some(CloseCode::BAD_SLOT));
}

#[test]
fn p048_every_accepted_call_gets_one_final_frame() {
    let mut server = Lone::open_server();
    let refusal = |ran| Answer::Refusal(Refusal::new(RefusalCode::EXPIRED, ran, "late"));
    let answers = [value("v"), Answer::Error(Default::default()), refusal(Ran::No)];
    for (slot, answer) in (0..).zip(answers) {
        server.feed(&Raw::call(slot, 1, b"x").bytes());
        server.feed(&Raw::cancel(slot, 1).bytes());
        server.conn.answer(key(slot, 1), answer);
        server.conn.answer(key(slot, 1), value("twice"));
    }
    server.conn.answer(key(99, 1), value("to nobody"));
    assert_eq!(server.kinds(), [FrameKind::REPLY, FrameKind::ERROR, FrameKind::REFUSAL]);
    assert_eq!(server.conn.serving(), 0);
}

#[test]
fn p049_a_final_frame_for_no_call_closes() {
    for raw in [Raw::reply(0, 1, b"x"), Raw::reply(0, 3, b"x"), Raw::refusal(1, 2, 1, 0)] {
        let mut client = Lone::open_client();
        client.conn.call(call("A", "")).unwrap();
        client.conn.call(call("B", "")).unwrap();
        client.feed(&Raw::reply(0, 1, b"").bytes());
        assert_eq!(client.close_code(&raw.bytes()), Some(CloseCode::NO_SUCH_CALL));
    }
}

#[test]
fn a_second_answer_to_a_call_ends_no_other_one() {
    let mut client = Lone::open_client();
    (0..2).for_each(|_| assert!(client.conn.call(call("A", "")).is_ok()));
    (0..2).for_each(|slot| assert_eq!(client.feed(&Raw::reply(slot, 1, b"").bytes()).len(), 1));
    client.conn.call(call("Next", "")).unwrap();
    let again = Raw::reply(1, 1, b"").bytes();
    assert_eq!(client.close_code(&again), Some(CloseCode::NO_SUCH_CALL));
}

#[test]
fn p050_an_answer_that_the_caller_cannot_take_is_refused_as_run() {
    let small = Limits::default().message(100_000);
    let mut pair = Pair::with(small, Limits::default());
    let fits = pair.client.start("Echo", "");
    let call = pair.client.start("Echo", "");
    pair.server.script = Script::Hold;
    pair.drive_until_idle();
    pair.server.conn.answer(key(0, 1), value(vec![0; 100_000]));
    pair.server.conn.answer(key(1, 1), value(vec![0; 100_001]));
    pair.drive_until_idle();
    assert_eq!(
        pair.client.seen[1..],
        [
            Seen::Value(fits, vec![0; 100_000]),
            Seen::Refused(call, RefusalCode::OUTPUT_TOO_LARGE, Ran::Yes)
        ]
    );
}

#[test]
fn p052_a_refusal_without_its_word_or_with_too_long_a_text_closes() {
    let text = vec![b'x'; 1025];
    for (raw, ok) in [
        (Raw::refusal(0, 1, 4, 0).words(&[]), false),
        (Raw::refusal(0, 1, 4, 0).payload(&text), false),
        (Raw::refusal(0, 1, 4, 0).payload(&text[1..]), true),
    ] {
        let mut client = Lone::open_client();
        client.conn.call(call("A", "")).unwrap();
        let code = client.close_code(&raw.bytes());
        assert_eq!(code, (!ok).then_some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn p053_what_a_newer_peer_says_about_running_counts_as_unknown() {
    for (number, ran) in [(0, Ran::No), (1, Ran::Yes), (2, Ran::Unknown), (3, Ran::Unknown)] {
        let mut client = Lone::open_client();
        let call = client.conn.call(call("A", "")).unwrap();
        let seen = client.feed(&Raw::refusal(0, 1, 4, number).bytes());
        assert_eq!(seen, [Seen::Refused(call, RefusalCode::OVERLOADED, ran)]);
    }
}

#[test]
fn p054_an_unknown_refusal_code_survives() {
    let mut client = Lone::open_client();
    let call = client.conn.call(call("A", "")).unwrap();
    let seen = client.feed(&Raw::refusal(0, 1, 0xabc, 0).bytes());
    assert_eq!(seen, [Seen::Refused(call, RefusalCode(0xabc), Ran::No)]);
}

#[test]
fn p055_a_peers_words_cannot_repaint_a_terminal() {
    let word = [4, 0, 0, 0, 0, 0, 0, 0];
    let refusal = Refusal::parse(&word, b"\x1b[2J\r\nbusy\xff").unwrap();
    assert_eq!(refusal.text, " [2J  busy\u{fffd}");
}

#[test]
fn a_call_too_long_for_the_other_side_fails_before_a_byte_moves() {
    let mut pair = Pair::with(Limits::default(), Limits::default().message(100_000));
    let early = pair.client.start("Echo", vec![0; 100_001]);
    let behind = pair.client.start("Echo", "x");
    pair.drive_until_idle();
    let refused = Seen::Refused(early, RefusalCode::INPUT_TOO_LARGE, Ran::No);
    assert_eq!(pair.client.seen, [Seen::Ready, refused, Seen::Value(behind, b"x".to_vec())]);
    assert!(pair.client.conn.call(call("Echo", vec![0; 100_001])).is_err());
    assert!(pair.client.conn.call(call("Echo", vec![0; 100_000])).is_ok());
}
