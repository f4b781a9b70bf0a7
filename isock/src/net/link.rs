//! The driver of blocking callers: a connection whose callers do its reading and writing.
//!
//! No thread stands between a caller and the kernel. Of several callers one reads for all, and
//! hands that role on when it leaves; each finds its own answer in its [`Pending`].

use super::{
    behind,
    bell::Bell,
    blocking::{about_to_block, WouldDeadlock},
    cancel::Cancel,
    corker::{self, Looking},
    crowd::{Caller, Callers, Crowd},
    flow::{Flow, Flows, Look},
    pending::{Awaited, Ended, Marks, Pending, Stage, Waiter, Waiting},
    ping::{Echo, Pinged, Pings, Rhythm},
    polling::Polling,
    stream::{is_retry, CallerStream, PATIENCE, WRITE_PATIENCE},
    watch::Purpose,
};
use crate::{
    address::Address,
    process::Process,
    proto::{
        Answer, Buffer, CallKey, Closed, Config, Connection, Event, NewCall, NotStarted, Room,
        ServedKey, SharedBody,
    },
    wire::{Block, CallHead, Close, CloseCode, ConnectionToken, Ran, Refusal, RefusalCode},
};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::{
    fmt::Debug,
    io::{self, IoSlice},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError, Weak,
    },
    task::Waker,
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

/// After this long without traffic, look whether the other side has gone before writing.
const IDLE: Duration = Duration::from_millis(10);
/// Calls that overlap leave together: at this many calls or bytes, or as soon as anybody waits.
const CORK_CALLS: u32 = 32;
/// Where many are under way, at one in so many of them: the other side has the rest to do meanwhile.
const CORK_PART: u32 = 4;
const CORK_BYTES: usize = 16 * 1024;
/// A send this soon after other traffic waits for more of its kind.
const BURST: Duration = Duration::from_millis(1);
/// Bytes that may wait to be written, or for a slot, before new calls are turned away.
const QUEUE: usize = 8 << 20;
/// Pieces of one vectored write.
const PIECES: usize = 32;
/// How long callers must have been quiet before a watcher reads what the other side calls.
const STAND_BACK: Duration = Duration::from_millis(2);
/// How long to wait between two looks at a socket that takes nothing.
const FULL: Duration = Duration::from_millis(2);
/// A thread that comes this late was stopped, or kept from running as long as if it had been.
const STOPPED: Duration = Duration::from_millis(20);

/// One connection of a client.
#[derive(Debug)]
pub(crate) struct Link {
    stream: CallerStream,
    address: Address,
    /// What has been read and not understood. Lives here and not on a stack, so that the next
    /// reader goes on where the last one left. Locked by the holder of the role alone.
    input: Mutex<Buffer>,
    state: Mutex<State>,
    /// Where callers sleep.
    crowd: Arc<Crowd>,
    /// Which calls have ended, for who only looks.
    marks: Arc<Marks>,
    /// It takes no new calls: it has ended, or the server drains it.
    over: AtomicBool,
    looking: Looking,
    rhythm: Rhythm,
    /// Whose connection it is. A child of it touches neither the socket nor a lock.
    owner: Process,
}

#[derive(Debug)]
struct State {
    proto: Connection,
    pending: Waiting,
    reader: Reader,
    polling: Polling,
    /// Who waits without reading, and would take the role.
    parked: Vec<Parked>,
    /// Who has been woken for the role, and has not run since.
    nominee: Option<ThreadId>,
    /// How often callers have taken the role, and how often they had when the watcher last looked.
    taken: u64,
    taken_before: u64,
    /// Whom to wake who waits beside the callers, and for what.
    watcher: Option<(Arc<Bell>, Awaits)>,
    /// Callers have been woken that are likely to call again.
    crowd: bool,
    closed: Option<Closed>,
    /// Calls in the output that nobody has tried to write.
    corked: u32,
    start: Pattern,
    last_traffic: Instant,
    /// When that is so long ago that the other side may have gone.
    idle_from: Instant,
    /// A write failed: nothing more is written, but what has arrived is still read.
    write_failed: bool,
    /// The socket takes nothing at the moment: the reader writes, and never waits for it.
    full: bool,
    /// What the other side calls, if this side serves anything.
    hosting: Option<Hosting>,
    pings: Pings,
    /// Streams of either side.
    flows: Flows,
    /// Streams whose users have asked for something that is done with the next write.
    unsettled: Vec<Arc<Flow>>,
    /// Who is to be woken once the lock is free.
    woken: Vec<Waiter>,
}

/// A way to write.
type Write = fn(&CallerStream, &[IoSlice<'_>]) -> io::Result<usize>;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Nobody,
    /// Somebody is about to: whatever is in the output by then leaves first.
    Awake,
    /// Somebody waits for bytes, and sends nothing meanwhile.
    Asleep,
}

/// What calls that are started with nothing else under way have been followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// By their answers: the next one leaves at once.
    Single,
    /// Not known yet of the one under way.
    Open,
    /// By further calls: the next one waits for those.
    Burst,
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) call: Awaited,
    /// It has not been written: see [`Link::uncork`].
    pub(crate) corked: bool,
}

/// A call of the other side.
#[derive(Debug)]
pub(crate) struct Called {
    /// Names it in [`Link::answer`]; `None` if no answer is wanted.
    pub(crate) key: Option<ServedKey>,
    pub(crate) head: CallHead,
    /// Metadata, then the encoded input.
    pub(crate) body: Block,
    /// When it was read.
    pub(crate) at: Instant,
    /// Set once nobody waits for the answer any more.
    pub(crate) cancelled: Arc<Cancel>,
    /// Its items, if it carries any.
    pub(crate) flow: Option<Arc<Flow>>,
    /// Streams that the connection has, this one included.
    pub(crate) streams: usize,
}

/// Whoever serves the calls of the other side. It is told by a thread that others wait for: it
/// takes the call and returns.
pub(crate) trait Host: Send + Sync + Debug {
    /// Takes a call; the answer comes through [`Link::answer`].
    ///
    /// # Errors
    /// What the other side is told instead.
    fn call(&self, link: &Weak<Link>, call: Called) -> Result<(), Refusal>;
    /// Whether no more should be read for now, unless somebody waits for an answer.
    fn is_full(&self) -> bool;
    /// The connection is the one of the moment.
    fn opened(&self);
    /// A connection that was opened has ended.
    fn ended(&self, why: &Closed);
    /// Whether the connection is always read.
    fn attends(&self) -> bool;
}

/// The calls of the other side on one connection.
#[derive(Debug)]
struct Hosting {
    host: Arc<dyn Host>,
    me: Weak<Link>,
    running: Vec<(ServedKey, Arc<Cancel>)>,
    /// The host has been told of the connection.
    entered: bool,
}

/// Why a call was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Protocol(NotStarted),
    Busy,
    /// Nothing reads at the other side unless it calls.
    Unattended,
}

/// A caller that would have the role: it reads for itself and for all.
#[derive(Debug)]
struct Parked {
    thread: ThreadId,
    caller: Caller,
    wants: Wanted,
}

/// What somebody waits for on a connection.
#[derive(Clone, Debug)]
enum Wanted {
    Call(Awaited),
    /// What comes of a ping, or happens to a stream.
    Signal(Arc<Pending>),
}

/// What who waits finds.
enum Found<'l> {
    /// The end of what it waits for.
    End(Ended),
    /// Nobody reads: that is for the finder to do.
    Role(Role<'l>),
    /// Others read, or have until now.
    Others,
}

/// What a read has come to.
struct Pumped {
    /// Bytes have moved.
    moved: bool,
    at: Instant,
    /// The end of what its reader waits for.
    ended: Option<Ended>,
}

/// How a watcher finds a connection.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nobody reads it.
    Mine {
        /// When something is due on it.
        due: Option<Instant>,
        /// Its socket is full, and there is something to write.
        full: bool,
    },
    /// Callers do, or have until now.
    Theirs {
        /// When to look again; else the bell is rung.
        again: Option<Instant>,
    },
}

/// What a watcher wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    /// Nobody reads any more.
    Role,
    /// The socket has become full.
    Full,
}

/// The right to read. Dropping it, for whatever reason, hands it on.
struct Role<'l>(&'l Link);

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reader = Reader::Nobody;
        let next = state.next_reader();
        state.nominee = next.map(|(thread, _)| thread);
        let watcher = if next.is_none() { state.watcher_of(Awaits::Role) } else { None };
        drop(state);
        if let Some((_, caller)) = next {
            self.0.crowd.wake(caller.into());
        }
        if let Some(bell) = watcher {
            bell.ring();
        }
    }
}

impl Link {
    /// A connection over a connected stream; [`handshake`](Link::handshake) comes next.
    pub(crate) fn new(
        stream: CallerStream,
        address: Address,
        config: Config,
        polling: Polling,
        host: Option<Arc<dyn Host>>,
    ) -> Arc<Link> {
        Arc::new_cyclic(|me| {
            let hosting =
                |host| Hosting { host, me: me.clone(), running: Vec::new(), entered: false };
            Link::with(stream, address, config, polling, host.map(hosting))
        })
    }

    fn with(
        stream: CallerStream,
        address: Address,
        config: Config,
        polling: Polling,
        hosting: Option<Hosting>,
    ) -> Link {
        let now = Instant::now();
        let state = State {
            proto: Connection::client(config, now),
            pending: Waiting::default(),
            reader: Reader::Nobody,
            polling,
            parked: Vec::new(),
            nominee: None,
            taken: 0,
            taken_before: 0,
            watcher: None,
            crowd: false,
            closed: None,
            corked: 0,
            start: Pattern::Single,
            last_traffic: now,
            idle_from: now + IDLE,
            write_failed: false,
            full: false,
            hosting,
            pings: Pings::default(),
            flows: Flows::default(),
            unsettled: Vec::new(),
            woken: Vec::new(),
        };
        Link {
            stream,
            address,
            input: Mutex::default(),
            marks: state.pending.marks(),
            state: Mutex::new(state),
            crowd: Arc::default(),
            over: AtomicBool::new(false),
            looking: Looking::default(),
            rhythm: Rhythm::default(),
            owner: Process::this(),
        }
    }

    /// Where the other end is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges prefaces.
    ///
    /// # Errors
    /// How the connection ended instead; `None` if the deadline came first.
    pub(crate) fn handshake(&self, deadline: Instant) -> Result<(), Option<Closed>> {
        self.flush(&mut self.lock());
        let _role = self.take_role();
        loop {
            let state = self.lock();
            if let Some(closed) = &state.closed {
                return Err(Some(closed.clone()));
            }
            if state.proto.is_open() {
                return Ok(());
            }
            if deadline <= Instant::now() {
                return Err(None);
            }
            self.pump_or_wait(state, None);
        }
    }

    /// From now on it is the connection that calls take: whoever serves it is told.
    pub(crate) fn enter(&self) {
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        if let Some(hosting) = &mut state.hosting {
            hosting.entered = true;
            hosting.host.opened();
        }
    }

    /// Tells the other side that something always reads here.
    pub(crate) fn say_attended(&self) {
        let mut state = self.lock();
        state.proto.set_attended(true);
        // The handshake has the first word.
        if state.proto.is_open() {
            self.flush_unless_full(&mut state);
        }
        self.unlock(state);
    }

    /// Whether new calls can be started.
    pub(crate) fn is_usable(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    /// Whether it has ended, and with it every call on it.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Whether a call of the other side still waits for its answer here.
    pub(crate) fn is_serving(&self) -> bool {
        self.lock().hosting.as_ref().is_some_and(|hosting| !hosting.running.is_empty())
    }

    /// Sends a call, or queues it as the protocol wants. Returns soon in any case.
    ///
    /// While others are under way it may stay behind, to leave with those that follow: whoever
    /// waits sends it, and [`uncork`](Link::uncork) if nobody does.
    pub(crate) fn start(
        self: &Arc<Self>,
        now: Instant,
        head: CallHead,
        body: &SharedBody,
    ) -> Result<Started, Refused> {
        let mut state = self.look_around(now);
        if state.proto.backlog() > QUEUE {
            return Err(Refused::Busy);
        }
        let call = NewCall { head, body: body.clone() };
        let key = state.proto.call(call).map_err(Refused::Protocol)?;
        let call = state.pending.insert(key);
        state.corked += 1;
        let leaves = state.leaves_at_once();
        let most = CORK_CALLS.max(state.proto.in_flight() as u32 / CORK_PART);
        if leaves || state.corked >= most || state.proto.output_len() >= CORK_BYTES {
            self.flush_unless_full(&mut state);
        }
        let corked = state.corked;
        drop(state);
        if corked == 1 {
            behind::note(self);
        }
        corker::attend();
        Ok(Started { call, corked: corked > 0 })
    }

    /// Sends a call that carries items, or queues it as the protocol wants.
    pub(crate) fn open(&self, call: NewCall, flow: &Arc<Flow>) -> Result<(), Refused> {
        let mut state = self.look_around(Instant::now());
        if state.proto.backlog() > QUEUE {
            return Err(Refused::Busy);
        }
        let key = state.proto.call(call).map_err(Refused::Protocol)?;
        flow.begun(key, state.proto.message_limit());
        state.flows.insert(key.into(), Arc::clone(flow));
        self.flush_unless_full(&mut state);
        self.unlock(state);
        Ok(())
    }

    /// Does what a stream's user has asked for: at once, or with what follows in a burst.
    pub(super) fn settle(self: &Arc<Self>, flow: &Arc<Flow>) {
        if !self.owner.is_this() {
            return;
        }
        let mut state = self.lock();
        state.unsettled.push(Arc::clone(flow));
        state.corked += 1;
        if state.last_traffic.elapsed() >= BURST {
            self.flush_unless_full(&mut state);
        }
        let corked = state.corked > 0;
        self.unlock(state);
        if corked {
            self.watch_cork();
        }
    }

    /// Gives a stream of this side up, and says whether its handler can have run.
    pub(super) fn cancel_stream(&self, key: CallKey) -> Ran {
        if !self.owner.is_this() {
            return Ran::Unknown;
        }
        let mut state = self.lock();
        if state.flows.remove(key.into()).is_none() {
            return Ran::Unknown;
        }
        let ran = state.proto.cancel(key);
        self.flush_unless_full(&mut state);
        self.unlock(state);
        ran
    }

    /// Wakes those who are to be woken. A waker is the user's code, so not before the lock is free.
    fn unlock(&self, mut state: MutexGuard<'_, State>) {
        if state.woken.is_empty() {
            return;
        }
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        self.wake(woken);
    }

    /// Wakes its callers with one call of the system, and then the others: a waker may panic.
    fn wake(&self, woken: Vec<Waiter>) {
        let mut callers = Callers::default();
        // This thread is awake.
        let is_asleep = |caller: &Caller| *caller != Caller::me();
        woken.iter().filter_map(|one| self.caller(one)).filter(is_asleep).for_each(|one| {
            callers.add(one);
        });
        self.crowd.wake(callers);
        let others = woken.into_iter().filter(|one| self.caller(one).is_none());
        others.for_each(Waiter::wake);
    }

    /// Who of its callers this is.
    fn caller(&self, waiter: &Waiter) -> Option<Caller> {
        match waiter {
            Waiter::Caller(crowd, caller) if Arc::ptr_eq(crowd, &self.crowd) => Some(*caller),
            _ => None,
        }
    }

    /// Sends an input that wants no answer: at once, or with those that follow in a burst.
    pub(crate) fn send(self: &Arc<Self>, call: &NewCall) -> Result<(), Refused> {
        let now = Instant::now();
        let mut state = self.look_around(now);
        if state.proto.backlog() > QUEUE {
            return Err(Refused::Busy);
        }
        state.proto.send(call).map_err(Refused::Protocol)?;
        state.corked += 1;
        let burst = now.saturating_duration_since(state.last_traffic) < BURST;
        let full = state.corked >= CORK_CALLS || state.proto.output_len() >= CORK_BYTES;
        if full || !burst {
            self.flush_unless_full(&mut state);
        }
        let corked = state.corked > 0;
        drop(state);
        if corked {
            self.watch_cork();
        }
        Ok(())
    }

    /// The name that the server gave the connection.
    pub(crate) fn token(&self) -> Option<ConnectionToken> {
        self.lock().proto.token()
    }

    /// Makes sure that what stayed behind is sent within about a millisecond.
    pub(crate) fn watch_cork(self: &Arc<Self>) {
        corker::watch(self);
    }

    pub(super) fn looking(&self) -> &Looking {
        &self.looking
    }

    /// Sends what stayed behind; says whether there was anything.
    pub(crate) fn uncork(&self) -> bool {
        if !self.owner.is_this() {
            return false;
        }
        let mut state = self.lock();
        let corked = state.corked > 0;
        if corked {
            state.note_pattern();
            self.flush_unless_full(&mut state);
        }
        self.unlock(state);
        corked
    }

    /// The same for a thread that is about to wait elsewhere, and so without waiting here.
    pub(super) fn uncork_in_passing(&self) {
        if !self.owner.is_this() {
            return;
        }
        let mut state = self.lock();
        if state.corked > 0 && state.reader != Reader::Awake && !state.full {
            state.note_pattern();
            self.flush_by(&mut state, CallerStream::write_now);
        }
        self.unlock(state);
    }

    /// The same when there may be no caller at all, since who sends waits for nothing: into a full
    /// socket only a reader writes, so this reads for a moment if nobody does.
    pub(super) fn push_on(&self) -> bool {
        let corked = self.uncork();
        let left = self.owner.is_this() && {
            let state = self.lock();
            state.full && state.proto.output_len() > 0
        };
        if left {
            self.glance();
        }
        corked || left
    }

    /// A server that has gone away or is going has often said so already: reading it now turns
    /// a call that would be lost into one that is sent elsewhere.
    fn look_around(&self, now: Instant) -> MutexGuard<'_, State> {
        let state = self.lock();
        if now < state.idle_from {
            return state;
        }
        drop(state);
        self.glance();
        self.lock()
    }

    /// Waits until the call has ended; `None` if the deadline comes first, or in a child of the process.
    ///
    /// # Errors
    /// If it has not ended, where nothing may block.
    pub(crate) fn wait(
        &self,
        call: Awaited,
        deadline: Instant,
    ) -> Result<Option<Ended>, WouldDeadlock> {
        if !self.owner.is_this() {
            return Ok(None);
        }
        let mut state = self.lock();
        if let Some(ended) = state.pending.take(call) {
            return Ok(Some(ended));
        }
        let role = state.lead().then(|| Role(self));
        drop(state);
        let found = role.map_or(Found::Others, Found::Role);
        self.wait_for(&Wanted::Call(call), found, deadline)
    }

    /// The same for what is no call, and whose user has asked already whether it may block.
    pub(super) fn wait_for_signal(
        &self,
        signal: &Arc<Pending>,
        deadline: Instant,
    ) -> Option<Ended> {
        if !self.owner.is_this() {
            return None;
        }
        let wanted = Wanted::Signal(Arc::clone(signal));
        let found = self.look(&wanted);
        self.wait_for(&wanted, found, deadline).ok().flatten()
    }

    /// Goes on after the first look.
    fn wait_for<'l>(
        &'l self,
        wanted: &Wanted,
        mut found: Found<'l>,
        deadline: Instant,
    ) -> Result<Option<Ended>, WouldDeadlock> {
        if !matches!(found, Found::End(_)) {
            about_to_block()?;
            behind::leave_all_but(self);
        }
        let mut late = None;
        loop {
            let role = match found {
                Found::End(ended) => return Ok(Some(ended)),
                Found::Role(role) => Some(role),
                Found::Others => None,
            };
            let now = Instant::now();
            found = match role {
                role if deadline <= now => {
                    drop(role);
                    self.uncork();
                    if !self.may_have_come(now, *late.get_or_insert(now), deadline) {
                        return Ok(self.lock().take(wanted));
                    }
                    self.doze(wanted);
                    self.lock().take(wanted).map_or(Found::Others, Found::End)
                }
                Some(role) => match self.read_until(wanted, deadline) {
                    Some(ended) => Found::End(ended),
                    None => Found::Role(role),
                },
                None => self.park(wanted, deadline),
            };
        }
    }

    /// Sleeps for a moment, or until the end is there.
    fn doze(&self, wanted: &Wanted) {
        let before = self.lock().wait_as(wanted, Waiter::Thread(thread::current()));
        if before.is_some() {
            thread::park_timeout(FULL);
        }
    }

    /// Looks for the end, and else whether nobody reads.
    fn look(&self, wanted: &Wanted) -> Found<'_> {
        let mut state = self.lock();
        match state.take(wanted) {
            Some(ended) => Found::End(ended),
            None if state.lead() => Found::Role(Role(self)),
            None => Found::Others,
        }
    }

    /// Takes the end of a call, if it is there.
    pub(crate) fn take(&self, call: Awaited) -> Option<Ended> {
        match self.owner.is_this() {
            true => self.lock().pending.take(call),
            false => None,
        }
    }

    /// Whether a wait for it would return at once, as one does in a child of the process.
    pub(crate) fn has_ended(&self, call: Awaited) -> bool {
        let locked = || self.lock().pending.has_ended(call);
        !self.owner.is_this() || self.marks.has_ended(call).unwrap_or_else(locked)
    }

    /// Has the waker woken at the end, and sends what stayed behind; false if the end has come.
    pub(crate) fn wake_with(&self, call: Awaited, waker: &Waker) -> bool {
        if !self.owner.is_this() {
            return false;
        }
        let waiter = Waiter::Future(waker.clone());
        let mut state = self.lock();
        let before = state.pending.wait_as(call, waiter);
        let waits = before.is_ok();
        if waits && state.corked > 0 {
            state.note_pattern();
            self.flush_unless_full(&mut state);
        }
        self.unlock(state);
        waits
    }

    /// The state once what stayed behind is sent, unless whoever is about to read does so.
    fn lock_uncorked(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if state.corked > 0 && state.reader != Reader::Awake {
            self.flush_unless_full(&mut state);
            self.unlock(state);
            state = self.lock();
        }
        state
    }

    /// Understands what lies there already: an answer that has come in time is no late one because
    /// nobody read it. False if somebody else reads.
    pub(crate) fn glance(&self) -> bool {
        let role = if self.owner.is_this() { self.take_role() } else { None };
        if role.is_some() {
            self.pump(CallerStream::read_now, None);
        }
        role.is_some()
    }

    /// Reads what has come, for who has been `late` since then. Says whether more may be on its way
    /// from the socket: somebody else reads, and bytes lie there, or may just have been taken. Where
    /// all threads were stopped, one of them looks at its clock before another one has read what
    /// came meanwhile. Who looks long after its deadline was stopped itself, and gives the other one
    /// the time of a whole read.
    pub(crate) fn may_have_come(&self, now: Instant, late: Instant, deadline: Instant) -> bool {
        if !self.owner.is_this() || self.glance() {
            return false;
        }
        let since = now.saturating_duration_since(late);
        let was_stopped = late.saturating_duration_since(deadline) >= STOPPED;
        since < 2 * FULL || (since < PATIENCE && (was_stopped || self.stream.has_more()))
    }

    /// Reads for all until the end of this is there. Only with the role, and only for what had not
    /// ended when that was taken: nothing else need come.
    fn read_until(&self, wanted: &Wanted, deadline: Instant) -> Option<Ended> {
        loop {
            let (now, ended) = self.pump_or_wait(self.lock(), Some(wanted));
            if ended.is_some() || deadline <= now {
                return ended;
            }
        }
    }

    /// Says whether a watcher is to read, and whom to wake otherwise.
    pub(super) fn turn(&self, purpose: Purpose, bell: &Arc<Bell>) -> Turn {
        let mut state = self.lock();
        state.watcher = None;
        if state.closed.is_some() {
            return Turn::Theirs { again: Some(Instant::now()) };
        }
        let busy = state.taken != state.taken_before && purpose == Purpose::Calls;
        state.taken_before = state.taken;
        let pause = match () {
            () if busy => STAND_BACK,
            () if state.reader != Reader::Nobody => {
                state.watcher = Some((Arc::clone(bell), Awaits::Role));
                return Turn::Theirs { again: None };
            }
            () if state.is_fed() => FULL,
            () => {
                state.watcher = Some((Arc::clone(bell), Awaits::Full));
                return Turn::Mine { due: state.proto.poll_timeout(), full: state.full };
            }
        };
        Turn::Theirs { again: Some(Instant::now() + pause) }
    }

    /// Reads once for those who do not read themselves, unless callers have come meanwhile.
    pub(super) fn take_turn(&self, purpose: Purpose) {
        let mut state = self.lock();
        let busy = state.taken != state.taken_before && purpose == Purpose::Calls;
        if busy || state.reader != Reader::Nobody {
            return;
        }
        state.reader = Reader::Awake;
        // It sees by itself whether the socket is full.
        state.watcher = None;
        drop(state);
        let _role = Role(self);
        self.pump(CallerStream::read_now, None);
    }

    /// What a watcher waits at; a pipe has none.
    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.stream.descriptor()
    }

    /// Has a pipe ring instead; says whether there is something to read already.
    #[cfg(unix)]
    pub(super) fn rings(&self, bell: &Arc<Bell>) -> bool {
        self.stream.rings(bell)
    }

    fn take_role(&self) -> Option<Role<'_>> {
        self.lock().lead().then(|| Role(self))
    }

    /// Waits to be woken, for the end or for the role, unless nobody reads. Whoever has been woken
    /// for the role has it, to hand it on if for nothing else.
    fn park(&self, wanted: &Wanted, deadline: Instant) -> Found<'_> {
        let (me, id) = (Caller::me(), thread::current().id());
        let mut state = self.lock_uncorked();
        let heard = self.crowd.heard();
        // From here on the end and the role come to who is on the list: the sleep ends with either.
        let waiter = Waiter::Caller(Arc::clone(&self.crowd), me);
        let free = state.reader == Reader::Nobody;
        let before = if free { None } else { state.wait_as(wanted, waiter) };
        if before.is_none() {
            drop(state);
            return self.look(wanted);
        }
        state.parked.push(Parked { thread: id, caller: me, wants: wanted.clone() });
        drop(state);
        let patience = deadline.saturating_duration_since(Instant::now());
        self.crowd.sleep(heard, me, patience);
        let mut state = self.lock();
        let ended = state.take(wanted);
        let leads = match state.nominee == Some(id) {
            true => {
                state.nominee = None;
                state.lead()
            }
            false => {
                state.parked.retain(|parked| parked.thread != id);
                false
            }
        };
        drop(state);
        let role = leads.then(|| Role(self));
        match (ended, role) {
            (Some(ended), _) => Found::End(ended),
            (None, Some(role)) => Found::Role(role),
            (None, None) => self.look(wanted),
        }
    }

    /// Moves bytes, or waits for a moment if there are none; says when it was done, and the end of
    /// what is wanted. Only with the role.
    fn pump_or_wait<'l>(
        &'l self,
        mut state: MutexGuard<'l, State>,
        wanted: Option<&Wanted>,
    ) -> (Instant, Option<Ended>) {
        if std::mem::take(&mut state.crowd) {
            drop(state);
            // Those who have just had their answers call again: their calls leave together.
            thread::yield_now();
            state = self.lock();
        }
        if state.corked > 0 {
            state.note_pattern();
            self.flush(&mut state);
        }
        if state.is_fed() {
            // What the other side sends is not even run as fast as it comes.
            drop(state);
            return self.rest(wanted);
        }
        if !state.full {
            // Who polls is asleep to the others: it holds no lock, and they write for themselves.
            state.reader = Reader::Asleep;
            let (polling, last) = (state.polling, state.last_traffic);
            drop(state);
            let pumped = match polling.until(last) {
                None => self.pump(CallerStream::read, wanted),
                Some(until) => self.pump_busily(until, polling, wanted),
            };
            return (pumped.at, pumped.ended);
        }
        drop(state);
        let pumped = self.pump(CallerStream::read_now, wanted);
        if pumped.moved || pumped.ended.is_some() {
            return (pumped.at, pumped.ended);
        }
        // The other side reads slowly, or not at all. Waiting in a write would keep the lock
        // from callers whose deadline comes first, waiting in a read would keep the socket
        // from being filled.
        self.rest(wanted)
    }

    /// Leaves the socket alone for a moment.
    fn rest(&self, wanted: Option<&Wanted>) -> (Instant, Option<Ended>) {
        thread::sleep(FULL);
        let ended = wanted.and_then(|wanted| self.lock().take(wanted));
        (Instant::now(), ended)
    }

    /// Pumps without sleeping, until it is that late.
    fn pump_busily(&self, until: Instant, before: Polling, wanted: Option<&Wanted>) -> Pumped {
        let mut polling = before;
        let read = |stream: &CallerStream, room: &mut Room<'_>| {
            stream.read_busily(room, until, &mut polling)
        };
        let pumped = self.pump(read, wanted);
        if polling != before {
            self.lock().polling = polling;
        }
        pumped
    }

    /// Reads once with `read`, understands it, and writes what has become due. Only with the role.
    fn pump(
        &self,
        read: impl FnOnce(&CallerStream, &mut Room<'_>) -> io::Result<usize>,
        wanted: Option<&Wanted>,
    ) -> Pumped {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let result = input.fill(|room| read(&self.stream, room));
        let now = Instant::now();
        let mut woken = Vec::new();
        let mut state = self.lock();
        state.reader = Reader::Awake;
        let waiting = state.proto.output_len();
        let has_read = result.is_ok();
        // A program that was stopped looks at what has come meanwhile before it looks at its clock.
        let looked = !matches!(&result, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        match result {
            Ok(0) => state.proto.handle_eof(),
            Ok(_) => state.note_traffic(now),
            Err(error) if is_retry(&error) => {}
            Err(_) => state.proto.handle_eof(),
        }
        state.understand(now, &mut input, &mut woken);
        if looked && state.proto.poll_timeout().is_some_and(|due| due <= now) {
            state.proto.handle_timeout(now);
            state.understand(now, &mut input, &mut woken);
        }
        self.note_end(&state);
        self.flush(&mut state);
        let has_written = state.proto.output_len() < waiting;
        woken.append(&mut state.woken);
        state.crowd |= woken.iter().any(Waiter::is_thread);
        let ended = wanted.and_then(|wanted| state.take(wanted));
        drop(state);
        drop(input);
        if !woken.is_empty() {
            self.wake(woken);
        }
        Pumped { moved: has_read || has_written, at: now, ended }
    }

    /// Lets those know who look for a connection.
    fn note_end(&self, state: &State) {
        if state.closed.is_some() || state.proto.is_drained() {
            self.over.store(true, Ordering::Release);
        }
    }

    /// Writes what waits, unless the socket is full: then its reader does.
    fn flush_unless_full(&self, state: &mut State) {
        if !state.full {
            self.flush(state);
        }
    }

    /// Writes what waits, for about the patience of one write. Into a full socket only with the
    /// role, and then without waiting.
    fn flush(&self, state: &mut State) {
        self.flush_by(state, CallerStream::write);
    }

    /// The same with another way to write while the socket is not full.
    fn flush_by(&self, state: &mut State, write: Write) {
        state.corked = 0;
        state.settle_flows();
        let mut began = None;
        while state.proto.output_len() > 0 {
            if state.write_failed {
                state.proto.discard_output();
                break;
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = state.proto.slices(&mut slices);
            let result = match state.full {
                false => write(&self.stream, &slices[..count]),
                true => self.stream.write_now(&slices[..count]),
            };
            let now = Instant::now();
            match result {
                Ok(n) => {
                    state.proto.written(now, n);
                    state.note_traffic(now);
                    // A peer that takes a little now and then must not keep the lock here.
                    if now.duration_since(*began.get_or_insert(now)) >= WRITE_PATIENCE {
                        if state.proto.output_len() > 0 {
                            state.is_full(now);
                        }
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_retry(&error) => {
                    state.is_full(now);
                    return;
                }
                // What the other side said before it went is still to be read.
                Err(_) => state.write_failed = true,
            }
        }
        state.full = false;
        if state.go_on_with_flows() {
            self.flush_by(state, write);
        }
    }

    /// Answers a call of the other side.
    pub(crate) fn answer(&self, key: ServedKey, answer: Answer) {
        if !self.owner.is_this() {
            return;
        }
        let mut state = self.lock();
        if let Some(hosting) = &mut state.hosting {
            hosting.running.retain(|(known, _)| *known != key);
        }
        state.proto.answer(key, answer);
        if let Some(flow) = state.flows.remove(key.into()) {
            let mut woken = Vec::new();
            flow.stop(&mut woken);
            state.woken.append(&mut woken);
        }
        self.flush_unless_full(&mut state);
        self.unlock(state);
    }

    /// Asks the other side whether it is there, and waits for its answer.
    pub(crate) fn ping(&self, deadline: Instant) -> Result<Pinged, Refused> {
        if !self.rhythm.wait(deadline) {
            return Ok(Pinged::Late);
        }
        let echo = Echo::default();
        let mut state = self.look_around(Instant::now());
        if state.closed.is_some() {
            return Err(Refused::Protocol(NotStarted::Closed));
        }
        let State { pings, proto, .. } = &mut *state;
        pings.start(proto, echo.clone());
        self.flush_unless_full(&mut state);
        self.unlock(state);
        let ended = self.wait_for_signal(&echo.pending, deadline);
        self.lock().pings.forget(&echo);
        Ok(echo.ended(ended))
    }

    /// Gives a call up, and says whether its handler can have run.
    pub(crate) fn cancel(&self, call: Awaited) -> Ran {
        if !self.owner.is_this() {
            return Ran::Unknown;
        }
        let mut state = self.lock();
        let Some((key, left)) = state.pending.remove(call) else { return Ran::Unknown };
        if let Stage::Ended(_) = left {
            return Ran::Unknown;
        }
        let ran = state.proto.cancel(key);
        self.flush_unless_full(&mut state);
        drop(state);
        // A waker in it is the user's code.
        drop(left);
        ran
    }

    /// Ends the connection; calls under way end with it.
    pub(crate) fn close(&self) {
        let mut woken = Vec::new();
        let mut state = self.lock();
        state.proto.close(CloseCode::DONE);
        state.understand(Instant::now(), &mut Buffer::new(), &mut woken);
        self.note_end(&state);
        self.say_last(&mut state);
        drop(state);
        self.wake(woken);
    }

    fn say_last(&self, state: &mut State) {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let count = state.proto.slices(&mut slices);
        self.stream.write_last(&slices[..count]);
        self.stream.close();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if !self.owner.is_this() {
            // The connection is the parent's, and so are those whom its end concerns.
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.proto.close(CloseCode::DONE);
        self.say_last(&mut state);
        // A server that stops is left for another one before it closes.
        let why = match state.proto.is_drained() {
            true => Closed::ByPeer(Close::new(CloseCode::STOPPING)),
            false => Closed::ByUs(Close::new(CloseCode::DONE)),
        };
        let mut woken = Vec::new();
        state.flows.stop_all(&mut woken);
        if let Some(hosting) = &mut state.hosting {
            // Handlers of calls that came over it may still run: nobody waits for them any more.
            let running = hosting.running.drain(..);
            woken.extend(running.map(|(_, cancel)| Waiter::Hooks(cancel.tell())));
            if hosting.entered {
                hosting.host.ended(&why);
            }
        }
        drop(state);
        self.wake(woken);
    }
}

impl State {
    /// Takes the role of who reads, if nobody has it.
    fn lead(&mut self) -> bool {
        let free = self.reader == Reader::Nobody;
        if free {
            self.reader = Reader::Awake;
            self.taken += 1;
        }
        free
    }

    /// Takes the end of this, if it is there.
    fn take(&mut self, wanted: &Wanted) -> Option<Ended> {
        match wanted {
            Wanted::Call(call) => self.pending.take(*call),
            Wanted::Signal(pending) => pending.take(),
        }
    }

    fn has_ended(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Call(call) => self.pending.has_ended(*call),
            Wanted::Signal(pending) => pending.is_ended(),
        }
    }

    /// Says which thread waits for this; `None` if there is no need to. With it comes who waited before,
    /// which may be a waker, and so is not dropped under the lock.
    fn wait_as(&mut self, wanted: &Wanted, waiter: Waiter) -> Option<Option<Waiter>> {
        match wanted {
            Wanted::Call(call) => self.pending.wait_as(*call, waiter).ok(),
            Wanted::Signal(pending) => pending.wait_as(waiter).then_some(None),
        }
    }

    /// Bytes have moved.
    fn note_traffic(&mut self, now: Instant) {
        (self.last_traffic, self.idle_from) = (now, now + IDLE);
    }

    /// The socket takes no more for now: from here on its reader writes, if need be a watcher.
    fn is_full(&mut self, now: Instant) {
        self.full = true;
        self.proto.write_blocked(now);
        if let Some(bell) = self.watcher_of(Awaits::Full) {
            bell.ring();
        }
    }

    /// Whom to wake for this, once.
    fn watcher_of(&mut self, event: Awaits) -> Option<Arc<Bell>> {
        self.watcher.take_if(|(_, awaits)| *awaits == event).map(|(bell, _)| bell)
    }

    /// Takes whoever is to read next off the list. Those whose calls have ended are woken for that.
    fn next_reader(&mut self) -> Option<(ThreadId, Caller)> {
        loop {
            let Parked { thread, caller, wants } = self.parked.pop()?;
            if !self.has_ended(&wants) {
                return Some((thread, caller));
            }
        }
    }

    /// Whether the call that has just been started need not wait for others. One that nothing is
    /// under way with leaves at once, unless such calls have been followed by others lately.
    fn leaves_at_once(&mut self) -> bool {
        let alone = self.proto.in_flight() == 1;
        self.start = match (alone, self.start) {
            (true, Pattern::Single | Pattern::Open) => Pattern::Open,
            (false, Pattern::Open) => Pattern::Burst,
            (_, pattern) => pattern,
        };
        alone && self.start == Pattern::Open
    }

    /// What stayed behind is about to leave: a single call has waited for nobody.
    fn note_pattern(&mut self) {
        if self.corked == 1 && self.proto.in_flight() == 1 {
            self.start = Pattern::Single;
        }
    }

    /// Hands every event to whom it concerns.
    fn understand(&mut self, now: Instant, input: &mut Buffer, woken: &mut Vec<Waiter>) {
        while let Some(event) = self.proto.read(now, input) {
            match event {
                Event::Reply { call, outcome } => match self.flows.remove(call.into()) {
                    Some(flow) => flow.end(Ended::of(outcome), woken),
                    None => {
                        if let Some(waiter) = self.pending.end(call, Ended::of(outcome)) {
                            woken.push(waiter);
                        }
                    }
                },
                Event::Items { stream, items, body } => {
                    if let Some(flow) = self.flows.get(stream) {
                        flow.deliver(body, items, woken);
                    }
                }
                Event::ItemsEnd(key) => {
                    if let Some(flow) = self.flows.get(key.into()) {
                        flow.complete(woken);
                    }
                }
                Event::Credit { stream, left } => {
                    if let Some(flow) = self.flows.get(stream) {
                        flow.credit(left, woken);
                    }
                }
                Event::Call { key, head, body } => {
                    let body = body.into_block();
                    self.called(Some(key), head, body, now);
                }
                Event::Send { head, body } => {
                    let body = body.into_block();
                    self.called(None, head, body, now);
                }
                Event::Cancel(key) => {
                    let running = self.hosting.iter().flat_map(|hosting| &hosting.running);
                    let running = running.filter(|(known, _)| *known == key);
                    woken.extend(running.map(|(_, cancel)| Waiter::Hooks(cancel.tell())));
                    self.flows.cancelled(key, woken);
                }
                Event::Closed(closed) => return self.closed(closed, woken),
                Event::Pong(number) => self.pings.answered(number, now, woken),
                Event::Ready | Event::Settings(_) | Event::Draining => {}
            }
        }
    }

    /// The other side calls.
    fn called(&mut self, key: Option<ServedKey>, head: CallHead, body: Block, at: Instant) {
        let taken = match &mut self.hosting {
            None => {
                let text = "this client serves no actions";
                Err(Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, text))
            }
            Some(Hosting { host, me, running, .. }) => {
                let cancelled = Arc::<Cancel>::default();
                running.extend(key.map(|key| (key, Arc::clone(&cancelled))));
                let flow = key.filter(|_| head.items || !head.credit.is_zero()).map(|key| {
                    let flow = Flow::new(
                        Some(key.into()),
                        (head.credit, self.proto.message_limit()),
                        None,
                    );
                    self.flows.insert(key.into(), Arc::clone(&flow));
                    flow
                });
                let streams = self.proto.serving_streams();
                host.call(me, Called { key, head, body, at, cancelled, flow, streams })
            }
        };
        if let (Err(refusal), Some(key)) = (taken, key) {
            if let Some(hosting) = &mut self.hosting {
                hosting.running.retain(|(known, _)| *known != key);
            }
            self.flows.remove(key.into());
            self.proto.answer(key, Answer::Refusal(refusal));
        }
    }

    /// Hands the protocol what the users of streams have asked for.
    fn settle_flows(&mut self) {
        for flow in std::mem::take(&mut self.unsettled) {
            if self.flows.key_of(&flow).is_some() {
                self.flows.settle(&flow, Look::Asked, &mut self.proto, &mut self.woken);
            }
        }
    }

    /// The same for those that had to wait for room; says whether there is more to write.
    fn go_on_with_flows(&mut self) -> bool {
        self.flows.go_on(&mut self.proto, &mut self.woken);
        self.proto.output_len() > 0 && !self.write_failed
    }

    /// Whether more has come than its host can take, and nobody waits for what may come next.
    fn is_fed(&self) -> bool {
        // In this order: a host looks under a lock, and mostly somebody waits.
        self.proto.in_flight() == 0
            && self.hosting.as_ref().is_some_and(|hosting| hosting.host.is_full())
    }

    fn closed(&mut self, closed: Closed, woken: &mut Vec<Waiter>) {
        for (call, ran) in self.proto.take_lost() {
            let ended = Ended::Lost(ran, closed.clone());
            match self.flows.remove(call.into()) {
                Some(flow) => flow.end(ended, woken),
                None => woken.extend(self.pending.end(call, ended)),
            }
        }
        self.flows.stop_all(woken);
        self.pings.lost(&closed, woken);
        if let Some(hosting) = &mut self.hosting {
            let running = hosting.running.drain(..);
            woken.extend(running.map(|(_, cancel)| Waiter::Hooks(cancel.tell())));
            if std::mem::take(&mut hosting.entered) {
                hosting.host.ended(&closed);
            }
        }
        self.closed = Some(closed);
    }
}
