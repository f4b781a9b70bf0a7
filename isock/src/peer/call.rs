//! A call under way, with its types.

use super::{mismatch::Explained, raw::RawReply, CallResult};
use crate::{
    action::{shapes_of, Action, Decoding, Payload, Shapes},
    error::{CallError, Problem, ProblemKind},
    wire::{DecodeError, Ran},
};
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

/// A call that has been started: [`wait`](Call::wait) for it on this thread, or `.await` it in any
/// executor. Dropping it cancels it.
#[must_use = "dropping a call cancels it; use `.wait()`, `.await` or `.detach()`"]
pub struct Call<A: Action> {
    /// What failed before anything was sent, until it has been told.
    state: Result<Explained, Option<Problem>>,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Call<A> {
    pub(super) fn new(state: Result<Explained, Problem>) -> Call<A> {
        Call { state: state.map_err(Some), action: PhantomData }
    }

    /// Blocks until the call has ended, at the latest some 50 ms after its deadline.
    ///
    /// # Errors
    /// The action's own error as a value, or the problem that kept it from answering.
    pub fn wait(self) -> CallResult<A> {
        match self.state {
            Ok(call) => {
                let decoding = call.decoding();
                decode::<A>(call.wait(), decoding)
            }
            Err(problem) => Err(told(problem)),
        }
    }

    /// Whether [`wait`](Call::wait) would return at once, as far as has been read. Does not read.
    /// After a mismatch `wait` asks the server for its types first.
    pub fn is_finished(&self) -> bool {
        self.state.as_ref().map_or(true, Explained::has_ended)
    }

    /// Lets the call go on by itself; its outcome is dropped.
    pub fn detach(self) {
        if let Ok(call) = self.state {
            call.detach();
        }
    }

    /// Gives the call up and says whether its handler ran, as far as this side can know: the
    /// server is told, and may have begun.
    pub fn cancel(self) -> Ran {
        match self.state {
            Ok(mut call) => call.cancel(),
            Err(_) => Ran::No,
        }
    }
}

/// A call has no part that must stay in its place.
impl<A: Action> Unpin for Call<A> {}

impl<A: Action> Future for Call<A> {
    type Output = CallResult<A>;

    /// # Panics
    /// If it is polled again after it has ended.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallResult<A>> {
        match &mut self.state {
            Ok(call) => {
                let decoding = call.decoding();
                call.poll(cx).map(|result| decode::<A>(result, decoding))
            }
            Err(problem) => Poll::Ready(Err(told(problem.take()))),
        }
    }
}

fn told<E>(problem: Option<Problem>) -> CallError<E> {
    CallError::Call(problem.expect("a call was polled after it had ended"))
}

pub(super) fn decode<A: Action>(
    result: Result<RawReply, Problem>,
    decoding: Decoding,
) -> CallResult<A> {
    let limits = |bytes: &[u8]| decoding.limits(&A::INFO, bytes.len());
    let [_, output, error, ..] = shapes_of::<A>().map(Shapes::ceilings).unwrap_or_default();
    match result? {
        RawReply::Value(bytes) => {
            let limits = limits(&bytes);
            A::Output::decode_owned(bytes, limits, output).map_err(|error| undecodable::<A>(&error))
        }
        RawReply::Error(bytes) => match A::Error::decode(&bytes, limits(&bytes), error) {
            Ok(error) => Err(CallError::Action(error)),
            Err(error) => Err(undecodable::<A>(&error)),
        },
    }
}

fn undecodable<A: Action>(error: &DecodeError) -> CallError<A::Error> {
    let problem = Problem::new(ProblemKind::OutputUndecodable, Ran::Yes, error.to_string());
    CallError::Call(problem.action(A::INFO.name))
}

impl<A: Action> fmt::Debug for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("action", &A::INFO.name).finish_non_exhaustive()
    }
}
