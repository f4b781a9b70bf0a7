//! Typed actions between two Rust programs: ordinary blocking functions on the server, ordinary
//! calls on the client, and serde's types in between.
//!
//! # A first call
//!
//! An **action** is a type with a name, an input and an output. It lives in a crate that both
//! programs share. The server gives it a handler, the client runs it:
//!
//! ```
//! use isock::{Action, Client, Server};
//!
//! /// Sends the text back.
//! #[derive(Action)]
//! #[action(input = String, output = String, kind = read)]
//! pub struct Echo;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The server's program. Port 0 takes any that is free.
//! let server = Server::builder().on::<Echo>(|text, _cx| Ok(text)).bind("127.0.0.1:0")?.spawn()?;
//!
//! // The client's program.
//! let client = Client::connect(server.address())?;
//! assert_eq!(client.run::<Echo>("hi")?, "hi");
//! # Ok(())
//! # }
//! ```
//!
//! `spawn` serves on a thread of its own until its handle is dropped; `run` serves on this thread.
//! [`derive@Action`] says what else an action can be.
//!
//! # An application
//!
//! A struct can be its own input. Handlers that share state are best methods of one value, and
//! actions that belong together a set: then a forgotten handler is an error of the compiler.
//!
//! ```
//! use isock::{Action, Context, Handle, Server};
//! use serde::{Deserialize, Serialize};
//! use std::sync::Mutex;
//!
//! isock::api! { pub Shop = [Place, Stock] }
//!
//! /// Orders an article, and returns what is left.
//! #[derive(Action, Serialize, Deserialize)]
//! #[action(output = u32, error = PlaceError)]
//! pub struct Place {
//!     pub quantity: u32,
//! }
//!
//! /// How much there is.
//! #[derive(Action)]
//! #[action(output = u32, kind = read)]
//! pub struct Stock;
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
//! pub enum PlaceError {
//!     #[error("only {left} left")]
//!     OutOfStock { left: u32 },
//! }
//!
//! struct App {
//!     stock: Mutex<u32>,
//! }
//!
//! impl Handle<Place> for App {
//!     fn handle(&self, order: Place, _cx: &Context<Place>) -> Result<u32, PlaceError> {
//!         let mut stock = self.stock.lock().unwrap();
//!         let left = stock.checked_sub(order.quantity);
//!         *stock = left.ok_or(PlaceError::OutOfStock { left: *stock })?;
//!         Ok(*stock)
//!     }
//! }
//!
//! impl Handle<Stock> for App {
//!     fn handle(&self, (): (), _cx: &Context<Stock>) -> Result<u32, isock::Failure> {
//!         Ok(*self.stock.lock().unwrap())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Without an address, a server and its clients need no socket: for tests.
//! let server = Server::in_memory().serve(Shop, App { stock: Mutex::new(5) }).spawn()?;
//! let client = server.client();
//! assert_eq!(client.call(Place { quantity: 2 })?, 3);
//! assert_eq!(client.run::<Stock>(())?, 3);
//! # Ok(())
//! # }
//! ```
//!
//! Handlers may block: a slow one does not hold up the calls of others. [`Context`] says who calls,
//! how long the caller still waits, and whether it still does.
//!
//! # When a call fails
//!
//! A [`CallError`] is the action's own error, as a value, or a [`Problem`] that kept it from
//! answering. Either way [`ran`](CallError::ran) says whether the handler ran, and so whether
//! calling again is safe.
//!
//! ```
//! # use isock::{Action, Server};
//! use isock::{CallError, ProblemKind, Ran};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Action, Serialize, Deserialize)] #[action(output = u32, error = PlaceError)]
//! # pub struct Place { pub quantity: u32 }
//! # #[derive(Action)] #[action(output = u32)] pub struct Stock;
//! # #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
//! # pub enum PlaceError { #[error("only {left} left")] OutOfStock { left: u32 } }
//! # let server = Server::in_memory()
//! #     .on::<Place>(|_, _| Err(PlaceError::OutOfStock { left: 3 }))
//! #     .spawn()?;
//! # let client = server.client();
//!
//! match client.call(Place { quantity: 9 }) {
//!     Ok(left) => println!("{left} left"),
//!     Err(CallError::Action(PlaceError::OutOfStock { left })) => assert_eq!(left, 3),
//!     Err(CallError::Call(problem)) => return Err(problem.into()),
//! }
//!
//! // This server has no `Stock`.
//! let error = client.run::<Stock>(()).unwrap_err();
//! assert_eq!(error.ran(), Ran::No);
//! assert_eq!(error.problem().map(|problem| problem.kind()), Some(ProblemKind::UnknownAction));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An action without `error = …` fails with [`Failure`], a text that `?` makes from any error. A
//! call is tried again only where it surely did not run, or where its
//! [`kind`](derive@Action#kind) says that it may be repeated.
//!
//! Two builds that disagree about the types of an action are told so before it runs, and how:
//! [`guide::builds`].
//!
//! # Many calls at once
//!
//! A [`Client`] is cheap to clone and shared by threads as it is. [`start`](Peer::start) returns
//! at once; its [`Call`] is waited for, or awaited in any executor. [`request`](Peer::request)
//! takes options.
//!
//! ```
//! # use isock::{Action, Server};
//! # use std::time::Duration;
//! # #[derive(Action)] #[action(input = u64, output = u64, kind = read)] struct Square;
//! # let server = Server::in_memory().on::<Square>(|n, _| Ok(n * n)).spawn()?;
//! # let client = server.client();
//! let calls: Vec<_> = (1..4).map(|n| client.start::<Square>(n)).collect();
//! let squares = calls.into_iter().map(|call| call.wait()).collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(squares, [1, 4, 9]);
//!
//! let patient = client.request::<Square>(9).timeout(Duration::from_secs(60)).run()?;
//! assert_eq!(patient, 81);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What travels
//!
//! isock learns what a type looks like on the wire by letting its `Deserialize` read made-up values.
//! So two builds that disagree are told where, in words, and types that postcard cannot carry are
//! refused when they are registered. A type that refuses made-up values takes a [`sample!`]; see
//! [`shape`].
//!
//! # Features
//!
//! `derive`, on by default: [`derive@Action`]. Without it, implement [`trait@Action`] by hand.
//!
//! `futures`: [`Stream`] is a `futures_core::Stream`.

extern crate self as isock;

mod action;
mod address;
mod builtin;
mod client;
#[cfg(unix)]
mod credentials;
mod error;
pub mod guide;
mod limits;
mod net;
mod pace;
mod peer;
mod process;
#[doc(hidden)]
pub mod proto;
mod router;
mod seldom;
mod server;
mod serving;
pub mod shape;
mod sync;
#[cfg(unix)]
mod sys;
#[doc(hidden)]
pub mod wire;

pub use action::*;
pub use address::{Address, BadAddress, IntoAddresses};
pub use client::{Client, ClientBuilder};
#[cfg(unix)]
pub use credentials::Credentials;
pub use error::{
    BadName, CallError, ConnectError, ExpectError, Problem, ProblemKind, RegisterError, ServeError,
};
#[cfg(feature = "derive")]
pub use isock_derive::Action;
pub use limits::{BadLimit, Limits};
pub use peer::{
    BadConnectionId, Call, CallResult, Canceller, Connection, ConnectionId, Connections,
    EncodedError, NamedCall, NamedInput, NamedRequest, NamedResult, Peer, Request, Session, Stream,
    StreamItem,
};
pub use server::{Load, Server, ServerBuilder, ServerHandle, Stopper};
pub use wire::Ran;

/// What the derive's output names. No part of the public API: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::action::{
        check::Member,
        example::{example, samples},
        *,
    };
    pub use crate::shape::Samples;
    pub use std::{string::String, vec::Vec};
}

/// The README's program, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
