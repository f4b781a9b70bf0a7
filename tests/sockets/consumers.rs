//! Consumers that are slow, greedy or out of all proportion. There are no subscriptions yet: what
//! their rows say is shown by the streams that they will stand on.

use crate::{arena::Arena, streams::Upload};
use isock::{
    wire::{Credit, Flags, FrameKind, Ran},
    Action, Bytes, Failure, Limits, ProblemKind, ServerBuilder,
};
use isock_tests::{
    actions::Echo,
    memory,
    raw::{self, Raw},
    waiting::{ms, pass, within},
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Items of half a KiB, as long as somebody takes them.
#[derive(Action)]
#[action(stream = Bytes)]
struct Pour;

/// An item of so many bytes, and then a small one.
#[derive(Action)]
#[action(input = u32, stream = Bytes)]
struct Boulder;

/// How the handlers of [`Pour`] have ended.
static POURED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn poured() -> Vec<String> {
    std::mem::take(&mut POURED.lock().unwrap_or_else(PoisonError::into_inner))
}

const ITEM: usize = 512;

pub(crate) fn serve(server: ServerBuilder) -> ServerBuilder {
    server
        .on::<Pour>(|(), cx| {
            let end = (0..).find_map(|_| cx.send(Bytes::from(vec![7; ITEM])).err());
            let end = end.ok_or_else(|| Failure::new("it has no end"))?;
            POURED.lock().unwrap_or_else(PoisonError::into_inner).push(end.to_string());
            Err(end.into())
        })
        .on::<Boulder>(|len, cx| {
            let refused = cx.send(Bytes::from(vec![7; len as usize])).is_err();
            cx.send(Bytes::from(vec![u8::from(refused)]))?;
            Ok(())
        })
}

/// The limits of row 26: a consumer may rest for less than it takes to tell a slow one.
pub(crate) fn hasty() -> Limits {
    Limits::default().stream_idle(IDLE)
}

const IDLE: Duration = ms(700);
/// What a handler is told whose items rest for longer.
const TOOK_NONE: &str = "neither took nor sent an item in time";
/// What the other parts of a test may take meanwhile, in bytes.
const SLACK: usize = 128 * 1024;

/// Row 26, of a stream: one who takes a KiB a second is served at that pace for as long as it likes,
/// one who takes nothing is given up by the idle limit. Either costs a window.
pub(crate) fn a_slow_consumer_has_its_pace_and_costs_a_window(arena: &Arena) {
    let window = Limits::default().stream_window;
    let mut raw = arena.peer();
    poured();
    let before = memory::watch();
    let grant = Credit { bytes: window, items: 1024 };
    raw.send(&raw::stream_call::<Pour>(0, 1, &[], grant, false));
    let cost = ITEM + 2 + 4;
    let mut came = take(&mut raw, window as usize);
    let most = |granted: usize| granted + cost;
    assert!(came <= most(window as usize), "{came} bytes of a window of {window}");

    // Long enough for a handler that does not wait. The witness takes memory for as long as it calls.
    pass(ms(50));
    let grown = memory::peak().saturating_sub(before);
    // One window there, and one here, which is kept twice over while it grows.
    assert!(grown <= 4 * window as usize + SLACK, "{grown} bytes for a window of {window}");

    let mut granted = window as usize;
    for _ in 0..4 {
        pass(ms(500));
        let more = Credit { bytes: cost as u32, items: 1 };
        raw.send(&raw::credit(0, 1, Flags::INITIATOR, more));
        granted += cost;
        came += take(&mut raw, cost);
        assert!(came <= most(granted), "{came} bytes of {granted}");
        assert!(arena.server.held_bytes() <= window as usize + cost, "more than it was granted");
    }
    assert_eq!(poured(), [""; 0], "it is slow, and goes on");

    // Now it takes nothing any more, as another one never does.
    let client = arena.client();
    let mut unread = client.open::<Pour>(()).expect("an open call");
    let mut given_up = Vec::new();
    let both = within(4 * IDLE, || {
        assert!(client.run::<Echo>("beside").is_ok(), "the other calls of its own connection");
        given_up.append(&mut poured());
        given_up.len() == 2
    });
    assert!(both && given_up.iter().all(|end| end.contains(TOOK_NONE)), "{given_up:?}");
    let end = raw.answer();
    assert_eq!((end.header.kind, end.header.slot), (FrameKind::ERROR, 0));
    raw.send(&raw::call::<Echo>(0, 2, &raw::text("after it")));
    assert_eq!(raw.answer().header.kind, FrameKind::REPLY);
    let end = unread.by_ref().find_map(Result::err).expect("it has been given up too");
    assert!(end.to_string().contains(TOOK_NONE), "{end}");
}

/// Takes items until so many bytes of them have come.
fn take(raw: &mut Raw, bytes: usize) -> usize {
    let mut came = 0;
    while came < bytes {
        let frame = raw.answer();
        assert_eq!(frame.header.kind, FrameKind::ITEM, "{frame:?}");
        came += frame.payload.len();
    }
    came
}

/// Row 27, of streams: too many of them, a name without end, items larger than any message.
pub(crate) fn what_is_too_much_costs_its_call_only(arena: &Arena) {
    let limits = Limits::default();
    let client = arena.client();
    let mut streams: Vec<_> =
        (0..limits.streams + 1).map(|_| client.open::<Upload>(()).expect("an open call")).collect();
    let refused = streams.pop().expect("the last one").finish().expect_err("one too many");
    let problem = refused.problem().expect("no error of the action's own");
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::Overloaded, Ran::No), "{problem}");
    arena.gate.open();
    drop(streams);

    let name = "x".repeat(1 << 20);
    let problem = client.run_named(&name, Vec::<u8>::new()).expect_err("no such action");
    assert_eq!((problem.kind(), problem.ran()), (Some(ProblemKind::UnknownAction), Ran::No));
    let mut raw = arena.peer();
    raw.send(&raw::named_call("isock.describe", 0, 1, &raw::text(&name[..200_000])));
    let reply = raw.answer();
    assert!(reply.payload.len() < 64, "{} bytes", reply.payload.len());

    let huge = limits.message + 1;
    let stream = client.open::<Upload>(()).expect("an open call");
    let refused = stream.send(Bytes::from(vec![7; huge])).expect_err("longer than any message");
    assert_eq!(refused.kind(), Some(ProblemKind::InputTooLarge), "{refused}");
    stream.send(Bytes::from(vec![7])).expect("a small one");
    assert_eq!(stream.finish().expect("it goes on"), 1);

    let mut stream = client.open::<Boulder>(huge as u32).expect("an open call");
    let told = stream.next().expect("an item").expect("no error");
    assert_eq!((told.into_vec(), stream.count()), (vec![1], 0), "the huge one was refused");
    assert!(client.run::<Echo>("after it").is_ok());
    arena.runs.take();
}
