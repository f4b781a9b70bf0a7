//! Typed actions between two Rust programs.

extern crate self as isock;

mod action;
mod address;
mod limits;
#[doc(hidden)]
pub mod proto;
#[doc(hidden)]
pub mod wire;

pub use action::*;
pub use address::{Address, BadAddress, IntoAddresses};
pub use limits::Limits;
pub use wire::Ran;

/// What the derive's output names. No part of the public API: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::action::*;
}
