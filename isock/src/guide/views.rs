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
//! the other. The two belong to the action: whoever awaits a call, or implements
//! [`Handle`](crate::Handle), has owned values, and a server of a whole set that has one handler with a view
//! registers each with its own `on…` and asks for the rest with
//! [`require`](crate::ServerBuilder::require). A call that has been started is read with [`wait_view`](crate::Call::wait_view), one with
//! options with [`Request::run_view`](crate::Request::run_view). A handler that answers with a part of
//! its input is registered with [`on_views`](crate::ServerBuilder::on_views): it returns an output
//! view, which is encoded from where it lies and so has serde's `Serialize` too. It may borrow from the
//! input, from the call's metadata and from constants, and not from state behind a lock.
//!
//! # How a view is written
//!
//! With serde's `Deserialize`, one lifetime, and the fields of its owned type in the same order under
//! the same names. In the attribute the lifetime is `'_`, or any name. serde borrows `&str`, `&[u8]`
//! and an `Option` of them by itself. A field that is another view, or a list of texts, needs
//! `#[serde(borrow)]`, as its
//! [documentation](https://serde.rs/lifetimes.html#borrowing-data-in-a-derived-impl) says; without it the
//! compiler mostly finds that a lifetime "may not live long enough". A `Cow` is borrowed where it is a
//! field with that attribute, and copied everywhere else: alone, in an `Option`, a `Vec` or a tuple.
//! Numbers are not borrowed, since they travel in as few bytes as they need: a `Vec<u16>` is one in a view
//! too.
//!
//! ```
//! use isock::{Action, Bytes, Server};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! pub enum Part {
//!     Text(String),
//!     File { name: String, content: Bytes },
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct Mail {
//!     pub subject: Option<String>,
//!     pub to: Vec<String>,
//!     pub parts: Vec<Part>,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! pub enum PartView<'a> {
//!     Text(&'a str),
//!     File { name: &'a str, content: &'a [u8] },
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct MailView<'a> {
//!     pub subject: Option<&'a str>,
//!     #[serde(borrow)]
//!     pub to: Vec<&'a str>,
//!     #[serde(borrow)]
//!     pub parts: Vec<PartView<'a>>,
//! }
//!
//! /// The mail without its files.
//! #[derive(Action)]
//! #[action(input = Mail, output = Mail, input_view = MailView<'_>, output_view = MailView<'_>)]
//! pub struct Strip;
//!
//! let server = Server::in_memory()
//!     .on_views::<Strip>(|mut mail, _cx| {
//!         mail.parts.retain(|part| matches!(part, PartView::Text(_)));
//!         Ok(mail)
//!     })
//!     .spawn()?;
//! let file = Part::File { name: "cat.png".into(), content: [1, 2].into() };
//! let parts = vec![Part::Text("see below".into()), file];
//! let mail = Mail { subject: None, to: vec!["me@home".into()], parts };
//! assert_eq!(server.client().run::<Strip>(mail)?.parts.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The shape of a view is learnt like every other, and compared with that of its owned type. An action
//! whose view reads something else is refused where it is registered, where it is called, with the view
//! or without, and by [`check`](crate::Api::check):
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
//! makes it, and so does its owned type: an action with a view that cannot be compared is refused as well.
//!
//! # What stays as it is
//!
//! The same limits hold; what is not copied does not count against the budget of decoding. Errors, the
//! items of streams and their outputs are owned. A view ends with the handler or the closure: what is to be kept is
//! copied, and the compiler says where. A handler that [defers](super::later) takes its input owned.
