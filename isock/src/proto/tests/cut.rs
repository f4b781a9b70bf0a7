//! A line that breaks at any byte: what the caller concludes, and what really happened.

use super::pair::{ms, Pair, Script, Seen};
use crate::{
    limits::Limits,
    proto::CallKey,
    wire::{FrameKind, Header, Ran, HEADER_LEN, HELLO_LEN},
};

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
