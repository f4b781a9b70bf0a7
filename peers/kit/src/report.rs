//! The one line that a client prints: `result` and then `name=value` words.

use std::fmt::{self, Display, Formatter};
use std::process;
use std::time::Duration;

/// The numbers of one round.
#[derive(Default)]
pub struct Report {
    calls: f64,
    seconds: f64,
    values: Vec<(&'static str, f64)>,
}

impl Report {
    /// A report on `calls` calls that took `elapsed`.
    pub fn new(calls: u64, elapsed: Duration) -> Report {
        Report { calls: calls as f64, seconds: elapsed.as_secs_f64(), values: Vec::new() }
    }

    /// Adds one number.
    pub fn with(mut self, name: &'static str, value: f64) -> Report {
        self.values.push((name, value));
        self
    }

    /// Adds the throughput as calls per second.
    pub fn calls(self) -> Report {
        self.rate("calls_per_s", 1.0)
    }

    /// Adds the throughput as megabytes per second in one direction, each call carrying `size` bytes.
    pub fn bulk(self, size: usize) -> Report {
        self.rate("mb_per_s", size as f64 / 1e6)
    }

    /// Adds the throughput as items per second, each call being a stream of `items`.
    pub fn items(self, items: u64) -> Report {
        self.rate("items_per_s", items as f64)
    }

    /// Prints the line.
    pub fn print(self) {
        println!("{self}");
    }

    fn rate(self, name: &'static str, unit: f64) -> Report {
        let rate = self.calls * unit / self.seconds;
        self.with(name, rate)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "result")?;
        self.values.iter().try_for_each(|(name, value)| write!(f, " {name}={value:.4}"))
    }
}

/// Ends a client that was asked for a workload its peer doesn't have.
pub fn unsupported<T>(what: &str) -> T {
    println!("unsupported {what}");
    process::exit(0)
}
