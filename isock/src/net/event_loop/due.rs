//! What a loop has to do by the clock: the timers of its connections, and its own.
//!
//! Knows when. Does not wait: whoever does asks what comes first.

use super::{EventLoop, Service};
use crate::{
    net::{accept::Accepting, flow::Look},
    wire::spare,
};
use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

/// How long items may wait for others of a burst.
const TICK: Duration = Duration::from_millis(1);
/// How often memory of long messages is released, and of many calls.
const QUIET: Duration = Duration::from_secs(1);
/// Timers whose memory is kept.
const TIMERS: usize = 1024;
/// Quick calls whose memory is kept.
const JOBS: usize = 256;

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl<S: Service> EventLoop<S> {
    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let own = [self.stopping.map(|stopping| stopping.until), self.tidy, self.bursts_at];
        let due = own.into_iter().fold(timer, sooner);
        self.listeners.iter().map(Accepting::retry_at).fold(due, sooner)
    }

    /// By the time of the last look at the sockets: what had come by then has been read, however
    /// long the process was stopped.
    pub(super) fn fire_timers(&mut self) {
        let now = self.looked;
        while let Some(&Reverse((at, id))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
            if let Some(conn) = conn {
                conn.timer = None;
                conn.handle_timeout(now, &self.service);
                self.flush(Instant::now(), id);
            }
        }
        // Every connection leaves its last timer behind, and a crowd a large heap.
        if self.timers.capacity() > TIMERS && self.timers.len() < TIMERS / 4 {
            self.timers.shrink_to(TIMERS);
        }
        for at in 0..self.listeners.len() {
            if self.listeners[at].retry_at().is_some_and(|when| when <= now) {
                self.accept(at);
            }
        }
    }

    /// Sends what streams have gathered that send a lot: a wake-up for each tick's worth of items,
    /// instead of one for each few of them.
    pub(super) fn look_at_bursts(&mut self) {
        if self.bursts_at.is_some_and(|at| at <= self.looked) {
            self.bursts_at = None;
            let mut bursts = std::mem::take(&mut self.bursts);
            bursts.retain(|(id, flow)| {
                self.touch(*id);
                self.get(*id).is_some_and(|conn| conn.settle_flow(flow, Look::Again))
            });
            self.bursts = bursts;
            self.has_been_busy();
        }
        if !self.bursts.is_empty() && self.bursts_at.is_none() {
            self.bursts_at = Some(self.looked + TICK);
        }
    }

    /// Releases what long messages have left behind, and many calls, a while after the first: those that
    /// come all the time ask for theirs again.
    pub(super) fn tidy_up(&mut self) {
        if !spare::is_held() && self.jobs.capacity() <= JOBS {
            self.tidy = None;
            return;
        }
        let now = Instant::now();
        if *self.tidy.get_or_insert(now + QUIET) <= now {
            self.tidy = None;
            self.jobs.shrink_to(JOBS);
            spare::release();
        }
    }
}
