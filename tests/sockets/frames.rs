//! Peers that begin well and go wrong later.

use crate::arena::Arena;
use isock::{
    proto::FRAGMENT,
    wire::{
        guard::decode_unguarded as decode, CloseCode, Flags, FrameKind, Header, Ran, RefusalCode,
        HEADER_LEN,
    },
    Client, Limits, ProblemKind, Server, ServerHandle,
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

/// The last pieces of a long frame, and of a long message, cost a server as much as the first ones.
/// Each piece is read before the next one is sent: bytes that lie there together cost one look.
fn assert_linear(arena: &Arena) {
    let others = usage::own().tasks();
    let server = Server::builder().on::<Echo>(|text, _| Ok(text));
    let server = server.bind((arena.transport.listen)()).and_then(Server::spawn).expect("a server");
    let mut linear = Linear { others, client: server.client(), server };

    let text = "x".repeat(FRAGMENT - 3);
    let call = raw::call::<Echo>(0, 1, &raw::text(&text));
    linear.assert(call.chunks(1).map(<[u8]>::to_vec).collect(), &text);

    let text = "x".repeat(Limits::default().message - 4);
    let input = raw::text(&text);
    let (first, rest) = input.split_at(1);
    let (begin, rest) = rest.split_at(STEPS);
    let (middle, end) = rest.split_at(rest.len() - STEPS);
    let mut pieces = vec![raw::begun_call::<Echo>(0, 1, first, input.len() as u32)];
    let chunks = begin.chunks(1).chain(middle.chunks(FRAGMENT)).chain(end.chunks(1));
    pieces.extend(chunks.map(|chunk| raw::more(0, 1, Flags::MORE, chunk)));
    let last = pieces.last_mut().expect("there are many");
    *last = raw::more(0, 1, Flags::default(), &end[STEPS - 1..]);
    linear.assert(pieces, &text);
}

/// Pieces that are sent one by one, at the beginning and at the end.
const STEPS: usize = 300;

struct Linear {
    /// Threads of others.
    others: Vec<Task>,
    server: ServerHandle,
    client: Client,
}

impl Linear {
    /// A machine that is busy with others makes one of three runs dear, and hardly all of them.
    fn assert(&mut self, pieces: Vec<Vec<u8>>, text: &str) {
        let costs: Vec<_> = (0..3).map(|_| self.first_and_last(&pieces, text)).collect();
        assert!(costs.iter().any(|(first, last)| *last * 5 < *first * 7), "{costs:?}");
    }

    fn first_and_last(&self, pieces: &[Vec<u8>], text: &str) -> (Duration, Duration) {
        let mut raw = Raw::new(raw::connect(self.server.address()).expect("a connection"));
        raw.shake_hands();
        let (begin, rest) = pieces.split_at(STEPS);
        let (middle, end) = rest.split_at(rest.len() - STEPS);
        let first = self.cost_of(&mut raw, begin);
        raw.send(&middle.concat());
        self.cost_of(&mut raw, &[]);
        // The reply is not among the costs of the last ones.
        let (last, complete) = end.split_at(STEPS - 1);
        let cost = self.cost_of(&mut raw, last);
        raw.send(&complete.concat());
        assert!(self.client.run::<Echo>("after it").is_ok());
        assert_eq!(whole_text(&mut raw).len(), text.len());
        (first, cost)
    }

    fn cost_of(&self, raw: &mut Raw, pieces: &[Vec<u8>]) -> Duration {
        let step = || assert!(self.client.run::<Echo>("a turn of the loop").is_ok());
        (0..20).for_each(|_| step());
        let before = self.tasks();
        for piece in pieces {
            raw.send(piece);
            step();
        }
        // A thread that has ended meanwhile had nothing to do.
        let spent = self.tasks().into_iter().map(|task| {
            let known = before.iter().find(|known| known.id == task.id);
            task.cpu - known.map_or(Duration::ZERO, |known| known.cpu)
        });
        spent.sum()
    }

    fn tasks(&self) -> Vec<Task> {
        let new = |task: &Task| self.others.iter().all(|other| other.id != task.id);
        usage::own().tasks().into_iter().filter(new).collect()
    }
}

/// The text that comes back, in as many frames as it needs.
fn whole_text(raw: &mut Raw) -> String {
    let mut bytes = Vec::new();
    loop {
        let frame = raw.answer();
        bytes.extend_from_slice(&frame.payload);
        if !frame.header.flags.has(Flags::MORE) {
            return decode(&bytes).expect("a text");
        }
    }
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
