//! How to do it: one page a question, with examples that are tested.
//!
//! - [`builds`]: when two builds disagree about the types of an action.
//! - [`failures`]: when things fail, and what a failed call says about its handler.
//! - [`later`]: when an answer comes later than its handler returns.

pub mod builds;
pub mod failures;
pub mod later;
