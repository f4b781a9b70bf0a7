//! The event loop: one thread, many connections.
//!
//! Owns the sockets and their protocol machines, and asks a [`Service`] what to do with calls. It
//! never blocks but in its poll, and never spends long on one connection while others wait.

use super::{
    listen::Listener,
    pipe::LoopEnd,
    remote::{Command, Remote},
    stream::{is_retry, LoopStream},
};
use crate::{
    address::Address,
    proto::{Body, Buffer, Closed, Config, Connection, Event, ServedKey},
    wire::{CallHead, CloseCode},
};
use mio::{Interest, Poll, Registry, Token, Waker};
use slab::Slab;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, IoSlice},
    time::{Duration, Instant},
};

/// What a connection may be read in one turn before the others get theirs, in bytes.
const TURN: usize = 512 * 1024;
/// How long a closed connection is read on, so that the last words are not cut off by a reset.
const LINGER: Duration = Duration::from_secs(1);
/// How much is read then, in bytes.
const LINGER_BYTES: usize = 8 << 20;
/// Pieces of one vectored write.
const PIECES: usize = 32;
/// Events of one poll.
const EVENTS: usize = 1024;

const WAKE: Token = Token(usize::MAX);
/// Listeners count down from here, connections up from 0.
const LISTENERS: usize = usize::MAX - 1;

/// Names a connection of one loop; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnId {
    index: usize,
    generation: u64,
}

#[cfg(test)]
impl ConnId {
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
}

/// Whoever knows what calls mean.
pub(crate) trait Service {
    /// What it keeps for each connection.
    type Session;

    /// A connection has been accepted.
    fn opened(&mut self, address: &Address) -> Self::Session;
    /// A call has arrived; its answer comes through the [`Remote`], or now through `answer`.
    fn call(
        &mut self,
        session: &mut Self::Session,
        call: Incoming<'_>,
        answer: &mut dyn FnMut(ServedKey, crate::proto::Answer),
    );
    /// The caller no longer waits.
    fn cancelled(&mut self, session: &mut Self::Session, key: ServedKey);
    /// An answer has gone through.
    fn answered(&mut self, session: &mut Self::Session, key: ServedKey);
    /// Everything that was read at once has been handed over.
    fn batch_done(&mut self);
    /// The connection has ended.
    fn closed(&mut self, session: Self::Session, why: &Closed);
    /// Something that the operator should know.
    fn log(&mut self, what: &str);
}

/// The loop, before and while it runs.
#[derive(Debug)]
pub(crate) struct EventLoop<S: Service> {
    poll: Poll,
    remote: Remote,
    config: Config,
    service: S,
    listeners: Vec<Accepting>,
    connections: Slab<Conn<S::Session>>,
    generation: u64,
    /// Connections that may have more to read although no event will say so.
    ready: Vec<ConnId>,
    /// Connections whose output may have grown.
    touched: Vec<ConnId>,
    timers: BinaryHeap<Reverse<(Instant, ConnId)>>,
    /// Memory for the input of whichever connection is being read.
    spare: Buffer,
    stopping: Option<Instant>,
}

#[derive(Debug)]
struct Accepting {
    listener: Listener,
    /// When to try again after the system had no descriptors left, and how long to wait then.
    retry: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Conn<Session> {
    generation: u64,
    stream: LoopStream,
    proto: Connection,
    input: Buffer,
    session: Option<Session>,
    /// The last poll said that there is something to read.
    readable: bool,
    /// The last write was not cut short.
    writable: bool,
    /// The other side sends nothing more.
    eof: bool,
    /// In `touched` already.
    touched: bool,
    /// When the timer that is set goes off.
    timer: Option<Instant>,
    /// Set once it has ended: read on until then.
    linger: Option<Linger>,
}

#[derive(Debug)]
struct Linger {
    until: Instant,
    bytes: usize,
}

impl<S: Service> EventLoop<S> {
    /// A loop that serves these listeners.
    pub(crate) fn new(
        config: Config,
        listeners: Vec<Listener>,
        service: impl FnOnce(&Remote) -> S,
    ) -> io::Result<EventLoop<S>> {
        let poll = Poll::new()?;
        let remote = Remote::new(Waker::new(poll.registry(), WAKE)?);
        let mut accepting = Vec::new();
        for (at, mut listener) in listeners.into_iter().enumerate() {
            let token = Token(LISTENERS - at);
            poll.registry().register(&mut listener.socket, token, Interest::READABLE)?;
            accepting.push(Accepting { listener, retry: None });
        }
        Ok(EventLoop {
            poll,
            service: service(&remote),
            remote,
            config,
            listeners: accepting,
            connections: Slab::new(),
            generation: 0,
            ready: Vec::new(),
            touched: Vec::new(),
            timers: BinaryHeap::new(),
            spare: Buffer::new(),
            stopping: None,
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

    /// Serves until it has been drained.
    pub(crate) fn run(mut self) {
        let mut events = mio::Events::with_capacity(EVENTS);
        let mut commands = Vec::new();
        while !self.is_done() {
            self.wait(&mut events);
            for event in &events {
                self.dispatch(event.token(), event);
            }
            self.take_commands(&mut commands);
            self.read_ready();
            self.flush_touched();
            self.fire_timers();
        }
        self.remote.close();
        for at in self.all() {
            self.drop_connection(at);
        }
    }

    fn is_done(&self) -> bool {
        self.stopping.is_some_and(|until| self.connections.is_empty() || until <= Instant::now())
    }

    fn wait(&mut self, events: &mut mio::Events) {
        let timeout =
            if self.ready.is_empty() { self.next_timeout() } else { Some(Duration::ZERO) };
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => {
                // Nothing can be served without poll; a tight loop of errors helps nobody.
                events.clear();
                self.service.log(&format!("waiting for events failed: {error}"));
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let retries = self.listeners.iter().filter_map(|l| l.retry.map(|(at, _)| at));
        let first = retries.chain(timer).chain(self.stopping).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    fn dispatch(&mut self, token: Token, event: &mio::event::Event) {
        match token {
            WAKE => {}
            Token(index) if LISTENERS - index < self.listeners.len() => {
                self.accept(LISTENERS - index);
            }
            Token(index) => {
                let Some(conn) = self.connections.get_mut(index) else { return };
                conn.readable |= event.is_readable() || event.is_read_closed();
                conn.writable |= event.is_writable() || event.is_write_closed();
                let id = ConnId { index, generation: conn.generation };
                self.ready.push(id);
                self.touch(id);
            }
        }
    }

    // Accepting.

    fn accept(&mut self, at: usize) {
        loop {
            let accepting = &mut self.listeners[at];
            match accepting.listener.socket.accept() {
                Ok((stream, address)) => {
                    accepting.retry = None;
                    self.accepted(stream, address.into());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_transient(&error) => {}
                Err(error) => return self.accept_later(at, &error),
            }
        }
    }

    /// Out of descriptors or memory: edge-triggered polling would never speak of the backlog
    /// again, so a timer does.
    fn accept_later(&mut self, at: usize, error: &io::Error) {
        let accepting = &mut self.listeners[at];
        let wait = accepting.retry.map_or(Duration::from_millis(10), |(_, wait)| wait * 2);
        let wait = wait.min(Duration::from_secs(1));
        if accepting.retry.is_none() {
            let address = &accepting.listener.address;
            self.service.log(&format!("cannot accept at {address} for now: {error}"));
        }
        accepting.retry = Some((Instant::now() + wait, wait));
    }

    fn accepted(&mut self, mut stream: mio::net::TcpStream, address: Address) {
        // Small replies must not wait for an acknowledgement of the one before.
        let prepared = stream.set_nodelay(true);
        let token = Token(self.connections.vacant_key());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered =
            prepared.and_then(|()| self.poll.registry().register(&mut stream, token, interest));
        // The peer can have gone between the two; its address is all that there was.
        if registered.is_ok() {
            self.insert(LoopStream::Tcp(stream), &address);
        }
    }

    fn accept_pipe(&mut self, pipe: LoopEnd) {
        let id = self.insert(LoopStream::Pipe(pipe), &Address::memory());
        let LoopStream::Pipe(pipe) = &self.connections[id.index].stream else { return };
        let remote = self.remote.clone();
        // A loop that has returned has closed the pipe as well.
        pipe.on_change(move || drop(remote.send(Command::PipeChanged(id))));
        self.pipe_changed(id);
    }

    fn insert(&mut self, stream: LoopStream, address: &Address) -> ConnId {
        self.generation += 1;
        let generation = self.generation;
        let session = Some(self.service.opened(address));
        let index = self.connections.insert(Conn {
            generation,
            stream,
            proto: Connection::server(self.config.clone(), Instant::now()),
            input: Buffer::new(),
            session,
            readable: false,
            writable: true,
            eof: false,
            touched: false,
            timer: None,
            linger: None,
        });
        let id = ConnId { index, generation };
        self.touch(id);
        id
    }

    // Commands of other threads.

    fn take_commands(&mut self, commands: &mut Vec<Command>) {
        self.remote.take(commands);
        for command in commands.drain(..) {
            match command {
                Command::Answer { connection, key, answer } => {
                    if let Some(conn) = conn(&mut self.connections, connection) {
                        conn.proto.answer(key, answer);
                        if let Some(session) = &mut conn.session {
                            self.service.answered(session, key);
                        }
                        self.touch(connection);
                    }
                }
                Command::Accept(pipe) if self.stopping.is_none() => self.accept_pipe(pipe),
                Command::Accept(pipe) => drop(pipe),
                Command::PipeChanged(id) => self.pipe_changed(id),
                Command::Drain { until } => self.drain(until),
            }
        }
    }

    fn pipe_changed(&mut self, id: ConnId) {
        if let Some(conn) = conn(&mut self.connections, id) {
            (conn.readable, conn.writable) = (true, true);
            self.ready.push(id);
            self.touch(id);
        }
    }

    fn drain(&mut self, until: Instant) {
        self.stopping = Some(self.stopping.map_or(until, |before| before.min(until)));
        for mut accepting in std::mem::take(&mut self.listeners) {
            // Closing it is what counts; the registry forgets a closed socket by itself.
            let _ = self.poll.registry().deregister(&mut accepting.listener.socket);
        }
        for id in self.all() {
            if let Some(conn) = conn(&mut self.connections, id) {
                match conn.proto.is_open() {
                    true => conn.proto.drain(),
                    false => conn.proto.close(CloseCode::STOPPING),
                }
            }
            self.touch(id);
        }
    }

    fn all(&self) -> Vec<ConnId> {
        let id = |(index, conn): (usize, &Conn<_>)| ConnId { index, generation: conn.generation };
        self.connections.iter().map(id).collect()
    }

    // Reading.

    fn read_ready(&mut self) {
        for id in std::mem::take(&mut self.ready) {
            self.read(id);
        }
    }

    /// Reads one connection for a turn, and hands its calls over.
    fn read(&mut self, id: ConnId) {
        let Some(conn) = conn(&mut self.connections, id) else { return };
        if conn.linger.is_some() {
            return conn.read_away();
        }
        if conn.input.memory() == 0 {
            conn.input = std::mem::take(&mut self.spare);
        }
        let mut turn = 0;
        while turn < TURN && conn.readable && conn.proto.wants_input() {
            match conn.stream.read(conn.input.space()) {
                Ok(0) => (conn.eof, conn.readable) = (true, false),
                Ok(n) => {
                    conn.input.filled(n);
                    turn += n;
                    handle(&mut self.service, conn, id);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_retry(&error) => conn.readable = false,
                Err(_) => (conn.eof, conn.readable) = (true, false),
            }
        }
        if let Some(memory) = conn.input.lend() {
            self.spare = memory;
        }
        if conn.readable && conn.proto.wants_input() {
            self.ready.push(id);
        }
        self.service.batch_done();
        self.touch(id);
    }

    // Writing, and what follows from it.

    fn touch(&mut self, id: ConnId) {
        if let Some(conn) = conn(&mut self.connections, id) {
            if !std::mem::replace(&mut conn.touched, true) {
                self.touched.push(id);
            }
        }
    }

    fn flush_touched(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            if let Some(conn) = conn(&mut self.connections, id) {
                conn.touched = false;
                self.flush(id);
            }
        }
    }

    /// Writes what waits, and ends what is over.
    fn flush(&mut self, id: ConnId) {
        let now = Instant::now();
        let stopping = self.stopping.is_some();
        let Some(conn) = conn(&mut self.connections, id) else { return };
        let mut alive = conn.write(now);
        // Room in the output lets frames through that had to wait.
        handle(&mut self.service, conn, id);
        conn.settle(stopping);
        handle(&mut self.service, conn, id);
        alive = alive && conn.write(now);
        self.service.batch_done();
        if conn.readable && conn.proto.wants_input() {
            self.ready.push(id);
        }
        if !alive || conn.is_over(now, stopping) {
            return self.drop_connection(id);
        }
        self.set_timer(id);
    }

    fn drop_connection(&mut self, id: ConnId) {
        let Some(mut conn) = self.connections.try_remove(id.index) else { return };
        if let Some(session) = conn.session.take() {
            self.service.closed(session, &Closed::Eof);
        }
        forget(self.poll.registry(), &mut conn.stream);
    }

    // Time.

    fn set_timer(&mut self, id: ConnId) {
        let Some(conn) = conn(&mut self.connections, id) else { return };
        let linger = conn.linger.as_ref().map(|linger| linger.until);
        let Some(at) = conn.proto.poll_timeout().into_iter().chain(linger).min() else { return };
        // A timer that goes off too early is set again then; one that is too late must be moved.
        if conn.timer.is_none_or(|timer| at < timer) {
            conn.timer = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((at, id))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            if let Some(conn) = conn(&mut self.connections, id) {
                conn.timer = None;
                conn.proto.handle_timeout(now);
                self.flush(id);
            }
        }
        for at in 0..self.listeners.len() {
            if self.listeners[at].retry.is_some_and(|(when, _)| when <= now) {
                self.accept(at);
            }
        }
    }
}

/// Hands over what the connection has understood.
fn handle<S: Service>(service: &mut S, conn: &mut Conn<S::Session>, id: ConnId) {
    let now = Instant::now();
    while conn.may_dispatch() {
        let Some(event) = conn.proto.read(now, &mut conn.input) else { return };
        let Some(session) = &mut conn.session else { return };
        let (key, head, body) = match event {
            Event::Call { key, head, body } => (Some(key), head, body),
            Event::Send { head, body } => (None, head, body),
            Event::Cancel(key) => {
                service.cancelled(session, key);
                continue;
            }
            Event::Closed(why) => {
                if let Some(session) = conn.session.take() {
                    service.closed(session, &why);
                }
                let until = now + LINGER;
                conn.linger = Some(Linger { until, bytes: 0 });
                continue;
            }
            Event::Ready | Event::Reply { .. } | Event::Pong(_) | Event::Draining => continue,
        };
        let call = Incoming { connection: id, key, head, body, arrived: now };
        let proto = &mut conn.proto;
        service.call(session, call, &mut |key, answer| proto.answer(key, answer));
    }
}

impl<Session> Conn<Session> {
    /// A peer that leaves its replies unread gets no further calls run; its end is always heard.
    fn may_dispatch(&self) -> bool {
        self.proto.wants_input() || self.proto.is_closed()
    }

    /// Writes what waits; false if the other side is gone.
    fn write(&mut self, now: Instant) -> bool {
        while self.writable && self.proto.output_len() > 0 {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = self.proto.slices(&mut slices);
            match self.stream.write(&slices[..count]) {
                Ok(n) => self.proto.written(now, n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_retry(&error) => {
                    self.writable = false;
                    self.proto.write_blocked(now);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Ends the connection once nothing is left to do on it.
    fn settle(&mut self, stopping: bool) {
        if self.proto.is_closed() || self.proto.serving() > 0 || self.proto.output_len() > 0 {
            return;
        }
        // A peer that only closed its sending half still gets its replies first.
        if self.eof {
            self.proto.handle_eof();
        } else if stopping {
            self.proto.close(CloseCode::STOPPING);
        }
    }

    /// Whether it can be dropped: its last words are out, and the other side has heard them.
    fn is_over(&mut self, now: Instant, stopping: bool) -> bool {
        let Some(linger) = &self.linger else { return false };
        if self.eof || linger.until <= now || linger.bytes > LINGER_BYTES {
            return true;
        }
        if self.proto.output_len() > 0 {
            return false;
        }
        self.stream.close_write();
        // A stopping server does not wait for a peer that is not listening. The peer still reads
        // what has been sent, a drain above all, before it sees a reset.
        stopping
    }

    /// Reads and forgets: closing with unread input would reset the connection, and the other side
    /// would lose the reason.
    fn read_away(&mut self) {
        let mut sink = [0; 4096];
        while self.readable {
            match self.stream.read(&mut sink) {
                Ok(0) => (self.eof, self.readable) = (true, false),
                Ok(n) => self.note_lingering(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_retry(&error) => self.readable = false,
                Err(_) => (self.eof, self.readable) = (true, false),
            }
        }
    }

    fn note_lingering(&mut self, n: usize) {
        if let Some(linger) = &mut self.linger {
            linger.bytes += n;
            self.readable &= linger.bytes <= LINGER_BYTES;
        }
    }
}

fn conn<Session>(connections: &mut Slab<Conn<Session>>, id: ConnId) -> Option<&mut Conn<Session>> {
    connections.get_mut(id.index).filter(|conn| conn.generation == id.generation)
}

fn forget(registry: &Registry, stream: &mut LoopStream) {
    if let LoopStream::Tcp(stream) = stream {
        // Dropping it closes it, which is what the kernel acts on.
        let _ = registry.deregister(stream);
    }
}

/// Whether accepting failed because of the one connection, not because of this process.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
