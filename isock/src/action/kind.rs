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

/// How values flow in a call: [`Unary`] or [`Streams`].
pub trait Pattern: 'static {}

/// A pattern with one reply and nothing else.
#[diagnostic::on_unimplemented(
    message = "this action streams its items",
    note = "use `client.open::<A>(…)`"
)]
pub trait OneReply: Pattern {}

/// A pattern whose handler sends items before its output.
#[diagnostic::on_unimplemented(
    message = "this action has no stream of items",
    note = "add `stream = Item` to `#[action(…)]`, or use `run`"
)]
pub trait ManyItems: Pattern {}

/// One input, one output.
#[derive(Debug)]
pub enum Unary {}
/// One input, any number of items, one output.
#[derive(Debug)]
pub enum Streams {}

impl Pattern for Unary {}
impl Pattern for Streams {}
impl OneReply for Unary {}
impl ManyItems for Streams {}
