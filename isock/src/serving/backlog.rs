//! How long a call would wait for a worker, learnt from how fast those before it were taken.
//!
//! Pure arithmetic: time is a parameter. Does not know calls, queues or threads.

use std::time::{Duration, Instant};

/// How much one job counts in the mean: a sixteenth.
const WEIGHT: u32 = 16;

/// The pace at which a queue is worked off while something waits in it.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When something began to wait, or a job was taken while others went on waiting.
    last: Option<Instant>,
    /// Since when something has been waiting without a break.
    since: Option<Instant>,
    /// From one job taken to the next, in the mean.
    gap: Option<Duration>,
}

impl Backlog {
    /// Something waits that could not be taken at once.
    pub(super) fn begin(&mut self, now: Instant) {
        self.last.get_or_insert(now);
        self.since.get_or_insert(now);
    }

    /// A job was taken while something had been waiting; `more` if something still does.
    pub(super) fn took(&mut self, now: Instant, more: bool) {
        if let Some(last) = self.last {
            let took = now.saturating_duration_since(last);
            self.gap = Some(self.gap.map_or(took, |gap| gap - gap / WEIGHT + took / WEIGHT));
        }
        self.last = more.then_some(now);
        self.since = self.since.filter(|_| more);
    }

    /// Whether anything has been waiting.
    pub(super) fn is_waiting(&self) -> bool {
        self.last.is_some()
    }

    /// How long it will take until `jobs` more have been taken by `threads`. Where all of them are
    /// stuck nothing is taken, and the longer that goes on, the longer the next ones will wait. What
    /// has been seen for less than `pause` says nothing: the threads may just have waited for the
    /// processor.
    pub(super) fn wait(
        &self,
        now: Instant,
        jobs: usize,
        threads: usize,
        pause: Duration,
    ) -> Duration {
        let (Some(last), Some(since)) = (self.last, self.since) else { return Duration::ZERO };
        if now.saturating_duration_since(since) < pause {
            return Duration::ZERO;
        }
        let still = now.saturating_duration_since(last).saturating_sub(pause);
        let stuck = still / u32::try_from(threads).unwrap_or(1).max(1);
        let gap = self.gap.unwrap_or_default().max(stuck);
        gap.saturating_mul(u32::try_from(jobs).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_queue_that_moves_is_waited_for_at_its_pace() {
        let (start, mut backlog) = (Instant::now(), Backlog::default());
        backlog.begin(start);
        for taken in 1..=100 {
            backlog.took(start + taken * MS, true);
        }
        assert_eq!(backlog.wait(start + 100 * MS, 50, 4, Duration::ZERO), 50 * MS);
        // An exception changes little.
        backlog.took(start + 117 * MS, true);
        assert_eq!(backlog.wait(start + 117 * MS, 50, 4, Duration::ZERO), 100 * MS);
    }

    #[test]
    fn a_queue_that_stands_still_is_waited_for_longer_and_longer() {
        let (start, mut backlog) = (Instant::now(), Backlog::default());
        backlog.begin(start);
        backlog.begin(start + MS);
        assert_eq!(backlog.wait(start + 400 * MS, 10, 4, Duration::ZERO), 1000 * MS);
        assert_eq!(backlog.wait(start + 4000 * MS, 10, 4, Duration::ZERO), 10_000 * MS);
    }

    #[test]
    fn time_in_which_nothing_waits_says_nothing() {
        let (start, mut backlog) = (Instant::now(), Backlog::default());
        backlog.begin(start);
        backlog.took(start + MS, false);
        assert!(!backlog.is_waiting());
        assert_eq!(backlog.wait(start + 5000 * MS, 10, 4, Duration::ZERO), Duration::ZERO);
        backlog.begin(start + 5000 * MS);
        assert_eq!(backlog.wait(start + 5000 * MS, 10, 4, Duration::ZERO), 10 * MS);
        backlog.took(start + 5001 * MS, true);
        assert_eq!(backlog.wait(start + 5001 * MS, 10, 4, Duration::ZERO), 10 * MS);
    }

    #[test]
    fn what_has_been_seen_for_a_moment_says_nothing() {
        let (start, mut backlog) = (Instant::now(), Backlog::default());
        backlog.begin(start);
        backlog.took(start + 20 * MS, true);
        assert_eq!(backlog.wait(start + 20 * MS, 1600, 2, 400 * MS), Duration::ZERO);
        for taken in 1..=500 {
            backlog.took(start + (20 + taken) * MS, true);
        }
        // A moment in which the threads do not come to it changes nothing.
        let wait = backlog.wait(start + 720 * MS, 50, 4, 400 * MS);
        assert!((50 * MS..51 * MS).contains(&wait), "{wait:?}");
        assert_eq!(backlog.wait(start + 1320 * MS, 50, 4, 400 * MS), 5000 * MS);
        backlog.took(start + 1321 * MS, false);
        backlog.begin(start + 1322 * MS);
        assert_eq!(backlog.wait(start + 1323 * MS, 50, 4, 400 * MS), Duration::ZERO);
    }
}
