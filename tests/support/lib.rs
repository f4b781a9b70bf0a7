//! Actions and helpers that the tests share.

pub mod actions;
