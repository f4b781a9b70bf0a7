//! A call that carries items, as its caller holds it.

use super::{
    call::decode,
    mismatch,
    raw::{RawCall, RawReply},
    CallResult,
};
use crate::{
    action::{shapes_of, Action, Reader, SendAs, Shapes, Streaming, TakesItems},
    error::{CallError, Problem, ProblemKind},
    net::{Conduit, Received, Unsent},
    wire::{items, Block, DecodeError, EncodeError, Encoder, Ran, ITEM_LEN},
};
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// What a stream of the action `A` gives, item by item: the last thing may be how it failed.
pub type StreamItem<A> = Result<<A as Action>::Item, CallError<<A as Action>::Error>>;

/// One stream as bytes: what the typed parts of both ends stand on.
#[derive(Debug)]
pub(crate) struct ItemStream {
    conduit: Conduit,
    batch: Mutex<Batch>,
    idle: Duration,
}

/// A message of items of which some have been taken.
#[derive(Debug, Default)]
struct Batch {
    bytes: Block,
    at: usize,
    items: u32,
}

/// Nothing came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

impl ItemStream {
    pub(crate) fn new(conduit: Conduit, idle: Duration) -> ItemStream {
        ItemStream { conduit, batch: Mutex::default(), idle }
    }

    pub(crate) fn conduit(&self) -> &Conduit {
        &self.conduit
    }

    fn rested(&self) -> Instant {
        super::request::after(self.idle)
    }

    /// The next item, as `decode` reads it; `None` if there are no further ones.
    pub(crate) fn next_item<T>(&self, decode: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, Late> {
        self.next_by(decode, || self.rested())
    }

    fn next_by<T>(
        &self,
        decode: impl FnOnce(&[u8]) -> T,
        deadline: impl FnOnce() -> Instant,
    ) -> Result<Option<T>, Late> {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        if batch.is_empty() {
            match self.conduit.receive(deadline()).ok_or(Late)? {
                Received::End => return Ok(None),
                Received::Items(bytes, items) => *batch = Batch { bytes, at: 0, items },
            }
        }
        Ok(batch.take(&self.conduit, decode))
    }

    /// The same for who has the stream to itself, of items that are here: no lock, no clock. Gives
    /// `decode` back if there is none.
    #[inline]
    fn next_here<T, D: FnOnce(&[u8]) -> T>(&mut self, decode: D) -> Result<Option<T>, D> {
        let batch = self.batch.get_mut().unwrap_or_else(PoisonError::into_inner);
        match batch.is_empty() {
            true => Err(decode),
            false => Ok(batch.take(&self.conduit, decode)),
        }
    }

    /// Sends an encoded item; waits while the other side takes none.
    pub(crate) fn send(&self, item: &[u8]) -> Result<(), Unsent> {
        self.conduit.send(item, || self.rested())
    }
}

impl Batch {
    #[inline]
    fn take<T>(&mut self, conduit: &Conduit, decode: impl FnOnce(&[u8]) -> T) -> Option<T> {
        // The protocol has counted the items: there is one.
        let item = items(self.bytes.tail(self.at)).next()?;
        let decoded = decode(item);
        self.at += ITEM_LEN + item.len();
        if self.is_empty() {
            conduit.consumed(self.bytes.len(), self.items);
        }
        Some(decoded)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

/// A stream that has been opened: iterate over its items, send some if the action takes any, and
/// take the handler's output with [`finish`](Stream::finish). Dropping it before its end stops it.
///
/// ```
/// # use isock::{Action, Server};
/// /// Counts up to a number, and says how many it has counted.
/// #[derive(Action)]
/// #[action(input = u32, stream = u32, output = u32)]
/// struct CountTo;
///
/// # let server = Server::in_memory()
/// #     .on::<CountTo>(|to, cx| {
/// #         (1..=to).try_for_each(|n| cx.send(n))?;
/// #         Ok(to)
/// #     })
/// #     .spawn()?;
/// # let client = server.client();
/// let mut stream = client.open::<CountTo>(3)?;
/// for number in stream.by_ref() {
///     println!("{}", number?);
/// }
/// assert_eq!(stream.finish()?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a stream stops it; iterate over it, or take its end with `.finish()`"]
pub struct Stream<A: Action> {
    raw: RawStream,
    reader: Reader<A::Item>,
}

/// Stops a stream from anywhere: another thread, a signal. Made by [`Stream::canceller`].
///
/// Whoever waits for an item, or to send one, goes on at once; the stream then ends with
/// [`ProblemKind::Cancelled`].
#[derive(Clone, Debug)]
pub struct Canceller(Conduit);

impl Canceller {
    /// Stops the stream, and says whether its handler ran, as far as this side can know. One that
    /// has ended stays as it is.
    pub fn cancel(&self) -> Ran {
        self.0.cancel()
    }
}

/// A stream without its types.
pub(super) struct RawStream {
    call: RawCall,
    items: ItemStream,
    /// Until when something must have come; then each rest counts by itself.
    opening: Option<Instant>,
    /// When it will have rested too long, for who polls it.
    rested: Option<Instant>,
    end: Option<Result<RawReply, Problem>>,
    /// The end was an error, and the iterator has given it.
    told: bool,
}

impl RawStream {
    pub(super) fn new(call: RawCall, conduit: Conduit, idle: Duration) -> RawStream {
        let opening = Some(call.deadline());
        let items = ItemStream::new(conduit, idle);
        RawStream { call, items, opening, rested: None, end: None, told: false }
    }

    /// The next item; `None` at the end, which is then in `end`.
    #[inline]
    fn next<T>(&mut self, decode: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if self.end.is_some() {
            return None;
        }
        let decode = match self.items.next_here(decode) {
            Ok(item) => {
                self.opening = None;
                return item;
            }
            Err(decode) => decode,
        };
        let opening = self.opening;
        let next = self.items.next_by(decode, || opening.unwrap_or_else(|| self.items.rested()));
        match next {
            Ok(Some(item)) => {
                self.opening = None;
                Some(item)
            }
            Ok(None) => {
                self.ended();
                None
            }
            Err(Late) => {
                self.late();
                None
            }
        }
    }

    fn poll_next<T>(
        &mut self,
        cx: &mut Context<'_>,
        decode: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Option<T>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        let now = Instant::now();
        let items = &self.items;
        let mut batch = items.batch.lock().unwrap_or_else(PoisonError::into_inner);
        if batch.is_empty() {
            match items.conduit.poll_receive(cx.waker()) {
                Some(Received::Items(bytes, items)) => *batch = Batch { bytes, at: 0, items },
                Some(Received::End) => {
                    drop(batch);
                    self.ended();
                    return Poll::Ready(None);
                }
                None => {
                    drop(batch);
                    return self.pending(now, cx, decode);
                }
            }
        }
        (self.opening, self.rested) = (None, None);
        Poll::Ready(batch.take(&items.conduit, decode))
    }

    /// Nothing has come yet: has the stream read, and looked at again in time.
    fn pending<T>(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        decode: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Option<T>> {
        let rested = || *self.rested.get_or_insert_with(|| self.items.rested());
        let at = self.opening.unwrap_or_else(rested);
        let forked = self.call.forked(Ran::Unknown).is_some();
        if at <= now && !forked && self.items.conduit.has_come() {
            return self.poll_next(cx, decode);
        }
        if at <= now || forked {
            self.late();
            return Poll::Ready(None);
        }
        self.call.wake_at(at, cx, self.items.conduit.to_read());
        Poll::Pending
    }

    fn ended(&mut self) {
        let ended = self.items.conduit.take_end();
        self.end = Some(match ended {
            Some(ended) => self.call.told(ended),
            // A conduit that says that no more comes without an end has been given up here.
            None => Err(self.call.problem(ProblemKind::Cancelled, Ran::Unknown, "")),
        });
    }

    fn late(&mut self) {
        let ran = self.items.conduit.cancel();
        let detail = match self.opening {
            Some(_) => "",
            None => "the handler neither sent nor took an item in time; `.idle(…)` gives it more",
        };
        let late = || self.call.problem(ProblemKind::Deadline, ran, detail);
        self.end = Some(Err(self.call.forked(ran).unwrap_or_else(late)));
    }

    /// A mismatch in words; the other side is asked for its types.
    fn explain(&mut self) {
        if let Some(Err(problem)) = &self.end {
            if problem.kind() == ProblemKind::Mismatch {
                let problem = mismatch::explained(&self.call, problem.clone());
                self.end = Some(Err(problem));
            }
        }
    }
}

/// Nobody wants the rest.
impl Drop for RawStream {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.items.conduit.cancel();
        }
    }
}

impl<A: Action> Stream<A>
where
    A::Pattern: Streaming,
{
    pub(super) fn new(raw: RawStream) -> Stream<A> {
        let [.., ceiling, _] = shapes_of::<A>().map(Shapes::ceilings).unwrap_or_default();
        let reader = Reader::new(A::INFO, raw.call.decoding(), ceiling);
        Stream { raw, reader }
    }

    /// Waits for the end, and gives the handler's output. Items that have not been looked at are
    /// dropped; where this side sends items, those that have been sent are all. A handler that never
    /// ends is waited for without end: drop the stream to stop it.
    ///
    /// Blocks the thread, as [`send`](Stream::send) may: in async code poll the items, and move these
    /// two to a thread that may block.
    ///
    /// # Errors
    /// The action's own error as a value, or the problem that kept it from answering.
    pub fn finish(mut self) -> CallResult<A> {
        self.raw.items.conduit.finish();
        while self.raw.next(|_| ()).is_some() {}
        self.raw.explain();
        self.outcome()
    }

    /// Polls for the next item, without any crate beside the standard library:
    /// `std::future::poll_fn(|cx| stream.poll_next(cx)).await`. With the feature `futures` this type
    /// is a `futures_core::Stream`.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamItem<A>>> {
        let reader = &self.reader;
        self.raw.poll_next(cx, |bytes| reader.read(bytes)).map(|item| match item {
            Some(item) => Some(self.checked(item)),
            None => self.failure().map(Err),
        })
    }

    /// Stops the stream, and says whether its handler ran, as far as this side can know.
    pub fn cancel(self) -> Ran {
        self.raw.items.conduit.cancel()
    }

    /// A handle that stops the stream from elsewhere, as while this thread waits for an item.
    ///
    /// ```
    /// # use isock::{Action, ProblemKind, Server};
    /// # use std::thread;
    /// # #[derive(Action)] #[action(stream = u32)] struct Watch;
    /// # let server = Server::in_memory()
    /// #     .on::<Watch>(|(), cx| {
    /// #         while !cx.cancelled() { thread::yield_now(); }
    /// #         Ok(())
    /// #     })
    /// #     .spawn()?;
    /// # let client = server.client();
    /// let mut stream = client.open::<Watch>(())?;
    /// let canceller = stream.canceller();
    /// thread::spawn(move || canceller.cancel());
    /// let error = stream.next().and_then(Result::err).ok_or("it goes on")?;
    /// assert_eq!(error.kind(), Some(ProblemKind::Cancelled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn canceller(&self) -> Canceller {
        Canceller(self.raw.items.conduit.clone())
    }

    fn checked(&mut self, item: Result<A::Item, DecodeError>) -> StreamItem<A> {
        item.map_err(|error| {
            let raw = &mut self.raw;
            raw.items.conduit.cancel();
            let text = error.to_string();
            let problem = raw.call.problem(ProblemKind::OutputUndecodable, Ran::Yes, text);
            raw.end = Some(Err(problem.clone()));
            raw.told = true;
            CallError::Call(problem)
        })
    }

    /// The end, if it is an error that has not been told.
    fn failure(&mut self) -> Option<CallError<A::Error>> {
        if std::mem::replace(&mut self.raw.told, true) {
            return None;
        }
        self.outcome().err()
    }

    fn outcome(&self) -> CallResult<A> {
        match &self.raw.end {
            Some(end) => decode::<A>(end.clone(), self.raw.call.decoding()),
            None => Err(self.raw.call.problem(ProblemKind::Cancelled, Ran::Unknown, "").into()),
        }
    }

    /// Sends an item to the handler; waits while it takes none. Small items that are sent in a
    /// burst travel together. An action that sends items too wants them taken meanwhile: its handler
    /// may wait for that before it takes more.
    ///
    /// # Errors
    /// If the handler has ended: with the action's own error if that was its end, and with the
    /// problem that kept it from going on if that was. Or if it takes nothing for the time that
    /// [`Request::idle`](crate::Request::idle) says, or the item cannot be sent.
    pub fn send(&self, item: impl SendAs<A::Upload>) -> Result<(), CallError<A::Error>>
    where
        A::Pattern: TakesItems,
    {
        let raw = &self.raw;
        if let Some(problem) = raw.call.forked(Ran::Unknown) {
            return Err(problem.into());
        }
        let limit = raw.call.max_item();
        let sent = Encoder::lend(limit, |encoder| {
            item.encode(encoder).map_err(Unsent::Unsendable)?;
            raw.items.send(encoder.as_bytes())
        });
        let Err(unsent) = sent else { return Ok(()) };
        let (kind, text) = match unsent {
            Unsent::Stopped => return Err(self.unsendable()),
            Unsent::Unsendable(EncodeError::TooLarge { .. }) => {
                let text = format!("the item is longer than the {limit} bytes of `message`");
                (ProblemKind::InputTooLarge, text)
            }
            Unsent::Unsendable(EncodeError::Unsupported(why)) => {
                (ProblemKind::InputUnencodable, why)
            }
            Unsent::TooLarge { limit } => {
                let text =
                    format!("the item is longer than the {limit} bytes that the handler takes");
                (ProblemKind::InputTooLarge, text)
            }
            Unsent::Late => {
                let text = "the handler took no item in time; `.idle(…)` gives it more";
                (ProblemKind::Deadline, text.to_owned())
            }
        };
        Err(raw.call.problem(kind, Ran::Unknown, text).into())
    }

    /// Why the handler takes no further items.
    fn unsendable(&self) -> CallError<A::Error> {
        let call = &self.raw.call;
        let conduit = self.raw.items.conduit();
        let end = conduit.peek_end().map(|end| decode::<A>(call.told(end), call.decoding()));
        let text = match end {
            Some(Err(error)) => return error,
            Some(Ok(_)) => "the handler has ended, and takes no further items",
            None if conduit.is_finished() => "this side has said that no further items follow",
            None => "the handler takes no further items; `finish` says why",
        };
        call.problem(ProblemKind::Cancelled, Ran::Unknown, text).into()
    }

    /// Says that no further item follows, without waiting for the end: for who goes on to iterate
    /// over what the handler sends. Dropping the stream still gives the call up: its end is what
    /// [`finish`](Stream::finish) waits for.
    pub fn close(&self)
    where
        A::Pattern: TakesItems,
    {
        self.raw.items.conduit.finish();
    }
}

impl<A: Action> Iterator for Stream<A>
where
    A::Pattern: Streaming,
{
    type Item = StreamItem<A>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = &self.reader;
        match self.raw.next(|bytes| reader.read(bytes)) {
            Some(item) => Some(self.checked(item)),
            None => {
                self.raw.explain();
                self.failure().map(Err)
            }
        }
    }
}

#[cfg(feature = "futures")]
impl<A: Action> futures_core::Stream for Stream<A>
where
    A::Pattern: Streaming,
{
    type Item = StreamItem<A>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<StreamItem<A>>> {
        Stream::poll_next(&mut self, cx)
    }
}

/// A stream has no part that must stay in its place.
impl<A: Action> Unpin for Stream<A> {}

impl<A: Action> fmt::Debug for Stream<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("action", &A::INFO.name).finish_non_exhaustive()
    }
}
