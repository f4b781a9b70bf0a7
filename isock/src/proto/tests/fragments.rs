//! Messages in fragments.

use super::{
    lone::{split, Lone, Raw, ENDLESS},
    pair::{call, ms, value, Pair, Script, Seen},
};
use crate::{
    limits::Limits,
    proto::{ServedKey, FRAGMENT},
    wire::{CloseCode, Flags, FrameKind, Ran},
};

const MIB: usize = 1 << 20;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7) as u8).collect()
}

#[test]
fn p056_a_message_above_a_fragment_travels_in_fragments() {
    let mut client = Lone::open_client();
    client.conn.call(call("Whole", vec![0; FRAGMENT])).unwrap();
    assert_eq!(client.kinds(), [FrameKind::CALL]);
    client.conn.call(call("Long", vec![0; FRAGMENT + 1])).unwrap();
    let sizes: Vec<_> = client.frames().iter().map(|sent| sent.payload.len()).collect();
    assert_eq!(sizes, [FRAGMENT, 1]);
}

#[test]
fn p057_fragments_carry_the_names_of_their_message() {
    let mut client = Lone::open_client();
    client.conn.call(call("Long", vec![0; 2 * FRAGMENT + 5])).unwrap();
    let frames = client.frames();
    let kinds: Vec<_> = frames.iter().map(|sent| (sent.header.kind, sent.header.flags)).collect();
    let more = Flags::INITIATOR.with(Flags::MORE);
    assert_eq!(
        kinds,
        [(FrameKind::CALL, more), (FrameKind::MORE, more), (FrameKind::MORE, Flags::INITIATOR)]
    );
    assert!(frames.iter().all(|sent| (sent.header.slot, sent.header.seq) == (0, 1)));
    assert_eq!(frames[0].words[20..24], (2 * FRAGMENT as u32 + 5).to_le_bytes());
}

#[test]
fn long_messages_arrive_whole_in_both_directions() {
    let mut pair = Pair::new();
    let body = bytes(3 * MIB + 17);
    let call = pair.client.start("Echo", body.clone());
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Ready, Seen::Value(call, body)]);
    assert_eq!((pair.client.conn.memory(), pair.server.conn.memory()), (0, 0));
}

#[test]
fn p058_a_first_fragment_that_contradicts_itself_closes() {
    let both = Flags::INITIATOR.with(Flags::MORE);
    for raw in [
        Raw::call(0, 1, b"x").flags(both),
        Raw::first(0, 1, 9, b"x").flags(Flags::INITIATOR),
        Raw::first(0, 1, 3, b"xyz"),
        Raw::first(0, 1, 2, b"xyz"),
        Raw::first(0, 1, 3, b""),
    ] {
        let code = Lone::open_server().close_code(&raw.bytes());
        assert_eq!(code, Some(CloseCode::BAD_FRAME));
    }
    for words in [&[][..], &[0; 8], &[3, 0, 0, 0, 0, 0, 0, 0]] {
        let mut client = Lone::open_client();
        client.conn.call(call("A", "")).unwrap();
        let reply = Raw::reply(0, 1, b"xyz").flags(Flags::MORE).words(words);
        assert_eq!(client.close_code(&reply.bytes()), Some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn p059_a_total_above_the_limit_closes_before_the_body() {
    let limit = 8 << 20;
    let first = |total| Raw::first(0, 1, total, &vec![0; FRAGMENT]).bytes();
    let mut server = Lone::open_server();
    assert_eq!(server.close_code(&first(limit)), None);
    assert_eq!(server.conn.serving(), 1);
    let head = 16 + 24;
    let code = Lone::open_server().close_code(&first(limit + 1)[..head]);
    assert_eq!(code, Some(CloseCode::MESSAGE_TOO_LARGE));
    for total in [u64::from(limit) + 1, u64::MAX] {
        let mut client = Lone::open_client();
        client.conn.call(call("A", "")).unwrap();
        let reply = Raw::reply(0, 1, b"x").flags(Flags::MORE).words(&total.to_le_bytes());
        let code = client.close_code(&reply.bytes()[..24]);
        assert_eq!(code, Some(CloseCode::MESSAGE_TOO_LARGE));
    }
}

#[test]
fn a_message_of_exactly_the_limit_arrives() {
    let limits = Limits::default().message(3 * FRAGMENT + 1);
    let mut pair = Pair::with(limits.clone(), limits);
    let body = bytes(3 * FRAGMENT + 1);
    let call = pair.client.start("Echo", body.clone());
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Ready, Seen::Value(call, body)]);
}

#[test]
fn p060_a_fragment_that_breaks_its_total_closes() {
    for raw in [
        Raw::more(0, 1, b""),
        Raw::last(0, 1, b""),
        Raw::more(0, 1, &[0; 9]),
        Raw::last(0, 1, &[0; 9]),
        Raw::last(0, 1, &[0; 7]),
        Raw::more(0, 1, &[0; 8]),
    ] {
        let mut server = Lone::open_server();
        server.feed(&Raw::first(0, 1, 9, b"x").bytes());
        assert_eq!(server.close_code(&raw.bytes()), Some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn p061_a_fragment_of_no_message_closes() {
    for raw in [Raw::more(0, 1, b"x"), Raw::last(0, 2, b"x"), Raw::last(1, 1, &[0; 8])] {
        let mut server = Lone::open_server();
        if raw.0.seq != 1 || raw.0.slot != 0 {
            server.feed(&Raw::first(0, 1, 9, b"x").bytes());
        }
        assert_eq!(server.close_code(&raw.bytes()), Some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn p062_a_slot_carries_one_message_at_a_time() {
    for second in [Raw::call(0, 1, b"x"), Raw::first(0, 1, 9, b"x"), Raw::first(0, 77, 9, b"x")] {
        let mut server = Lone::open_server();
        server.feed(&Raw::first(0, 1, 9, b"x").bytes());
        assert_eq!(server.close_code(&second.bytes()), Some(CloseCode::BAD_FRAME));
    }
    // One that is refused and dropped still comes on it.
    let mut server = Lone::open_server();
    server.feed(&Raw::first(0, 77, 9, b"x").bytes());
    assert_eq!(server.close_code(&Raw::call(0, 1, b"x").bytes()), Some(CloseCode::BAD_FRAME));
    let mut client = Lone::open_client();
    client.conn.call(call("A", "")).unwrap();
    let first = Raw::reply(0, 1, b"x").flags(Flags::MORE).words(&9u64.to_le_bytes());
    client.feed(&first.bytes());
    let code = client.close_code(&Raw::reply(0, 1, b"x").bytes());
    assert_eq!(code, Some(CloseCode::BAD_FRAME));
}

#[test]
fn an_answer_that_comes_early_ends_what_is_left_of_its_call() {
    for answer in [Raw::reply(0, 1, b"early"), Raw::reply(0, 1, &[0; 70_000])] {
        let mut client = Lone::open_client();
        client.conn.call(call("A", vec![7; 3 * FRAGMENT])).unwrap();
        assert_eq!(client.feed(&answer.bytes()).len(), 1);
        assert_eq!(client.kinds(), [FrameKind::CALL, FrameKind::CANCEL]);
    }
}

#[test]
fn p063_other_frames_between_fragments_are_handled_at_once() {
    let mut server = Lone::open_server();
    server.feed(&Raw::first(0, 1, 3, b"x").bytes());
    assert_eq!(server.feed(&Raw::call(1, 1, b"quick").bytes()).len(), 1);
    server.feed(&Raw::first(2, 1, 3, b"a").bytes());
    server.feed(&Raw::ping(5).bytes());
    assert_eq!(server.kinds(), [FrameKind::PONG]);
    assert_eq!(server.feed(&Raw::last(0, 1, b"yz").bytes()).len(), 1);
    let seen = server.feed(&Raw::last(2, 1, b"bc").bytes());
    assert!(matches!(&seen[..], [Seen::Call(_, _, body)] if **body == *b"abc"));
}

#[test]
fn p064_long_messages_take_turns_and_a_short_one_passes_them() {
    let mut pair = Pair::open();
    pair.server.script = Script::Echo;
    pair.client.write_step = 64 * 1024;
    let long = [pair.client.start("A", bytes(2 * MIB)), pair.client.start("B", bytes(2 * MIB))];
    let short = pair.client.start("C", "short");
    pair.drive_until_idle();
    let order = pair.client.seen.iter().map(|seen| match seen {
        Seen::Value(call, _) => *call,
        other => panic!("{other:?}"),
    });
    assert_eq!(order.collect::<Vec<_>>(), [short, long[0], long[1]]);
}

#[test]
fn p064_what_a_full_socket_does_not_take_lets_others_pass() {
    let mut client = Lone::open_client();
    client.conn.call(call("Long", vec![0; 8 * FRAGMENT])).unwrap();
    for taken in [10, 0] {
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = client.conn.slices(&mut slices);
        assert!(slices[..count].iter().map(|slice| slice.len()).sum::<usize>() > 4 * FRAGMENT);
        match taken {
            0 => client.conn.write_blocked(client.now),
            _ => client.conn.written(client.now, taken),
        }
    }
    client.conn.call(call("Short", "x")).unwrap();
    let rest = client.output();
    let first_fragment = 16 + 24 + FRAGMENT - 10;
    let next = split(&rest[first_fragment..]);
    assert_eq!((next[0].header.kind, next[0].header.slot), (FrameKind::CALL, 1));
    assert_eq!(next.len(), 8);
}

#[test]
fn p065_what_is_announced_costs_nothing_until_it_comes() {
    let mut server = Lone::patient_server();
    let mut received = 0;
    for slot in 0..100 {
        server.feed(&Raw::first(slot, 1, ENDLESS, &[0; 10]).bytes());
        received += 10;
    }
    assert!(server.conn.memory() <= 2 * received);
    for _ in 0..20 {
        server.feed(&Raw::more(0, 1, &vec![0; 100_000]).bytes());
        received += 100_000;
        assert!(server.conn.memory() <= 2 * received + FRAGMENT);
    }
    assert!(server.input.memory() <= FRAGMENT + 80 * 1024);
}

#[test]
fn partial_messages_cannot_outnumber_the_grant() {
    let mut server = Lone::open_server();
    for seq in 2..1000 {
        server.feed(&Raw::first(0, seq, 9, b"x").bytes());
    }
    assert!(server.conn.is_closed(), "stale first fragments do not pile up");
}

#[test]
fn p066_a_message_that_stops_arriving_closes() {
    let first = Raw::first(0, 1, 8 << 20, &[0; 10]).bytes();
    let whole = Raw::call(0, 1, &[0; 200_000]).bytes();
    // 10 s, and a second for each 64 KiB: 128 of the message, 3.05 of the frame.
    for (bytes, patience) in
        [(&first[..], 138_000), (&whole[..1000], 13_052), (&whole[..3], 10_000)]
    {
        let mut server = Lone::open_server();
        server.feed(bytes);
        assert_eq!(server.wait(ms(patience - 2)), None, "{patience}");
        assert_eq!(server.wait(ms(2)), Some(CloseCode::MESSAGE_STALLED), "{patience}");
    }
}

#[test]
fn a_frame_that_trickles_gains_no_time() {
    let mut server = Lone::open_server();
    let call = Raw::call(0, 1, &[0; 100]).bytes();
    for byte in &call[..9] {
        server.feed(&[*byte]);
        assert_eq!(server.wait(ms(1000)), None);
    }
    server.feed(&call[9..10]);
    assert_eq!(server.wait(ms(1010)), Some(CloseCode::MESSAGE_STALLED));
}

#[test]
fn a_frame_that_has_come_is_not_waited_for_any_more() {
    let frame = Raw::call(0, 1, b"short").bytes();
    for cut in [1, 16, frame.len() - 1] {
        let mut server = Lone::open_server();
        assert_eq!(server.feed(&frame[..cut]), []);
        assert!(server.conn.poll_timeout().is_some(), "{cut}");
        assert_eq!(server.feed(&frame[cut..]).len(), 1);
        assert_eq!(server.conn.poll_timeout(), None, "{cut}");
    }
}

#[test]
fn p067_time_in_which_the_receiver_does_not_read_does_not_count() {
    let limits = Limits::default().output_soft(1000);
    let mut server = Lone::open_server_with(limits);
    server.feed(&Raw::call(0, 1, b"x").bytes());
    server.feed(&Raw::first(1, 1, 9, b"x").bytes());
    let whole = Raw::call(2, 1, b"x").bytes();
    server.feed(&whole[..9]);
    server.now += ms(9_000);
    server.conn.answer(ServedKey { slot: 0, seq: 1 }, value(vec![0; 5000]));
    server.conn.write_blocked(server.now);
    for _ in 0..10 {
        server.now += ms(6_000);
        server.conn.handle_timeout(server.now);
        server.conn.slices(&mut [std::io::IoSlice::new(&[]); 4]);
        server.conn.written(server.now, 100);
    }
    assert!(!server.conn.wants_input() && !server.conn.is_closed());
    server.output();
    assert_eq!(server.wait(ms(900)), None, "a second was left");
    assert_eq!(server.wait(ms(200)), Some(CloseCode::MESSAGE_STALLED));
}

#[test]
fn p051_an_early_final_frame_ends_the_rest_of_the_call() {
    let mut client = Lone::open_client();
    let long = client.conn.call(call("Long", vec![0; 4 * MIB])).unwrap();
    let seen = client.feed(&Raw::refusal(0, 1, 1, 0).bytes());
    assert!(matches!(seen[..], [Seen::Refused(call, _, Ran::No)] if call == long));
    client.conn.call(call("Next", "x")).unwrap();
    let frames = client.frames();
    let last: Vec<_> = frames.iter().rev().take(2).map(|sent| sent.header.kind).collect();
    assert_eq!(last, [FrameKind::CALL, FrameKind::CANCEL]);
    assert_eq!(frames.last().unwrap().header.seq, 2, "the slot is used again behind the cancel");
    assert!(frames.iter().map(|sent| sent.payload.len()).sum::<usize>() < MIB);
}

#[test]
fn p072_a_refusal_may_end_an_answer_in_fragments() {
    let mut client = Lone::open_client();
    let call = client.conn.call(call("A", "")).unwrap();
    client.output();
    let first = Raw::reply(0, 1, b"x").flags(Flags::MORE).words(&9u64.to_le_bytes());
    assert_eq!(client.feed(&first.bytes()), []);
    let seen = client.feed(&Raw::refusal(0, 1, 8, 1).bytes());
    assert!(matches!(seen[..], [Seen::Refused(ended, _, Ran::Yes)] if ended == call));
    assert_eq!((client.conn.in_flight(), client.conn.memory()), (0, 0));
}
