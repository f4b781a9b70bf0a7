//! How to do it: one page a question, with examples that are tested.
//!
//! - [`builds`]: when two builds disagree about the types of an action.
//! - [`failures`]: when things fail, and what a failed call says about its handler.
//! - [`later`]: when an answer comes later than its handler returns.
//! - [`views`]: when a message is large and most of it is only looked at.

pub mod builds;
pub mod failures;
pub mod later;
pub mod views;
