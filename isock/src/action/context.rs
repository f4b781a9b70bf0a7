//! What a handler knows about the call it serves.

use super::{
    shapes_of, Action, Deferring, Info, Later, ManyItems, Payload, Reader, Registration, Responder,
    Returned, Shapes, TakesItems,
};
use crate::{
    peer::{Cancel, Connection, Connections, ItemStream, Peer, Session, Unsent},
    wire::{DecodeLimits, EncodeError, Encoder},
};
use std::{
    fmt,
    marker::PhantomData,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

/// A call as its handler sees it. Derefs to [`CallInfo`].
///
/// ```
/// use isock::{Action, Context, Failure, Server};
/// use std::time::Duration;
///
/// /// Searches for as long as somebody wants to know.
/// #[derive(Action)]
/// #[action(input = u64, output = String, kind = read)]
/// struct Search;
///
/// fn search(from: u64, cx: &Context<Search>) -> Result<String, Failure> {
///     assert!(cx.remaining() <= Duration::from_secs(5));
///     for number in from.. {
///         if cx.cancelled() {
///             return Err(Failure::new("nobody waits any more"));
///         }
///         if number % 1009 == 0 {
///             return Ok(format!("{number} for {}", cx.peer().address()));
///         }
///     }
///     Err(Failure::new("there is none"))
/// }
///
/// let server = Server::in_memory().on::<Search>(search).spawn()?;
/// let client = server.client();
/// let found = client.request::<Search>(2000).timeout(Duration::from_secs(5)).run()?;
/// assert_eq!(found, "2018 for memory");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `M` says where the answer comes from: from what the handler returns, or, with
/// [`Deferred`](crate::Deferred), from a [`Responder`].
pub struct Context<'c, A, M = Returned> {
    call: &'c CallInfo,
    later: &'c dyn Later,
    action: PhantomData<fn() -> (A, M)>,
}

impl<'c, A, M> Context<'c, A, M> {
    pub(super) fn new(call: &'c CallInfo, later: &'c dyn Later) -> Context<'c, A, M> {
        Context { call, later, action: PhantomData }
    }
}

impl<A: Action, M> Context<'_, A, M> {
    /// Lets the call be answered later and from any thread, by whoever has the responder: no thread
    /// of the server waits for that. For handlers that are registered with
    /// [`on_deferred`](crate::ServerBuilder::on_deferred), which return `Ok(())`.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # use std::{thread, time::Duration};
    /// /// Rings when the time has come.
    /// #[derive(Action)]
    /// #[action(input = Duration, output = String)]
    /// struct Alarm;
    ///
    /// let server = Server::in_memory()
    ///     .on_deferred::<Alarm>(|after, cx| {
    ///         let responder = cx.defer();
    ///         thread::spawn(move || {
    /// #           let after = after.min(Duration::from_millis(1));
    ///             thread::sleep(after);
    ///             // Whether anybody still wanted to know is of no interest here.
    ///             let _ = responder.respond(Ok("good morning".to_owned()));
    ///         });
    ///         Ok(())
    ///     })
    ///     .spawn()?;
    /// assert_eq!(server.client().run::<Alarm>(Duration::from_secs(1))?, "good morning");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// An error that the handler returns is the answer, unless there has been one: so `?` works
    /// when the responder finds nobody to go to. Asked again, it gives another responder of the
    /// same call; the first answer counts. When the handler returns `Ok(())` and no responder is
    /// left, the caller gets a [`ProblemKind::Unanswered`](crate::ProblemKind::Unanswered).
    pub fn defer(&self) -> Responder<A>
    where
        M: Deferring,
    {
        Responder::new(self.later.defer())
    }
}

// The bounds are those of the methods: the compiler tells a bound of an impl without its advice.
impl<A: Action> Context<'_, A> {
    /// Sends an item to the caller; waits while the caller takes none. Small items that are sent in
    /// a burst travel together.
    ///
    /// # Errors
    /// If the caller has stopped the stream or has gone, or takes nothing for
    /// [`Limits::stream_idle`](crate::Limits::stream_idle), 30 s, or the item cannot be sent. A handler that passes the error on with `?` ends, which is what is expected
    /// of it.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// /// Counts up to a number.
    /// #[derive(Action)]
    /// #[action(input = u32, stream = u32, output = ())]
    /// struct CountTo;
    ///
    /// let server = Server::in_memory()
    ///     .on::<CountTo>(|to, cx| Ok((1..=to).try_for_each(|n| cx.send(n))?))
    ///     .spawn()?;
    /// let counted = server.client().open::<CountTo>(3)?.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(counted, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(&self, item: A::Item) -> Result<(), Stopped>
    where
        A::Pattern: ManyItems,
    {
        let stream = self.call.stream.as_ref().ok_or(Stopped(Why::Caller))?;
        let sent = Encoder::lend(self.call.max_item, |encoder| {
            item.encode(encoder).map_err(Unsent::Unsendable)?;
            stream.send(encoder.as_bytes())
        });
        sent.map_err(|unsent| match unsent {
            Unsent::Stopped => Stopped(Why::Caller),
            Unsent::Late => Stopped(Why::Late),
            Unsent::TooLarge { limit } => Stopped(Why::Unsendable(EncodeError::TooLarge { limit })),
            Unsent::Unsendable(error) => Stopped(Why::Unsendable(error)),
        })
    }

    /// The items that the caller sends, as they come; ends with the last one.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// /// Adds up what comes.
    /// #[derive(Action)]
    /// #[action(upload = u64, output = u64)]
    /// struct Sum;
    ///
    /// let server = Server::in_memory()
    ///     .on::<Sum>(|(), cx| {
    ///         let mut sum = 0;
    ///         for item in cx.items() {
    ///             sum += item?;
    ///         }
    ///         Ok(sum)
    ///     })
    ///     .spawn()?;
    /// let stream = server.client().open::<Sum>(())?;
    /// stream.send(1)?;
    /// stream.send(2)?;
    /// assert_eq!(stream.finish()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn items(&self) -> UploadItems<'_, A>
    where
        A::Pattern: TakesItems,
    {
        let [.., ceiling] = shapes_of::<A>().map(Shapes::ceilings).unwrap_or_default();
        let reader = Reader::new(self.call.action(), self.call.decoding, ceiling);
        UploadItems { call: self.call, over: false, reader }
    }
}

/// The items that a caller sends, made by [`Context::items`].
pub struct UploadItems<'c, A: Action> {
    call: &'c CallInfo,
    /// The end, or an error, has been told.
    over: bool,
    reader: Reader<A::Upload>,
}

impl<A: Action> Iterator for UploadItems<'_, A>
where
    A::Pattern: TakesItems,
{
    type Item = Result<A::Upload, Stopped>;

    /// Waits for the next item.
    ///
    /// # Errors
    /// If the caller has given the call up or has gone, sends nothing for
    /// [`Limits::stream_idle`](crate::Limits::stream_idle), 30 s, or sends what is no item.
    fn next(&mut self) -> Option<Self::Item> {
        let stream = self.call.stream.as_ref().filter(|_| !self.over)?;
        let next = stream.next_item(|bytes| self.reader.read(bytes));
        self.over = !matches!(next, Ok(Some(Ok(_))));
        match next {
            Ok(Some(Ok(item))) => Some(Ok(item)),
            Ok(Some(Err(error))) => Some(Err(Stopped(Why::Undecodable(error.to_string())))),
            Ok(None) if self.call.cancelled() => Some(Err(Stopped(Why::Caller))),
            Ok(None) => None,
            Err(_late) => Some(Err(Stopped(Why::Late))),
        }
    }
}

impl<A: Action> fmt::Debug for UploadItems<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

/// A stream does not go on: its other end has stopped it or has gone, or an item cannot travel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stopped(Why);

impl Stopped {
    /// Why it does not go on, to match on.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # use std::{sync::mpsc, time::Duration};
    /// use isock::StoppedKind;
    ///
    /// /// Counts for as long as somebody listens.
    /// #[derive(Action)]
    /// #[action(stream = u64)]
    /// struct Count;
    ///
    /// # let (tell, told) = mpsc::channel();
    /// let server = Server::in_memory()
    ///     .on::<Count>(move |(), cx| match (0..).try_for_each(|n| cx.send(n)) {
    ///         // Nobody listens any more, and that is all there is to it.
    ///         Err(stopped) if stopped.kind() == StoppedKind::Caller => {
    /// #           tell.send(stopped.kind())?;
    ///             Ok(())
    ///         }
    ///         result => Ok(result?),
    ///     })
    ///     .spawn()?;
    /// let client = server.client();
    /// let mut count = client.open::<Count>(())?;
    /// assert_eq!(count.next().transpose()?, Some(0));
    /// drop(count);
    /// # assert_eq!(told.recv_timeout(Duration::from_secs(10))?, StoppedKind::Caller);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kind(&self) -> StoppedKind {
        match self.0 {
            Why::Caller => StoppedKind::Caller,
            Why::Late => StoppedKind::Late,
            Why::Unsendable(_) => StoppedKind::Unsendable,
            Why::Undecodable(_) => StoppedKind::Undecodable,
        }
    }
}

/// Why a stream does not go on; each says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoppedKind {
    /// The caller has stopped the stream or has gone: return, nobody wants more.
    Caller,
    /// The caller neither took nor sent an item for
    /// [`Limits::stream_idle`](crate::Limits::stream_idle): return, or raise that limit.
    Late,
    /// The item is too long or cannot be encoded: send a smaller one, or change its type.
    Unsendable,
    /// What came is no item: rebuild both programs from the same crate.
    Undecodable,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("the caller has stopped the stream or has gone")]
    Caller,
    #[error("the caller neither took nor sent an item in time; `Limits::stream_idle` says how long it may")]
    Late,
    #[error("the item cannot be sent: {0}")]
    Unsendable(EncodeError),
    #[error("what came is no item: {0}; rebuild both programs from the same crate")]
    Undecodable(String),
}

impl<A, M> Deref for Context<'_, A, M> {
    type Target = CallInfo;

    fn deref(&self) -> &CallInfo {
        self.call
    }
}

impl<A, M> fmt::Debug for Context<'_, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

/// Who calls, and for how long.
pub struct CallInfo {
    pub(crate) registration: Registration,
    pub(crate) peer: Peer,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancelled: Arc<Cancel>,
    pub(crate) hide_failures: bool,
    pub(crate) decoding: Decoding,
    /// Its items, if it carries any. Boxed: most calls have none, and each is moved about.
    pub(crate) stream: Option<Box<ItemStream>>,
    /// The longest encoded item, in bytes.
    pub(crate) max_item: usize,
    /// What its caller sent beside the input.
    pub(crate) metadata: Vec<u8>,
}

impl CallInfo {
    /// The action that was called.
    pub fn action(&self) -> Info {
        self.registration.info()
    }

    /// Who called: its address, and calls to it in return.
    ///
    /// A handler that blocks in such a call does not hold up others.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// On a server, the connection that the call came over; `None` on a client.
    pub fn connection(&self) -> Option<Connection> {
        self.peer.connection()
    }

    /// All connections of the server that serves the call; none on a client.
    pub fn connections(&self) -> Connections {
        self.peer.connections()
    }

    /// What is kept for the connection that the call came over: values of your own types, dropped
    /// with it. On a client, for the client.
    pub fn session(&self) -> &Session {
        self.peer.session()
    }

    /// What the caller sent beside the input, with
    /// [`Request::metadata`](crate::Request::metadata); empty for most calls.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// /// Greets in the caller's language.
    /// #[derive(Action)]
    /// #[action(input = String, output = String, kind = read)]
    /// struct Greet;
    ///
    /// let server = Server::in_memory()
    ///     .on::<Greet>(|name, cx| match cx.metadata() {
    ///         b"de" => Ok(format!("Hallo {name}")),
    ///         _ => Ok(format!("Hello {name}")),
    ///     })
    ///     .spawn()?;
    /// let client = server.client();
    /// assert_eq!(client.request::<Greet>("Ada").metadata(*b"de").run()?, "Hallo Ada");
    /// assert_eq!(client.run::<Greet>("Ada")?, "Hello Ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metadata(&self) -> &[u8] {
        &self.metadata
    }

    /// The same call without what ends with its handler.
    pub(crate) fn for_later(&self) -> CallInfo {
        CallInfo {
            registration: self.registration.clone(),
            peer: self.peer.clone(),
            deadline: self.deadline,
            cancelled: Arc::clone(&self.cancelled),
            hide_failures: self.hide_failures,
            decoding: self.decoding,
            stream: None,
            max_item: self.max_item,
            metadata: self.metadata.clone(),
        }
    }

    /// When the caller stops waiting; `None` if it waits without end, or for a stream, whose
    /// deadline is for its beginning.
    ///
    /// Calls that the handler makes from its own thread end by then by themselves. Those of other
    /// threads do if they are told: `.timeout(cx.remaining())`.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long the caller still waits: zero once it has given up, [`Duration::MAX`] if it waits
    /// without end, as the caller of a stream does.
    pub fn remaining(&self) -> Duration {
        match self.deadline {
            _ if self.cancelled.is_told() => Duration::ZERO,
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        }
    }

    /// Whether nobody wants the answer any more: the caller cancelled, its connection ended, or
    /// its deadline has passed.
    pub fn cancelled(&self) -> bool {
        self.cancelled.is_told() || self.remaining().is_zero()
    }

    /// Whether the server that serves the call is being drained or stopped: it takes no further calls,
    /// and waits for this one until its grace is over. From then on the call is
    /// [`cancelled`](CallInfo::cancelled), since its connection ends. On a client, whether it has
    /// been closed.
    ///
    /// For handlers that could go on for long, as those of streams:
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # use std::{thread, time::Duration};
    /// /// Counts for as long as it may.
    /// #[derive(Action)]
    /// #[action(stream = u64, output = String)]
    /// struct Count;
    ///
    /// let server = Server::in_memory()
    ///     .on::<Count>(|(), cx| {
    ///         for n in 0.. {
    ///             if cx.stopping() {
    ///                 break;
    ///             }
    ///             cx.send(n)?;
    ///         }
    ///         Ok("the server stops".to_owned())
    ///     })
    ///     .spawn()?;
    /// let client = server.client();
    /// let mut counted = client.open::<Count>(())?;
    /// assert_eq!(counted.next().transpose()?, Some(0));
    /// server.stopper().drain(Duration::from_secs(60));
    /// counted.by_ref().try_for_each(|n| n.map(drop))?;
    /// assert_eq!(counted.finish()?, "the server stops");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stopping(&self) -> bool {
        self.peer.is_stopping()
    }

    /// Has something done when nobody wants the answer any more: the caller cancels, its
    /// connection ends, or the deadline passes, whichever comes first. If that has happened
    /// already, it is done at once, before this returns; once the handler has returned, or its
    /// [`Responder`] has answered, it is dropped instead.
    ///
    /// It runs on a thread that others wait for, so it must not block: a blocking call in it fails
    /// with [`ProblemKind::WouldDeadlock`](crate::ProblemKind::WouldDeadlock); `start`, `send` and
    /// channels are fine. It may still be running when the handler returns. A panic of it harms
    /// nobody, unless it is done at once.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # use std::{sync::mpsc, time::Duration};
    /// /// Waits for something that may never come.
    /// #[derive(Action)]
    /// #[action(output = String)]
    /// struct Wait;
    ///
    /// # let (begun, began) = mpsc::channel();
    /// # let (gave_up, given_up) = mpsc::channel();
    /// let server = Server::in_memory()
    ///     .on::<Wait>(move |(), cx| {
    ///         let (end, ended) = mpsc::channel();
    ///         cx.on_cancel(move || drop(end.send("nobody waits any more")));
    /// #       begun.send(())?;
    ///         // What it waits for would come through the same channel.
    ///         let why = ended.recv()?;
    /// #       gave_up.send(why)?;
    ///         Ok(why.to_owned())
    ///     })
    ///     .spawn()?;
    /// let client = server.client();
    /// let call = client.start::<Wait>(());
    /// # began.recv()?;
    /// call.cancel();
    /// # assert_eq!(given_up.recv_timeout(Duration::from_secs(10))?, "nobody waits any more");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) {
        self.cancelled.call(self.deadline, Box::new(hook));
    }
}

/// What is worth a line in a log; metadata may be a secret.
impl fmt::Debug for CallInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallInfo")
            .field("action", &self.action().name)
            .field("peer", self.peer.address())
            .field("remaining", &self.remaining())
            .field("cancelled", &self.cancelled())
            .finish_non_exhaustive()
    }
}

/// What decoding may cost, whatever the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoding {
    pub(crate) depth: u32,
    pub(crate) budget: usize,
}

impl Decoding {
    /// What it may cost for a message of an action.
    pub(crate) fn limits(self, info: &Info, encoded: usize) -> DecodeLimits {
        let by_len = DecodeLimits::for_len(encoded).budget.min(self.budget);
        DecodeLimits { depth: self.depth, budget: info.decode_budget.unwrap_or(by_len) }
    }
}
