//! How to do it: one page a question, with examples that are tested.
//!
//! - [`builds`]: when two builds disagree about the types of an action.

pub mod builds;
