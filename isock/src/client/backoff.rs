//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(1);

/// The pause after `made` attempts: up to 100 ms, doubling to at most 1 s, anywhere between zero
/// and that, so that clients that failed together do not return together.
pub(super) fn pause(made: u32) -> Duration {
    ceiling(made).mul_f64(fraction())
}

fn ceiling(made: u32) -> Duration {
    FIRST.saturating_mul(1 << made.saturating_sub(1).min(10)).min(MOST)
}

/// From 0 up to 1. Without random numbers from the system, the middle will do.
fn fraction() -> f64 {
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
    fn a_pause_is_anywhere_below_its_ceiling() {
        let pauses: Vec<_> = (0..100).map(|_| pause(1)).collect();
        assert!(pauses.iter().all(|pause| *pause <= FIRST));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
