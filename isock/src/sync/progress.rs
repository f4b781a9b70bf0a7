//! Whether something that was handed over has been taken or given up: one of the two, once.

use std::sync::atomic::{AtomicU8, Ordering};

/// Begins as neither.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU8);

/// Nobody has taken it.
const QUEUED: u8 = 0;
/// It has been taken.
const TAKEN: u8 = 1;
/// It was given up before it was taken.
const DROPPED: u8 = 2;

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress(AtomicU8::new(QUEUED))
    }

    /// Takes it; false if it was given up before.
    pub(crate) fn take(&self) -> bool {
        self.becomes(TAKEN)
    }

    /// Gives it up; false if it has been taken before.
    pub(crate) fn give_up(&self) -> bool {
        self.becomes(DROPPED)
    }

    fn becomes(&self, end: u8) -> bool {
        self.0.compare_exchange(QUEUED, end, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
