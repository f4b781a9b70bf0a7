//! The driver of blocking callers: a connection whose callers do its reading and writing.
//!
//! No thread stands between a caller and the kernel. Of several callers one reads for all, and
//! hands that role on when it leaves; each finds its own answer in its [`Pending`].

use super::{
    corker::Corker,
    pending::{Ended, Pending, Waiter},
    stream::{is_retry, CallerStream, WRITE_PATIENCE},
};
use crate::{
    address::Address,
    proto::{
        Answer, Buffer, CallKey, Closed, Config, Connection, Event, NewCall, NotStarted, ServedKey,
    },
    wire::{CallHead, CloseCode, ConnectionToken, Ran, Refusal, RefusalCode},
};
use std::{
    collections::HashMap,
    fmt::Debug,
    io::{self, IoSlice},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError, Weak,
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// After this long without traffic, look whether the other side has gone before writing.
const IDLE: Duration = Duration::from_millis(10);
/// Calls that overlap leave together: at this many calls or bytes, or as soon as anybody waits.
const CORK_CALLS: u32 = 32;
const CORK_BYTES: usize = 16 * 1024;
/// A send this soon after other traffic waits for more of its kind.
const BURST: Duration = Duration::from_millis(1);
/// Bytes that may wait to be written before new calls are turned away.
const QUEUE: usize = 8 << 20;
/// Pieces of one vectored write.
const PIECES: usize = 32;
/// How long to wait between two looks at a socket that takes nothing.
const FULL: Duration = Duration::from_millis(2);

/// One connection of a client.
#[derive(Debug)]
pub(crate) struct Link {
    stream: CallerStream,
    address: Address,
    /// What has been read and not understood. Lives here and not on a stack, so that the next
    /// reader goes on where the last one left. Locked by the holder of the role alone.
    input: Mutex<Buffer>,
    state: Mutex<State>,
    corker: Arc<Corker>,
}

#[derive(Debug)]
struct State {
    proto: Connection,
    pending: HashMap<CallKey, Arc<Pending>>,
    /// Somebody reads.
    reading: bool,
    /// Who waits without reading, and would take the role.
    parked: Vec<Thread>,
    closed: Option<Closed>,
    /// Calls in the output that nobody has tried to write.
    corked: u32,
    last_traffic: Instant,
    /// A write failed: nothing more is written, but what has arrived is still read.
    write_failed: bool,
    /// The socket takes nothing at the moment: the reader writes, and never waits for it.
    full: bool,
    /// What the other side calls, if this side serves anything.
    hosting: Option<Hosting>,
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pending: Arc<Pending>,
    pub(crate) key: CallKey,
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
    pub(crate) body: Vec<u8>,
    /// When it was read.
    pub(crate) at: Instant,
    /// Set once nobody waits for the answer any more.
    pub(crate) cancelled: Arc<AtomicBool>,
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
}

/// The calls of the other side on one connection.
#[derive(Debug)]
struct Hosting {
    host: Arc<dyn Host>,
    me: Weak<Link>,
    running: Vec<(ServedKey, Arc<AtomicBool>)>,
}

/// Why a call was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Protocol(NotStarted),
    Busy,
}

/// Who is to have the role next. A caller reads for itself and for all; the thread that serves
/// futures reads when nobody else does.
#[derive(Clone, Copy)]
enum Order {
    First,
    AfterCallers,
}

/// The right to read. Dropping it, for whatever reason, hands it on.
struct Role<'l>(&'l Link);

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reading = false;
        let next = state.parked.last().cloned();
        drop(state);
        if let Some(thread) = next {
            thread.unpark();
        }
    }
}

impl Link {
    /// A connection over a connected stream; [`handshake`](Link::handshake) comes next.
    pub(crate) fn new(
        stream: CallerStream,
        address: Address,
        config: Config,
        host: Option<Arc<dyn Host>>,
    ) -> Arc<Link> {
        Arc::new_cyclic(|me| {
            let hosting = |host| Hosting { host, me: me.clone(), running: Vec::new() };
            Link::with(stream, address, config, host.map(hosting))
        })
    }

    fn with(
        stream: CallerStream,
        address: Address,
        config: Config,
        hosting: Option<Hosting>,
    ) -> Link {
        let now = Instant::now();
        let state = State {
            proto: Connection::client(config, now),
            pending: HashMap::new(),
            reading: false,
            parked: Vec::new(),
            closed: None,
            corked: 0,
            last_traffic: now,
            write_failed: false,
            full: false,
            hosting,
        };
        Link {
            stream,
            address,
            input: Mutex::default(),
            state: Mutex::new(state),
            corker: Arc::default(),
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
            drop(state);
            if deadline <= Instant::now() {
                return Err(None);
            }
            self.pump_or_wait();
        }
    }

    /// Whether new calls can be started.
    pub(crate) fn is_usable(&self) -> bool {
        let state = self.lock();
        state.closed.is_none() && !state.proto.is_drained()
    }

    /// Whether it has ended, and with it every call on it.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Sends a call, or queues it as the protocol wants. Returns soon in any case.
    ///
    /// While others are under way it may stay behind, to leave with those that follow: whoever
    /// waits sends it, and [`uncork`](Link::uncork) if nobody does.
    pub(crate) fn start(&self, call: NewCall) -> Result<Started, Refused> {
        self.look_around();
        let mut state = self.lock();
        if state.proto.output_len() > QUEUE {
            return Err(Refused::Busy);
        }
        let key = state.proto.call(call).map_err(Refused::Protocol)?;
        let pending = Arc::new(Pending::default());
        state.pending.insert(key, Arc::clone(&pending));
        state.corked += 1;
        let alone = state.proto.in_flight() == 1;
        if alone || state.corked >= CORK_CALLS || state.proto.output_len() >= CORK_BYTES {
            self.flush_unless_full(&mut state);
        }
        let corked = state.corked > 0;
        Ok(Started { pending, key, corked })
    }

    /// Sends an input that wants no answer: at once, or with those that follow in a burst.
    pub(crate) fn send(self: &Arc<Self>, call: &NewCall) -> Result<(), Refused> {
        self.look_around();
        let mut state = self.lock();
        if state.proto.output_len() > QUEUE {
            return Err(Refused::Busy);
        }
        state.proto.send(call).map_err(Refused::Protocol)?;
        state.corked += 1;
        let burst = state.last_traffic.elapsed() < BURST;
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
        self.corker.watch(self);
    }

    /// Sends what stayed behind; says whether there was anything.
    pub(crate) fn uncork(&self) -> bool {
        let mut state = self.lock();
        let corked = state.corked > 0;
        if corked {
            self.flush_unless_full(&mut state);
        }
        corked
    }

    /// A server that has gone away or is going has often said so already: reading it now turns
    /// a call that would be lost into one that is sent elsewhere.
    fn look_around(&self) {
        let idle = self.lock().last_traffic.elapsed() >= IDLE;
        if idle {
            if let Some(_role) = self.take_role() {
                // Whether there was anything changes nothing.
                let _ = self.pump(CallerStream::read_now);
            }
        }
    }

    /// Waits until the call has ended; `None` if the deadline comes first.
    pub(crate) fn wait(&self, pending: &Pending, deadline: Instant) -> Option<Ended> {
        if let Some(ended) = pending.take() {
            return Some(ended);
        }
        self.uncork();
        loop {
            if let Some(ended) = pending.take() {
                return Some(ended);
            }
            if deadline <= Instant::now() {
                self.glance();
                return pending.take();
            }
            match self.take_role() {
                Some(_role) => self.read_until(pending, deadline),
                None => {
                    self.park(pending, deadline);
                    // Whoever has been woken may be about to leave: taking the role for a moment
                    // makes sure that it goes to somebody who stays.
                    drop(self.take_role());
                }
            }
        }
    }

    /// Understands what lies there already: an answer that has come in time is no late one because
    /// nobody read it.
    pub(crate) fn glance(&self) {
        if let Some(_role) = self.take_role() {
            self.pump(CallerStream::read_now);
        }
    }

    /// Reads for all until this call has ended.
    fn read_until(&self, pending: &Pending, deadline: Instant) {
        while !pending.is_ended() && Instant::now() < deadline {
            self.pump_or_wait();
        }
    }

    /// Reads for all, or waits for the role, for a moment: for a thread that serves futures.
    pub(crate) fn drive(&self, deadline: Instant) {
        match self.take_role() {
            Some(_role) => self.pump_or_wait(),
            None => self.stand_by(deadline, Order::AfterCallers),
        }
    }

    fn take_role(&self) -> Option<Role<'_>> {
        let mut state = self.lock();
        (!std::mem::replace(&mut state.reading, true)).then(|| Role(self))
    }

    /// Waits for the end of the call or for the role, whichever comes first.
    fn park(&self, pending: &Pending, deadline: Instant) {
        if pending.wait_as(Waiter::Thread(thread::current())) {
            self.stand_by(deadline, Order::First);
        }
    }

    /// Waits to be woken, for an end or for the role, unless nobody reads.
    fn stand_by(&self, deadline: Instant, order: Order) {
        let me = thread::current();
        let mut state = self.lock();
        if !state.reading {
            return;
        }
        let id = me.id();
        // The role goes to the last one.
        match order {
            Order::First => state.parked.push(me),
            Order::AfterCallers => state.parked.insert(0, me),
        }
        drop(state);
        // A wake-up that came since then makes this return at once.
        thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
        self.lock().parked.retain(|thread| thread.id() != id);
    }

    /// Moves bytes, or waits for a moment if there are none. Only with the role.
    fn pump_or_wait(&self) {
        let state = self.lock();
        let (full, fed) = (state.full, state.is_fed());
        drop(state);
        if fed {
            // What the other side sends is not even run as fast as it comes.
            thread::sleep(FULL);
        } else if !full {
            self.pump(CallerStream::read);
        } else if !self.pump(CallerStream::read_now) {
            // The other side reads slowly, or not at all. Waiting in a write would keep the lock
            // from callers whose deadline comes first, waiting in a read would keep the socket
            // from being filled.
            thread::sleep(FULL);
        }
    }

    /// Reads once with `read`, understands it, and writes what has become due; says whether
    /// anything moved. Only with the role.
    fn pump(&self, read: impl FnOnce(&CallerStream, &mut [u8]) -> io::Result<usize>) -> bool {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let result = read(&self.stream, input.space());
        let now = Instant::now();
        let mut woken = Vec::new();
        let mut state = self.lock();
        let waiting = state.proto.output_len();
        let has_read = result.is_ok();
        match result {
            Ok(0) => state.proto.handle_eof(),
            Ok(n) => {
                input.filled(n);
                state.last_traffic = now;
            }
            Err(error) if is_retry(&error) => {}
            Err(_) => state.proto.handle_eof(),
        }
        state.understand(now, &mut input, &mut woken);
        if state.proto.poll_timeout().is_some_and(|due| due <= now) {
            state.proto.handle_timeout(now);
            state.understand(now, &mut input, &mut woken);
        }
        self.flush(&mut state);
        let has_written = state.proto.output_len() < waiting;
        drop(state);
        drop(input);
        woken.into_iter().for_each(Waiter::wake);
        has_read || has_written
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
        state.corked = 0;
        let mut began = None;
        while state.proto.output_len() > 0 {
            if state.write_failed {
                state.proto.discard_output();
                break;
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = state.proto.slices(&mut slices);
            let result = match state.full {
                false => self.stream.write(&slices[..count]),
                true => self.stream.write_now(&slices[..count]),
            };
            let now = Instant::now();
            match result {
                Ok(n) => {
                    state.proto.written(now, n);
                    state.last_traffic = now;
                    // A peer that takes a little now and then must not keep the lock here.
                    if now.duration_since(*began.get_or_insert(now)) >= WRITE_PATIENCE {
                        state.full = state.proto.output_len() > 0;
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_retry(&error) => {
                    state.full = true;
                    return state.proto.write_blocked(now);
                }
                // What the other side said before it went is still to be read.
                Err(_) => state.write_failed = true,
            }
        }
        state.full = false;
    }

    /// Answers a call of the other side.
    pub(crate) fn answer(&self, key: ServedKey, answer: Answer) {
        let mut state = self.lock();
        if let Some(hosting) = &mut state.hosting {
            hosting.running.retain(|(known, _)| *known != key);
        }
        state.proto.answer(key, answer);
        self.flush_unless_full(&mut state);
    }

    /// Gives a call up, and says whether its handler can have run.
    pub(crate) fn cancel(&self, key: CallKey) -> Ran {
        let mut state = self.lock();
        if state.pending.remove(&key).is_none() {
            return Ran::Unknown;
        }
        let ran = state.proto.cancel(key);
        self.flush_unless_full(&mut state);
        ran
    }

    /// Ends the connection; calls under way end with it.
    pub(crate) fn close(&self) {
        let mut woken = Vec::new();
        let mut state = self.lock();
        state.proto.close(CloseCode::DONE);
        state.understand(Instant::now(), &mut Buffer::new(), &mut woken);
        self.say_last(&mut state);
        drop(state);
        woken.into_iter().for_each(Waiter::wake);
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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.proto.close(CloseCode::DONE);
        self.say_last(&mut state);
        drop(state);
        self.corker.end();
    }
}

impl State {
    /// Hands every event to whom it concerns.
    fn understand(&mut self, now: Instant, input: &mut Buffer, woken: &mut Vec<Waiter>) {
        while let Some(event) = self.proto.read(now, input) {
            match event {
                Event::Reply { call, outcome } => {
                    if let Some(pending) = self.pending.remove(&call) {
                        woken.extend(pending.end(Ended::of(outcome)));
                    }
                }
                Event::Call { key, head, body } => {
                    let body = body.into_vec();
                    self.called(Some(key), head, body, now);
                }
                Event::Send { head, body } => {
                    let body = body.into_vec();
                    self.called(None, head, body, now);
                }
                Event::Cancel(key) => {
                    let running = self.hosting.iter().flat_map(|hosting| &hosting.running);
                    running.filter(|(known, _)| *known == key).for_each(|(_, flag)| set(flag));
                }
                Event::Closed(closed) => return self.closed(closed, woken),
                Event::Ready
                | Event::Items { .. }
                | Event::ItemsEnd(_)
                | Event::Credit { .. }
                | Event::Settings(_)
                | Event::Pong(_)
                | Event::Draining => {}
            }
        }
    }

    /// The other side calls.
    fn called(&mut self, key: Option<ServedKey>, head: CallHead, body: Vec<u8>, at: Instant) {
        let taken = match &mut self.hosting {
            None => {
                let text = "this client serves no actions";
                Err(Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, text))
            }
            Some(Hosting { host, me, running }) => {
                let cancelled = Arc::new(AtomicBool::new(false));
                running.extend(key.map(|key| (key, Arc::clone(&cancelled))));
                host.call(me, Called { key, head, body, at, cancelled })
            }
        };
        if let (Err(refusal), Some(key)) = (taken, key) {
            if let Some(hosting) = &mut self.hosting {
                hosting.running.retain(|(known, _)| *known != key);
            }
            self.proto.answer(key, Answer::Refusal(refusal));
        }
    }

    /// Whether more has come than its host can take, and nobody waits for what may come next.
    fn is_fed(&self) -> bool {
        let full = self.hosting.as_ref().is_some_and(|hosting| hosting.host.is_full());
        full && self.proto.in_flight() == 0
    }

    fn closed(&mut self, closed: Closed, woken: &mut Vec<Waiter>) {
        for (call, ran) in self.proto.take_lost() {
            if let Some(pending) = self.pending.remove(&call) {
                woken.extend(pending.end(Ended::Lost(ran, closed.clone())));
            }
        }
        if let Some(hosting) = &mut self.hosting {
            hosting.running.drain(..).for_each(|(_, flag)| set(&flag));
        }
        self.closed = Some(closed);
    }
}

fn set(flag: &AtomicBool) {
    flag.store(true, Ordering::Relaxed);
}
