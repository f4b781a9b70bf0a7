//! A call with options of its own.

use super::{
    call::Started,
    channel::Channel,
    raw::{Order, RawCall},
    Call, CallResult, Stream,
};
use crate::{
    action::{
        shapes_of, Action, Directions, Kind, OneReply, Repeatable, SendAs, Streaming, Uncarried,
    },
    error::{CallError, Problem, ProblemKind},
    net,
    proto::SharedBody,
    wire::{name_hash, ChainStep, EncodeError, Encoder, Metadata, Ran, MAX_OWN_METADATA},
};
use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    time::{Duration, Instant},
};

/// A call that may take so long is not timed to the millisecond.
const UNHURRIED: Duration = Duration::from_secs(10);

/// A call that has not been started, made by [`Peer::request`](crate::Peer::request).
#[must_use = "a request does nothing until `.run()` or `.start()`"]
pub struct Request<A> {
    channel: Arc<Channel>,
    input: Result<SharedBody, EncodeError>,
    metadata: Metadata,
    timeout: Duration,
    idle: Duration,
    attempts: u32,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Request<A> {
    #[inline]
    pub(super) fn new(channel: Arc<Channel>, input: &impl SendAs<A::Input>) -> Request<A> {
        let limit = A::INFO.max_input.unwrap_or(u32::MAX as usize);
        let mut body = SharedBody::default();
        let encoded = Encoder::lend_message(limit, |encoder| {
            input.encode(encoder)?;
            body.fill(encoder);
            Ok(())
        });
        let input = encoded.map(|()| body);
        let timeout = A::INFO.timeout.unwrap_or(channel.options.timeout);
        let attempts = channel.options.attempts;
        let idle = channel.options.limits.stream_idle;
        let metadata = Metadata::default();
        Request { channel, input, metadata, timeout, idle, attempts, action: PhantomData }
    }

    /// How long the call may take, all its attempts together. Unless set it is the action's own
    /// `#[action(timeout = "…")]`, and without one the client's
    /// [`timeout`](crate::ClientBuilder::timeout).
    ///
    /// A call that a handler makes ends by the deadline of the handler's own caller too, whichever
    /// comes first. That goes by thread: on other threads say `.timeout(cx.remaining())`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends bytes beside the input, which the handler finds at
    /// [`cx.metadata()`](crate::CallInfo::metadata): for what is not the action's own business, such
    /// as a language or the number of a trace. None unless set; 8188 bytes at most, which with
    /// their entry's head are the 8 KiB that a call carries.
    ///
    /// Longer ones fail the call with
    /// [`ProblemKind::InputTooLarge`](crate::ProblemKind::InputTooLarge) before it is sent.
    pub fn metadata(mut self, metadata: impl Into<Vec<u8>>) -> Self {
        self.metadata.own = metadata.into();
        self
    }

    /// How often the call is tried in all, at least once; the client's attempts unless set. Only
    /// for actions that may be repeated.
    pub fn retry(mut self, attempts: u32) -> Self
    where
        A::Kind: Repeatable,
    {
        self.attempts = attempts.max(1);
        self
    }

    /// How long a stream may rest, once it has begun, before it is given up; the client's
    /// [`Limits::stream_idle`](crate::Limits::stream_idle), 30 s, unless set. The handler's side has
    /// the server's. Its
    /// [`timeout`](Request::timeout) is for the beginning: until the first item comes, or the
    /// first one is taken.
    pub fn idle(mut self, idle: Duration) -> Self
    where
        A::Pattern: Streaming,
    {
        self.idle = idle;
        self
    }

    /// Opens the stream: see [`Peer::open`](crate::Peer::open).
    ///
    /// # Errors
    /// If it was not opened, as when there is no connection.
    pub fn open(self) -> Result<Stream<A>, Problem>
    where
        A::Pattern: Streaming,
    {
        let idle = self.idle;
        self.call(Instant::now())?.open(Directions::of::<A>(), idle).map(Stream::new)
    }

    /// Calls and waits for the output.
    ///
    /// # Errors
    /// The action's own error as a value, or the problem that kept it from answering.
    pub fn run(self) -> CallResult<A>
    where
        A::Pattern: OneReply,
    {
        self.run_by(Call::wait)
    }

    /// Calls, and waits in a way of the caller's.
    #[inline]
    pub(super) fn run_by<T>(
        mut self,
        wait: impl FnOnce(Call<A>) -> Result<T, CallError<A::Error>>,
    ) -> Result<T, CallError<A::Error>>
    where
        A::Pattern: OneReply,
    {
        if net::may_block().is_err() {
            return Err(self.would_deadlock().into());
        }
        // Before it is sent: it may come round to this program at once.
        let waiting = net::begin_to_wait();
        self.metadata.chain = chain(waiting.as_ref());
        wait(self.start())
    }

    /// Starts the call and returns at once.
    pub fn start(self) -> Call<A>
    where
        A::Pattern: OneReply,
    {
        Call::new(self.begin())
    }

    /// Sends the input without waiting for anything: see [`Peer::send`](crate::Peer::send).
    ///
    /// # Errors
    /// If it was not sent.
    pub fn send(self) -> Result<(), Problem>
    where
        A::Pattern: OneReply,
    {
        self.call(Instant::now())?.send_only()
    }

    /// Asks with a frame of its own instead of the call.
    pub(super) fn ping(self) -> Result<Duration, Problem> {
        self.call(Instant::now())?.ping()
    }

    /// The same request to another peer.
    pub(super) fn over(&self, channel: &Arc<Channel>) -> Request<A> {
        let (input, metadata) = (self.input.clone(), self.metadata.clone());
        Request { channel: Arc::clone(channel), input, metadata, ..*self }
    }

    /// Said before the call is sent, so that it does not run.
    fn would_deadlock(self) -> Problem {
        match self.call(Instant::now()) {
            Ok(call) => call.problem(ProblemKind::WouldDeadlock, Ran::No, ""),
            Err(problem) => problem,
        }
    }

    #[inline]
    fn begin(self) -> Started {
        // One with time to spare may end a few milliseconds earlier: to look at the clock takes longer
        // than much else that a call needs.
        let timeout = self.timeout;
        let now = if timeout >= UNHURRIED { net::lately() } else { Instant::now() };
        Started::begin(self.call(now), now, timeout)
    }

    /// The call without its types, not begun.
    #[inline]
    fn call(self, now: Instant) -> Result<RawCall, Problem> {
        let action = A::INFO.name;
        let shapes = shapes_of::<A>().map_err(|why| uncarried(why).action(action))?;
        let input = self.input.map_err(|error| unencodable(&error).action(action))?;
        let (body, metadata) =
            with_metadata(&self.metadata, input).map_err(|problem| problem.action(action))?;
        let (deadline, inherited) = deadline(now, self.timeout);
        let order = Order {
            action: action.into(),
            name: const { name_hash(A::INFO.name) },
            shape: shapes.hash(),
            shapes,
            kind: <A::Kind as Kind>::VALUE,
            body,
            metadata,
            deadline,
            inherited,
            attempts: self.attempts,
        };
        Ok(RawCall::new(self.channel, order))
    }
}

/// The calls that wait for one that a handler makes.
pub(super) fn chain(waiting: Option<&net::Waiting>) -> Vec<ChainStep> {
    waiting.map(net::Waiting::chain).unwrap_or_default()
}

/// The body of a call, and how many bytes of it are metadata.
#[inline]
pub(super) fn with_metadata(
    metadata: &Metadata,
    input: SharedBody,
) -> Result<(SharedBody, u32), Problem> {
    // Most calls have none.
    if metadata.own.is_empty() && metadata.chain.is_empty() {
        return Ok((input, 0));
    }
    let own = metadata.own.len();
    if own > MAX_OWN_METADATA {
        let text = format!("{own} bytes of metadata, and a call carries {MAX_OWN_METADATA}");
        return Err(Problem::new(ProblemKind::InputTooLarge, Ran::No, text));
    }
    let len = metadata.encoded_len();
    if len == 0 {
        return Ok((input, 0));
    }
    let mut body = Vec::with_capacity(len + input.len());
    metadata.write(&mut body);
    input.copy_to(&mut body);
    Ok((SharedBody::new(body), len as u32))
}

/// When a call that begins now ends at the latest, and whether that is because the caller of this
/// thread's handler waits no longer.
pub(crate) fn deadline(now: Instant, timeout: Duration) -> (Instant, bool) {
    let own = later(now, timeout);
    match net::inherited() {
        Some(inherited) if inherited < own => (inherited, true),
        _ => (own, false),
    }
}

/// A timeout too long for the clock counts as thirty years.
pub(super) fn after(timeout: Duration) -> Instant {
    later(Instant::now(), timeout)
}

fn later(now: Instant, timeout: Duration) -> Instant {
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(30 * 365 * 86_400))
}

/// Told before a byte moves, on this side too.
pub(super) fn uncarried(Uncarried { part, why }: &Uncarried) -> Problem {
    Problem::new(ProblemKind::InputUnencodable, Ran::No, format!("because of its {part}: {why}"))
}

pub(super) fn unencodable(error: &EncodeError) -> Problem {
    let kind = match error {
        EncodeError::TooLarge { .. } => ProblemKind::InputTooLarge,
        EncodeError::Unsupported(_) => ProblemKind::InputUnencodable,
    };
    Problem::new(kind, Ran::No, error.to_string())
}

impl<A: Action> fmt::Debug for Request<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("action", &A::INFO.name).finish_non_exhaustive()
    }
}
