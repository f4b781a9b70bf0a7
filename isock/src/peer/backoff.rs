//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(1);
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MOST: Duration = Duration::from_secs(5);

/// The pause after `made` attempts: up to 100 ms, doubling to at most 1 s, anywhere between zero
/// and that, so that clients that failed together do not return together.
pub(crate) fn pause(made: u32) -> Duration {
    pause_by(made, fraction())
}

/// The same with the chance from 0 up to 1 given.
pub(super) fn pause_by(made: u32, chance: f64) -> Duration {
    ceiling(made).mul_f64(chance)
}

/// The pause before a connection is made again that nobody waits for: from 50 ms, doubling, to 5 s,
/// and as random in its upper half.
pub(super) fn reconnect(failures: u32) -> Duration {
    reconnect_by(failures, fraction())
}

/// The same with the chance from 0 up to 1 given.
pub(super) fn reconnect_by(failures: u32, chance: f64) -> Duration {
    let doubled = RECONNECT_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let most = doubled.min(RECONNECT_MOST);
    most / 2 + (most / 2).mul_f64(chance)
}

fn ceiling(made: u32) -> Duration {
    FIRST.saturating_mul(1 << made.saturating_sub(1).min(10)).min(MOST)
}

/// From 0 up to 1. Without random numbers from the system, the middle will do.
pub(super) fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let millis = [1, 2, 3, 4, 5, 60].map(|made| ceiling(made).as_millis());
        assert_eq!(millis, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn reconnecting_slows_down_to_five_seconds() {
        for (failures, most) in [(1, 50), (2, 100), (5, 800), (8, 5000), (60, 5000)] {
            let most = Duration::from_millis(most);
            let pause = reconnect(failures);
            assert!((most / 2..=most).contains(&pause), "{failures}: {pause:?}");
        }
    }

    #[test]
    fn a_pause_is_anywhere_below_its_ceiling() {
        let pauses: Vec<_> = (0..100).map(|_| pause(1)).collect();
        assert!(pauses.iter().all(|pause| *pause <= FIRST));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
