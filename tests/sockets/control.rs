//! Peers that keep a server busy with nothing, or leave unread what it says.

use crate::arena::{Arena, WORKERS};
use isock::{
    proto::FRAGMENT,
    wire::{CloseCode, Flags, FrameKind, Ran, RefusalCode, Settings},
    Action, Bytes, Limits, ServerBuilder,
};
use isock_tests::{
    actions::{Echo, Square},
    memory, raw,
    waiting::{ms, pass, within},
};
use std::time::{Duration, Instant};

/// So many bytes.
#[derive(Action)]
#[action(input = u32, output = Bytes, kind = read)]
pub(crate) struct Large;

pub(crate) fn serve(server: ServerBuilder) -> ServerBuilder {
    server.on::<Large>(|len, _| Ok(Bytes(vec![7; len as usize])))
}

/// The limits of row 25: what is left unread for three tenths of a second is too much.
pub(crate) fn unread() -> Limits {
    Limits::default().output_stall(STALL)
}

/// The limits of row 24: the same, with few enough answers to read them all in the last second.
pub(crate) fn unread_and_short() -> Limits {
    unread().output_soft(SOFT)
}

const SOFT: usize = 256 * 1024;

const STALL: Duration = ms(300);
/// What the other parts of a test may take meanwhile, in bytes.
const SLACK: usize = 64 * 1024;

/// Row 21. Each ping has its answer, in order; the answers leave together, and their number is
/// bounded.
pub(crate) fn a_flood_of_pings_is_ended(arena: &Arena) {
    let flood = raw::frame(FrameKind::PING, Flags::default(), &[7; 8]).repeat(1000);
    let mut raw = arena.peer();
    let before = memory::watch();
    let began = Instant::now();
    let sent = (0..1000).take_while(|_| raw.try_send(&flood).is_ok()).count();
    assert!(sent < 1000, "a million of them were taken");
    let (mut pongs, mut code) = (0, None);
    while let Some(frame) = raw.frame() {
        match frame.header.kind {
            FrameKind::PONG => pongs += 1,
            kind => code = Some((kind, frame)),
        }
    }
    let (kind, frame) = code.expect("a reason");
    assert_eq!((kind, frame.close_code()), (FrameKind::CLOSE, CloseCode::FLOOD));
    // A hundred a second, for ten seconds or at once.
    let most = 1000 + 100 * (began.elapsed().as_secs() as usize + 1);
    assert!((1000..=most).contains(&pongs), "{pongs} answers");
    let grown = memory::peak().saturating_sub(before);
    assert!(grown <= 4 * SLACK, "{grown} bytes");
}

/// Row 22.
pub(crate) fn a_flood_of_settings_is_ended(arena: &Arena) {
    let settings = raw::settings(Settings::default());
    let mut raw = arena.peer();
    raw.send(&settings.repeat(4));
    raw.send(&raw::call::<Echo>(0, 1, &raw::text("work in between")));
    assert_eq!(raw.answer().header.kind, FrameKind::REPLY);
    raw.send(&settings.repeat(4));
    raw.send(&raw::frame(FrameKind::PING, Flags::default(), &[1; 8]));
    assert_eq!(raw.answer().header.kind, FrameKind::PONG, "four are none too many");
    raw.send(&settings);
    assert_eq!(raw.closed(), Ok(CloseCode::FLOOD));

    let mut raw = arena.peer();
    let flood = settings.repeat(1000);
    let sent = (0..1000).take_while(|_| raw.try_send(&flood).is_ok()).count();
    assert!(sent < 1000, "a million of them were taken");
    assert_eq!(raw.closed(), Ok(CloseCode::FLOOD));
}

/// Row 24. Calls whose number has passed: each costs an answer, which its caller does not read.
pub(crate) fn bad_calls_by_a_peer_that_never_reads(arena: &Arena) {
    let stale = raw::call::<Square>(0, 1, &[3]).repeat(10_000);
    let mut raw = arena.peer();
    // TCP looks again after 200 ms whether there is room after all.
    raw.wait_at_most(STALL / 6);
    raw.keep_little();
    let before = memory::watch();
    let mut sent = 0;
    while let Ok(n) = raw.try_send(&stale) {
        sent += n;
        assert!(sent < 64 << 20, "reading has not stopped");
    }
    let grown = memory::peak().saturating_sub(before);
    // The output has room for twice as much, and for a moment for both; and there is what is read.
    assert!(grown <= 8 * SOFT, "{grown} bytes for {sent} bytes of calls");
    // It does not take the rest either: whether its last words still find room is the system's.
    raw.wait_at_most(Duration::from_secs(20));
    pass(2 * STALL);
    raw.ends();
    assert!(within(ms(2000), || arena.server.held_bytes() == 0), "it is held on to");
}

/// Row 25.
pub(crate) fn replies_that_nobody_reads_are_bounded(arena: &Arena) {
    const MEBIBYTE: usize = 1 << 20;
    let hard = Limits::default().output_hard;
    let mut raw = arena.peer();
    let before = memory::watch();
    let input = length_of(MEBIBYTE as u32);
    let calls = (0..128).flat_map(|slot| raw::call::<Large>(slot, 1, &input));
    raw.send(&calls.collect::<Vec<u8>>());
    let began = Instant::now();
    let mut held = 0;
    while began.elapsed() < STALL / 2 {
        held = held.max(arena.server.held_bytes());
        pass(ms(1));
    }
    let grown = memory::peak().saturating_sub(before);
    assert!(held > MEBIBYTE, "{held} bytes wait: the attack has not come about");
    assert!(held <= hard + FRAGMENT + SLACK, "{held} bytes are held");
    // Each worker makes one more, which has twice the room while it grows.
    let making = WORKERS * 3 * MEBIBYTE;
    assert!(grown <= hard + FRAGMENT + making, "{grown} bytes of memory");

    pass(STALL * 4 / 3);
    let mut refused = 0;
    let closed = loop {
        let frame = raw.answer();
        match frame.header.kind {
            FrameKind::CLOSE => break frame.close_code(),
            FrameKind::REFUSAL => {
                let refusal = frame.refusal();
                assert_eq!((refusal.code, refusal.ran), (RefusalCode::OVERLOADED, Ran::Yes));
                refused += 1;
            }
            _ => {}
        }
    };
    assert_eq!(closed, CloseCode::NOT_READING, "{refused} were refused");
}

fn length_of(len: u32) -> Vec<u8> {
    let mut encoder = isock::wire::Encoder::new(usize::MAX);
    encoder.push(&len).expect("numbers encode");
    encoder.into_bytes()
}
