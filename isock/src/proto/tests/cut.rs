//! A line that breaks at any byte: what the caller concludes, and what really happened.

use super::pair::{batch, ms, value, Pair, Script, Seen};
use crate::{
    limits::Limits,
    proto::{CallKey, ServedKey, StreamKey},
    wire::{FrameKind, Header, Ran, HEADER_LEN, HELLO_LEN},
};

/// What a stream exchange came to: its pair, its call, and the items of either side.
type Streamed = (Pair, CallKey, [Vec<Vec<u8>>; 2]);

/// A stream with items in both directions, credit that comes back, an end and an answer. Whatever
/// still can be done after a cut is done.
fn stream(cut_client: Option<usize>, cut_server: Option<usize>) -> Streamed {
    let mut pair = Pair::new();
    pair.latency = ms(5);
    (pair.client.cut_after, pair.server.cut_after) = (cut_client, cut_server);
    pair.server.script = Script::Hold;
    let call = pair.client.open((40, 3), true);
    pair.drive_until_idle();
    let key = ServedKey { slot: 0, seq: 1 };
    pair.server.conn.take_items(key);
    pair.drive_until_idle();
    let (mut up, mut down) = (vec![], vec![]);
    for n in 0..6u8 {
        let items = [vec![n; usize::from(n) * 5], vec![n]];
        for (end, stream, sent) in [
            (&mut pair.client, StreamKey::Own(call), &mut up),
            (&mut pair.server, StreamKey::Served(key), &mut down),
        ] {
            if end.conn.send_items(stream, &mut batch(&items), n == 5).is_ok() {
                sent.extend(items.clone());
            }
        }
        pair.drive_until_idle();
        pair.client.conn.consumed(call.into(), usize::from(n) * 5 + 9, 2, true);
        pair.server.conn.consumed(key.into(), usize::from(n) * 5 + 9, 2, true);
        pair.drive_until_idle();
    }
    pair.server.conn.answer(key, value("end"));
    pair.drive_until_idle();
    (pair, call, [up, down])
}

/// Whatever was cut: items arrive as a prefix of what was sent, and the call ends once.
fn check_stream((mut pair, call, sent): Streamed, cut: usize) {
    let key = ServedKey { slot: 0, seq: 1 };
    for (items, sent) in [(pair.server.items(key), &sent[0]), (pair.client.items(call), &sent[1])] {
        assert!(sent.starts_with(&items), "cut at {cut}");
    }
    let ended = ended(&pair) == [call];
    if ended {
        assert_eq!(pair.client.items(call), sent[1], "cut at {cut}");
    }
    if pair.server.seen.contains(&Seen::ItemsEnd(key)) {
        assert_eq!(pair.server.items(key), sent[0], "cut at {cut}");
    }
    let lost = pair.client.conn.take_lost();
    assert_eq!(lost.len() + usize::from(ended), 1, "cut at {cut}");
    if lost.iter().any(|(_, ran)| *ran == Ran::No) {
        assert_eq!(pair.server.calls(), [], "cut at {cut}");
    }
    pair.server.conn.handle_eof();
    assert_eq!((pair.client.conn.memory(), pair.server.conn.serving_streams()), (0, 0));
}

#[test]
fn p102_items_are_a_prefix_of_what_was_sent_wherever_the_line_breaks() {
    let (pair, ..) = stream(None, None);
    let [client, server] = [pair.client.transcript.len(), pair.server.transcript.len()];
    for cut in 0..client {
        check_stream(stream(Some(cut), None), cut);
    }
    for cut in 0..server {
        check_stream(stream(None, Some(cut)), cut);
    }
    let (pair, call, sent) = stream(None, None);
    assert_eq!((pair.client.items(call), ended(&pair)), (sent[1].clone(), vec![call]));
    assert!(sent.iter().all(|items| items.len() == 12), "the whole exchange has all items");
}

/// Four calls, one of them given up, and a one-way send; the server answers some at once.
fn exchange(cut_client: Option<usize>, cut_server: Option<usize>) -> (Pair, Vec<CallKey>) {
    let mut pair = Pair::new();
    pair.latency = ms(5);
    pair.client.cut_after = cut_client;
    pair.server.cut_after = cut_server;
    let mut calls = vec![pair.client.start("One", "1"), pair.client.start("Two", [2; 30])];
    pair.client.conn.send(&super::pair::call("Notice", "n")).unwrap();
    pair.drive_until_idle();
    if !pair.client.conn.is_closed() {
        pair.server.script = Script::Hold;
        calls.push(pair.client.start("Three", "3"));
        calls.push(pair.client.start("Four", ""));
        pair.drive_until_idle();
    }
    (pair, calls)
}

/// Where each call of this transcript ends.
fn call_ends(transcript: &[u8]) -> Vec<usize> {
    let mut at = HELLO_LEN;
    let mut ends = Vec::new();
    while let Some(header) = transcript[at..].first_chunk::<HEADER_LEN>() {
        let header = Header::parse(header).unwrap();
        at += header.len as usize;
        if header.kind == FrameKind::CALL && header.slot + header.seq as u16 > 0 {
            ends.push(at);
        }
    }
    ends
}

fn ended(pair: &Pair) -> Vec<CallKey> {
    let key = |seen: &Seen| match seen {
        Seen::Value(call, _) => Some(*call),
        _ => None,
    };
    pair.client.seen.iter().filter_map(key).collect()
}

#[test]
fn p092_no_is_never_wrong_wherever_the_callers_bytes_end() {
    let ends = call_ends(&exchange(None, None).0.client.transcript);
    assert_eq!(ends.len(), 4);
    let whole = *ends.last().unwrap();
    for cut in 0..=whole {
        let (mut pair, calls) = exchange(Some(cut), None);
        let (ended, lost) = (ended(&pair), pair.client.conn.take_lost());
        assert_eq!(ended.len() + lost.len(), calls.len(), "each call ends once, cut at {cut}");
        let arrived = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(pair.server.calls().len(), arrived, "cut at {cut}");
        for (call, ran) in lost {
            let at = calls.iter().position(|&other| other == call).unwrap();
            let expected = if ends[at] <= cut { Ran::Unknown } else { Ran::No };
            assert_eq!(ran, expected, "call {at}, cut at {cut}");
        }
    }
}

#[test]
fn p092_nothing_is_certain_wherever_the_answers_end() {
    let whole = exchange(None, None).0.server.transcript.len();
    for cut in 0..=whole {
        let (mut pair, calls) = exchange(None, Some(cut));
        let (ended, lost) = (ended(&pair), pair.client.conn.take_lost());
        // A line that is whole to the last byte of this exchange breaks behind it.
        assert_eq!(ended.len() + lost.len(), calls.len(), "cut at {cut}");
        let seen = pair.server.calls().len();
        for (call, ran) in lost {
            let at = calls.iter().position(|&other| other == call).unwrap();
            assert!(ran == Ran::Unknown || at >= seen, "call {at} of {seen}, cut at {cut}");
        }
    }
}

#[test]
fn p096_a_call_in_fragments_runs_only_when_its_last_byte_is_there() {
    let limits = Limits::default();
    let len = 600_000;
    let run = |cut| {
        let mut pair = Pair::with(limits.clone(), limits.clone());
        pair.client.write_step = 50_000;
        pair.client.cut_after = cut;
        pair.drive_until_idle();
        pair.server.script = Script::Hold;
        let call = pair.client.conn.call(super::pair::call("Long", vec![1; len]));
        pair.drive_until_idle();
        (pair, call)
    };
    let whole = run(None).0.client.transcript.len();
    let near_end = (whole - 40..=whole).chain(whole - len % 262_144 - 40..whole - len % 262_144);
    for cut in (HELLO_LEN + 1..whole).step_by(9_973).chain(near_end) {
        let (mut pair, call) = run(Some(cut));
        let ran = if cut == whole { Ran::Unknown } else { Ran::No };
        assert_eq!(pair.client.conn.take_lost(), [(call.unwrap(), ran)], "cut at {cut}");
        assert_eq!(pair.server.calls().len(), usize::from(cut == whole), "cut at {cut}");
    }
}

#[test]
fn p094_a_call_given_up_in_mid_message_has_not_run_wherever_that_was() {
    for turns in 0..60 {
        let mut pair = Pair::open();
        pair.client.write_step = 50_000;
        let call = pair.client.start("Long", vec![1; 2_000_000]);
        pair.some_turns(turns);
        let ran = pair.client.conn.cancel(call);
        pair.drive_until_idle();
        let seen = pair.server.calls().len();
        assert!(ran == Ran::Unknown || seen == 0, "after {turns} turns");
        for key in pair.server.calls() {
            pair.server.conn.answer(key, super::pair::value("late"));
        }
        pair.drive_until_idle();
        assert_eq!((pair.client.conn.in_flight(), pair.server.conn.serving()), (0, 0));
        assert_eq!((pair.client.conn.memory(), pair.server.conn.memory()), (0, 0));
    }
}
