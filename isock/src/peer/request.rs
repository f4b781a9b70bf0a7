//! A call with options of its own.

use super::{
    call::Started,
    channel::Channel,
    raw::{RawCall, Subject, Terms},
    Call, CallResult, Stream,
};
use crate::{
    action::{
        shapes_of, Action, Directions, Kind, OneReply, Repeatable, SendAs, Shapes, Streaming,
        Uncarried,
    },
    error::{CallError, Problem, ProblemKind},
    net,
    proto::SharedBody,
    wire::{name_hash, ChainStep, EncodeError, Encoder, Metadata, Ran, MAX_OWN_METADATA},
};
use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// A call that may take so long is not timed to the millisecond.
const UNHURRIED: Duration = Duration::from_secs(10);

/// A call that has not been started, made by [`Peer::request`](crate::Peer::request).
#[must_use = "a request does nothing until `.run()` or `.start()`"]
pub struct Request<A> {
    channel: Arc<Channel>,
    input: SharedBody,
    /// Why the input could not be encoded.
    unencoded: Option<EncodeError>,
    metadata: Metadata,
    timeout: Duration,
    idle: Duration,
    attempts: u32,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Request<A> {
    #[inline]
    pub(super) fn new(channel: Arc<Channel>, input: &impl SendAs<A::Input>) -> Request<A> {
        let mut body = SharedBody::default();
        let unencoded = encode::<A>(input, &mut body).err();
        let timeout = A::INFO.timeout.unwrap_or(channel.options.timeout);
        let attempts = channel.options.attempts;
        let idle = channel.options.limits.stream_idle;
        let metadata = Metadata::default();
        let action = PhantomData;
        Request { channel, input: body, unencoded, metadata, timeout, idle, attempts, action }
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
        let (input, unencoded) = (self.input.clone(), self.unencoded.clone());
        let (channel, metadata) = (Arc::clone(channel), self.metadata.clone());
        Request { channel, input, unencoded, metadata, ..*self }
    }

    /// Said before the call is sent, so that it does not run.
    fn would_deadlock(self) -> Problem {
        match self.call(Instant::now()) {
            Ok(call) => call.problem(ProblemKind::WouldDeadlock, Ran::No, ""),
            Err(problem) => problem,
        }
    }

    #[inline]
    fn begin(mut self) -> Started {
        let (now, timeout) = (begins(self.timeout), self.timeout);
        let call = self.check().map(|(shapes, metadata)| self.checked(shapes, metadata, now));
        Started::begin(call, now, timeout)
    }

    /// The call without its types, not begun.
    fn call(mut self, now: Instant) -> Result<RawCall, Problem> {
        let (shapes, metadata) = self.check()?;
        Ok(self.checked(shapes, metadata, now))
    }

    /// Says of what types the call is, and puts its metadata in front of the input: so many bytes.
    #[inline(always)]
    fn check(&mut self) -> Result<(&'static Shapes, u32), Problem> {
        let shapes = shapes_of::<A>().map_err(|why| uncarried(why).action(A::INFO.name))?;
        if let Some(error) = self.unencoded.take() {
            return Err(unencodable(&error).action(A::INFO.name));
        }
        // Most calls have none.
        if self.metadata.own.is_empty() && self.metadata.chain.is_empty() {
            return Ok((shapes, 0));
        }
        let (metadata, input) = (mem::take(&mut self.metadata), mem::take(&mut self.input));
        let (body, metadata) =
            with_metadata(&metadata, input).map_err(|problem| problem.action(A::INFO.name))?;
        self.input = body;
        Ok((shapes, metadata))
    }

    #[inline(always)]
    fn checked(self, shapes: &'static Shapes, metadata: u32, now: Instant) -> RawCall {
        let (deadline, inherited) = deadline(now, self.timeout);
        let terms = Terms { shapes, body: self.input, metadata, deadline, inherited };
        RawCall::of(self.channel, subject::<A>(), terms, self.attempts)
    }
}

/// Starts a call without options of its own: built where it will stay.
#[inline]
pub(super) fn start<A: Action>(channel: &Arc<Channel>, input: &impl SendAs<A::Input>) -> Started {
    let timeout = A::INFO.timeout.unwrap_or(channel.options.timeout);
    let carried = shapes_of::<A>();
    let terms = Terms {
        shapes: carried.unwrap_or(&Shapes::UNSTATED),
        body: SharedBody::default(),
        metadata: 0,
        // Until its input is there: to encode that is not what the call has time for.
        deadline: net::lately(),
        inherited: false,
    };
    let attempts = channel.options.attempts;
    let call = RawCall::of(Arc::clone(channel), subject::<A>(), terms, attempts);
    let mut started = Started::new(call);
    started.begin_with(timeout, |body| {
        carried.map_err(|why| uncarried(why).action(A::INFO.name))?;
        encode::<A>(input, body).map_err(|error| unencodable(&error).action(A::INFO.name))
    });
    started
}

/// Calls without options of its own, and waits.
#[inline]
pub(super) fn run<A: Action>(channel: &Arc<Channel>, input: &impl SendAs<A::Input>) -> CallResult<A>
where
    A::Pattern: OneReply,
{
    // A handler's call says who waits for it.
    if net::is_handling() || net::may_block().is_err() {
        return Request::<A>::new(Arc::clone(channel), input).run();
    }
    Call::<A>::new(start::<A>(channel, input)).wait_here()
}

/// When a call begins. One with time to spare may end a few milliseconds earlier: to look at the clock
/// takes longer than much else that a call needs.
#[inline]
pub(super) fn begins(timeout: Duration) -> Instant {
    if timeout >= UNHURRIED {
        net::lately()
    } else {
        Instant::now()
    }
}

#[inline]
fn encode<A: Action>(
    input: &impl SendAs<A::Input>,
    body: &mut SharedBody,
) -> Result<(), EncodeError> {
    let limit = A::INFO.max_input.unwrap_or(u32::MAX as usize);
    Encoder::lend_message(limit, |encoder| {
        input.encode(encoder)?;
        body.fill(encoder);
        Ok(())
    })
}

/// What all calls of an action have in common.
#[inline(always)]
fn subject<A: Action>() -> &'static Subject {
    const {
        &Subject {
            action: Cow::Borrowed(A::INFO.name),
            name: name_hash(A::INFO.name),
            kind: <A::Kind as Kind>::VALUE,
            stated: None,
        }
    }
}

/// The calls that wait for one that a handler makes.
pub(super) fn chain(waiting: Option<&net::Waiting>) -> Vec<ChainStep> {
    waiting.map(net::Waiting::chain).unwrap_or_default()
}

/// The body of a call, and how many bytes of it are metadata.
pub(super) fn with_metadata(
    metadata: &Metadata,
    input: SharedBody,
) -> Result<(SharedBody, u32), Problem> {
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
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 86_400))
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
