//! Peers that keep a server busy with nothing, or leave unread what it says.

use crate::arena::{Arena, WORKERS};
use isock::{
    proto::FRAGMENT,
    wire::{CloseCode, Flags, FrameKind, Ran, RefusalCode, Settings},
    Action, Bytes, Limits, ServerBuilder,
};
use isock_tests::{
    actions::{Echo, Square},
    memory,
    raw::{self, NotSent},
    waiting::{ms, pass, within},
};
use std::time::{Duration, Instant};

/// So many bytes.
#[derive(Action)]
#[action(input = u32, output = Bytes, kind = read)]
pub(crate) struct Large;

pub(crate) fn serve(server: ServerBuilder) -> ServerBuilder {
    server.on::<Large>(|len, _| Ok(Bytes::from(vec![7; len as usize])))
}

/// The limits of row 25: what is left unread for three tenths of a second is too much.
pub(crate) fn unread() -> Limits {
    Limits::default().output_stall(STALL)
}

/// The limits of row 24: time to see that reading has stopped, and few enough answers to read them all
/// in the last second.
pub(crate) fn unread_and_short() -> Limits {
    Limits::default().output_stall(LONG_STALL).output_soft(SOFT)
}

const SOFT: usize = 256 * 1024;

const STALL: Duration = ms(300);
const LONG_STALL: Duration = ms(2000);
/// What the other parts of a test may take meanwhile, in bytes.
const SLACK: usize = 64 * 1024;

/// Row 21. While an answer waits to leave, a further ping adds none: the newest is answered. So there
/// are no more answers than the loop had turns in which it took pings.
pub(crate) fn a_flood_of_pings_is_ended(arena: &Arena) {
    let ping = |n: u64| raw::frame(FrameKind::PING, Flags::default(), &n.to_le_bytes());
    let flood: Vec<u8> = (1..=1_000_000).flat_map(ping).collect();
    let mut raw = arena.peer();
    let before = memory::watch();
    let began = Instant::now();
    assert!(raw.try_send(&flood).is_err(), "a million of them were taken");
    let (mut pongs, mut code) = (Vec::new(), None);
    while let Some(frame) = raw.frame() {
        match frame.header.kind {
            FrameKind::PONG => {
                let number = frame.payload.try_into().expect("eight bytes");
                pongs.push(u64::from_le_bytes(number));
            }
            kind => code = Some((kind, frame)),
        }
    }
    let (kind, frame) = code.expect("a reason");
    assert_eq!((kind, frame.close_code()), (FrameKind::CLOSE, CloseCode::FLOOD));
    assert!(pongs.is_sorted_by(|a, b| a < b), "each answers a newer one: {pongs:?}");
    assert!(pongs.len() <= TURNS, "{} answers", pongs.len());
    // A hundred a second, for ten seconds or at once.
    let most = 1000 + 100 * (began.elapsed().as_secs() + 1);
    let last = pongs.last().copied();
    assert!(last.is_some_and(|last| (1000..=most).contains(&last)), "{last:?} is the last");
    let grown = memory::peak().saturating_sub(before);
    assert!(grown <= 4 * SLACK, "{grown} bytes");
}

/// In how many pieces a few ten thousand bytes may reach the server.
const TURNS: usize = 20;

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
    raw.wait_at_most(LONG_STALL / 20);
    raw.keep_little();
    let before = memory::watch();
    let mut sent = 0;
    loop {
        match raw.try_send(&stale) {
            // TCP looks again after 200 ms whether there is room after all.
            Err(NotSent::NotTaken(0)) if arena.server.held_bytes() >= SOFT => break,
            Ok(n) | Err(NotSent::NotTaken(n)) => sent += n,
            Err(NotSent::Gone(n)) => panic!("closed after {} bytes, and read till then", sent + n),
        }
        assert!(sent < 64 << 20, "reading has not stopped");
    }
    let grown = memory::peak().saturating_sub(before);
    let held = arena.server.held_bytes();
    // What is read at once beside the answers: the longest frame, and a batch behind it.
    assert!(held <= SOFT + 2 * FRAGMENT, "{held} bytes are held for {sent} bytes of calls");
    // The output has room for twice as much, and for a moment for both; and there is what is read.
    assert!(grown <= 8 * SOFT, "{grown} bytes for {sent} bytes of calls");

    let connected = || arena.server.connections().len();
    let with_it = connected();
    assert!(within(LONG_STALL * 2, || connected() < with_it), "it is held on to");
    match arena.transport.name {
        // The reason lies behind all that the system has taken for it, which may be too much to read
        // within the last second.
        "tcp" => raw.ends(),
        _ => assert_eq!(raw.closed(), Ok(CloseCode::NOT_READING)),
    }
    assert!(within(ms(2000), || arena.server.held_bytes() == 0), "its answers are kept");
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
    assert!(held <= hard + FRAGMENT, "{held} bytes are held");
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
