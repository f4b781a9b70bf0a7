//! Typed actions between two Rust programs.

extern crate self as isock;

mod action;
mod address;
mod limits;
mod proto;
mod wire;

pub use action::*;
pub use address::{Address, BadAddress, IntoAddresses};
pub use limits::Limits;
pub use wire::Ran;

/// For the derive, for this project's own tests and fuzz targets. No part of the public API: it
/// changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::{action::*, proto, wire};
}
// (derive lands here)
