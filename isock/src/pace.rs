//! How long an action usually takes: quick ones run where they were read.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Below this an action is quick.
const QUICK: Duration = Duration::from_micros(200);
/// Below this it is short: quicker where it was read than on a worker, if nobody else is kept waiting.
const SHORT: Duration = Duration::from_millis(1);
/// What a run that held the loop up counts as.
const HELD_UP: Duration = Duration::from_millis(100);
/// Nothing is known yet.
const UNKNOWN: u64 = u64::MAX;
/// It makes calls of its own: however quick they are, the loop must not wait for them.
const BLOCKS: u64 = u64::MAX - 1;

/// A running mean, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Pace(AtomicU64);

impl Default for Pace {
    fn default() -> Pace {
        Pace(AtomicU64::new(UNKNOWN))
    }
}

impl Pace {
    /// Whether it is known to be quick.
    pub(crate) fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) < QUICK.as_nanos() as u64
    }

    /// Whether it is known to be over soon.
    pub(crate) fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed) < SHORT.as_nanos() as u64
    }

    /// Takes a run into account. Two runs that end at once may count as one.
    pub(crate) fn note(&self, took: Duration) {
        let took = took.as_nanos() as u64;
        let mean = match self.0.load(Ordering::Relaxed) {
            BLOCKS => return,
            UNKNOWN => took,
            mean => mean - mean / 8 + took / 8,
        };
        self.0.store(mean, Ordering::Relaxed);
    }

    /// The same of some runs that have taken so long together.
    pub(crate) fn note_runs(&self, took: Duration, runs: u32) {
        // A division takes longer than a short call's way through here.
        let each = if runs == 1 { took } else { took / runs };
        (0..runs).for_each(|_| self.note(each));
    }

    /// It waits for connections, and is never quick again.
    pub(crate) fn blocks(&self) {
        self.0.store(BLOCKS, Ordering::Relaxed);
    }

    /// A run has held others up. It is slow at once and not by and by: else a convoy behind one
    /// lock holds them up call by call.
    pub(crate) fn held_up(&self) {
        if self.0.load(Ordering::Relaxed) != BLOCKS {
            self.0.store(HELD_UP.as_nanos() as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_quick_once_it_has_been() {
        let pace = Pace::default();
        assert!(!pace.is_quick());
        pace.note(Duration::from_micros(10));
        assert!(pace.is_quick());
    }

    #[test]
    fn an_action_that_is_not_quick_may_be_short() {
        let pace = Pace::default();
        assert!(!pace.is_short());
        pace.note(QUICK);
        assert!(pace.is_short() && !pace.is_quick());
        pace.held_up();
        assert!(!pace.is_short());
    }

    #[test]
    fn runs_that_are_noted_together_count_one_by_one() {
        let (one, all) = (Pace::default(), Pace::default());
        (0..5).for_each(|_| one.note(Duration::from_micros(300)));
        all.note_runs(Duration::from_micros(1500), 5);
        assert_eq!(one.0.load(Ordering::Relaxed), all.0.load(Ordering::Relaxed));
    }

    #[test]
    fn what_waits_for_connections_is_never_quick_again() {
        let pace = Pace::default();
        pace.blocks();
        (0..1000).for_each(|_| pace.note(Duration::ZERO));
        assert!(!pace.is_quick());
    }

    #[test]
    fn one_surprise_makes_it_slow_and_many_quick_runs_quick_again() {
        let pace = Pace::default();
        pace.note(Duration::from_micros(10));
        pace.held_up();
        assert!(!pace.is_quick());
        let runs = (1..).find(|_| {
            pace.note(Duration::from_micros(10));
            pace.is_quick()
        });
        assert!(runs.is_some_and(|runs| (20..100).contains(&runs)), "{runs:?}");
    }
}
