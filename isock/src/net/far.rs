//! Calls towards the other end of an event loop's connection: made by any thread, carried by the
//! loop.
//!
//! Knows a queue and who waits. Does not know when the loop sends, nor what a call means.

use super::{
    blocking::about_to_block,
    event_loop::ConnId,
    flow::Flow,
    link::Refused,
    pending::{wake_all, Ended, Pending},
    ping::{Echo, Pinged, Rhythm},
    remote::{Command, Remote},
};
use crate::{
    proto::{
        Answer, CallKey, Closed, Connection, NewCall, NotStarted, Outcome, ServedKey, FRAGMENT,
        WAITER,
    },
    sync::Progress,
    wire::{Close, CloseCode, ConnectionToken, Ran, Refusal, RefusalCode},
};
use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc, Condvar, Mutex, OnceLock, PoisonError,
    },
    task::Waker,
    time::{Duration, Instant},
};

/// Bytes that may wait for the loop and in the connection before calls are turned away.
const QUEUE: usize = 8 << 20;
/// How long an answer waits for the other side to read anything at all.
const UNREAD: Duration = Duration::from_millis(250);
/// What a send or an answer takes up beside its bytes while it waits for the loop, in a queue that has
/// as much room again.
const ENTRY: usize = 2 * size_of::<Command>();
/// The same of a call: somebody waits for its answer, wherever it is.
const CALL: usize = ENTRY + WAITER;

/// One connection of an event loop, as other threads see it.
#[derive(Debug)]
pub(crate) struct Far {
    id: ConnId,
    token: ConnectionToken,
    remote: Remote,
    gone: AtomicBool,
    /// Its client says that something always reads: it serves actions.
    attended: AtomicBool,
    /// Bytes that the loop has not taken yet: of calls, sends and answers.
    waiting: AtomicUsize,
    /// Bytes that the loop has taken and that have not left, when it looked last.
    unsaid: AtomicUsize,
    /// As many bytes may wait before answers are replaced.
    hard: usize,
    /// Threads with an answer that wait for some of that to leave.
    queueing: Mutex<usize>,
    left: Condvar,
    /// Of pings; most connections are asked for none.
    rhythm: OnceLock<Box<Rhythm>>,
}

/// A call that is being made through a loop.
#[derive(Debug)]
pub(crate) struct Ticket {
    pending: Pending,
    progress: Progress,
}

impl Far {
    pub(super) fn new(id: ConnId, token: ConnectionToken, remote: Remote, hard: usize) -> Far {
        let (gone, attended, waiting, unsaid) = Default::default();
        let (queueing, left, rhythm) = Default::default();
        Far { id, token, remote, gone, attended, waiting, unsaid, hard, queueing, left, rhythm }
    }

    /// The name of the connection, which its client knows too.
    pub(crate) fn token(&self) -> ConnectionToken {
        self.token
    }

    /// The loop that has it.
    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Tells connections of one server apart, in the order in which they came.
    pub(crate) fn number(&self) -> u64 {
        self.id.number()
    }

    /// Whether the connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        self.let_on();
    }

    /// What its client says of itself.
    pub(super) fn set_attended(&self, attended: bool) {
        self.attended.store(attended, Ordering::Release);
    }

    /// Hands a call to the loop. Returns soon in any case.
    pub(crate) fn start(&self, call: NewCall) -> Result<Arc<Ticket>, Refused> {
        self.take_room(CALL + call.body.len())?;
        let ticket = Arc::new(Ticket { pending: Pending::default(), progress: Progress::new() });
        let kept = Arc::clone(&ticket);
        match self.remote.send(Command::Call { connection: self.id, call, ticket: kept }) {
            Ok(()) => Ok(ticket),
            Err(_) => Err(Refused::Protocol(NotStarted::Closed)),
        }
    }

    fn take_room(&self, size: usize) -> Result<(), Refused> {
        if self.is_gone() {
            return Err(Refused::Protocol(NotStarted::Closed));
        }
        // Nobody would read the call before the client makes one of its own, and then refuse it.
        if !self.attended.load(Ordering::Acquire) {
            return Err(Refused::Unattended);
        }
        if self.begin_to_wait(size) > QUEUE {
            self.taken(size);
            return Err(Refused::Busy);
        }
        Ok(())
    }

    /// Counts bytes that wait from now on; says how many did already, wherever.
    fn begin_to_wait(&self, size: usize) -> usize {
        self.waiting.fetch_add(size, Ordering::Relaxed) + self.unsaid.load(Ordering::Relaxed)
    }

    /// Hands the answer of a call to the loop. One that would wait behind too much that is unread
    /// waits here for as long as some of that is read. If nothing is, it is a refusal from then on: it
    /// must not even wait for the loop.
    pub(crate) fn answer(&self, key: ServedKey, answer: Answer) {
        let fits = self.wait_for_room(answer.len());
        let answer = if fits { answer } else { answer.unless_unread() };
        let room = ENTRY + answer.len();
        self.begin_to_wait(room);
        // A loop that has returned has no connection left that could carry the answer.
        let _ = self.remote.send(Command::Answer { connection: self.id, key, answer, room });
    }

    /// The same for a short answer that must not wait, from a thread that the loop may need.
    pub(crate) fn answer_at_once(&self, key: ServedKey, answer: Answer) {
        let _ = self.remote.send(Command::Answer { connection: self.id, key, answer, room: 0 });
    }

    /// Waits until an answer of this length has room; false if the other side reads nothing.
    fn wait_for_room(&self, len: usize) -> bool {
        if self.has_room(len) {
            return true;
        }
        // An answer can come from a hook, on the thread that would make the room.
        if about_to_block().is_err() {
            return false;
        }
        let mut queueing = self.queueing.lock().unwrap_or_else(PoisonError::into_inner);
        *queueing += 1;
        // What only goes from one place to another has not been read.
        let (mut least, mut until) = (usize::MAX, Instant::now());
        let room = loop {
            if self.has_room(len) || self.is_gone() {
                break true;
            }
            let (now, left) = (Instant::now(), self.left_over());
            if left < least {
                (least, until) = (left, now + UNREAD);
            }
            if until <= now {
                break false;
            }
            queueing = self
                .left
                .wait_timeout(queueing, until - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        *queueing -= 1;
        room
    }

    /// Whether an answer of this length need not wait.
    pub(super) fn has_room(&self, len: usize) -> bool {
        let before = self.left_over();
        before == 0 || before + len <= self.hard
    }

    /// Bytes that wait for the loop or in the connection.
    fn left_over(&self) -> usize {
        self.waiting() + self.unsaid.load(Ordering::Relaxed)
    }

    /// Bytes that wait for the loop.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// So many bytes have not left.
    pub(super) fn note_unsaid(&self, bytes: usize) {
        if bytes < self.unsaid.swap(bytes, Ordering::Relaxed) {
            self.let_on();
        }
    }

    /// Less waits than before.
    fn let_on(&self) {
        if *self.queueing.lock().unwrap_or_else(PoisonError::into_inner) > 0 {
            self.left.notify_all();
        }
    }

    /// Hands an input to the loop that wants no answer. Sends of one thread keep their order.
    pub(crate) fn send(&self, call: &NewCall) -> Result<(), Refused> {
        if call.body.len() > FRAGMENT {
            return Err(Refused::Protocol(NotStarted::TooLarge { limit: FRAGMENT }));
        }
        self.take_room(ENTRY + call.body.len())?;
        let command = Command::Send { connection: self.id, call: call.clone() };
        self.remote.send(command).map_err(|_| Refused::Protocol(NotStarted::Closed))
    }

    /// The loop has handed a call of this length to the connection, where so many bytes have not left
    /// by now.
    pub(super) fn carries_call(&self, len: usize, unsaid: usize) {
        self.carries(CALL + len, unsaid);
    }

    /// The same for a send.
    pub(super) fn carries_send(&self, len: usize, unsaid: usize) {
        self.carries(ENTRY + len, unsaid);
    }

    /// The same for whatever took up so many bytes while it waited.
    pub(super) fn carries(&self, room: usize, unsaid: usize) {
        // In this order: what has been taken must not look as if it had left, and when it does leave,
        // who waits for room must see less than before.
        self.unsaid.store(unsaid, Ordering::Relaxed);
        self.taken(room);
    }

    /// So many bytes do not wait any more. What was taken may never leave, as on a connection that is
    /// about to close: then nothing else tells who waits for room.
    fn taken(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.let_on();
    }

    /// Gives a call up, and says whether its handler can have run.
    pub(crate) fn cancel(&self, ticket: &Arc<Ticket>) -> Ran {
        if ticket.progress.give_up() {
            return Ran::No;
        }
        let (connection, ticket) = (self.id, Arc::clone(ticket));
        // A loop that has returned has no call under way.
        let _ = self.remote.send(Command::CancelCall { connection, ticket });
        Ran::Unknown
    }

    /// Hands a call to the loop that carries items.
    pub(crate) fn open(&self, call: NewCall, flow: &Arc<Flow>) -> Result<(), Refused> {
        self.take_room(CALL + call.body.len())?;
        let (connection, flow) = (self.id, Arc::clone(flow));
        let command = Command::Open { connection, call, flow };
        self.remote.send(command).map_err(|_| Refused::Protocol(NotStarted::Closed))
    }

    /// Has the loop do what a stream's user has asked for.
    pub(super) fn settle(&self, flow: &Arc<Flow>) {
        let (connection, flow) = (self.id, Arc::clone(flow));
        // A loop that has returned has stopped every stream.
        let _ = self.remote.send(Command::Settle { connection, flow });
    }

    /// Gives a stream up.
    pub(super) fn cancel_stream(&self, flow: &Arc<Flow>) {
        let (connection, flow) = (self.id, Arc::clone(flow));
        let _ = self.remote.send(Command::CancelStream { connection, flow });
    }

    /// Has the loop ask the other side whether it is there, and waits for its answer.
    pub(crate) fn ping(&self, deadline: Instant) -> Result<Pinged, Refused> {
        if !self.rhythm.get_or_init(Box::default).wait(deadline) {
            return Ok(Pinged::Late);
        }
        let echo = Echo::default();
        let command = Command::Ping { connection: self.id, echo: echo.clone() };
        self.remote.send(command).map_err(|_| Refused::Protocol(NotStarted::Closed))?;
        let ended = echo.pending.block(deadline);
        if ended.is_none() {
            // A loop that has returned has forgotten it.
            let _ =
                self.remote.send(Command::ForgetPing { connection: self.id, echo: echo.clone() });
        }
        Ok(echo.ended(ended))
    }

    /// Ends the connection, and tells the other side why.
    pub(crate) fn disconnect(&self, reason: &str) {
        let close = Close::saying(CloseCode::DISMISSED, reason);
        // A loop that has returned has closed it.
        let _ = self.remote.send(Command::Close { connection: self.id, close });
    }
}

impl Ticket {
    /// Blocks until the call has ended; `None` if the deadline comes first.
    pub(crate) fn wait(&self, deadline: Instant) -> Option<Ended> {
        self.pending.block(deadline)
    }

    pub(crate) fn take(&self) -> Option<Ended> {
        self.pending.take()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.pending.is_ended()
    }

    /// Has the waker woken at the end; false if that has come.
    pub(crate) fn wake_with(&self, waker: &Waker) -> bool {
        self.pending.wake_with(waker)
    }

    /// Puts the end, and wakes who waits: on the loop's own thread, which a waker that panics must
    /// not end.
    fn end(&self, ended: Ended) {
        wake_all(self.pending.end(ended).into_iter().collect());
    }

    /// The connection that it was to take had ended before.
    pub(super) fn never_sent(&self, closed: Closed) {
        self.end(Ended::Lost(Ran::No, closed));
    }
}

/// The calls that a loop carries for one connection.
#[derive(Debug, Default)]
pub(super) struct Outgoing(HashMap<CallKey, Arc<Ticket>>);

impl Outgoing {
    /// Sends a call that has come through the queue.
    pub(super) fn start(
        &mut self,
        proto: &mut Connection,
        far: &Far,
        call: NewCall,
        ticket: Arc<Ticket>,
    ) {
        let size = call.body.len();
        self.take(proto, call, ticket);
        far.carries_call(size, proto.backlog());
    }

    fn take(&mut self, proto: &mut Connection, call: NewCall, ticket: Arc<Ticket>) {
        if !ticket.progress.take() {
            return;
        }
        let size = call.body.len();
        if proto.backlog() > QUEUE {
            let text = "too much waits to be read by the other side";
            let refusal = Refusal::new(RefusalCode::OVERLOADED, Ran::No, text);
            return ticket.end(Ended::Refused(refusal));
        }
        match proto.call(call) {
            Ok(key) => drop(self.0.insert(key, ticket)),
            Err(why) => ticket.end(refusal(size, why)),
        }
    }

    /// Tells the other side that nobody waits any more.
    pub(super) fn cancel(&mut self, proto: &mut Connection, ticket: &Arc<Ticket>) {
        let key = self.0.iter().find(|(_, known)| Arc::ptr_eq(known, ticket)).map(|(key, _)| *key);
        if let Some(key) = key {
            self.0.remove(&key);
            proto.cancel(key);
        }
    }

    /// A call has its answer.
    pub(super) fn ended(&mut self, call: CallKey, outcome: Outcome<'_>) {
        if let Some(ticket) = self.0.remove(&call) {
            ticket.end(Ended::of(outcome));
        }
    }

    /// A call was lost with the connection.
    pub(super) fn lost(&mut self, call: CallKey, ran: Ran, closed: &Closed) {
        if let Some(ticket) = self.0.remove(&call) {
            ticket.end(Ended::Lost(ran, closed.clone()));
        }
    }
}

/// Why a connection does not take a call.
pub(super) fn refusal(size: usize, why: NotStarted) -> Ended {
    match why {
        NotStarted::TooLarge { limit } => {
            let text = format!("{size} bytes, and the other side accepts {limit}");
            Ended::Refused(Refusal::new(RefusalCode::INPUT_TOO_LARGE, Ran::No, text))
        }
        NotStarted::Draining | NotStarted::Closed => Ended::Lost(Ran::No, Closed::Eof),
    }
}
