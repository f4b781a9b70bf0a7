//! A call under way, with its types.

use super::{
    mismatch::Explained,
    raw::{RawCall, RawReply, Reply},
    CallResult,
};
use crate::{
    action::{shapes_of, Action, Decoding, Payload, Shapes},
    error::{CallError, Problem, ProblemKind},
    proto::SharedBody,
    wire::{DecodeError, Ran},
};
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// A call that has been started: [`wait`](Call::wait) for it on this thread, or `.await` it in any
/// executor. Dropping it cancels it.
#[must_use = "dropping a call cancels it; use `.wait()`, `.await` or `.detach()`"]
pub struct Call<A: Action> {
    pub(super) started: Started,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Call<A> {
    #[inline]
    pub(super) fn new(started: Started) -> Call<A> {
        Call { started, action: PhantomData }
    }

    /// Blocks until the call has ended, at the latest some 50 ms after its deadline.
    ///
    /// # Errors
    /// The action's own error as a value, or the problem that kept it from answering.
    pub fn wait(mut self) -> CallResult<A> {
        self.wait_here()
    }

    /// The same where it is: to move a call takes as long as much else that it needs.
    #[inline]
    pub(super) fn wait_here(&mut self) -> CallResult<A> {
        let (call, reply) = self.started.wait_for_reply()?;
        let decoding = call.decoding();
        match reply {
            Reply::Small(bytes) => {
                let limits = decoding.limits(&A::INFO, bytes.len());
                A::Output::decode(&bytes, limits, call.shapes().output_ceiling())
                    .map_err(|error| undecodable_of::<A>(&error))
            }
            Reply::Raw(reply) => decode::<A>(Ok(reply), decoding),
        }
    }

    /// Whether [`wait`](Call::wait) would return at once, as far as has been read. Does not read.
    /// After a mismatch `wait` asks the server for its types first.
    pub fn is_finished(&self) -> bool {
        self.started.is_finished()
    }

    /// Lets the call go on by itself; its outcome is dropped.
    pub fn detach(self) {
        self.started.detach();
    }

    /// Gives the call up and says whether its handler ran, as far as this side can know: the
    /// server is told, and may have begun.
    pub fn cancel(self) -> Ran {
        self.started.cancel()
    }
}

/// A call has no part that must stay in its place.
impl<A: Action> Unpin for Call<A> {}

impl<A: Action> Future for Call<A> {
    type Output = CallResult<A>;

    /// # Panics
    /// If it is polled again after it has ended.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallResult<A>> {
        self.started.poll(cx).map(decode_started::<A>)
    }
}

/// A call under way, without its types; or what failed before anything was sent, until it has been
/// told.
#[derive(Debug)]
pub(super) struct Started(Result<Explained, Option<Problem>>);

impl Started {
    /// Begins a call, or keeps why there is none.
    pub(super) fn begin(
        call: Result<RawCall, Problem>,
        now: Instant,
        timeout: Duration,
    ) -> Started {
        let mut started = call.map_or_else(Started::failed, Started::new);
        started.begin_if_well(|call| call.begin(now, timeout));
        started
    }

    /// One that is about to begin.
    #[inline(always)]
    pub(super) fn new(call: RawCall) -> Started {
        Started(Ok(Explained::new(call)))
    }

    pub(super) fn failed(problem: Problem) -> Started {
        Started(Err(Some(problem)))
    }

    /// Begins the call where it will stay, once its input is there: to move one takes as long as much
    /// else that it needs.
    #[inline(always)]
    pub(super) fn begin_with(
        &mut self,
        timeout: Duration,
        input: impl FnOnce(&mut SharedBody) -> Result<(), Problem>,
    ) {
        self.begin_if_well(|call| {
            input(call.input())?;
            call.begin_within(timeout)
        });
    }

    #[inline(always)]
    fn begin_if_well(&mut self, begin: impl FnOnce(&mut Explained) -> Result<(), Problem>) {
        let Ok(call) = &mut self.0 else { return };
        if let Err(problem) = begin(call) {
            self.0 = Err(Some(problem));
        }
    }

    /// Blocks until the call has ended. With the reply comes what decoding it may cost.
    pub(super) fn wait(&mut self) -> Result<(RawReply, Decoding), Problem> {
        self.wait_for_reply().map(|(call, reply)| (reply.into(), call.decoding()))
    }

    /// The same as it comes.
    #[inline(always)]
    fn wait_for_reply(&mut self) -> Result<(&Explained, Reply), Problem> {
        match &mut self.0 {
            Ok(call) => match call.wait() {
                Ok(reply) => Ok((call, reply)),
                Err(problem) => Err(problem),
            },
            Err(problem) => Err(told(problem.take())),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.as_ref().map_or(true, Explained::has_ended)
    }

    pub(super) fn detach(self) {
        if let Ok(call) = self.0 {
            call.detach();
        }
    }

    pub(super) fn cancel(self) -> Ran {
        match self.0 {
            Ok(mut call) => call.cancel(),
            Err(_) => Ran::No,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(RawReply, Decoding), Problem>> {
        match &mut self.0 {
            Ok(call) => {
                let decoding = call.decoding();
                call.poll(cx).map_ok(|reply| (reply, decoding))
            }
            Err(problem) => Poll::Ready(Err(told(problem.take()))),
        }
    }
}

fn told(problem: Option<Problem>) -> Problem {
    problem.expect("a call was polled after it had ended")
}

fn decode_started<A: Action>(result: Result<(RawReply, Decoding), Problem>) -> CallResult<A> {
    let (reply, decoding) = result?;
    decode::<A>(Ok(reply), decoding)
}

pub(super) fn decode<A: Action>(
    result: Result<RawReply, Problem>,
    decoding: Decoding,
) -> CallResult<A> {
    match result? {
        RawReply::Value(bytes) => {
            let ceiling = shapes_of::<A>().ok().and_then(Shapes::output_ceiling);
            let limits = decoding.limits(&A::INFO, bytes.len());
            A::Output::decode_owned(bytes, limits, ceiling)
                .map_err(|error| undecodable_of::<A>(&error))
        }
        RawReply::Error(bytes) => Err(error_of::<A>(&bytes, decoding)),
    }
}

/// The action's own error.
pub(super) fn error_of<A: Action>(bytes: &[u8], decoding: Decoding) -> CallError<A::Error> {
    let [_, _, error, ..] = shapes_of::<A>().map(Shapes::ceilings).unwrap_or_default();
    match A::Error::decode(bytes, decoding.limits(&A::INFO, bytes.len()), error) {
        Ok(error) => CallError::Action(error),
        Err(error) => undecodable_of::<A>(&error),
    }
}

pub(super) fn undecodable_of<A: Action>(error: &DecodeError) -> CallError<A::Error> {
    CallError::Call(undecodable(error).action(A::INFO.name))
}

pub(super) fn undecodable(error: &impl fmt::Display) -> Problem {
    Problem::new(ProblemKind::OutputUndecodable, Ran::Yes, error.to_string())
}

impl<A: Action> fmt::Debug for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("action", &A::INFO.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_moved_in_three_lines_of_the_cache() {
        assert!(size_of::<Started>() <= 3 * 64);
    }
}
