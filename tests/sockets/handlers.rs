//! Handlers that go wrong, and what the caller sees of it.

use crate::arena::{Arena, Runs, LOOPS, WORKERS};
use isock::{
    wire::{Ran, RefusalCode},
    Action, Limits, ProblemKind, ServerBuilder,
};
use isock_tests::{
    actions::{Blob, Boom, Echo, Peek},
    gate::Gate,
    memory, raw, usage,
};
use serde::{ser::SerializeSeq, Deserialize, Deserializer, Serialize, Serializer};
use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Mutex, PoisonError,
};

/// Panics while it holds a lock that others want too.
#[derive(Action)]
#[action(input = String)]
struct BoomLocked;

/// A gibibyte, if anybody took it.
#[derive(Action)]
#[action(output = Gibibyte, kind = read)]
struct Flood;

static LOCK: Mutex<u32> = Mutex::new(0);

pub(crate) fn serve(server: ServerBuilder, runs: &Runs, gate: &Gate) -> ServerBuilder {
    let (runs, gate) = (runs.clone(), gate.clone());
    server
        .on::<Boom>(|text, _| panic!("{text}"))
        .on::<BoomLocked>(|text, _| {
            let mut count = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            panic!("{text}")
        })
        .on::<Flood>(|(), _| Ok(Gibibyte { pieces: (1 << 30) / PIECE }))
        .on::<Blob>(|bytes, _| Ok(bytes))
        .on::<Peek>(move |number, _| {
            runs.add();
            gate.pass();
            Ok(number)
        })
}

/// Row 57.
pub(crate) fn ten_thousand_panics(arena: &Arena) {
    const SECRET: &str = "the password is 12345";
    let (rounds, slots) = (20, Limits::default().in_flight);
    let mut raw = arena.peer();
    let mut threads = Vec::new();
    for seq in 1..=rounds {
        let input = raw::text(SECRET);
        let call = |slot| match slot % 2 {
            0 => raw::call::<Boom>(slot, seq, &input),
            _ => raw::call::<BoomLocked>(slot, seq, &input),
        };
        raw.send(&(0..slots).flat_map(call).collect::<Vec<u8>>());
        for _ in 0..slots {
            let refusal = raw.answer().refusal();
            assert_eq!((refusal.code, refusal.ran), (RefusalCode::PANICKED, Ran::Yes));
        }
        threads.push(server_threads());
    }
    let came =
        raw.received.windows(8).any(|bytes| SECRET.as_bytes().windows(8).any(|s| s == bytes));
    assert!(!came, "the text of a panic was sent");
    let panics = rounds as usize * usize::from(slots);
    assert!(panics >= 10_000);
    assert_eq!(arena.logged.load(Ordering::Relaxed), panics, "the operator reads of each");
    // Besides the workers: the server's own, its loops', their watchers; and one that a handler has
    // held up ends only when that does, while another one has its place.
    let most = WORKERS + 2 + 2 * LOOPS;
    assert!(threads.iter().all(|&threads| threads <= most), "{threads:?}");

    let mut locked = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(std::mem::take(&mut *locked) as usize, panics / 2, "each has had the lock");
    drop(locked);
    assert!(arena.client().run::<Echo>("after it").is_ok());
}

fn server_threads() -> usize {
    usage::own().tasks().iter().filter(|task| task.name.starts_with("isock")).count()
}

/// Row 60.
pub(crate) fn a_reply_of_a_gibibyte_stops_at_the_limit(arena: &Arena) {
    let limit = Limits::default().message;
    let client = arena.client();
    PIECES_TAKEN.store(0, Ordering::SeqCst);
    let before = memory::watch();
    let error = client.run::<Flood>(()).expect_err("too large");
    let grown = memory::peak() - before;
    assert_eq!(error.problem().map(|p| p.kind()), Some(ProblemKind::OutputTooLarge));
    assert_eq!(error.ran(), Ran::Yes);
    let taken = PIECES_TAKEN.load(Ordering::SeqCst) * PIECE;
    assert!(taken <= limit + PIECE, "{taken} bytes were encoded");
    // The encoded bytes, and once more while they grow.
    assert!(grown <= 3 * limit, "{grown} bytes of memory");
    assert!(client.run::<Echo>("after it").is_ok());
}

/// Encodes itself piece by piece, and never exists as a whole. It has the pieces that it was read
/// with, so that the check of its shape need not write a gibibyte.
#[derive(Debug)]
struct Gibibyte {
    pieces: usize,
}

const PIECE: usize = 64 * 1024;
static PIECES_TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Gibibyte {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let piece = isock::Bytes::from(vec![7; PIECE]);
        let mut sequence = serializer.serialize_seq(Some(self.pieces))?;
        for _ in 0..self.pieces {
            PIECES_TAKEN.fetch_add(1, Ordering::SeqCst);
            sequence.serialize_element(&piece)?;
        }
        sequence.end()
    }
}

impl<'de> Deserialize<'de> for Gibibyte {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Gibibyte, D::Error> {
        let pieces = Vec::<isock::Bytes>::deserialize(deserializer)?.len();
        Ok(Gibibyte { pieces })
    }
}
