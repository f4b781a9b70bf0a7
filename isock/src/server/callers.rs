//! Whether there is more than one caller at a time.
//!
//! Knows which connections are heard, and slots. Does not know actions or how long they take.

use crate::net::ConnId;
use std::time::{Duration, Instant};

/// Who has called within this time may call again.
const LATELY: Duration = Duration::from_millis(100);

/// Who has been heard lately.
#[derive(Debug, Default)]
pub(super) struct Callers {
    last: Option<ConnId>,
    /// When there was more than one of them.
    crowded: Option<Instant>,
}

impl Callers {
    /// A connection has sent something.
    pub(super) fn heard(&mut self, connection: ConnId, now: Instant) {
        if self.last.replace(connection) != Some(connection) {
            self.crowded = Some(now);
        }
    }

    /// It calls on this slot. Who waits for one call before the next has them all on the lowest.
    pub(super) fn called(&mut self, slot: u16, now: Instant) {
        if slot > 0 {
            self.crowded = Some(now);
        }
    }

    /// Whether there has been one caller for a while.
    pub(super) fn are_one(&self, now: Instant) -> bool {
        self.crowded.is_none_or(|at| now.saturating_duration_since(at) >= LATELY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_one_when_nobody_else_was_heard_for_a_while() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        let [one, other] = [1, 2].map(ConnId::for_tests);
        callers.heard(one, now);
        assert!(!callers.are_one(now), "nothing is known of the others");
        let later = now + LATELY;
        callers.heard(one, later);
        assert!(callers.are_one(later));
        callers.heard(other, later);
        callers.heard(one, later);
        assert!(!callers.are_one(later));
        assert!(callers.are_one(later + LATELY));
    }

    #[test]
    fn calls_at_the_same_time_are_of_several_callers() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        callers.heard(ConnId::for_tests(1), now);
        let later = now + LATELY;
        callers.called(0, later);
        assert!(callers.are_one(later));
        callers.called(1, later);
        callers.called(0, later);
        assert!(!callers.are_one(later), "they share a connection");
        assert!(callers.are_one(later + LATELY));
    }
}
