//! Handlers as methods of an application type.

use super::{Action, Context};
use std::sync::Arc;

/// Serves the action `A`: the form for an application that serves many actions from one value.
///
/// Closures and functions need no impl: [`ServerBuilder::on`](crate::ServerBuilder::on) takes
/// them as they are.
///
/// ```
/// use isock::{Action, Context, Failure, Handle, Server};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// /// Adds to a number, and returns it.
/// #[derive(Action)]
/// #[action(input = u64, output = u64)]
/// struct Add;
///
/// struct Counter(AtomicU64);
///
/// impl Handle<Add> for Counter {
///     fn handle(&self, more: u64, _cx: &Context<Add>) -> Result<u64, Failure> {
///         Ok(self.0.fetch_add(more, Ordering::Relaxed) + more)
///     }
/// }
///
/// let server = Server::in_memory().handler::<Add>(Counter(AtomicU64::new(40))).spawn()?;
/// assert_eq!(server.client().run::<Add>(2)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
