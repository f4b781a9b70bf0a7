//! A pipe that no model uses.

/// What a loop is handed.
#[derive(Debug)]
pub(crate) struct LoopEnd;
