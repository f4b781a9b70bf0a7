//! Handlers as methods of an application type.

use super::{Action, Context};
use std::sync::Arc;

/// Serves the action `A`: the form for an application that serves many actions from one value.
///
/// Closures and functions need no impl: [`ServerBuilder::on`](crate::ServerBuilder::on) takes
/// them as they are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{A}`",
    label = "write `impl Handle<{A}> for {Self}`"
)]
pub trait Handle<A: Action>: Send + Sync + 'static {
    /// Runs the action. May block; a panic becomes this caller's error and nobody else's.
    ///
    /// # Errors
    /// Whatever the action declares.
    fn handle(&self, input: A::Input, cx: &Context<A>) -> Result<A::Output, A::Error>;
}

impl<A: Action, H: Handle<A>> Handle<A> for Arc<H> {
    fn handle(&self, input: A::Input, cx: &Context<A>) -> Result<A::Output, A::Error> {
        (**self).handle(input, cx)
    }
}
