//! What an action is: its types, its name, and the stub that binds it to a handler.
//!
//! Knows types and encodings. Does not know connections or servers.

mod api;
mod bytes;
pub(crate) mod check;
mod context;
mod describe;
pub(crate) mod example;
mod failure;
mod handle;
mod info;
mod kind;
mod name;
mod named;
mod never;
mod owner;
mod payload;
pub(crate) mod plain;
mod reader;
mod registration;
mod responder;
mod send_as;
mod shapes;
mod value;
mod view;

pub use api::{Api, ServedBy};
pub use bytes::Bytes;
pub use check::{CheckError, Mistake};
pub(crate) use context::Decoding;
pub use context::{CallInfo, Context, Stopped, StoppedKind, UploadItems};
pub use describe::{ActionDescription, Description, PartDescription};
pub use failure::Failure;
pub use handle::Handle;
pub(crate) use info::RESERVED;
pub use info::{ActionKind, Info};
pub use kind::{
    Answering, Both, Deferrable, Deferred, Deferring, Idempotent, Kind, ManyItems, Once, OneReply,
    Pattern, Read, Repeatable, Returned, Streaming, Streams, TakesItems, Unary, Uploads,
};
pub(crate) use named::Named;
pub use never::Never;
pub use payload::Payload;
pub(crate) use reader::Reader;
pub use registration::Registration;
pub(crate) use registration::{Directions, Handled};
pub(crate) use responder::{Later, Outlet};
pub use responder::{RespondError, Responder};
pub use send_as::SendAs;
pub(crate) use shapes::{shapes_of, Shapes, Uncarried, PARTS};
pub use value::{Value, ValueError};
pub(crate) use view::output_ceiling;
pub use view::{SentView, View, ViewInput, ViewOutput, Views};

use crate::shape::Samples;
use std::fmt::{Debug, Display};

/// A named operation with typed input, output and error; usually derived.
///
/// ```
/// # use isock::Action;
/// /// Sends the text back.
/// #[derive(Action)]
/// #[action(input = String, output = String, kind = read)]
/// pub struct Echo;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an action",
    note = "add `#[derive(Action)]` and `#[action(input = …, output = …)]`"
)]
pub trait Action: Sized + 'static {
    /// What the caller sends.
    type Input: Payload;
    /// What the handler returns.
    type Output: Payload;
    /// What the handler fails with; [`Failure`] unless declared.
    type Error: Payload + Debug + Display;
    /// What the handler streams before its output; [`Never`] for most actions.
    type Item: Payload;
    /// What the caller streams after its input; [`Never`] for most actions.
    type Upload: Payload;
    /// Whether the action may be repeated: [`Read`], [`Idempotent`] or [`Once`].
    type Kind: Kind;
    /// [`Unary`], [`Streams`], [`Uploads`] or [`Both`].
    type Pattern: Pattern;
    /// Name and documentation.
    const INFO: Info;

    /// Values of its types. For types that refuse made-up values, so that what the action looks
    /// like on the wire can be learnt past them; and the first one of its input or output is what
    /// tools show as an example. Client and server learn the same, since both have the action.
    ///
    /// The derive writes it from `example`, `example_output` and `samples`:
    ///
    /// ```
    /// # use isock::Action;
    /// #[derive(Action)]
    /// #[action(input = String, output = usize, example = "four", example_output = 4)]
    /// struct Length;
    ///
    /// assert!(!Length::samples().is_empty());
    /// ```
    fn samples() -> Samples {
        Samples::new()
    }

    /// Which views it has, so that they can be compared with the types that travel. The derive
    /// writes it; an impl by hand says `Views::new().input::<Self>()`, `.output::<Self>()` or both.
    fn views() -> Views {
        Views::new()
    }

    /// Binds a handler to the action: the registration stub, a value that a server takes before
    /// or while serving.
    fn with(
        handler: impl Fn(Self::Input, &Context<Self>) -> Result<Self::Output, Self::Error>
            + Send
            + Sync
            + 'static,
    ) -> Registration {
        Registration::new::<Self>(handler)
    }

    /// The same for a handler that answers later: see [`Context::defer`].
    fn with_deferred(
        handler: impl Fn(Self::Input, &Context<Self, Deferred>) -> Result<(), Self::Error>
            + Send
            + Sync
            + 'static,
    ) -> Registration
    where
        Self::Pattern: Deferrable,
    {
        Registration::deferred::<Self>(handler)
    }
}

/// An action whose input is the action itself: what [`Client::call`](crate::Peer::call) takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not its own input",
    note = "pass the input: `client.run::<{Self}>(…)`"
)]
pub trait ItsOwnInput: Action<Input = Self> + Payload {}

#[diagnostic::do_not_recommend]
impl<A: Action<Input = A> + Payload> ItsOwnInput for A {}
