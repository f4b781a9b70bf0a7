//! When two builds disagree.
//!
//! A server and its client are built from one crate, and not always on the same day. Somebody
//! turns a number into a text, builds the server anew, and last week's client calls it. The bytes
//! of the two types say nothing about themselves, so the server would read garbage, or refuse the
//! call for a reason that is none.
//!
//! isock finds out before a handler runs, and says it in words:
//!
//! ```
//! use isock::{ProblemKind, Ran, Server};
//!
//! // The server's build.
//! mod newer {
//! #   use isock::Action;
//! #   use serde::{Deserialize, Serialize};
//!     #[derive(Action)]
//!     #[action(input = Order, output = u64)]
//!     pub struct Place;
//!
//!     #[derive(Serialize, Deserialize)]
//!     pub struct Order {
//!         pub id: u64,
//!         pub items: Vec<Item>,
//!     }
//!
//!     #[derive(Serialize, Deserialize)]
//!     pub struct Item {
//!         pub sku: String,
//!         pub qty: String,
//!     }
//! }
//!
//! // The client's build.
//! mod older {
//! #   use isock::Action;
//! #   use serde::{Deserialize, Serialize};
//! #   #[derive(Action)]
//! #   #[action(input = Order, output = u64)]
//! #   pub struct Place;
//! #   #[derive(Serialize, Deserialize)]
//! #   pub struct Order { pub id: u64, pub items: Vec<Item> }
//!     // …
//!     #[derive(Serialize, Deserialize)]
//!     pub struct Item {
//!         pub sku: String,
//!         pub qty: u32,
//!     }
//! }
//!
//! let server = Server::in_memory().on::<newer::Place>(|order, _cx| Ok(order.id)).spawn()?;
//! let order = older::Order { id: 7, items: Vec::new() };
//!
//! let error = server.client().run::<older::Place>(order).unwrap_err();
//! let problem = error.problem().expect("no error of the action's own");
//! assert_eq!(problem.kind(), ProblemKind::Mismatch);
//! assert_eq!(problem.ran(), Ran::No);
//! assert!(problem
//!     .to_string()
//!     .contains("input: Order.items[].qty: u32 here, String there"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! *Here* is the program that calls, *there* the server. `[]` is an element of a list or the value
//! of a map, `?` what is in an option, `::Name` a variant. Every difference is in the text, of
//! input, output and error; after 64 in one of them it says that there are more.
//!
//! # What counts as a difference
//!
//! What changes the bytes, and the names of fields and variants: `width` and `height` in each
//! other's place have the same bytes and another meaning. Not the names of types, where they live,
//! newtypes, or which kind of list, set or map it is:
//!
//! ```
//! # use serde::Deserialize;
//! use isock::shape::Shape;
//!
//! #[derive(Deserialize)]
//! struct Size { width: u32, height: u32 }
//! #[derive(Deserialize)]
//! struct Turned { height: u32, width: u32 }
//! #[derive(Deserialize)]
//! struct Extent { width: Pixels, height: Pixels }
//! #[derive(Deserialize)]
//! struct Pixels(u32);
//!
//! assert_eq!(Shape::of::<Size>()?.hash(), Shape::of::<Extent>()?.hash());
//! assert_ne!(Shape::of::<Size>()?.hash(), Shape::of::<Turned>()?.hash());
//! # Ok::<(), isock::shape::ShapeError>(())
//! ```
//!
//! # What to do about it
//!
//! Build both ends from the same sources. Where that cannot be done at once, let the changed action
//! be another one, with a name of its own, and keep the old one until its last caller has gone:
//!
//! ```
//! # use isock::Action;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)] pub struct Order;
//! # #[derive(Serialize, Deserialize)] pub struct OrderOfOld;
//! #[derive(Action)]
//! #[action(name = "Place", input = OrderOfOld, output = u64)]
//! pub struct PlaceOfOld;
//!
//! #[derive(Action)]
//! #[action(name = "Place2", input = Order, output = u64)]
//! pub struct Place;
//! ```
//!
//! isock does not translate between two forms of a type yet.
//!
//! # What it costs
//!
//! A call carries a number that stands for the shapes of its types. While the numbers are equal
//! nothing else is sent or allocated. When they differ, the client asks the server once for its
//! shapes and remembers the text for as long as it runs.
//!
//! # What it does not see
//!
//! - A shape is learnt by running the type's own `Deserialize` on made-up values. What refuses all of
//!   them, such as an e-mail address, is learnt from a [sample](crate::sample!), and without one only
//!   by where it stands. A type that panics, or is too large, has no number: its actions work, and a
//!   mismatch of theirs is not noticed.
//! - What a value means: a price in cents and one in euros are both a `u64`.
