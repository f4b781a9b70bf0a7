//! Answering a call later, from any thread.

use super::{registration::answered, Action, CallInfo, Handled};
use crate::wire::{EncodeError, Encoder};
use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc};

/// The right to answer a call, made by [`Context::defer`](super::Context::defer): it goes to
/// whoever has the answer, on any thread. Derefs to [`CallInfo`], so that it can be asked whether
/// the caller still [waits](CallInfo::cancelled), for [how long](CallInfo::remaining), and who that is.
///
/// Dropped without an answer, the caller gets a
/// [`ProblemKind::Unanswered`](crate::ProblemKind::Unanswered), and the operator a line in the log.
///
/// ```
/// use isock::{Action, Responder, Server};
/// use std::{sync::mpsc, thread};
///
/// /// Asks the committee, which meets now and then.
/// #[derive(Action)]
/// #[action(input = String, output = bool)]
/// struct Ask;
///
/// let (questions, asked) = mpsc::channel::<(String, Responder<Ask>)>();
/// let server = Server::in_memory()
///     .on_deferred::<Ask>(move |question, cx| Ok(questions.send((question, cx.defer()))?))
///     .spawn()?;
/// // No thread of the server waits for the committee, however many questions there are.
/// thread::spawn(move || {
///     let mut agenda: Vec<_> = asked.iter().take(2).collect();
///     agenda.retain(|(_, responder)| !responder.cancelled());
///     for (question, responder) in agenda {
///         let answer = responder.respond(Ok(question.ends_with('?')));
///         if let Err(why) = answer {
///             println!("nobody heard that: {why}");
///         }
///     }
/// });
///
/// let client = server.client();
/// let (more, less) = (client.start::<Ask>("more tea?"), client.start::<Ask>("less tea"));
/// assert!(more.wait()?);
/// assert!(!less.wait()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A call that is answered later holds its place among those that its caller may have in flight,
/// and what its input costs of the server's memory; a server that stops waits for its answer as it
/// waits for handlers. Calls that are made meanwhile on another thread do not inherit its
/// deadline: give them `.timeout(responder.remaining())`.
#[must_use = "dropping a responder tells the caller that there is no answer"]
pub struct Responder<A> {
    outlet: Arc<dyn Outlet>,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Responder<A> {
    pub(super) fn new(outlet: Arc<dyn Outlet>) -> Responder<A> {
        Responder { outlet, action: PhantomData }
    }

    /// Answers the call. A caller that has given up is answered as well, and drops it.
    ///
    /// # Errors
    /// If nobody can hear it: the connection has ended, the call has been answered already, or the
    /// answer cannot travel, which its caller is told.
    pub fn respond(self, answer: Result<A::Output, A::Error>) -> Result<(), RespondError> {
        let mut out = self.outlet.encoder();
        let handled = answered::<A>(answer, self.outlet.call(), &mut out);
        self.outlet.answer(handled, out)
    }
}

impl<A> Deref for Responder<A> {
    type Target = CallInfo;

    fn deref(&self) -> &CallInfo {
        self.outlet.call()
    }
}

impl<A> fmt::Debug for Responder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Responder").field(self.outlet.call()).finish()
    }
}

/// Why an answer was not heard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RespondError {
    /// The connection that the call came over has ended.
    #[error("the connection has ended, so nobody waits for the answer")]
    Gone,
    /// The call has its answer: from another responder of it, or an error that its handler returned.
    #[error("the call has been answered already")]
    Answered,
    /// It is too long or cannot be encoded; the caller has been told so.
    #[error("the answer cannot be sent: {0}")]
    Unsendable(EncodeError),
}

/// A call whose answer goes its own way.
pub(crate) trait Outlet: Send + Sync {
    /// The call.
    fn call(&self) -> &CallInfo;
    /// For an answer as long as it may be.
    fn encoder(&self) -> Encoder;
    /// Sends the answer, unless there has been one.
    fn answer(&self, handled: Handled, out: Encoder) -> Result<(), RespondError>;
}

/// Who can have a call answered later, while its handler runs.
pub(crate) trait Later: Sync {
    /// From now on the answer comes through this.
    fn defer(&self) -> Arc<dyn Outlet>;
}
