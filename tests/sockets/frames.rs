//! Peers that begin well and go wrong later.

use crate::arena::Arena;
use isock::{
    proto::FRAGMENT,
    wire::{
        guard::decode_unguarded as decode, CloseCode, Flags, FrameKind, Header, Ran, RefusalCode,
        HEADER_LEN,
    },
    Limits, ProblemKind, Server,
};
use isock_tests::{
    actions::{Echo, Hold, Opt, Square},
    raw::{self, Raw},
    usage::{self, Task},
};
use std::time::Duration;

/// The first sixteen bytes of a call that says that it is this long.
fn header_of_length(len: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header::new(FrameKind::CALL, Flags::INITIATOR, 2, 0).of_call(0, 1);
    Header { len, ..header }.write(&mut bytes);
    bytes
}

fn assert_echo(raw: &mut Raw, slot: u16, seq: u32, text: &str) {
    raw.send(&raw::call::<Echo>(slot, seq, &raw::text(text)));
    assert_reply(raw, slot, seq, text);
}

fn assert_reply(raw: &mut Raw, slot: u16, seq: u32, text: &str) {
    let reply = raw.answer();
    assert_eq!((reply.header.kind, reply.header.slot), (FrameKind::REPLY, slot));
    assert_eq!(reply.header.seq, seq);
    assert!(decode::<String>(&reply.payload).is_ok_and(|came| came == text));
}

/// Row 6.
pub(crate) fn a_length_above_the_limit_is_refused_before_its_body(arena: &Arena) {
    let words = HEADER_LEN + 16;
    let above = (words + FRAGMENT + 1) as u32;
    for len in [u32::MAX, above] {
        let mut raw = arena.peer();
        raw.send(&header_of_length(len));
        assert_eq!(raw.closed(), Ok(CloseCode::BAD_LENGTH), "{len}");
    }
    let limit = Limits::default().message as u32;
    for total in [limit + 1, u32::MAX] {
        let mut raw = arena.peer();
        raw.send(&raw::begun_call::<Hold>(0, 1, &[0; 10], total));
        assert_eq!(raw.closed(), Ok(CloseCode::MESSAGE_TOO_LARGE), "{total}");
    }

    // Exactly the limit: of a frame, and of a message. Three bytes are the length of the text.
    let mut raw = arena.peer();
    assert_echo(&mut raw, 0, 1, &"x".repeat(FRAGMENT - 3));
    let client = arena.client();
    let whole = "x".repeat(limit as usize - 4);
    assert!(client.run::<Echo>(&whole).is_ok_and(|came| came == whole));
    let problem = client.run::<Echo>(whole + "x").expect_err("above the limit");
    assert_eq!(problem.problem().map(|p| p.kind()), Some(ProblemKind::InputTooLarge));
    assert_eq!(problem.ran(), Ran::No);
}

/// Row 7.
pub(crate) fn a_length_below_a_header_is_refused(arena: &Arena) {
    // The last one holds the header, but not the words that it announces.
    for len in [0, 1, 15, 31] {
        let mut raw = arena.peer();
        raw.send(&header_of_length(len));
        assert_eq!(raw.closed(), Ok(CloseCode::BAD_LENGTH), "{len}");
    }
}

/// Row 9.
pub(crate) fn frames_in_single_bytes_work_with_linear_effort(arena: &Arena) {
    let mut raw = arena.stranger();
    raw.dribble(&raw::hello(1, 1));
    assert_eq!(raw.welcome().version, 1);
    for seq in 1..=5 {
        raw.dribble(&raw::call::<Echo>(0, seq, &raw::text("é in pieces")));
        assert_reply(&mut raw, 0, seq, "é in pieces");
    }

    assert_linear(arena);
}

/// The last bytes of a long frame cost a server as much as its first ones. With quadratic work,
/// the last eighth would cost fifteen times the first.
fn assert_linear(arena: &Arena) {
    const EIGHTH: usize = 20_000;
    let others = usage::own().tasks();
    let server = Server::builder().on::<Echo>(|text, _| Ok(text));
    let server = server.bind((arena.transport.listen)()).and_then(Server::spawn).expect("a server");
    let mut raw = Raw::new(raw::connect(server.address()).expect("a connection"));
    raw.shake_hands();
    let new = |task: &Task| others.iter().all(|other| other.id != task.id);
    let cpu =
        || -> Duration { usage::own().tasks().into_iter().filter(new).map(|task| task.cpu).sum() };

    let text = "x".repeat(8 * EIGHTH);
    let call = raw::call::<Echo>(0, 1, &raw::text(&text));
    let mut costs = Vec::new();
    for eighth in call.chunks(EIGHTH) {
        let before = cpu();
        raw.dribble(eighth);
        costs.push(cpu() - before);
    }
    assert_reply(&mut raw, 0, 1, &text);
    let (first, last) = (costs[0].max(Duration::from_millis(5)), costs[7]);
    assert!(last < first * 6, "{costs:?}");
}

/// Row 10.
pub(crate) fn an_unknown_kind_is_skipped_if_it_may_be(arena: &Arena) {
    let unknown = FrameKind(0x7f);
    let mut raw = arena.peer();
    raw.send(&raw::frame(unknown, Flags::IGNORABLE, b"of a later version"));
    assert_echo(&mut raw, 0, 1, "after it");

    raw.send(&raw::frame(unknown, Flags::default(), b"of a later version"));
    assert_eq!(raw.closed(), Ok(CloseCode::UNKNOWN_KIND));
}

/// Row 11.
pub(crate) fn an_unknown_action_costs_its_call_only(arena: &Arena) {
    let mut raw = arena.peer();
    raw.send(&raw::call::<Square>(0, 1, &[3]));
    let refusal = raw.answer().refusal();
    assert_eq!((refusal.code, refusal.ran), (RefusalCode::UNKNOWN_ACTION, Ran::No));
    assert_echo(&mut raw, 0, 2, "after it");

    let client = arena.client();
    let error = client.run::<Opt>(Some(1)).expect_err("no such action");
    assert_eq!(error.problem().map(|p| p.kind()), Some(ProblemKind::UnknownAction));
    assert!(error.to_string().contains("`Opt`"), "{error}");
    assert!(client.run::<Echo>("after it").is_ok());
}
