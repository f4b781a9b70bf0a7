//! Small pieces of state that several threads change at once, each a model of its own.
//!
//! Knows locks and counters. Does not know calls, connections or threads. `tests/models` has these
//! files beside other locks, and tries every order of what threads do.

mod place;
mod progress;
mod turns;

pub(crate) use place::Place;
pub(crate) use progress::Progress;
pub(crate) use turns::Turns;
