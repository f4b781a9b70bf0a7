//! A connection on its way into a loop, which no model has.

/// What a loop is handed.
#[derive(Debug)]
pub(crate) struct Newcomer;
