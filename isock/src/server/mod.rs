//! The serving side: what is registered, where it listens, who runs the handlers.

mod builder;
mod fair;
mod handle;
mod panics;
mod service;
mod workers;

pub use builder::ServerBuilder;
pub use handle::{Server, ServerHandle, Stopper};

use std::sync::Arc;

/// Where the operator reads what happens.
pub(crate) type Log = Arc<dyn Fn(&str) + Send + Sync>;
