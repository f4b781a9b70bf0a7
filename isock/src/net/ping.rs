//! Pings that somebody waits for.
//!
//! Knows when each left and who waits. Does not know what carries them.

use super::pending::{Ended, Pending, Waiter};
use crate::{
    proto::{Closed, Connection},
    wire::{Block, Ran},
};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// Between two pings of one connection, so that however often somebody asks the other side never takes
/// it for a flood.
const BETWEEN: Duration = Duration::from_millis(10);

/// A ping as its caller sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Echo {
    pub(super) pending: Arc<Pending>,
    took: Arc<OnceLock<Duration>>,
}

/// How a ping ended.
#[derive(Debug)]
pub(crate) enum Pinged {
    /// It was answered after this long.
    After(Duration),
    /// Not in time.
    Late,
    /// The connection ended first.
    Lost(Closed),
}

impl Echo {
    pub(super) fn ended(&self, ended: Option<Ended>) -> Pinged {
        match (ended, self.took.get()) {
            (Some(Ended::Lost(_, closed)), _) => Pinged::Lost(closed),
            (Some(_), Some(took)) => Pinged::After(*took),
            _ => Pinged::Late,
        }
    }
}

/// When the next ping of a connection may leave.
#[derive(Debug, Default)]
pub(super) struct Rhythm(Mutex<Option<Instant>>);

impl Rhythm {
    /// Takes the next turn, and says when it is.
    pub(super) fn turn(&self) -> Instant {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + BETWEEN);
        turn
    }

    /// Waits for the next turn; false if it comes after the deadline.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let turn = self.turn().min(deadline);
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
        turn < deadline
    }
}

/// The pings that are under way on one connection.
#[derive(Debug, Default)]
pub(super) struct Pings {
    /// The connection's own have the number 0.
    last: u64,
    waiting: Vec<(u64, Instant, Echo)>,
}

impl Pings {
    pub(super) fn start(&mut self, proto: &mut Connection, echo: Echo) {
        self.last += 1;
        proto.ping(self.last);
        self.waiting.push((self.last, Instant::now(), echo));
    }

    /// Forgets a ping that nobody waits for any more.
    pub(super) fn forget(&mut self, echo: &Echo) {
        self.waiting.retain(|(_, _, known)| !Arc::ptr_eq(&known.took, &echo.took));
    }

    pub(super) fn answered(&mut self, number: u64, now: Instant, woken: &mut Vec<Waiter>) {
        let Some(at) = self.waiting.iter().position(|(known, ..)| *known == number) else { return };
        let (_, left, echo) = self.waiting.swap_remove(at);
        // Nobody else has its number.
        let _ = echo.took.set(now.saturating_duration_since(left));
        woken.extend(echo.pending.end(Ended::Value(Block::default())));
    }

    pub(super) fn lost(&mut self, closed: &Closed, woken: &mut Vec<Waiter>) {
        for (.., echo) in self.waiting.drain(..) {
            woken.extend(echo.pending.end(Ended::Lost(Ran::No, closed.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_keep_a_distance_that_no_peer_takes_for_a_flood() {
        let rhythm = Rhythm::default();
        let first = rhythm.turn();
        let last = (0..100).map(|_| rhythm.turn()).last().unwrap();
        assert!(last.duration_since(first) >= Duration::from_secs(1));
        assert!(!rhythm.wait(Instant::now()), "the next turn is later");
    }
}
