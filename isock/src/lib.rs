//! Typed actions between two Rust programs.

extern crate self as isock;

mod action;
mod address;
mod builtin;
mod client;
#[cfg(unix)]
mod credentials;
mod error;
mod limits;
mod net;
mod pace;
#[doc(hidden)]
pub mod proto;
mod router;
mod server;
#[cfg(unix)]
mod sys;
#[doc(hidden)]
pub mod wire;

pub use action::*;
pub use address::{Address, BadAddress, IntoAddresses};
pub use client::{Call, CallResult, Client, ClientBuilder, Request};
#[cfg(unix)]
pub use credentials::Credentials;
pub use error::{
    CallError, ConnectError, ExpectError, Problem, ProblemKind, RegisterError, ServeError,
};
#[cfg(feature = "derive")]
pub use isock_derive::Action;
pub use limits::Limits;
pub use server::{Server, ServerBuilder, ServerHandle, Stopper};
pub use wire::Ran;

/// What the derive's output names. No part of the public API: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::action::*;
    pub use std::{string::String, vec::Vec};
}
