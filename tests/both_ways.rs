//! Servers that speak first: calls to clients, connections with a name, one-way sends, hooks.

#[path = "both_ways/attended.rs"]
mod attended;
#[path = "both_ways/calls.rs"]
mod calls;
#[path = "both_ways/cancelling.rs"]
mod cancelling;
#[path = "both_ways/connections.rs"]
mod connections;
#[path = "both_ways/cycles.rs"]
mod cycles;
#[path = "both_ways/deadlines.rs"]
mod deadlines;
#[path = "both_ways/deferring.rs"]
mod deferring;
#[path = "both_ways/giving_up.rs"]
mod giving_up;
#[path = "both_ways/hooks.rs"]
mod hooks;
#[path = "both_ways/owners.rs"]
mod owners;
#[path = "both_ways/sends.rs"]
mod sends;

use isock::Action;
use std::time::Duration;

/// Multiplies a number with itself.
#[derive(Action)]
#[action(input = u64, output = u64, kind = read)]
pub struct Square;

/// Counts down by calling the other side, which counts down by calling this one.
#[derive(Action)]
#[action(input = u32, output = u32, kind = read)]
pub struct Down;

/// Keeps a text.
#[derive(Action)]
#[action(input = String)]
pub struct Note;

/// The name of the connection, as the handler sees it.
#[derive(Action)]
#[action(output = String, kind = read)]
pub struct Who;

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);
