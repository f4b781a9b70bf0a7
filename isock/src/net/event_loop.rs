//! The event loop: one thread, many connections.
//!
//! Owns the sockets and their protocol machines, and asks a [`Service`] what to do with calls. It
//! never blocks but in its poll, and never spends long on one connection while others wait.

mod accepting;
mod alone;
mod commands;
mod due;
mod ending;
mod jobs;
mod service;
#[cfg(test)]
mod tests;
mod turns;
mod waiting;

pub(super) use jobs::Run;
pub(crate) use service::{Done, Incoming, Job, Pace, Quick, Reply, Service};

use super::{
    accept::Accepting,
    account::Account,
    conn::Conn,
    flow::Flow,
    listen::Listener,
    lobby::Lobby,
    loops::{Loops, FIRST},
    polling::Polling,
    remote::{Command, Remote},
};
use crate::{
    address::Address,
    proto::{Buffer, Config},
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
    time::Instant,
};

/// Events of one poll.
const EVENTS: usize = 1024;
const WAKE: Token = Token(usize::MAX);
/// Listeners count down from here, connections up from 0.
const LISTENERS: usize = usize::MAX - 1;

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
    /// There but while they are taken note of.
    events: Option<mio::Events>,
    commands: Vec<Command>,
    /// Another thread has asked for something, and nobody has looked.
    called: bool,
    stopping: Option<Stopping>,
    /// When memory of long messages is released.
    tidy: Option<Instant>,
    /// Streams that send a lot, and when they are looked at.
    bursts: Vec<(ConnId, Arc<Flow>)>,
    bursts_at: Option<Instant>,
    /// When it last looked at its sockets.
    looked: Instant,
    /// When it last looked at them or read from one, or a few short reads before.
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
            events: Some(mio::Events::with_capacity(EVENTS)),
            commands: Vec::new(),
            called: false,
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
    }

    /// The same for all connections, and for what other threads ask.
    fn look_around(&mut self) {
        let Some(mut events) = self.events.take() else { return };
        self.wait(&mut events);
        if self.polling.is_on() && !events.is_empty() {
            self.note_turn(&events);
        }
        for event in &events {
            self.note(event.token(), event);
        }
        self.events = Some(events);
        // Who has been woken looks in any case: the flag may be on its way.
        if std::mem::take(&mut self.called) || self.remote.has_any() {
            self.take_commands();
        }
        self.look_at_bursts();
        self.read_ready();
    }

    /// When it last looked at its sockets, or a few short reads before: that late it was when the calls
    /// that lie ready began to.
    pub(super) fn heard(&self) -> Instant {
        self.heard
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

    fn get(&mut self, id: ConnId) -> Option<&mut Conn<S>> {
        self.connections.get_mut(id.index).map(Box::as_mut).filter(|conn| conn.id == id)
    }

    fn all(&self) -> Vec<ConnId> {
        self.connections.iter().map(|(_, conn)| conn.id).collect()
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
