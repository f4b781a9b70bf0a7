//! The derive macro of isock. Use it as `isock::Action`; its page says what it takes.
//!
//! A derive goes through four files, one step each: `ast` takes the type apart, `attr` reads
//! `#[action(…)]`, `valid` decides whether that makes an action, `expand` writes the impl. A
//! mistake is noted and replaced by what was probably meant, so every build reports all mistakes,
//! each at its place, and nothing that only follows from them.

mod ast;
mod attr;
mod docs;
mod errors;
mod expand;
mod name;
mod owned;
mod time;
mod valid;
mod view;
mod words;

use errors::Errors;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{parse_macro_input, DeriveInput};

/// Makes a type an action: something one program asks another to do.
///
/// The type is put in a crate that both programs share. Its doc comment travels with it: tools
/// show the first line as the summary.
///
/// # Two forms
///
/// A **marker** names an operation, and says what goes in and what comes out:
///
/// ```
/// use isock::Action;
///
/// /// Sends the text back.
/// #[derive(Action)]
/// #[action(input = String, output = String, kind = read)]
/// pub struct Echo;
///
/// let stub = Echo::with(|text, _cx| Ok(text));
/// assert_eq!(stub.info().summary(), "Sends the text back.");
/// ```
///
/// Without `input`, a type that holds something **is the input**, and has serde's derives:
///
/// ```
/// use isock::Action;
/// use serde::{Deserialize, Serialize};
///
/// /// Orders an article.
/// #[derive(Action, Serialize, Deserialize)]
/// #[action(output = u64, error = PlaceError)]
/// pub struct Place {
///     pub sku: String,
///     pub quantity: u32,
/// }
///
/// #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
/// pub enum PlaceError {
///     #[error("only {left} left")]
///     OutOfStock { left: u32 },
/// }
///
/// let stub = Place::with(|order, _cx| match order.quantity {
///     0..=5 => Ok(7),
///     _ => Err(PlaceError::OutOfStock { left: 5 }),
/// });
/// assert_eq!(stub.info().name, "Place");
/// ```
///
/// An enum is an input likewise. With `input`, the fields of a type are its own business: what a
/// handler needs, say. A type that holds nothing and names no `input` takes `()`.
///
/// # Keys
///
/// All are optional, and so is the attribute.
///
/// | Key | Takes | Without it |
/// |---|---|---|
/// | [`input`](#input-output-error) | the type that callers send | the type itself, or `()` if it holds nothing |
/// | [`output`](#input-output-error) | the type that the handler returns | `()` |
/// | [`error`](#input-output-error) | the type that the handler fails with | `isock::Failure` |
/// | [`stream`](#stream-upload) | the type of the items that the handler sends on its way | no items |
/// | [`upload`](#stream-upload) | the type of the items that the caller sends on its way | no items |
/// | [`input_view`](#input_view-output_view) | the type that the handler reads in place | none |
/// | [`output_view`](#input_view-output_view) | the type that the caller reads in place | none |
/// | [`name`](#name) | the name on the wire | the type's name |
/// | [`kind`](#kind) | `read`, `idempotent` or `once` | `once` |
/// | [`timeout`](#timeout) | how long a call may take | the client's timeout, 30 s |
/// | [`max_input`](#max_input-max_output-decode_budget) | the longest encoded input, in bytes | the connection's `Limits::message` |
/// | [`max_output`](#max_input-max_output-decode_budget) | the longest encoded output, in bytes | the connection's `Limits::message` |
/// | [`decode_budget`](#max_input-max_output-decode_budget) | what decoding may take on the heap, in bytes | the connection's `Limits::decode_budget` |
/// | [`example`](#example-example_output-samples) | a value of the input | none |
/// | [`example_output`](#example-example_output-samples) | a value of the output | none |
/// | [`samples`](#example-example_output-samples) | values of types that occur in it | none |
/// | [`crate`](#crate) | the path of isock | `::isock` |
///
/// ## `input`, `output`, `error`
///
/// What travels is owned, and has serde's two derives: `String`, not `&str` (callers may still
/// pass `&str`). An error implements `Debug` and `Display` too; one that is an enum stays an enum
/// for the caller, who can match on it.
///
/// ```
/// # use isock::{Action, Never};
/// #[derive(Action)]
/// #[action(input = (f64, f64), output = f64, error = Never)]
/// pub struct Add;
///
/// let stub = Add::with(|(a, b), _cx| Ok(a + b));
/// # assert_eq!(stub.info().name, "Add");
/// ```
///
/// ## `stream`, `upload`
///
/// With `stream` the handler sends items of that type before it returns the output, with `upload`
/// the caller sends items after the input, and with both, both. Such an action is called with
/// [`open`](https://docs.rs/isock/latest/isock/struct.Peer.html#method.open).
///
/// ```
/// # use isock::{Action, Server};
/// /// The running sum of what is sent, and how many numbers there were.
/// #[derive(Action)]
/// #[action(upload = i64, stream = i64, output = usize)]
/// pub struct RunningSum;
///
/// let server = Server::in_memory()
///     .on::<RunningSum>(|(), cx| {
///         let (mut sum, mut count) = (0, 0);
///         for number in cx.items() {
///             sum += number?;
///             count += 1;
///             cx.send(sum)?;
///         }
///         Ok(count)
///     })
///     .spawn()?;
/// let mut stream = server.client().open::<RunningSum>(())?;
/// for number in [1, 2, 3] {
///     stream.send(number)?;
/// }
/// stream.close();
/// let sums = stream.by_ref().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!((sums, stream.finish()?), (vec![1, 3, 6], 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ## `input_view`, `output_view`
///
/// Types that are read where the message has arrived: their `&str` and `&[u8]` point into it, and
/// nothing is copied. What travels stays the same, so each side may use its view or not. A view
/// has serde's `Deserialize` and one lifetime, that of the message, and reads what its owned type
/// reads: the same fields in the same order, `&str` for `String`, `&[u8]` for `Vec<u8>` or
/// `isock::Bytes`. Where the action is registered or called the two are compared, and one that
/// reads something else is refused in words.
///
/// A handler takes the view with
/// [`on_view`](https://docs.rs/isock/latest/isock/struct.ServerBuilder.html#method.on_view), a caller
/// with [`run_view`](https://docs.rs/isock/latest/isock/struct.Peer.html#method.run_view).
///
/// ```
/// # use isock::{Action, Server};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// pub struct Line {
///     number: u32,
///     text: String,
/// }
///
/// #[derive(Deserialize)]
/// pub struct LineView<'a> {
///     number: u32,
///     text: &'a str,
/// }
///
/// /// The lines that contain a word.
/// #[derive(Action)]
/// #[action(input = String, input_view = &str)]
/// #[action(output = Vec<Line>, output_view = Vec<LineView<'_>>, kind = read)]
/// pub struct Find;
///
/// let server = Server::in_memory()
///     .on_view::<Find>(|word, _cx| Ok(vec![Line { number: 7, text: format!("a {word}") }]))
///     .spawn()?;
/// let found = server.client().run_view::<Find, _>("word", |lines| {
///     lines.iter().map(|line| line.number as usize + line.text.len()).sum::<usize>()
/// })?;
/// assert_eq!(found, 13);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ## `name`
///
/// At most 128 bytes, printable, without spaces, and not beginning with `isock.`: such names are
/// kept for the actions that every server has. Neither the module nor the order of declarations
/// matters to the wire, so both may change; to rename a type, keep its old name here.
///
/// ```
/// # use isock::Action;
/// #[derive(Action)]
/// #[action(name = "shop.count", output = u64)]
/// pub struct Count;
///
/// assert_eq!(Count::INFO.name, "shop.count");
/// ```
///
/// ## `kind`
///
/// Whether an action may run again for the same call, after a connection was lost, say. `read`
/// changes nothing; `idempotent` changes nothing more when repeated; `once`, the default, is never
/// repeated unless it surely did not run.
///
/// ```
/// # use isock::{Action, ActionKind};
/// #[derive(Action)]
/// #[action(input = String, kind = idempotent)]
/// pub struct Delete;
///
/// assert_eq!(Delete::INFO.kind, ActionKind::Idempotent);
/// ```
///
/// ## `timeout`
///
/// How long a call may take: a whole number and `ms`, `s`, `min` or `h`. Of an action that streams it
/// is for the opening. It comes before the client's timeout and after that of the call itself: what
/// `.timeout(…)` of a request says holds, else what stands here, else what the client was built with.
/// A call that a handler makes ends by the deadline of the handler's own caller in any case.
///
/// ```
/// # use isock::Action;
/// # use std::time::Duration;
/// #[derive(Action)]
/// #[action(output = String, kind = read, timeout = "2min")]
/// pub struct Report;
///
/// assert_eq!(Report::INFO.timeout, Some(Duration::from_secs(120)));
/// ```
///
/// ## `max_input`, `max_output`, `decode_budget`
///
/// What one call may cost, in bytes: the encoded input, the encoded output, and what decoding
/// either of them takes on the heap. Any constant expression will do. Without them the limits of
/// the connection hold; a bound above the connection's message limit does not raise that limit.
///
/// ```
/// # use isock::Action;
/// #[derive(Action)]
/// #[action(input = String, output = Vec<String>, max_input = 256, decode_budget = 256 << 20)]
/// pub struct Search;
///
/// assert_eq!(Search::INFO.max_input, Some(256));
/// ```
///
/// ## `example`, `example_output`, `samples`
///
/// What the action's types look like on the wire is learnt by letting them read made-up values. A
/// type that refuses those, such as an e-mail address, a version or a port above 1023, needs a
/// value that it takes; without one the action works, and what lies behind the type is *opaque*: a
/// mismatch of two builds is not noticed there, and tools cannot show it.
///
/// `example` is such a value for the whole input, written as a caller may write it, and
/// `example_output` one of the output; tools show them. `samples` are of types anywhere in the
/// action, error and items included: one `isock::sample!`, an array of them, or what a function
/// returns.
///
/// ```
/// # use isock::{Action, Failure};
/// use isock::sample;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// #[serde(try_from = "u16", into = "u16")]
/// pub struct Port(u16);
/// # impl TryFrom<u16> for Port {
/// #     type Error = &'static str;
/// #     fn try_from(port: u16) -> Result<Port, &'static str> {
/// #         if port < 1024 { Err("reserved") } else { Ok(Port(port)) }
/// #     }
/// # }
/// # impl From<Port> for u16 { fn from(port: Port) -> u16 { port.0 } }
///
/// #[derive(Action)]
/// #[action(input = (String, Port), output = String, samples = sample!(Port, 4440u16))]
/// #[action(example = ("example.org".to_owned(), Port(4440)), example_output = "open")]
/// pub struct Probe;
/// # assert_eq!(Probe::with(|_, _| Ok("open".into())).info().name, "Probe");
/// ```
///
/// ## `crate`
///
/// For crates that export isock under another path, so that their users need not depend on it.
///
/// ```
/// mod reexported {
///     pub use isock;
/// }
///
/// #[derive(reexported::isock::Action)]
/// #[action(crate = crate::reexported::isock, output = u64)]
/// pub struct Count;
/// # fn main() {}
/// ```
///
/// # What cannot be an action
///
/// - A type with a **lifetime**, or a borrowed `input` or `output`: what travels is owned. What is
///   only read may have a [view](#input_view-output_view).
/// - A **generic** type: every instance would have the same name on the wire. Write a concrete
///   type, or implement `Action` by hand with a name for each instance.
/// - A **union**.
///
/// Each of these, and each mistake in the attribute, is reported at its place with what to write
/// instead.
#[proc_macro_derive(Action, attributes(action))]
pub fn derive_action(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// All mistakes, and the impl.
fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let subject = ast::Subject::of(input, &mut errors);
    let action = valid::check(subject, &mut errors);
    let expanded = expand::expand(&action);
    quote!(#errors #expanded)
}
