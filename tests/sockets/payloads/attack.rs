//! One value sent, and what is claimed of its answer and of its cost.

use crate::arena::Arena;
use isock::{
    proto::FRAGMENT,
    wire::{DecodeLimits, FrameKind, Ran, RefusalCode},
    Action,
};
use isock_tests::{
    actions::Echo,
    memory,
    raw::{self, Frame, Raw},
    usage,
};
use serde::{de::DeserializeOwned, Deserialize, Deserializer, Serialize, Serializer};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What is wrong with a value, and the word that the refusal has for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Too {
    Large,
    Deep,
    Short,
    Long,
    Odd,
}

/// A peer that sends one value after the other.
pub(super) struct Attack<'a> {
    arena: &'a Arena,
    raw: Raw,
    seq: u32,
}

/// What the threads besides the decoding one may hold meanwhile, in bytes.
const OTHERS: usize = 64 * 1024;
/// What serde reserves before the guard can see how large an element is, in bytes.
const UNSEEN: usize = 1 << 20;
/// What decoding may take of a thread.
const TIME: Duration = Duration::from_millis(20);

impl Attack<'_> {
    pub(super) fn on(arena: &Arena) -> Attack<'_> {
        let mut raw = arena.peer();
        // What the answers take is here before memory is counted.
        raw.received.reserve(64 * 1024);
        Attack { arena, raw, seq: 0 }
    }

    /// The call is refused, its handler does not run, and the connection lives.
    pub(super) fn refused<A: Action>(&mut self, input: &[u8], why: Too) {
        let answer = self.send::<A>(input).refusal();
        let name = A::INFO.name;
        assert_eq!((answer.code, answer.ran), (RefusalCode::UNDECODABLE, Ran::No), "{name}");
        assert!(why.is_told_by(&answer.text), "{name}, too {why:?}: {}", answer.text);
        assert_eq!(self.arena.runs.take(), 0, "{name} has run");
        self.still_works();
    }

    /// The handler runs once.
    pub(super) fn accepted<A: Action>(&mut self, input: &[u8]) {
        self.echoed::<A>(input);
    }

    /// The same; returns the value that comes back, encoded.
    pub(super) fn echoed<A: Action>(&mut self, input: &[u8]) -> Vec<u8> {
        let answer = self.send::<A>(input);
        assert_eq!(answer.header.kind, FrameKind::REPLY, "{}: {input:x?}", A::INFO.name);
        assert_eq!(self.arena.runs.take(), 1, "{}", A::INFO.name);
        answer.payload
    }

    fn send<A: Action>(&mut self, input: &[u8]) -> Frame {
        self.seq += 1;
        let call = raw::whole_call::<A>(0, self.seq, input);
        take_cost();
        let before = memory::watch();
        self.raw.send(&call);
        let answer = self.raw.answer();
        let all = memory::peak() - before;
        let (name, len) = (A::INFO.name, input.len());
        let cost = take_cost().unwrap_or_else(|| panic!("{name} was never decoded"));
        let budget = DecodeLimits::for_len(len).budget.max(UNSEEN);
        assert!(cost.peak <= budget, "{name}, {len} bytes: {cost:?}, more than {budget}");
        assert!(cost.time <= TIME, "{name}, {len} bytes: {cost:?}");
        // Where it is received as it is decoded: as section 2 of the limits has it.
        let most = budget + 2 * len + FRAGMENT + OTHERS;
        assert!(all <= most, "{name}, {len} bytes: the program held {all}");
        answer
    }

    fn still_works(&mut self) {
        self.seq += 1;
        self.raw.send(&raw::call::<Echo>(0, self.seq, &raw::text("after it")));
        let reply = self.raw.answer();
        assert_eq!((reply.header.kind, reply.header.seq), (FrameKind::REPLY, self.seq));
    }
}

impl Too {
    fn is_told_by(self, text: &str) -> bool {
        match self {
            Too::Large => text.contains("decode_budget"),
            Too::Deep => text.contains("nested deeper"),
            Too::Short => text.contains("ends before the value"),
            Too::Long => text.contains("follows the value"),
            Too::Odd => !text.is_empty(),
        }
    }
}

/// Measures on the spot what it costs to decode a `T`.
#[derive(Debug)]
pub(super) struct Measured<T>(pub(super) T);

#[derive(Clone, Copy, Debug)]
struct Cost {
    /// The most memory that the thread held for it at once, in bytes.
    peak: usize,
    /// Time on the processor.
    time: Duration,
}

static COST: Mutex<Option<Cost>> = Mutex::new(None);

fn take_cost() -> Option<Cost> {
    COST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<T: Serialize> Serialize for Measured<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Measured<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Measured<T>, D::Error> {
        let start = usage::thread_time();
        let (value, peak) = memory::of_thread(|| T::deserialize(deserializer));
        let cost = Cost { peak, time: usage::thread_time() - start };
        *COST.lock().unwrap_or_else(PoisonError::into_inner) = Some(cost);
        value.map(Measured)
    }
}
