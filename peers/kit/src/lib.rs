//! What every peer of the benchmark shares.
//!
//! A peer is one program with two roles, named by its command line (`cli`):
//!
//! ```text
//! peer [variant] server <address-file>
//! peer [variant] client <workload> <address-file> <limit>
//! ```
//!
//! The client implements either `blocking::BlockingPeer` or `tasks::TaskPeer`; both run the same
//! workloads, check every reply and print one line of numbers (`report`). Servers are written by
//! hand with whatever the peer recommends.

pub mod blocking;
pub mod cli;
pub mod data;
mod latency;
mod meter;
mod overload;
mod process;
mod quota;
mod report;
#[cfg(feature = "tasks")]
pub mod tasks;
mod workload;

pub use bytes::Bytes;
pub use latency::Latencies;
pub use meter::Meter;
pub use overload::{Load, WORKERS, WORK_MS};
pub use process::rss_bytes;
pub use quota::{Limit, Quota};
pub use report::{unsupported, Report};
pub use workload::Workload;

/// How long the sleeping action of W9 sleeps.
pub const NAP_MS: u32 = 20;
/// How many connections call the sleeping action of W9.
pub const SLEEPERS: usize = 4;
/// How many threads or tasks share one client in W8.
pub const SHARERS: usize = 8;
/// How many connections W5 holds open.
pub const IDLE_CONNECTIONS: usize = 5000;
/// How many items one stream of W7 has.
pub const STREAM_ITEMS: u64 = 1_000_000;
/// How many records one message of W6 has.
pub const RECORDS: usize = 1000;
