//! The measuring of one timed stretch: clock, processor time of both sides, peak memory of both sides.

use std::time::{Duration, Instant};

use crate::cli::Server;
use crate::process::{cpu_time, peak_kib, this_process};
use crate::Report;

/// How long a server gets to settle before its memory is read.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

/// A running measurement.
pub struct Meter {
    server_pid: i32,
    started: Instant,
    client_cpu: Duration,
    server_cpu: Duration,
}

impl Meter {
    /// Starts the clocks.
    pub fn start(server: &Server) -> Meter {
        Meter {
            server_pid: server.pid,
            client_cpu: cpu_time(this_process()),
            server_cpu: cpu_time(server.pid),
            started: Instant::now(),
        }
    }

    /// Stops the clocks after `calls` calls and reports what one of them cost.
    pub fn finish(self, calls: u64) -> Report {
        let elapsed = self.started.elapsed();
        let client_cpu = cpu_time(this_process()) - self.client_cpu;
        let server_cpu = cpu_time(self.server_pid) - self.server_cpu;
        let each_us = |spent: Duration| spent.as_secs_f64() * 1e6 / calls as f64;
        Report::new(calls, elapsed)
            .with("client_cpu_us", each_us(client_cpu))
            .with("server_cpu_us", each_us(server_cpu))
            .with("client_peak_kb", peak_kib(this_process()) as f64)
            .with("server_peak_kb", peak_kib(self.server_pid) as f64)
    }
}
