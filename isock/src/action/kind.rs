//! What may be done with an action, as types, so that the compiler says no.

use super::ActionKind;

/// Whether an action may run again for the same call: [`Read`], [`Idempotent`] or [`Once`].
pub trait Kind: 'static {
    /// The same as a value.
    const VALUE: ActionKind;
}

/// A kind that may be repeated without asking.
#[diagnostic::on_unimplemented(
    message = "an action of kind `{Self}` may not be repeated",
    note = "declare it `kind = read` or `kind = idempotent`"
)]
pub trait Repeatable: Kind {}

/// Changes nothing: repeating is free.
#[derive(Debug)]
pub enum Read {}
/// Changes something, and repeating it changes nothing more.
#[derive(Debug)]
pub enum Idempotent {}
/// Every run counts: isock never runs it twice for one call. The default.
#[derive(Debug)]
pub enum Once {}

impl Kind for Read {
    const VALUE: ActionKind = ActionKind::Read;
}
impl Kind for Idempotent {
    const VALUE: ActionKind = ActionKind::Idempotent;
}
impl Kind for Once {
    const VALUE: ActionKind = ActionKind::Once;
}
impl Repeatable for Read {}
impl Repeatable for Idempotent {}

/// How values flow in a call: [`Unary`], [`Streams`], [`Uploads`] or [`Both`].
pub trait Pattern: 'static {
    /// The handler sends items.
    const ITEMS: bool;
    /// The caller sends items.
    const UPLOADS: bool;
}

/// A pattern with one reply and nothing else.
#[diagnostic::on_unimplemented(
    message = "this action streams its items",
    note = "use `client.open::<A>(…)`"
)]
pub trait OneReply: Pattern {}

/// A pattern whose calls can be answered after their handler has returned.
#[diagnostic::on_unimplemented(
    message = "a handler that streams cannot defer its answer",
    note = "it sends and takes its items while it runs: register it with `on`"
)]
pub trait Deferrable: Pattern {}

/// Where the answer of a handler comes from: [`Returned`] or [`Deferred`].
pub trait Answering: 'static {}

/// An answer that comes from a [`Responder`](crate::Responder).
#[diagnostic::on_unimplemented(
    message = "this handler answers with what it returns, so it cannot defer",
    note = "register it with `on_deferred`; its context is a `&Context<_, isock::Deferred>`, and it \
            returns `Ok(())` once somebody has the responder"
)]
pub trait Deferring: Answering {}

/// What the handler returns is the answer.
#[derive(Debug)]
pub enum Returned {}
/// The answer comes from a [`Responder`](crate::Responder).
#[derive(Debug)]
pub enum Deferred {}

impl Answering for Returned {}
impl Answering for Deferred {}
impl Deferring for Deferred {}

/// A pattern with items in one direction or both.
#[diagnostic::on_unimplemented(
    message = "this action has no stream of items",
    note = "add `stream = Item` or `upload = Item` to `#[action(…)]`, or use `run`"
)]
pub trait Streaming: Pattern {}

/// A pattern whose handler sends items before its output.
#[diagnostic::on_unimplemented(
    message = "this action has no stream of items",
    note = "add `stream = Item` to `#[action(…)]`, or use `run`"
)]
pub trait ManyItems: Streaming {}

/// A pattern whose caller sends items after the input.
#[diagnostic::on_unimplemented(
    message = "this action takes no items from its caller",
    note = "add `upload = Item` to `#[action(…)]`"
)]
pub trait TakesItems: Streaming {}

/// One input, one output.
#[derive(Debug)]
pub enum Unary {}
/// One input, any number of items from the handler, one output.
#[derive(Debug)]
pub enum Streams {}
/// One input, any number of items from the caller, one output.
#[derive(Debug)]
pub enum Uploads {}
/// One input, any number of items in both directions, one output.
#[derive(Debug)]
pub enum Both {}

impl Pattern for Unary {
    const ITEMS: bool = false;
    const UPLOADS: bool = false;
}
impl Pattern for Streams {
    const ITEMS: bool = true;
    const UPLOADS: bool = false;
}
impl Pattern for Uploads {
    const ITEMS: bool = false;
    const UPLOADS: bool = true;
}
impl Pattern for Both {
    const ITEMS: bool = true;
    const UPLOADS: bool = true;
}
impl OneReply for Unary {}
impl Deferrable for Unary {}
impl Streaming for Streams {}
impl Streaming for Uploads {}
impl Streaming for Both {}
impl ManyItems for Streams {}
impl ManyItems for Both {}
impl TakesItems for Uploads {}
impl TakesItems for Both {}
