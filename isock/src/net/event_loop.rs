//! The event loop: one thread, many connections.
//!
//! Owns the sockets and their protocol machines, and asks a [`Service`] what to do with calls. It
//! never blocks but in its poll, and never spends long on one connection while others wait.

mod accepting;
mod alone;
mod commands;
mod ending;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use service::{Done, Incoming, Job, Pace, Quick, Reply, Service};

use super::{
    accept::Accepting,
    account::Account,
    conn::{Conn, Preface, Turn},
    flow::{Flow, Look},
    listen::Listener,
    lobby::Lobby,
    loops::{Loops, FIRST},
    polling::Polling,
    remote::{Command, Remote},
};
use crate::{
    address::Address,
    proto::{Buffer, Closed, Config},
    wire::{spare, CloseCode},
};
use alone::Alone;
use ending::Stopping;
use mio::{Poll, Token, Waker};
use slab::Slab;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// What a connection may be read in one turn before the others get theirs, in bytes.
const TURN: usize = 512 * 1024;
/// Events of one poll.
const EVENTS: usize = 1024;
/// Timers whose memory is kept.
const TIMERS: usize = 1024;
/// What a connection may always hold, even when the server holds too much, in bytes.
const SHARE: usize = 128 * 1024;

/// Connections with something to do whose memory is kept.
const KEPT: usize = 256;
/// Quick calls whose memory is kept.
const JOBS: usize = 256;
/// Answers that leave before other calls run, in bytes: to write more is work of its own, and would
/// count as time of the handlers between which it is done.
const EARLY: usize = 4 * 1024;

/// How long items may wait for others of a burst.
const TICK: Duration = Duration::from_millis(1);
/// How often memory of long messages is released, and of many calls.
const QUIET: Duration = Duration::from_secs(1);

const WAKE: Token = Token(usize::MAX);
/// Listeners count down from here, connections up from 0.
const LISTENERS: usize = usize::MAX - 1;

/// Where quick calls run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// On the loop's thread.
    Here,
    /// On any other: nobody would see that one of them holds the loop up.
    Elsewhere,
}

/// Names a connection of one loop; never used twice, by no loop of its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnId {
    index: usize,
    generation: u64,
}

impl ConnId {
    /// A number of its own: connections of a server have theirs in the order in which they came.
    pub(crate) fn number(self) -> u64 {
        self.generation
    }

    #[cfg(test)]
    pub(crate) fn for_tests(index: usize) -> ConnId {
        ConnId { index, generation: 0 }
    }
}

/// The loop, before and while it runs.
pub(crate) struct EventLoop<S: Service> {
    poll: Poll,
    remote: Remote,
    /// All loops of the server, and which of them this is.
    loops: Loops,
    place: usize,
    config: Arc<Config>,
    account: Account,
    service: S,
    listeners: Vec<Accepting>,
    lobby: Lobby,
    /// Boxed: the table stays as large as it ever was, and a connection takes a kilobyte.
    connections: Slab<Box<Conn<S>>>,
    /// Connections that may have more to read although no event will say so.
    ready: Vec<ConnId>,
    /// Connections whose output may have grown.
    touched: Vec<ConnId>,
    /// The memory of the last list of either kind that has been worked off.
    emptied: Vec<ConnId>,
    timers: BinaryHeap<Reverse<(Instant, ConnId)>>,
    /// Quick calls that have been read and not run.
    jobs: VecDeque<S::Quick>,
    /// Whose call has run last, while its answer waits for those of the calls that follow.
    answered: Option<ConnId>,
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
    /// When it last looked at them or read from one.
    heard: Instant,
    polling: Polling,
    alone: Alone,
    /// When something had last happened there.
    active: Instant,
}

impl<S: Service> EventLoop<S> {
    /// So many loops that serve these listeners together; the first one accepts. What their
    /// connections hold goes on `account`.
    pub(crate) fn several(
        many: usize,
        config: Config,
        account: &Account,
        polling: Polling,
        listeners: Vec<Listener>,
        mut service: impl FnMut(&Remote) -> S,
    ) -> io::Result<Vec<EventLoop<S>>> {
        let polls = (0..many.max(1)).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let waker = |poll: &Poll| Waker::new(poll.registry(), WAKE).map(Remote::new);
        let remotes = polls.iter().map(waker).collect::<io::Result<Vec<_>>>()?;
        let (config, loops) = (Arc::new(config), Loops::new(remotes.clone()));
        let begin = |(place, (poll, remote)): (usize, (Poll, Remote))| {
            let (config, account) = (Arc::clone(&config), account.clone());
            let service = service(&remote);
            EventLoop::new(poll, remote, (loops.clone(), place), config, account, polling, service)
        };
        let mut all: Vec<_> = polls.into_iter().zip(remotes).enumerate().map(begin).collect();
        all[FIRST].listen(listeners)?;
        Ok(all)
    }

    fn new(
        poll: Poll,
        remote: Remote,
        (loops, place): (Loops, usize),
        config: Arc<Config>,
        account: Account,
        polling: Polling,
        service: S,
    ) -> EventLoop<S> {
        let limits = &config.limits;
        EventLoop {
            poll,
            remote,
            loops,
            place,
            account,
            service,
            listeners: Vec::new(),
            lobby: Lobby::new(limits.unauthenticated, limits.unauthenticated_per_address),
            config,
            connections: Slab::new(),
            ready: Vec::new(),
            touched: Vec::new(),
            emptied: Vec::new(),
            timers: BinaryHeap::new(),
            jobs: VecDeque::new(),
            answered: None,
            spare: Buffer::new(),
            events: mio::Events::with_capacity(EVENTS),
            commands: Vec::new(),
            stopping: None,
            tidy: None,
            bursts: Vec::new(),
            bursts_at: None,
            looked: Instant::now(),
            heard: Instant::now(),
            polling,
            alone: Alone::default(),
            active: Instant::now(),
        }
    }

    fn listen(&mut self, listeners: Vec<Listener>) -> io::Result<()> {
        for (at, listener) in listeners.into_iter().enumerate() {
            let token = Token(LISTENERS - at);
            self.listeners.push(Accepting::new(listener, self.poll.registry(), token)?);
        }
        Ok(())
    }

    /// The handle for other threads.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Whether it is the one that accepts.
    pub(super) fn is_first(&self) -> bool {
        self.place == FIRST
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.listeners.iter().map(|accepting| &accepting.listener.address)
    }

    /// Waits for something to do, and reads it. Quick calls lie ready afterwards.
    pub(super) fn gather(&mut self) {
        if !(self.alone.is_apart() && self.look_alone()) {
            self.look_around();
        }
        self.service.settle();
    }

    /// The same for all connections, and for what other threads ask.
    fn look_around(&mut self) {
        let mut events = std::mem::replace(&mut self.events, mio::Events::with_capacity(0));
        self.wait(&mut events);
        if self.polling.is_on() && !events.is_empty() {
            self.note_turn(&events);
        }
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

    /// When it last looked at its sockets or read from one: that late it was when the calls that
    /// lie ready began to.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Begins the next quick call. Those whose action has become slow meanwhile go elsewhere, and
    /// those of a connection that leaves its replies unread wait there. What the one before is
    /// answered leaves first, unless both are of one connection: then the answers leave together.
    #[inline]
    pub(super) fn next_job(&mut self, run: Run, last: Option<S::Job>) -> Option<S::Job> {
        let next = self.jobs.front().map(Quick::connection);
        if let Some(answered) = self.answered.take_if(|answered| Some(*answered) != next) {
            self.write_early(answered);
        }
        while let Some(call) = self.jobs.front() {
            // Not through `get`: the service is borrowed beside the connection.
            let id = call.connection();
            let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
            if let Some(conn) = conn.filter(|conn| run == Run::Here && conn.may_answer()) {
                let quick = self.service.is_quick(call);
                if let Some(session) = conn.session.as_mut().filter(|_| quick) {
                    let call = self.jobs.pop_front()?;
                    return Some(self.service.begin(session, call, last));
                }
            }
            self.put_off_job();
        }
        self.service.rest(last);
        None
    }

    /// Has the next quick call wait, or run elsewhere.
    fn put_off_job(&mut self) {
        let Some(mut call) = self.jobs.pop_front() else { return };
        let id = call.connection();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let unread = conn.as_ref().is_some_and(|conn| !conn.may_answer());
        match conn.and_then(|conn| Some((conn.session.as_mut()?, &mut conn.held))) {
            Some((_, held)) if unread => {
                self.service.hold(&mut call);
                held.push_back(call);
            }
            Some((session, _)) => {
                if let Some(done) = self.service.run_elsewhere(session, call) {
                    self.finish(done);
                }
            }
            // With its connection it was cancelled.
            None => self.service.forget(call),
        }
    }

    /// Takes the answer of a quick call that has run.
    #[inline]
    pub(super) fn end_job(&mut self, job: &mut S::Job) {
        let (id, key) = job.key();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else {
            drop(job.take_answer());
            return self.service.ended(None, Reply::Given);
        };
        match job.take_answer() {
            Some(answer) => {
                self.service.ended(conn.session.as_mut(), Reply::Given);
                self.answered = Some(id);
                conn.answer(key, answer);
                if !std::mem::replace(&mut conn.touched, true) {
                    self.touched.push(id);
                }
            }
            None => self.service.ended(conn.session.as_mut(), Reply::Later),
        }
    }

    /// Others have their turn before the next one begins, which may use what this one has left.
    pub(super) fn keep_job(&mut self, last: S::Job) {
        self.service.rest(Some(last));
    }

    /// What has begun goes on without the loop.
    pub(super) fn leave_job(&mut self) {
        let Some(id) = self.service.begun() else { return };
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        if let Some(session) = conn.and_then(|conn| conn.session.as_mut()) {
            self.service.left_behind(session);
        }
    }

    /// Writes short answers without the rest of what becomes due on a connection: its caller goes on
    /// while others are served, and the memory that they lay in serves the next connection.
    fn write_early(&mut self, id: ConnId) {
        let heard = self.heard;
        self.service.settle();
        let Some(conn) = self.get(id) else { return };
        if conn.proto.output_len() <= EARLY {
            // If the other side is gone, so it is for whoever flushes.
            let _ = conn.write(heard);
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
        // What has run is off the account before its callers have their answers.
        self.service.settle();
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

    fn wait(&mut self, events: &mut mio::Events) {
        let idle = self.ready.is_empty() && self.jobs.is_empty();
        match self.poll_or_sleep(events, idle) {
            Ok(()) => {
                self.looked = Instant::now();
                self.heard = self.looked;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.heard = Instant::now();
                events.clear();
            }
            Err(error) => {
                // Nothing can be served without poll; a tight loop of errors helps nobody.
                events.clear();
                self.service.log(&format!("waiting for events failed: {error}"));
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn poll_or_sleep(&mut self, events: &mut mio::Events, idle: bool) -> io::Result<()> {
        if !idle || self.alone.is_apart() {
            return self.poll.poll(events, Some(Duration::ZERO));
        }
        if let Some(until) = self.polling.until(self.active) {
            let until = self.next_due().map_or(until, |due| due.min(until));
            let EventLoop { poll, polling, .. } = self;
            let look = || match poll.poll(events, Some(Duration::ZERO)) {
                Ok(()) if events.is_empty() => None,
                result => Some(result),
            };
            if let Some(result) = polling.look(until, look) {
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

    // Reading.

    fn read_ready(&mut self) {
        let mut ready = std::mem::replace(&mut self.ready, std::mem::take(&mut self.emptied));
        for id in ready.drain(..) {
            if let Some(conn) = self.get(id) {
                conn.queued = false;
                self.read(id, None);
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

    /// Gives one connection its turn, and waits for it until then.
    fn read(&mut self, id: ConnId, until: Option<Instant>) {
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        let was_open = conn.proto.is_open();
        let is_dealt = was_open || conn.joined || self.place != FIRST || self.stopping.is_some();
        let place = if is_dealt { self.place } else { self.loops.fewest() };
        if !was_open {
            conn.preface = if place == self.place { Preface::Stays } else { Preface::Moves };
        }
        let busily = until.map(|until| (until, &mut self.polling));
        let turn = Turn { bytes: TURN, busily };
        if let Some(at) = conn.read(&mut self.service, &mut self.jobs, &mut self.spare, turn) {
            self.heard = at;
        }
        let ready = conn.is_ready(&self.service);
        if !was_open && conn.proto.is_open() {
            // A hook that has heard of it is no part of its first call.
            self.heard = Instant::now();
            self.deal(id, place);
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

    fn close(&mut self, id: ConnId, code: CloseCode) {
        self.lobby.leave(id);
        if let Some(conn) = self.get(id) {
            conn.proto.close(code);
            self.touch(id);
        }
    }

    fn drop_connection(&mut self, id: ConnId) {
        self.lobby.leave(id);
        let Some(mut conn) = self.connections.try_remove(id.index) else { return };
        conn.proto.handle_eof();
        conn.over(&mut self.service, &Closed::Eof);
        conn.stream.deregister(self.poll.registry());
        drop(conn);
        match self.is_first() {
            true => self.listeners.iter_mut().for_each(Accepting::room),
            false => self.loops.note_room(),
        }
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
        if thread::panicking() {
            self.service.log("an event loop has panicked: the server ends");
        }
        self.remote.close();
        for id in self.all() {
            self.drop_connection(id);
        }
        if !self.is_first() {
            self.loops.note_end();
        }
    }
}
