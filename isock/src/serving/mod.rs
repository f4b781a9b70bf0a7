//! Running handlers: the same on a server and on a client that serves actions of its own.
//!
//! Knows registrations, threads and what a handler's end means. Does not know connections.

mod backlog;
mod builtins;
mod deferred;
mod fair;
mod lanes;
mod panics;
mod task;
#[cfg(test)]
mod tests;
mod workers;

pub(crate) use builtins::register_builtins;
pub(crate) use deferred::Way;
pub(crate) use lanes::{Lane, Lanes};
pub(crate) use panics::contained;
pub(crate) use task::{Arrived, Brief, Settings, Task};
pub(crate) use workers::{Full, Work, Workers};

use std::sync::Arc;

/// Where the operator reads what happens.
pub(crate) type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Standard error, unless somebody said otherwise. Not `eprintln`, which panics when it is closed.
pub(crate) fn standard_log() -> Log {
    use std::io::Write;
    Arc::new(|line| drop(writeln!(std::io::stderr(), "isock: {line}")))
}
