//! Actions and helpers that the tests share.

pub mod actions;
pub mod cut;
pub mod gate;
pub mod hostile;
pub mod memory;
pub mod process;
pub mod programs;
pub mod raw;
pub mod tap;
pub mod usage;
pub mod waiting;
pub mod witness;
