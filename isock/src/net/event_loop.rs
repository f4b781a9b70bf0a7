//! The event loop: one thread, many connections.
//!
//! Owns the sockets and their protocol machines, and asks a [`Service`] what to do with calls. It
//! never blocks but in its poll, and never spends long on one connection while others wait.

use super::{
    accept::{Accepted, Accepting},
    account::Account,
    conn::Conn,
    far::Far,
    flow::{Conduit, Flow, Look},
    listen::{Listener, BACKLOG},
    lobby::Lobby,
    origin::{Origin, Source},
    pipe::LoopEnd,
    polling::{poll_busily, Polling},
    random_id,
    remote::{Command, Remote, Running},
    stream::LoopStream,
};
use crate::{
    address::Address,
    proto::{Answer, Body, Buffer, Closed, Config, Connection, ServedKey},
    wire::{spare, CallHead, CloseCode, ConnectionToken, Refusal},
};
use mio::{Poll, Token, Waker};
use slab::Slab;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a connection may be read in one turn before the others get theirs, in bytes.
const TURN: usize = 512 * 1024;
/// Connections that are accepted in one turn.
const ACCEPTS: usize = 64;
/// Events of one poll.
const EVENTS: usize = 1024;
/// Commands whose memory is kept.
const COMMANDS: usize = 256;
/// Timers whose memory is kept.
const TIMERS: usize = 1024;
/// What a connection may always hold, even when the server holds too much, in bytes.
const SHARE: usize = 128 * 1024;

/// Connections with something to do whose memory is kept.
const KEPT: usize = 256;
/// Quick calls whose memory is kept.
const JOBS: usize = 256;

/// How long a loop that ends with calls still running waits for its last words to leave.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long items may wait for others of a burst.
const TICK: Duration = Duration::from_millis(1);
/// How often memory of long messages is released, and of many calls.
const QUIET: Duration = Duration::from_secs(1);

const WAKE: Token = Token(usize::MAX);
/// Listeners count down from here, connections up from 0.
const LISTENERS: usize = usize::MAX - 1;

/// Names a connection of one loop; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnId {
    index: usize,
    generation: u64,
}

impl ConnId {
    /// A number of its own.
    pub(crate) fn number(self) -> u64 {
        self.generation
    }

    #[cfg(test)]
    pub(crate) fn for_tests(index: usize) -> ConnId {
        ConnId { index, generation: 0 }
    }
}

/// A call that has arrived.
#[derive(Debug)]
pub(crate) struct Incoming<'b> {
    pub(crate) connection: ConnId,
    /// `None` if no answer is wanted.
    pub(crate) key: Option<ServedKey>,
    pub(crate) head: CallHead,
    pub(crate) body: Body<'b>,
    /// When its first byte had been read.
    pub(crate) arrived: Instant,
    /// Its items, if it carries any.
    pub(crate) conduit: Option<Conduit>,
    /// Streams that the connection has, this one included.
    pub(crate) streams: usize,
}

/// Whoever knows what calls mean.
pub(crate) trait Service: Send + 'static {
    /// What it keeps for each connection.
    type Session: Send;
    /// A call that is ready to run.
    type Job: Job;

    /// A connection has been accepted.
    fn opened(&mut self, origin: Origin, far: &Arc<Far>) -> Self::Session;
    /// The prefaces have been exchanged.
    fn ready(&mut self, session: &mut Self::Session);
    /// A connection has sent something, which is about to be understood.
    fn heard(&mut self, _connection: ConnId, _now: Instant) {}
    /// A call has arrived. Its answer comes through the [`Remote`], or now through `answer`, or
    /// from a job that is added to `jobs`: one that is expected to be quick.
    fn call(
        &mut self,
        session: &mut Self::Session,
        call: Incoming<'_>,
        jobs: &mut VecDeque<Self::Job>,
        answer: &mut dyn FnMut(ServedKey, Answer),
    );
    /// Whether no more should be read for now, unless an answer is waited for.
    fn is_full(&self, session: &Self::Session) -> bool;
    /// Bytes of what waits to run and takes no slot.
    fn held(&self, session: &Self::Session) -> usize;
    /// Whether nothing waits or runs that takes no slot.
    fn is_idle(&self, session: &Self::Session) -> bool;
    /// A quick job cannot run on the loop's thread now; an answer comes back if it cannot run at
    /// all.
    fn run_elsewhere(&mut self, job: Self::Job) -> Option<Done>;
    /// The caller no longer waits.
    fn cancelled(&mut self, session: &mut Self::Session, key: ServedKey);
    /// Nobody waits for any call of the connection any more.
    fn cancelled_all(&mut self, session: &mut Self::Session);
    /// Nothing begins to run from now on: what waits to is refused, through the [`Remote`].
    fn give_up(&mut self);
    /// What a call learns that will not run because the server ends.
    fn stopping(&self) -> Refusal;
    /// An answer has gone through.
    fn answered(&mut self, session: &mut Self::Session, key: ServedKey);
    /// The connection has ended.
    fn closed(&mut self, session: Self::Session, why: &Closed);
    /// No further calls are accepted.
    fn draining(&mut self);
    /// Something that the operator should know.
    fn log(&mut self, what: &str);
}

/// A call with all that it needs to run on any thread.
pub(crate) trait Job: Send {
    /// Runs the handler, and says whether it did: not if it is too late. It is `at_most` that time,
    /// and may be a [`TICK`](super::timing::TICK) earlier. Does not panic.
    fn run(&mut self, at_most: Instant) -> (Done, bool);
    /// Refuses it: it has not begun, and will not.
    fn give_up(self) -> Done;
    /// Whether it still is expected to be.
    fn is_quick(&self) -> bool;
    /// Where its answer goes.
    fn connection(&self) -> ConnId;
    /// Whom to tell how long it takes.
    fn pace(&self) -> Arc<dyn Pace>;
    /// Whether that is the same.
    fn is_of(&self, pace: &Arc<dyn Pace>) -> bool;
}

/// Hears whether an action is quick.
pub(crate) trait Pace: Send + Sync {
    /// These runs of it together have taken so long.
    fn took(&self, took: Duration, runs: u32);
    /// A run of it has held the loop up.
    fn held_up(&self);
    /// A run of it waits for a connection, and so may every other one.
    fn blocks(&self);
}

/// An answer, and where it goes.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) connection: ConnId,
    pub(crate) key: ServedKey,
    /// `None` if it comes from elsewhere.
    pub(crate) answer: Option<Answer>,
}

/// The loop, before and while it runs.
pub(crate) struct EventLoop<S: Service> {
    poll: Poll,
    remote: Remote,
    config: Arc<Config>,
    account: Account,
    service: S,
    listeners: Vec<Accepting>,
    lobby: Lobby,
    /// Boxed: the table stays as large as it ever was, and a connection takes a kilobyte.
    connections: Slab<Box<Conn<S>>>,
    generation: u64,
    /// Connections that may have more to read although no event will say so.
    ready: Vec<ConnId>,
    /// Connections whose output may have grown.
    touched: Vec<ConnId>,
    /// The memory of the last list of either kind that has been worked off.
    emptied: Vec<ConnId>,
    timers: BinaryHeap<Reverse<(Instant, ConnId)>>,
    /// Quick calls that have been read and not run.
    jobs: VecDeque<S::Job>,
    /// Memory for the input of whichever connection is being read.
    spare: Buffer,
    events: mio::Events,
    commands: Vec<Command>,
    stopping: Option<Stopping>,
    /// When memory of long messages is released.
    tidy: Option<Instant>,
    /// Streams that send a lot, and when they are looked at.
    bursts: Vec<(ConnId, Arc<Flow>)>,
    bursts_at: Option<Instant>,
    /// When it last looked at its sockets.
    looked: Instant,
    polling: Polling,
    /// When something had last happened there.
    active: Instant,
}

/// How a loop comes to its end.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    /// When it goes on to the next step, however much is left of this one.
    until: Instant,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Calls that were accepted are answered.
    Finishing,
    /// Every connection is closed, and its last words leave.
    Leaving,
}

impl<S: Service> EventLoop<S> {
    /// A loop that serves these listeners. What its connections hold goes on `account`.
    pub(crate) fn new(
        config: Config,
        account: Account,
        polling: Polling,
        listeners: Vec<Listener>,
        service: impl FnOnce(&Remote) -> S,
    ) -> io::Result<EventLoop<S>> {
        let poll = Poll::new()?;
        let remote = Remote::new(Waker::new(poll.registry(), WAKE)?);
        let mut accepting = Vec::new();
        for (at, listener) in listeners.into_iter().enumerate() {
            accepting.push(Accepting::new(listener, poll.registry(), Token(LISTENERS - at))?);
        }
        let limits = &config.limits;
        Ok(EventLoop {
            poll,
            service: service(&remote),
            remote,
            account,
            listeners: accepting,
            lobby: Lobby::new(limits.unauthenticated, limits.unauthenticated_per_address),
            config: Arc::new(config),
            connections: Slab::new(),
            generation: 0,
            ready: Vec::new(),
            touched: Vec::new(),
            emptied: Vec::new(),
            timers: BinaryHeap::new(),
            jobs: VecDeque::new(),
            spare: Buffer::new(),
            events: mio::Events::with_capacity(EVENTS),
            commands: Vec::new(),
            stopping: None,
            tidy: None,
            bursts: Vec::new(),
            bursts_at: None,
            looked: Instant::now(),
            polling,
            active: Instant::now(),
        })
    }

    /// The handle for other threads.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.listeners.iter().map(|accepting| &accepting.listener.address)
    }

    /// Waits for something to do, and reads it. Quick calls lie ready afterwards.
    pub(super) fn gather(&mut self) {
        let mut events = std::mem::replace(&mut self.events, mio::Events::with_capacity(0));
        self.wait(&mut events);
        for event in &events {
            self.note(event.token(), event);
        }
        self.events = events;
        self.take_commands();
        self.look_at_bursts();
        self.read_ready();
    }

    /// Sends what streams have gathered that send a lot: a wake-up for each tick's worth of items,
    /// instead of one for each few of them.
    fn look_at_bursts(&mut self) {
        if self.bursts_at.is_some_and(|at| at <= self.looked) {
            self.bursts_at = None;
            let mut bursts = std::mem::take(&mut self.bursts);
            bursts.retain(|(id, flow)| {
                self.touch(*id);
                self.get(*id).is_some_and(|conn| conn.settle_flow(flow, Look::Again))
            });
            self.bursts = bursts;
        }
        if !self.bursts.is_empty() && self.bursts_at.is_none() {
            self.bursts_at = Some(self.looked + TICK);
        }
    }

    /// The next quick call. Those whose action has become slow meanwhile go elsewhere, and those
    /// of a connection that leaves its replies unread wait there.
    pub(super) fn next_job(&mut self) -> Option<S::Job> {
        loop {
            let job = self.jobs.front()?;
            let (id, quick) = (job.connection(), job.is_quick());
            let held = self.get(id).is_some_and(|conn| !conn.may_answer());
            if quick && !held {
                return self.jobs.pop_front();
            }
            let job = self.jobs.pop_front()?;
            match self.get(id) {
                Some(conn) if held => conn.held.push_back(job),
                _ => self.run_elsewhere(job),
            }
        }
    }

    /// Has a quick call run on another thread after all.
    pub(super) fn run_elsewhere(&mut self, job: S::Job) {
        if let Some(done) = self.service.run_elsewhere(job) {
            self.finish(done);
        }
    }

    /// Takes the answer of a call.
    pub(super) fn finish(&mut self, done: Done) {
        if let Some(answer) = done.answer {
            self.answer(done.connection, done.key, answer);
        }
    }

    /// Writes what has become due, and ends what has taken too long.
    pub(super) fn scatter(&mut self) {
        self.flush_touched();
        self.fire_timers();
        self.end_grace();
        self.tidy_up();
    }

    /// Releases what long messages have left behind, and many calls, a while after the first: those that
    /// come all the time ask for theirs again.
    fn tidy_up(&mut self) {
        if !spare::is_held() && self.jobs.capacity() <= JOBS {
            self.tidy = None;
            return;
        }
        let now = Instant::now();
        if *self.tidy.get_or_insert(now + QUIET) <= now {
            self.tidy = None;
            self.jobs.shrink_to(JOBS);
            spare::release();
        }
    }

    /// Whether it has been drained.
    pub(super) fn is_done(&self) -> bool {
        self.stopping.is_some_and(|stopping| {
            let late = || stopping.step == Step::Leaving && stopping.until <= Instant::now();
            self.connections.is_empty() || late()
        })
    }

    fn wait(&mut self, events: &mut mio::Events) {
        let idle = self.ready.is_empty() && self.jobs.is_empty();
        match self.poll_or_sleep(events, idle) {
            Ok(()) => {
                self.looked = Instant::now();
                if !events.is_empty() {
                    self.active = self.looked;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => {
                // Nothing can be served without poll; a tight loop of errors helps nobody.
                events.clear();
                self.service.log(&format!("waiting for events failed: {error}"));
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn poll_or_sleep(&mut self, events: &mut mio::Events, idle: bool) -> io::Result<()> {
        if !idle {
            return self.poll.poll(events, Some(Duration::ZERO));
        }
        if let Some(until) = self.polling.until(self.active) {
            let until = self.next_due().map_or(until, |due| due.min(until));
            let look = || match self.poll.poll(events, Some(Duration::ZERO)) {
                Ok(()) if events.is_empty() => None,
                result => Some(result),
            };
            if let Some(result) = poll_busily(until, look) {
                return result;
            }
        }
        let due = self.next_due();
        self.poll.poll(events, due.map(|due| due.saturating_duration_since(Instant::now())))
    }

    fn next_due(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let retries = self.listeners.iter().filter_map(Accepting::retry_at);
        let stopping = self.stopping.map(|stopping| stopping.until);
        retries.chain(timer).chain(stopping).chain(self.tidy).chain(self.bursts_at).min()
    }

    fn note(&mut self, token: Token, event: &mio::event::Event) {
        match token {
            WAKE => {}
            Token(index) if LISTENERS - index < self.listeners.len() => {
                self.accept(LISTENERS - index);
            }
            Token(index) => {
                let Some(conn) = self.connections.get_mut(index) else { return };
                conn.readable |= event.is_readable() || event.is_read_closed();
                conn.read_closed |= event.is_read_closed();
                conn.writable |= event.is_writable() || event.is_write_closed();
                let id = conn.id;
                self.queue(id);
                self.touch(id);
            }
        }
    }

    fn get(&mut self, id: ConnId) -> Option<&mut Conn<S>> {
        self.connections.get_mut(id.index).map(Box::as_mut).filter(|conn| conn.id == id)
    }

    fn all(&self) -> Vec<ConnId> {
        self.connections.iter().map(|(_, conn)| conn.id).collect()
    }

    // Accepting.

    fn accept(&mut self, at: usize) {
        for _ in 0..ACCEPTS {
            match self.listeners[at].accept() {
                Accepted::Connection(stream, origin, source) => {
                    self.accepted(stream, origin, source);
                }
                Accepted::Nothing | Accepted::StillNoRoom => return,
                Accepted::NoRoom(error) => {
                    let address = &self.listeners[at].listener.address;
                    let what = format!("cannot accept at {address} for now: {error}");
                    return self.service.log(&what);
                }
            }
        }
        // The others have their turns before the rest of the backlog.
        self.listeners[at].go_on_soon();
    }

    fn accepted(&mut self, stream: LoopStream, origin: Origin, source: Source) {
        if let Some(id) = self.take_in(stream, origin) {
            self.lobby.enter(id, source);
            self.make_room();
        }
    }

    fn take_in(&mut self, mut stream: LoopStream, origin: Origin) -> Option<ConnId> {
        let token = Token(self.connections.vacant_key());
        // The peer can have gone between the two; its address is all that there was.
        stream.register(self.poll.registry(), token).ok()?;
        let name = self.token()?;
        Some(self.insert(stream, origin, name))
    }

    /// Accepts nothing more. Whom the system has connected already is taken in, to be told so:
    /// closing the listener would reset those connections, and leave their clients to guess.
    fn stop_listening(&mut self) {
        for mut accepting in std::mem::take(&mut self.listeners) {
            accepting.hide();
            for _ in 0..=BACKLOG {
                let Accepted::Connection(stream, origin, _) = accepting.accept() else { break };
                self.take_in(stream, origin);
            }
            accepting.deregister(self.poll.registry());
        }
    }

    /// A name for a connection. Without random numbers there is none that nobody can guess.
    fn token(&mut self) -> Option<ConnectionToken> {
        let token = random_id();
        if let Err(error) = &token {
            self.service.log(&format!("a connection was dropped, no random number: {error}"));
        }
        token.ok().map(|id| ConnectionToken(id.0))
    }

    /// One too many has not shown its preface. It may lie there unread: look before closing.
    fn make_room(&mut self) {
        if let Some(id) = self.lobby.crowded_out() {
            if let Some(conn) = self.get(id) {
                conn.readable = true;
            }
            self.read(id);
        }
        if let Some(id) = self.lobby.crowded_out() {
            self.close(id, CloseCode::DISPLACED);
        }
    }

    fn close(&mut self, id: ConnId, code: CloseCode) {
        self.lobby.leave(id);
        if let Some(conn) = self.get(id) {
            conn.proto.close(code);
            self.touch(id);
        }
    }

    fn accept_pipe(&mut self, pipe: LoopEnd) {
        let Some(token) = self.token() else { return };
        let id = self.insert(LoopStream::Pipe(pipe), Origin::memory(), token);
        let remote = self.remote.clone();
        if let Some(LoopStream::Pipe(pipe)) = self.get(id).map(|conn| &conn.stream) {
            // A loop that has returned has closed the pipe as well.
            pipe.on_change(move || drop(remote.send(Command::PipeChanged(id))));
        }
        self.pipe_changed(id);
    }

    fn insert(&mut self, stream: LoopStream, origin: Origin, token: ConnectionToken) -> ConnId {
        self.generation += 1;
        let charge = self.account.charge(0);
        let entry = self.connections.vacant_entry();
        let id = ConnId { index: entry.key(), generation: self.generation };
        let hard = self.config.limits.output_hard;
        let far = Arc::new(Far::new(id, token, self.remote.clone(), hard));
        let session = self.service.opened(origin, &far);
        let mut proto = Connection::server(Arc::clone(&self.config), Instant::now()).named(token);
        proto.set_attended(true);
        entry.insert(Box::new(Conn::new(id, stream, proto, session, far, charge)));
        self.touch(id);
        id
    }

    // Commands of other threads.

    fn take_commands(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        self.remote.take(&mut commands);
        for command in commands.drain(..) {
            match command {
                Command::Answer { connection, key, answer, room } => {
                    if let Some(conn) = self.get(connection) {
                        conn.far.taken(room);
                    }
                    self.answer(connection, key, answer);
                }
                Command::Call { connection, call, ticket } => {
                    match self.get(connection) {
                        Some(conn) => conn.call(call, ticket),
                        None => ticket.never_sent(Closed::Eof),
                    }
                    self.touch(connection);
                }
                Command::Open { connection, call, flow } => {
                    match self.get(connection) {
                        Some(conn) => conn.open(call, flow),
                        None => Command::Open { connection, call, flow }.comes_too_late(),
                    }
                    self.touch(connection);
                }
                Command::Settle { connection, flow } => {
                    match self.get(connection).map(|conn| conn.settle_flow(&flow, Look::Patient)) {
                        Some(false) => {}
                        Some(true) => self.bursts.push((connection, flow)),
                        None => Command::Settle { connection, flow }.comes_too_late(),
                    }
                    self.touch(connection);
                }
                Command::CancelStream { connection, flow } => {
                    if let Some(conn) = self.get(connection) {
                        conn.cancel_flow(&flow);
                    }
                    self.touch(connection);
                }
                Command::Send { connection, call } => {
                    if let Some(conn) = self.get(connection) {
                        conn.send(&call);
                    }
                    self.touch(connection);
                }
                Command::CancelCall { connection, ticket } => {
                    if let Some(conn) = self.get(connection) {
                        conn.cancel_call(&ticket);
                    }
                    self.touch(connection);
                }
                Command::Ping { connection, echo } => {
                    match self.get(connection) {
                        Some(conn) => conn.ping(echo),
                        None => Command::Ping { connection, echo }.comes_too_late(),
                    }
                    self.touch(connection);
                }
                Command::ForgetPing { connection, echo } => {
                    if let Some(conn) = self.get(connection) {
                        conn.pings.forget(&echo);
                    }
                }
                Command::Close { connection, close } => {
                    if let Some(conn) = self.get(connection) {
                        conn.proto.close_saying(close);
                    }
                    self.touch(connection);
                }
                Command::Accept(pipe) if self.stopping.is_none() => self.accept_pipe(pipe),
                Command::Accept(pipe) => drop(pipe),
                Command::PipeChanged(id) => self.pipe_changed(id),
                Command::Look(id) => {
                    self.queue(id);
                    self.touch(id);
                }
                Command::Drain { until, running } => self.drain(until, running),
            }
        }
        // The queue and this one take turns: after a flood both are short again.
        commands.shrink_to(COMMANDS);
        self.commands = commands;
    }

    fn answer(&mut self, id: ConnId, key: ServedKey, answer: Answer) {
        // Not through `get`: the service is borrowed beside the connection.
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        conn.answer(key, answer);
        if let Some(session) = &mut conn.session {
            self.service.answered(session, key);
        }
        self.touch(id);
    }

    fn pipe_changed(&mut self, id: ConnId) {
        if let Some(conn) = self.get(id) {
            (conn.readable, conn.writable) = (true, true);
            self.queue(id);
            self.touch(id);
        }
    }

    // Ending.

    fn drain(&mut self, until: Instant, running: Running) {
        match &mut self.stopping {
            Some(before) => before.until = before.until.min(until),
            None => self.stopping = Some(Stopping { until, step: Step::Finishing }),
        }
        self.service.draining();
        self.stop_listening();
        if running == Running::Cancel {
            self.give_up();
        }
        for (_, conn) in &mut self.connections {
            conn.drain(&self.service);
        }
        self.all().into_iter().for_each(|id| self.touch(id));
    }

    /// What has not begun is refused, and what runs learns that nobody waits.
    fn give_up(&mut self) {
        let mut jobs = std::mem::take(&mut self.jobs);
        for id in self.all() {
            if let Some(conn) = self.get(id) {
                jobs.append(&mut conn.held);
            }
        }
        for job in jobs {
            self.finish(job.give_up());
        }
        self.service.give_up();
        for (_, conn) in &mut self.connections {
            if let Some(session) = &mut conn.session {
                self.service.cancelled_all(session);
            }
        }
    }

    /// Once the grace is over: whatever still runs, every connection is told why it ends.
    fn end_grace(&mut self) {
        let Some(stopping) = self.stopping else { return };
        let now = Instant::now();
        if stopping.step != Step::Finishing || now < stopping.until {
            return;
        }
        self.stopping = Some(Stopping { until: now + LAST_WORDS, step: Step::Leaving });
        self.give_up();
        // The refusals are among them.
        self.take_commands();
        let refusal = self.service.stopping();
        for id in self.all() {
            if let Some(conn) = self.get(id) {
                conn.proto.refuse_partial(&refusal);
            }
            self.close(id, CloseCode::STOPPING);
        }
        self.flush_touched();
    }

    // Reading.

    fn read_ready(&mut self) {
        let mut ready = std::mem::replace(&mut self.ready, std::mem::take(&mut self.emptied));
        for id in ready.drain(..) {
            if let Some(conn) = self.get(id) {
                conn.queued = false;
                self.read(id);
            }
        }
        self.keep(ready);
    }

    /// Keeps the memory of a list for the next one, unless it has been a long one.
    fn keep(&mut self, list: Vec<ConnId>) {
        if list.capacity() <= KEPT {
            self.emptied = list;
        }
    }

    /// Will be read in the next round: once, so that nobody has more turns than others.
    fn queue(&mut self, id: ConnId) {
        if let Some(conn) = self.get(id) {
            if !std::mem::replace(&mut conn.queued, true) {
                self.ready.push(id);
            }
        }
    }

    /// Gives one connection its turn.
    fn read(&mut self, id: ConnId) {
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        let was_open = conn.proto.is_open();
        conn.read(&mut self.service, &mut self.jobs, &mut self.spare, TURN);
        let ready = conn.is_ready(&self.service);
        if !was_open && conn.proto.is_open() {
            self.lobby.leave(id);
        }
        if ready {
            self.queue(id);
        }
        self.touch(id);
    }

    // Writing, and what follows from it.

    fn touch(&mut self, id: ConnId) {
        if let Some(conn) = self.get(id) {
            if !std::mem::replace(&mut conn.touched, true) {
                self.touched.push(id);
            }
        }
    }

    fn flush_touched(&mut self) {
        let mut touched = std::mem::replace(&mut self.touched, std::mem::take(&mut self.emptied));
        // One look at the clock for all of them: what is due by it is due in seconds.
        let now = Instant::now();
        for id in touched.drain(..) {
            if let Some(conn) = self.get(id) {
                conn.touched = false;
                self.flush(now, id);
            }
        }
        self.keep(touched);
    }

    /// Writes what waits, and ends what is over.
    fn flush(&mut self, now: Instant, id: ConnId) {
        let stopping = self.stopping.is_some();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        let mut alive = conn.advance(now, &mut self.service, &mut self.jobs);
        conn.settle(now, &self.service, stopping);
        if conn.settle_account(&self.service, self.account.is_overdrawn(), SHARE) {
            conn.proto.close(CloseCode::OVERLOADED);
        }
        conn.dispatch(now, &mut self.service, &mut self.jobs);
        alive = alive && conn.write(now);
        conn.far.note_unsaid(conn.proto.backlog());
        let ready = conn.is_ready(&self.service);
        if !alive || conn.is_over(now, stopping) {
            return self.drop_connection(id);
        }
        if ready {
            self.queue(id);
        }
        self.set_timer(id);
    }

    fn drop_connection(&mut self, id: ConnId) {
        self.lobby.leave(id);
        let Some(mut conn) = self.connections.try_remove(id.index) else { return };
        conn.proto.handle_eof();
        conn.over(&mut self.service, &Closed::Eof);
        conn.stream.deregister(self.poll.registry());
        drop(conn);
        self.listeners.iter_mut().for_each(Accepting::room);
    }

    // Time.

    fn set_timer(&mut self, id: ConnId) {
        let Some(conn) = self.get(id) else { return };
        let Some(at) = conn.due() else { return };
        // A timer that goes off too early is set again then; one that is too late must be moved.
        if conn.timer.is_none_or(|timer| at < timer) {
            conn.timer = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }

    /// By the time of the last look at the sockets: what had come by then has been read, however
    /// long the process was stopped.
    fn fire_timers(&mut self) {
        let now = self.looked;
        while let Some(&Reverse((at, id))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
            if let Some(conn) = conn {
                conn.timer = None;
                conn.handle_timeout(now, &self.service);
                self.flush(Instant::now(), id);
            }
        }
        // Every connection leaves its last timer behind, and a crowd a large heap.
        if self.timers.capacity() > TIMERS && self.timers.len() < TIMERS / 4 {
            self.timers.shrink_to(TIMERS);
        }
        for at in 0..self.listeners.len() {
            if self.listeners[at].retry_at().is_some_and(|when| when <= now) {
                self.accept(at);
            }
        }
    }
}

impl<S: Service> Drop for EventLoop<S> {
    fn drop(&mut self) {
        self.remote.close();
        for id in self.all() {
            self.drop_connection(id);
        }
    }
}
