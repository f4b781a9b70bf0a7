//! W11: calls come at a fixed pace, whatever becomes of them, and only answers within the deadline count.

use std::time::{Duration, Instant};

use crate::cli::Task;
use crate::{unsupported, Limit, Meter, Report};

/// How many calls the server does at once.
pub const WORKERS: usize = 4;
/// How long each of them takes.
pub const WORK_MS: u64 = 1;
/// How long a caller waits.
const DEADLINE: Duration = Duration::from_millis(100);
/// Connections that the load comes over.
pub(crate) const CONNECTIONS: usize = 16;

/// Calls at a fixed pace for a while.
#[derive(Clone, Copy)]
pub struct Load {
    /// Calls per second.
    pub rate: f64,
    /// For so long.
    pub time: Duration,
    /// How long each caller waits.
    pub deadline: Duration,
}

impl Load {
    /// One of so many equal parts.
    pub fn part(self, parts: usize) -> Load {
        Load { rate: self.rate / parts as f64, ..self }
    }

    /// How many calls ought to have begun by now; `None` when it is over.
    pub fn due(&self, began: Instant) -> Option<u64> {
        let elapsed = began.elapsed();
        (elapsed < self.time).then_some((elapsed.as_secs_f64() * self.rate) as u64)
    }
}

/// What one load came to, per second.
fn goodput(load: Load, offer: &mut impl FnMut(Load) -> u64) -> f64 {
    offer(load) as f64 / load.time.as_secs_f64()
}

/// Looks for what the server can do, then offers once, twice and three times as much.
pub(crate) fn measure(task: &Task, mut offer: impl FnMut(Load) -> u64) -> Report {
    let Limit::Time(time) = task.limit else { return unsupported("a number of calls") };
    // Much longer than a deadline: queues need time to become as long as they can.
    let time = time.max(Duration::from_secs(1));
    let load = |rate| Load { rate, time, deadline: DEADLINE };
    // What its clock and its workers make of it; a third of the ideal is served by every peer.
    let ideal = WORKERS as f64 * 1000.0 / WORK_MS as f64;
    let mut capacity: f64 = 0.0;
    for share in [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] {
        let brief = Load { time: time / 4, ..load(ideal * share) };
        capacity = capacity.max(goodput(brief, &mut offer));
    }
    let meter = Meter::start(&task.server);
    let [one, two, three] =
        [1.0, 2.0, 3.0].map(|times| goodput(load(capacity * times), &mut offer));
    let peak = capacity.max(one).max(two).max(three);
    meter
        .finish((3.0 * time.as_secs_f64() * peak) as u64)
        .with("capacity_per_s", capacity)
        .with("goodput_1x", one / peak)
        .with("goodput_2x", two / peak)
        .with("goodput_3x", three / peak)
}
