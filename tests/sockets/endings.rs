//! Peers that go away: at once, after their last word, or before their reply.

use crate::arena::Arena;
use isock::{
    wire::{FrameKind, VERSION},
    CallError, Client, Ran,
};
use isock_tests::{
    actions::{Blob, Echo, Peek},
    raw::{self, Raw, Then},
};
use signal_hook::consts::SIGPIPE;
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

/// Row 29. A Unix socket knows no reset: there they close.
pub(crate) fn thousands_come_and_go(arena: &Arena) {
    let began = Instant::now();
    let hello = raw::hello(VERSION, VERSION);
    for n in 0..5000 {
        let mut raw = arena.stranger();
        // Some of them begin well.
        raw.send(&hello[..[0, 1, 0, 20, 0, hello.len()][n % 6]]);
        raw.reset();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// Row 30.
pub(crate) fn whoever_has_said_all_still_gets_the_reply(arena: &Arena) {
    let call = raw::call::<Echo>(0, 1, &raw::text("a last word"));
    let mut at_once = arena.stranger();
    at_once.send(&[raw::hello(VERSION, VERSION), call.clone()].concat());
    at_once.finish();
    at_once.welcome();
    assert_last_reply(&mut at_once);

    let mut later = arena.peer();
    later.send(&call);
    later.finish();
    assert_last_reply(&mut later);

    let mut waiting = arena.peer();
    waiting.send(&raw::call::<Peek>(0, 1, &[42]));
    waiting.finish();
    arena.gate.wait_for(1);
    arena.gate.open();
    assert_eq!(waiting.answer().payload, [42]);
    assert!(waiting.frame().is_none_or(|frame| frame.header.kind == FrameKind::CLOSE));
    assert_eq!(arena.runs.take(), 1);
}

fn assert_last_reply(raw: &mut Raw) {
    let reply = raw.answer();
    assert_eq!((reply.header.kind, reply.header.seq), (FrameKind::REPLY, 1));
    assert_eq!(reply.payload, raw::text("a last word"));
    assert!(raw.frame().is_none_or(|frame| frame.header.kind == FrameKind::CLOSE));
}

/// Row 67.
pub(crate) fn writing_to_the_departed_is_an_error(arena: &Arena) {
    // Rust's programs begin with the signal ignored. From here on it would be seen.
    let signal = Arc::new(AtomicBool::new(false));
    let noted = signal_hook::flag::register(SIGPIPE, Arc::clone(&signal)).expect("a handler");

    // A server: replies of calls that end after their caller has gone, or while it goes.
    for gone in 1..=4 {
        departs_before_its_replies(arena, gone);
    }
    arena.gate.open();
    assert_eq!(arena.runs.take(), 4);
    assert!(arena.client().run::<Echo>("the server lives").is_ok());

    // A client: calls to a server that has closed right after its preface.
    let address = (arena.transport.answering)(raw::welcome(VERSION, (1, 1)), Then::Leave);
    let client = Client::builder().attempts(1).connect_lazy(address).expect("an address");
    for _ in 0..20 {
        match client.run::<Echo>("x".repeat(100_000)) {
            Err(CallError::Call(problem)) => assert_ne!(problem.ran(), Ran::Yes, "{problem}"),
            other => panic!("{other:?}"),
        }
    }
    signal_hook::low_level::unregister(noted);
    assert!(!signal.load(Ordering::SeqCst), "SIGPIPE has come");
}

/// Leaves replies unread, one of them held back until it has gone.
fn departs_before_its_replies(arena: &Arena, handlers: usize) {
    let mut raw = arena.peer();
    raw.send(&raw::call::<Peek>(0, 1, &[1]));
    // A handler that has not begun when its caller leaves does not begin.
    arena.gate.wait_for(handlers);
    for slot in 1..10 {
        raw.send(&raw::whole_call::<Blob>(slot, 1, &raw::bytes(&[7; 50_000])));
    }
}
