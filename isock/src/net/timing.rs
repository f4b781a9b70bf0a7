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

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn tick() -> Option<u64> {
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn between_ticks() -> Option<u64> {
    None
}

/// Whether ticks of the system can be gone by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks(bool);

impl Ticks {
    pub(super) fn of_the_system() -> Ticks {
        Ticks(between_ticks().is_some_and(|apart| Duration::from_nanos(apart) <= TICK))
    }
}

/// The last one, if they can be gone by.
pub(super) fn last_tick(ticks: Ticks) -> Option<u64> {
    ticks.0.then(tick).flatten()
}

/// Handlers that run one after the other.
#[derive(Debug)]
pub(super) struct Timing {
    ticks: Ticks,
    /// For how long they may run.
    until: Instant,
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
        let (began, at_most) = match ticks.0 {
            true => (heard, heard + 2 * TICK),
            false => {
                let now = Instant::now();
                (now, now)
            }
        };
        let (until, tick) = (began + longest, last_tick(ticks));
        Timing { ticks, until, looked: began, at_most, tick, runs: 0 }
    }

    /// The time, or up to two ticks later.
    pub(super) fn at_most(&self) -> Instant {
        self.at_most
    }

    /// Whether they have been running for long enough, as far as has been seen.
    pub(super) fn is_over(&self) -> bool {
        self.looked >= self.until
    }

    fn looked_at(&mut self, now: Instant) {
        self.looked = now;
        self.at_most = if self.ticks.0 { now + TICK } else { now };
    }

    /// One more has run, or was refused.
    pub(super) fn note(&mut self, pace: &Arc<dyn Pace>, ran: bool) {
        self.runs += u32::from(ran);
        if self.runs >= RUNS || self.tick.is_none() || last_tick(self.ticks) != self.tick {
            self.look(pace);
        }
    }

    /// There is nothing more to run.
    pub(super) fn end(mut self, pace: &Arc<dyn Pace>) {
        if self.runs > 0 {
            self.look(pace);
        }
    }

    /// Looks at the clock, and takes those into account that have run.
    pub(super) fn look(&mut self, pace: &Arc<dyn Pace>) {
        let (tick, now) = (last_tick(self.ticks), Instant::now());
        if self.runs > 0 {
            pace.took(now.saturating_duration_since(self.looked), self.runs);
        }
        self.looked_at(now);
        (self.tick, self.runs) = (tick, 0);
    }
}
