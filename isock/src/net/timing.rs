//! How long quick handlers take, with few looks at the clock: a look takes as long as many of them.
//!
//! Runs of one action that follow each other are timed together, for as long as the system's clock has
//! not ticked meanwhile, which is cheap to see. So what one of them takes by surprise is noticed
//! within a tick. Does not know what runs.

use super::event_loop::Pace;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::sys::{between_ticks, tick};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Ticks that are further apart are of no use: other connections would wait for too long.
pub(super) const TICK: Duration = Duration::from_millis(4);
/// Runs that are timed together at most.
const RUNS: u32 = 16;
/// Looks for a moment between two ticks: one is enough, unless the processor is taken away meanwhile.
const LOOKS: u32 = 16;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn tick() -> Option<u64> {
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn between_ticks() -> Option<u64> {
    None
}

/// Ticks of the system, if they can be gone by: one of them, and what it is no later than until the next
/// one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks(Option<(u64, Instant)>);

impl Ticks {
    pub(super) fn of_the_system() -> Ticks {
        let apart = between_ticks().map(Duration::from_nanos);
        Ticks(apart.filter(|apart| *apart <= TICK).and_then(|_| (0..LOOKS).find_map(Ticks::look)))
    }

    /// Looks at both clocks; nothing if a tick has come between: it can have been many.
    fn look(_: u32) -> Option<(u64, Instant)> {
        let (first, moment) = (tick()?, Instant::now());
        (tick() == Some(first)).then_some((first, moment + TICK))
    }

    /// The last one, if they can be gone by.
    #[inline]
    pub(super) fn last(&self) -> Option<u64> {
        self.0.and_then(|_| tick())
    }

    /// What it is no later than until the next one comes, and less than two of them before it is.
    fn at_most(&self, last: Option<u64>) -> Option<Instant> {
        let ((first, at_most), last) = self.0.zip(last)?;
        Some(at_most + Duration::from_nanos(last.saturating_sub(first)))
    }
}

/// Handlers that run one after the other.
#[derive(Debug)]
pub(super) struct Timing {
    ticks: Ticks,
    /// When they began, and for how long they may run.
    began: Instant,
    longest: Duration,
    /// They have, as far as has been seen.
    is_over: bool,
    /// The last look at the clock, and the tick before it.
    looked: Instant,
    /// It is no later than this.
    at_most: Instant,
    tick: Option<u64>,
    /// Those that have run since.
    runs: u32,
}

impl Timing {
    /// The first one is about to begin. It was read after `heard`, up to a tick ago, and reading it
    /// counts as its time: that saves a look at the clock.
    pub(super) fn begin(ticks: Ticks, longest: Duration, heard: Instant) -> Timing {
        let tick = ticks.last();
        let (looked, at_most) = match ticks.at_most(tick) {
            // Not from then on: to understand what was read can have taken longer than ticks do.
            Some(at_most) => (heard, at_most),
            None => {
                let now = Instant::now();
                (now, now)
            }
        };
        let (began, is_over) = (looked, false);
        Timing { ticks, began, longest, is_over, looked, at_most, tick, runs: 0 }
    }

    /// The time, or up to two ticks later.
    pub(super) fn at_most(&self) -> Instant {
        self.at_most
    }

    /// Whether they have been running for long enough, as far as has been seen.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn looked_at(&mut self, now: Instant) {
        self.looked = now;
        self.is_over = now.saturating_duration_since(self.began) >= self.longest;
        self.at_most = if self.ticks.0.is_some() { now + TICK } else { now };
    }

    /// One more has run, or was refused.
    pub(super) fn note(&mut self, ran: bool) {
        self.runs += u32::from(ran);
    }

    /// Another one follows: looks at the clock if that is due.
    pub(super) fn go_on(&mut self, pace: &Arc<dyn Pace>) {
        if self.runs >= RUNS || self.tick.is_none() || self.ticks.last() != self.tick {
            self.look(pace);
        }
    }

    /// There is nothing more to run.
    pub(super) fn end(self, pace: &Arc<dyn Pace>) {
        if self.runs > 0 {
            self.take(Instant::now(), pace);
        }
    }

    /// Looks at the clock, and takes those into account that have run.
    pub(super) fn look(&mut self, pace: &Arc<dyn Pace>) {
        self.tick = self.ticks.last();
        let now = Instant::now();
        self.take(now, pace);
        self.looked_at(now);
        self.runs = 0;
    }

    fn take(&self, now: Instant, pace: &Arc<dyn Pace>) {
        if self.runs > 0 {
            pace.took(now.saturating_duration_since(self.looked), self.runs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program has one look at the ticks for all its time: it must be as good years later.
    #[test]
    fn what_runs_first_begins_no_later_than_is_said_however_long_reading_has_taken() {
        let ticks = Ticks::of_the_system();
        for read_for in [0, 1, 9, 10_000].map(Duration::from_millis) {
            let Some(heard) = Instant::now().checked_sub(read_for) else { continue };
            let before = Instant::now();
            let timing = Timing::begin(ticks, TICK, heard);
            let (at_most, after) = (timing.at_most(), Instant::now());
            assert!(before <= at_most, "{read_for:?}: {:?} too early", before - at_most);
            assert!(at_most <= after + 2 * TICK, "{read_for:?}: {:?} late", at_most - after);
        }
    }
}
