//! Calls by a name that is known at run time only.
//!
//! Knows bytes and values. Does not know the actions behind the names.

use super::{
    call::{undecodable, Started},
    channel::Channel,
    raw::{RawCall, RawReply, Subject, Terms},
    request::{chain, deadline, uncarried, unencodable, with_metadata},
};
use crate::{
    action::{
        shapes_of, Action, ActionKind, Bytes, Decoding, Failure, Named, Payload, Shapes, Value,
    },
    error::{CallError, Problem},
    net,
    proto::SharedBody,
    wire::{
        name_hash, printable, Block, DecodeError, DecodeLimits, EncodeError, Encoder, Metadata, Ran,
    },
};
use std::{
    borrow::Cow,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// What a call by name gives that sends an `I`.
pub type NamedResult<I> = Result<<I as NamedInput>::Output, CallError<<I as NamedInput>::Error>>;

/// What can be sent to an action that is known by name only: a [`Value`], or bytes that are encoded
/// already, as a `Vec<u8>`, a slice or [`Bytes`]. What comes back is of the same form, and a `Vec<u8>` for
/// a slice. Long bytes are moved once to become a `Vec<u8>`, and to leave as one; `Bytes` stay where they
/// are.
///
/// A `Value` goes to actions that take and return one and fail with a [`Failure`], and the call says
/// so: to others it is a mismatch, told in words. Of bytes nothing is known, so they go to any
/// action: [`Description`](crate::Description) and [`shape`](crate::shape) tell what it expects.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent by name",
    label = "expected a `Value`, or encoded bytes",
    note = "use `Value::from(…)`, or `Value::of(&…)?` for a type of your own"
)]
pub trait NamedInput: sealed::Sealed {
    /// What comes back: a `Value` for a `Value`, bytes for bytes.
    type Output;
    /// What the handler fails with: a [`Failure`], or an [`EncodedError`].
    type Error: fmt::Debug + fmt::Display;

    #[doc(hidden)]
    const IS_VALUE: bool;
    #[doc(hidden)]
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError>;
    #[doc(hidden)]
    fn output(bytes: Block, limits: DecodeLimits) -> Result<Self::Output, DecodeError>;
    #[doc(hidden)]
    fn error(bytes: Block, limits: DecodeLimits) -> Result<Self::Error, DecodeError>;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for crate::action::Value {}
    impl Sealed for crate::action::Bytes {}
    impl Sealed for Vec<u8> {}
    impl Sealed for &[u8] {}
}

impl NamedInput for Value {
    type Output = Value;
    type Error = Failure;

    const IS_VALUE: bool = true;

    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(self)
    }

    fn output(bytes: Block, limits: DecodeLimits) -> Result<Value, DecodeError> {
        Value::decode_owned(bytes, limits, None)
    }

    fn error(bytes: Block, limits: DecodeLimits) -> Result<Failure, DecodeError> {
        Failure::decode_owned(bytes, limits, None)
    }
}

macro_rules! encoded_already {
    ($($bytes:ty)*) => {
        $(impl NamedInput for $bytes {
            type Output = Vec<u8>;
            type Error = EncodedError;

            const IS_VALUE: bool = false;

            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                out.push_encoded(self)
            }

            fn output(bytes: Block, _: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
                Ok(bytes.into_vec())
            }

            fn error(bytes: Block, _: DecodeLimits) -> Result<EncodedError, DecodeError> {
                Ok(EncodedError(bytes.into_vec()))
            }
        })*
    };
}

encoded_already! { Vec<u8> &[u8] }

impl NamedInput for Bytes {
    type Output = Bytes;
    type Error = EncodedError;

    const IS_VALUE: bool = false;

    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.push_encoded_to(out)
    }

    fn output(bytes: Block, _: DecodeLimits) -> Result<Bytes, DecodeError> {
        Ok(Bytes::of_message(bytes))
    }

    fn error(bytes: Block, _: DecodeLimits) -> Result<EncodedError, DecodeError> {
        Ok(EncodedError(bytes.into_vec()))
    }
}

/// An action's own error, encoded: what a call by name fails with that sent bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the action's own error, in {} encoded bytes", .0.len())]
pub struct EncodedError(pub Vec<u8>);

/// A call by name that has not been started, made by
/// [`Peer::request_named`](crate::Peer::request_named).
#[must_use = "a request does nothing until `.run()` or `.start()`"]
pub struct NamedRequest<I> {
    channel: Arc<Channel>,
    action: Cow<'static, str>,
    name: u32,
    input: Result<SharedBody, EncodeError>,
    metadata: Metadata,
    timeout: Duration,
    attempts: u32,
    kind: ActionKind,
    shape: Option<u64>,
    form: PhantomData<fn() -> I>,
}

impl<I: NamedInput> NamedRequest<I> {
    pub(super) fn new(channel: Arc<Channel>, name: &str, input: &I) -> NamedRequest<I> {
        let mut encoder = Encoder::of_message(u32::MAX as usize);
        let input = input.encode(&mut encoder).map(|()| SharedBody::encoded(encoder));
        let (timeout, attempts) = (channel.options.timeout, channel.options.attempts);
        NamedRequest {
            channel,
            action: printable(name).into(),
            name: name_hash(name),
            input,
            metadata: Metadata::default(),
            timeout,
            attempts,
            kind: ActionKind::Once,
            shape: None,
            form: PhantomData,
        }
    }

    /// How long the call may take, all its attempts together; the client's timeout unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends bytes beside the input: see [`Request::metadata`](crate::Request::metadata).
    pub fn metadata(mut self, metadata: impl Into<Vec<u8>>) -> Self {
        self.metadata.own = metadata.into();
        self
    }

    /// Whether the action may run again for the same call: [`ActionKind::Once`] unless set, since a
    /// name does not tell. Then a call is tried again only if it surely did not run.
    pub fn kind(mut self, kind: ActionKind) -> Self {
        self.kind = kind;
        self
    }

    /// How often the call is tried in all, at least once; the client's attempts unless set.
    pub fn retry(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The fingerprint of the types that the input was encoded by, as
    /// [`ActionDescription::hash`](crate::ActionDescription::hash) has it: an action with other types
    /// then refuses the call. 0 states none; unless set, bytes state none and a `Value` its own.
    pub fn shape(mut self, hash: u64) -> Self {
        self.shape = Some(hash);
        self
    }

    /// Calls and waits for the output.
    ///
    /// # Errors
    /// The action's own error, or the problem that kept it from answering.
    pub fn run(mut self) -> NamedResult<I> {
        let waiting = net::begin_to_wait();
        self.metadata.chain = chain(waiting.as_ref());
        self.start().wait()
    }

    /// Starts the call and returns at once.
    pub fn start(self) -> NamedCall<I> {
        let action = self.action.clone();
        let (now, timeout) = (Instant::now(), self.timeout);
        let started = Started::begin(self.call(now), now, timeout);
        NamedCall { action, started, form: PhantomData }
    }

    /// Sends the input without waiting for anything: see [`Peer::send`](crate::Peer::send).
    ///
    /// # Errors
    /// If it was not sent.
    pub fn send(self) -> Result<(), Problem> {
        self.call(Instant::now())?.send_only()
    }

    fn call(self, now: Instant) -> Result<RawCall, Problem> {
        let action = self.action;
        let shapes = match I::IS_VALUE {
            true => shapes_of::<Named>().map_err(|why| uncarried(why).action(action.clone()))?,
            false => &Shapes::UNSTATED,
        };
        let input = self.input.map_err(|error| unencodable(&error).action(action.clone()))?;
        let (body, metadata) = with_metadata(&self.metadata, input)
            .map_err(|problem| problem.action(action.clone()))?;
        let (deadline, inherited) = deadline(now, self.timeout);
        let subject = Subject { action, name: self.name, kind: self.kind, stated: self.shape };
        let terms = Terms { shapes, body, metadata, deadline, inherited };
        Ok(RawCall::named(self.channel, subject, terms, self.attempts))
    }
}

impl<I> fmt::Debug for NamedRequest<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedRequest").field("action", &self.action).finish_non_exhaustive()
    }
}

/// A call by name that has been started: [`wait`](NamedCall::wait) for it on this thread, or `.await`
/// it in any executor. Dropping it cancels it.
#[must_use = "dropping a call cancels it; use `.wait()`, `.await` or `.detach()`"]
pub struct NamedCall<I> {
    action: Cow<'static, str>,
    started: Started,
    form: PhantomData<fn() -> I>,
}

impl<I: NamedInput> NamedCall<I> {
    /// Blocks until the call has ended, at the latest some 50 ms after its deadline.
    ///
    /// # Errors
    /// The action's own error, or the problem that kept it from answering.
    pub fn wait(mut self) -> NamedResult<I> {
        decode::<I>(self.action, self.started.wait())
    }

    /// Whether [`wait`](NamedCall::wait) would return at once, as far as has been read. Does not
    /// read.
    pub fn is_finished(&self) -> bool {
        self.started.is_finished()
    }

    /// Lets the call go on by itself; its outcome is dropped.
    pub fn detach(self) {
        self.started.detach();
    }

    /// Gives the call up and says whether its handler ran, as far as this side can know.
    pub fn cancel(self) -> Ran {
        self.started.cancel()
    }
}

/// A call has no part that must stay in its place.
impl<I> Unpin for NamedCall<I> {}

impl<I: NamedInput> Future for NamedCall<I> {
    type Output = NamedResult<I>;

    /// # Panics
    /// If it is polled again after it has ended.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<NamedResult<I>> {
        self.started.poll(cx).map(|result| decode::<I>(self.action.clone(), result))
    }
}

impl<I> fmt::Debug for NamedCall<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedCall").field("action", &self.action).finish_non_exhaustive()
    }
}

fn decode<I: NamedInput>(
    action: Cow<'static, str>,
    result: Result<(RawReply, Decoding), Problem>,
) -> NamedResult<I> {
    let (reply, decoding) = result?;
    let limits = |bytes: &[u8]| decoding.limits(&Named::INFO, bytes.len());
    let decoded = match reply {
        RawReply::Value(bytes) => {
            let limits = limits(&bytes);
            I::output(bytes, limits).map(Ok)
        }
        RawReply::Error(bytes) => {
            let limits = limits(&bytes);
            I::error(bytes, limits).map(Err)
        }
    };
    match decoded {
        Ok(outcome) => outcome.map_err(CallError::Action),
        Err(error) => Err(undecodable(&error).action(action).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_bytes_of_an_answer_stay_where_they_came() {
        for len in [1000, 100_000] {
            let mut answer = Block::with_room(len);
            answer.push(&vec![7; len]);
            let place = answer.as_ptr();
            let bytes = <Bytes as NamedInput>::output(answer, DecodeLimits::for_len(len)).unwrap();
            assert_eq!((bytes.as_ptr(), bytes.len()), (place, len));
        }
    }

    #[test]
    fn long_bytes_leave_from_where_they_lie() {
        let bytes = Bytes::from(vec![7; 100_000]);
        let mut out = Encoder::of_message(usize::MAX);
        NamedInput::encode(&bytes, &mut out).unwrap();
        assert_eq!(out.as_bytes(), []);
        assert_eq!(out.take_end().unwrap().as_ptr(), bytes.as_ptr());
    }
}
