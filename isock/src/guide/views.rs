//! When a message is large and most of it is only looked at.
//!
//! An input or an output is decoded into values of its own: each `String` in it is a block of memory
//! and a copy. Of a thousand records that is a thousand blocks, given back at once if the handler
//! only adds something up. A *view* is a second form of such a type, with `&str` for `String` and
//! `&[u8]` for `Vec<u8>`: they point into the message, which stays where it has arrived.
//!
//! ```
//! use isock::{Action, Server};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct Reading {
//!     pub sensor: String,
//!     pub value: f64,
//! }
//!
//! /// The same, read in place.
//! #[derive(Deserialize)]
//! pub struct ReadingView<'a> {
//!     pub sensor: &'a str,
//!     pub value: f64,
//! }
//!
//! /// The sum of what some sensor has read.
//! #[derive(Action)]
//! #[action(input = (String, Vec<Reading>), input_view = (&str, Vec<ReadingView<'_>>))]
//! #[action(output = f64)]
//! pub struct Sum;
//!
//! /// All readings.
//! #[derive(Action)]
//! #[action(output = Vec<Reading>, output_view = Vec<ReadingView<'_>>, kind = read)]
//! pub struct All;
//!
//! # let reading = |sensor: &str, value| Reading { sensor: sensor.into(), value };
//! # let readings = vec![reading("north", 1.5), reading("south", 4.0), reading("north", 2.0)];
//! let server = Server::in_memory()
//!     .on_view::<Sum>(|(sensor, readings), _cx| {
//!         let those = readings.iter().filter(|reading| reading.sensor == sensor);
//!         Ok(those.map(|reading| reading.value).sum())
//!     })
//!     .on::<All>(|(), _cx| {
//! #       let reading = |sensor: &str, value| Reading { sensor: sensor.into(), value };
//!         Ok(vec![reading("north", 0.5), reading("south", 4.0)])
//!     })
//!     .spawn()?;
//! let client = server.client();
//! assert_eq!(client.run::<Sum>(("north".to_owned(), readings))?, 3.5);
//!
//! // What the closure returns stays, the view does not.
//! let largest = client.run_view::<All, _>((), |readings| {
//!     let largest = readings.iter().max_by(|a, b| a.value.total_cmp(&b.value));
//!     largest.map(|reading| reading.sensor.to_owned())
//! })?;
//! assert_eq!(largest.as_deref(), Some("south"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What travels does not change, so each side uses its view or not, and either may begin to without
//! the other. A call that has been started is read with [`wait_view`](crate::Call::wait_view), one with
//! options with [`Request::run_view`](crate::Request::run_view). A handler that answers with a part of
//! its input is registered with [`on_views`](crate::ServerBuilder::on_views): it returns an output
//! view, which is encoded from where it lies and so has serde's `Serialize` too.
//!
//! # How a view is written
//!
//! With serde's `Deserialize`, one lifetime, and the fields of its owned type in the same order under
//! the same names. In the attribute the lifetime is `'_`, or any name. serde borrows `&str` and
//! `&[u8]` by itself; a `Cow`, an `Option<&str>` or another view inside of a struct needs
//! `#[serde(borrow)]`, or is copied, as its
//! [documentation](https://serde.rs/lifetimes.html#borrowing-data-in-a-derived-impl) says. Numbers are
//! not borrowed, since they travel in as few bytes as they need: a `Vec<u16>` is one in a view too.
//!
//! The shape of a view is learnt like every other, and compared with that of its owned type. An action
//! whose view reads something else is refused where it is registered, where it is called and by
//! [`check`](crate::Api::check):
//!
//! ```
//! # use isock::{Action, Server};
//! # use serde::Deserialize;
//! #[derive(Deserialize)]
//! pub struct Pair<'a>(#[allow(dead_code)] &'a str, #[allow(dead_code)] u8);
//!
//! #[derive(Action)]
//! #[action(input = (String, u64), input_view = Pair<'_>)]
//! pub struct Keep;
//!
//! let server = Server::in_memory().on_view::<Keep>(|_pair, _cx| Ok(()));
//! let error = server.spawn().unwrap_err().to_string();
//! assert!(error.contains("its input view"), "{error}");
//! assert!(error.contains("value.1: u64 in the type, u8 in the view"), "{error}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a view refuses beyond that, in a `TryFrom` for one, is refused when a message comes. One that
//! refuses made-up values takes a sample, as [`Samples::with_wire`](crate::shape::Samples::with_wire)
//! makes it.
//!
//! # What stays as it is
//!
//! The same limits hold, and bytes that are refused are refused with the same words. Errors and the
//! items of streams are owned. A view ends with the handler or the closure: what is to be kept is
//! copied, and the compiler says where. A handler that [defers](super::later) takes its input owned.
