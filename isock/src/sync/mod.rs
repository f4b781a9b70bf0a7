//! Small pieces of state that several threads change at once, each a model of its own.
//!
//! Knows locks and counters. Does not know calls, connections or threads. The tests include these
//! files beside other locks (`tests/models.rs`), which try every order of what threads do.

mod locks;
mod place;
mod progress;
mod turns;

pub(crate) use place::Place;
pub(crate) use progress::Progress;
pub(crate) use turns::Turns;
