//! Peers that say a call's number twice, out of turn or too often.

use crate::arena::{Arena, Runs};
use isock::{
    wire::{CloseCode, Flags, FrameKind, Ran, RefusalCode, INITIAL_SLOTS},
    Action, Limits, ServerBuilder,
};
use isock_tests::{
    actions::{Echo, Hold, Peek},
    gate::Gate,
    raw::{self, Raw},
    waiting::{eventually, ms},
};
use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Arc,
};

/// Waits at the gate, and counts who does so at once.
#[derive(Action)]
#[action(input = u32, output = u32)]
pub(crate) struct Inside;

/// How many handlers of [`Inside`] run, and how many have run at once.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<(AtomicUsize, AtomicUsize)>);

impl Crowd {
    fn enter(&self) {
        let now = self.0 .0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0 .1.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.0 .0.fetch_sub(1, Ordering::SeqCst);
    }

    /// The most that there have been.
    fn most(&self) -> usize {
        self.0 .1.load(Ordering::SeqCst)
    }
}

pub(crate) fn serve(
    server: ServerBuilder,
    runs: &Runs,
    gate: &Gate,
    crowd: &Crowd,
) -> ServerBuilder {
    let (runs, gate, crowd) = (runs.clone(), gate.clone(), crowd.clone());
    server.on::<Inside>(move |number, _| {
        runs.add();
        crowd.enter();
        gate.pass();
        crowd.leave();
        Ok(number)
    })
}

/// Everything that was sent has been read once this is answered.
fn is_read(raw: &mut Raw) {
    raw.send(&raw::frame(FrameKind::PING, Flags::default(), &[5; 8]));
    assert_eq!(raw.answer().header.kind, FrameKind::PONG);
}

fn assert_stale(raw: &mut Raw, slot: u16, seq: u32) {
    let frame = raw.answer();
    assert_eq!((frame.header.slot, frame.header.seq), (slot, seq));
    let refusal = frame.refusal();
    assert_eq!((refusal.code, refusal.ran), (RefusalCode::STALE, Ran::Unknown));
}

fn assert_reply(raw: &mut Raw, slot: u16, seq: u32) {
    let frame = raw.answer();
    let header = frame.header;
    assert_eq!((header.kind, header.slot, header.seq), (FrameKind::REPLY, slot, seq));
}

/// Row 13. Whatever a repeated call says, it is the one that runs.
pub(crate) fn a_call_that_runs_is_never_run_twice(arena: &Arena) {
    let mut raw = arena.peer();
    raw.send(&raw::call::<Peek>(0, 1, &[7]));
    arena.gate.wait_for(1);
    raw.send(&raw::call::<Peek>(0, 1, &[7]).repeat(100));
    raw.send(&raw::call::<Hold>(0, 1, &[8]));
    is_read(&mut raw);
    arena.gate.open();
    let reply = raw.answer();
    assert_eq!((reply.header.kind, reply.header.seq), (FrameKind::REPLY, 1));
    assert_eq!(reply.payload, [7], "the answer of the one that ran");
    // One final frame for all of them.
    is_read(&mut raw);
    assert_eq!((arena.gate.entered(), arena.runs.take()), (1, 1));
}

/// Row 14. Without sessions no answer is kept, and an earlier call may have run.
pub(crate) fn a_call_that_has_ended_is_stale_and_not_run_again(arena: &Arena) {
    let mut raw = arena.peer();
    for seq in 1..=5 {
        raw.send(&raw::call::<Hold>(3, seq, &[7]));
        assert_reply(&mut raw, 3, seq);
        raw.send(&raw::call::<Hold>(3, seq, &[7]).repeat(3));
        (0..3).for_each(|_| assert_stale(&mut raw, 3, seq));
    }
    assert_eq!(arena.runs.take(), 5);
}

/// Row 15.
pub(crate) fn what_is_out_of_turn_costs_its_call_and_what_was_not_granted_closes(arena: &Arena) {
    let grant = Limits::default().in_flight;
    let mut raw = arena.peer();
    let last = grant - 1;
    raw.send(&raw::call::<Hold>(last, 1, &[1]));
    assert_reply(&mut raw, last, 1);
    for seq in [0, 3, 4, 1000, u32::MAX] {
        raw.send(&raw::call::<Hold>(last, seq, &[1]));
        assert_stale(&mut raw, last, seq);
    }
    raw.send(&raw::call::<Hold>(last, 2, &[1]));
    assert_reply(&mut raw, last, 2);
    assert_eq!(arena.runs.take(), 2);
    for slot in [grant, u16::MAX] {
        let mut raw = arena.peer();
        raw.send(&raw::call::<Hold>(slot, 1, &[1]));
        assert_eq!(raw.closed(), Ok(CloseCode::BAD_SLOT), "{slot}");
    }
}

/// The limits of row 19: more threads than slots, so that it is slots that bound.
pub(crate) fn few_slots() -> Limits {
    Limits::default().in_flight(INITIAL_SLOTS)
}

/// Row 19.
pub(crate) fn whatever_is_cancelled_slots_bound_what_runs(arena: &Arena) {
    const OPENED: usize = 100_000;
    let slots = INITIAL_SLOTS;
    let call = |slot, seq| raw::call::<Inside>(slot, seq, &[1]);
    let cancel =
        |slot, seq| raw::frame_of_call(FrameKind::CANCEL, Flags::INITIATOR, (slot, seq), &[]);
    let all = |frame: &dyn Fn(u16) -> Vec<u8>| (0..slots).flat_map(frame).collect::<Vec<u8>>();

    // Handlers that do not hear of it go on, and keep their slots: there is none for another call.
    let mut raw = arena.peer();
    raw.send(&all(&|slot| call(slot, 1)));
    arena.gate.wait_for(usize::from(slots));
    raw.send(&all(&|slot| cancel(slot, 1)));
    is_read(&mut raw);
    raw.send(&call(0, 2));
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_SLOT));
    let mut raw = arena.peer();
    raw.send(&call(slots, 1));
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_SLOT));
    assert_eq!(arena.runs.take(), usize::from(slots));
    arena.gate.open();
    let at_rest = || arena.server.load().busy == 0;
    eventually("the handlers end", ms(5000), at_rest);

    let (mut raw, mut opened) = (arena.peer(), 0);
    for seq in 1.. {
        if opened >= OPENED {
            break;
        }
        raw.send(&all(&|slot| [call(slot, seq), cancel(slot, seq)].concat()));
        for _ in 0..slots {
            let kind = raw.answer().header.kind;
            assert!([FrameKind::REPLY, FrameKind::REFUSAL].contains(&kind), "{kind:?}");
        }
        opened += usize::from(slots);
    }
    eventually("the handlers end", ms(5000), at_rest);
    let (most, ran) = (arena.crowd.most(), arena.runs.take());
    assert!(most <= usize::from(slots), "{most} ran at once");
    assert!(ran <= opened, "{ran} ran of {opened}");
    raw.send(&raw::call::<Echo>(0, 0, &raw::text("x")));
    assert_eq!(raw.answer().refusal().code, RefusalCode::STALE);
}
