//! The serving side: what is registered, where it listens, who runs the handlers.

mod builder;
mod callers;
mod handle;
mod service;

pub use builder::ServerBuilder;
pub use handle::{Load, Server, ServerHandle, Stopper};
