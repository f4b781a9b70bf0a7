//! How long single calls took.

use std::time::Duration;

use crate::Report;

/// Every call's time, kept whole: a round has too few calls for a histogram to be worth its error.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one call.
    #[inline]
    pub fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
    }

    /// Forgets the calls so far, such as a warm-up's.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The time in microseconds that `percent` of the calls stayed within.
    pub fn percentile_us(&mut self, percent: usize) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        let rank = (self.0.len() * percent / 100).min(self.0.len() - 1);
        let (_, nanos, _) = self.0.select_nth_unstable(rank);
        f64::from(*nanos) / 1000.0
    }

    /// Puts p50 and p99 into a report.
    pub fn report(mut self, report: Report) -> Report {
        let (p50, p99) = (self.percentile_us(50), self.percentile_us(99));
        report.with("p50_us", p50).with("p99_us", p99)
    }
}
