//! When a workload ends: after a time, or after a number of calls.

use std::time::{Duration, Instant};

/// How much a client shall do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// As much as fits in this time.
    Time(Duration),
    /// This many calls; used where system calls are counted.
    Calls(u64),
}

impl Limit {
    /// Reads `1.5s` or `3000calls`.
    pub fn parse(text: &str) -> Option<Limit> {
        if let Some(calls) = text.strip_suffix("calls") {
            return calls.parse().ok().map(Limit::Calls);
        }
        let seconds = text.strip_suffix('s')?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok().map(Limit::Time)
    }

    /// What to run unmeasured before this: a fifth of the time, or a fixed number of calls.
    pub fn warm_up(self) -> Limit {
        match self {
            Limit::Time(time) => Limit::Time(time / 5),
            Limit::Calls(_) => Limit::Calls(64),
        }
    }

    /// An equal part of this limit, one of `parts`.
    pub fn part(self, parts: u32) -> Limit {
        match self {
            Limit::Time(time) => Limit::Time(time / parts),
            Limit::Calls(calls) => Limit::Calls(calls / u64::from(parts)),
        }
    }
}

/// A limit being used up.
pub struct Quota {
    limit: Limit,
    started: Instant,
    done: u64,
}

impl Quota {
    /// Starts now.
    pub fn new(limit: Limit) -> Quota {
        Quota { limit, started: Instant::now(), done: 0 }
    }

    /// Counts `calls` finished calls; true while there is more to do.
    #[inline]
    pub fn spend(&mut self, calls: u64) -> bool {
        self.spend_at(calls, Instant::now)
    }

    /// As [`Quota::spend`], with the time from the caller, who often has it already.
    #[inline]
    pub fn spend_at(&mut self, calls: u64, now: impl FnOnce() -> Instant) -> bool {
        self.done += calls;
        match self.limit {
            Limit::Time(time) => now().duration_since(self.started) < time,
            Limit::Calls(calls) => self.done < calls,
        }
    }

    /// The calls counted so far.
    pub fn done(&self) -> u64 {
        self.done
    }
}
