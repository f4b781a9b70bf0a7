//! Peers that say nothing, or stop in the middle.

use crate::{arena::Arena, prefaces::assert_refused};
use isock::{
    proto::FRAGMENT,
    wire::{CloseCode, Flags, FrameKind, HELLO_LEN, MAGIC, VERSION},
    Address, Limits,
};
use isock_tests::{
    actions::{Echo, Hold},
    memory,
    raw::{self, Raw},
    waiting::{ms, pass, within},
};
use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

/// Row 4, with the limit that is shipped.
pub(crate) fn a_preface_has_three_seconds(arena: &Arena) {
    const LIMIT: Duration = Duration::from_secs(3);
    let began = Instant::now();
    let mut silent = arena.stranger();
    let mut half = arena.stranger();
    half.send(&raw::hello(1, 1)[..20]);
    let mut slow = arena.stranger();
    let dribble = || {
        for byte in MAGIC {
            slow.send(&[byte]);
            if began.elapsed() >= LIMIT {
                break;
            }
            pass(ms(1000).min(LIMIT.saturating_sub(began.elapsed())));
        }
        assert_refused(&mut slow, CloseCode::HANDSHAKE_TIMEOUT);
        began.elapsed()
    };
    let ended = thread::scope(|scope| {
        let slow = scope.spawn(dribble);
        assert_refused(&mut silent, CloseCode::HANDSHAKE_TIMEOUT);
        let first = began.elapsed();
        assert_refused(&mut half, CloseCode::HANDSHAKE_TIMEOUT);
        [first, began.elapsed(), slow.join().expect("closed as the others")]
    });
    let in_time = LIMIT..LIMIT + ms(750);
    assert!(ended.iter().all(|ended| in_time.contains(ended)), "{ended:?}");
}

/// Row 5. On a Unix socket all of one user's connections come from one address.
pub(crate) fn the_silent_make_room_for_others(arena: &Arena) {
    const HELD: usize = 16;
    assert_strangers_cost_little(arena, HELD - 1);
    let mut silent: Vec<Raw> = (0..200).map(|_| arena.stranger()).collect();
    let mut held = silent.split_off(silent.len() - HELD);
    for raw in &mut silent {
        assert_refused(raw, CloseCode::DISPLACED);
    }

    let mut other = elsewhere(&arena.address());
    assert_eq!(other.shake_hands().version, 1, "another address connects");
    for raw in &mut held[1..] {
        assert_eq!(raw.shake_hands().version, 1, "sixteen are held");
    }
}

/// At most 4 KiB each, as long as their prefaces are not complete.
fn assert_strangers_cost_little(arena: &Arena, many: usize) {
    let other = arena.client();
    let before = memory::held();
    let begun = &raw::hello(VERSION, VERSION)[..HELLO_LEN - 1];
    let mut strangers: Vec<Raw> = (0..many).map(|_| arena.stranger()).collect();
    strangers.iter_mut().for_each(|raw| raw.send(begun));
    for _ in 0..20 {
        assert!(other.run::<Echo>("the server has read them meanwhile").is_ok());
    }
    let cost = || memory::held().saturating_sub(before);
    assert!(within(ms(1000), || cost() <= many * 4096), "{many} strangers cost {}", cost());
}

fn elsewhere(address: &Address) -> Raw {
    let another = Ipv4Addr::new(127, 0, 0, 2);
    let stream = match address.socket() {
        Some(_) => raw::connect_from(another, address),
        None => raw::connect(address.clone()),
    };
    Raw::new(stream.expect("a connection"))
}

/// The limits of row 8: the ten seconds in which no message need progress are three tenths.
pub(crate) fn impatient() -> Limits {
    Limits::default().message_stall(ms(300))
}

/// Row 8. The 8 MiB themselves would be closed after two minutes: a second for each 64 KiB.
pub(crate) fn an_announced_message_costs_what_has_come(arena: &Arena) {
    let announced = Limits::default().message as u32;
    for (received, peers) in [(10, 20), (100_000, 10), (3 * FRAGMENT, 4)] {
        let mut raws: Vec<Raw> = (0..peers).map(|_| arena.peer()).collect();
        let first = vec![7; received.min(FRAGMENT)];
        let before = memory::watch();
        raws.iter_mut().for_each(|raw| stall(raw, &first, received, announced));
        // What this side sends is gone again, but for one peer's at a time.
        let each = (memory::peak() - before).saturating_sub(first.len()) / peers;
        let most = 2 * received + FRAGMENT;
        assert!(each <= most, "{received} bytes received cost {each}");
    }

    let (header, total) = (16 + 16, 64 * 1024 + 1);
    let patience = ms(300 + 1000);
    assert_stalled(arena, &raw::begun_call::<Hold>(0, 1, &[0; 10], total), patience);
    let frame = raw::call::<Hold>(0, 1, &[0; 1000]);
    assert_stalled(arena, &frame[..header + 10], ms(300));
    assert_stalled(arena, &frame[..3], ms(300));
}

/// Sends so much of a message, in fragments, and waits until the server has it.
fn stall(raw: &mut Raw, first: &[u8], received: usize, announced: u32) {
    raw.send(&raw::begun_call::<Hold>(0, 1, first, announced));
    for _ in 1..received.div_ceil(FRAGMENT) {
        raw.send(&raw::more(0, 1, Flags::MORE, first));
    }
    raw.send(&raw::frame(FrameKind::PING, Flags::default(), &[1; 8]));
    assert_eq!(raw.answer().header.kind, FrameKind::PONG);
}

fn assert_stalled(arena: &Arena, begun: &[u8], patience: Duration) {
    let mut raw = arena.peer();
    let began = Instant::now();
    raw.send(begun);
    assert_eq!(raw.closed(), Ok(CloseCode::MESSAGE_STALLED));
    let took = began.elapsed();
    assert!((patience..patience + ms(500)).contains(&took), "{took:?} and not {patience:?}");
}
