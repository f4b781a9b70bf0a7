//! How connections come into an event loop, which loop serves them, and who must make room for them.
//!
//! The first loop of a server accepts. It keeps a connection until that has shown its preface, so
//! that strangers are counted in one place and cost the other loops nothing, and then deals it out
//! to the loop with the fewest connections, which serves it to its end.

use super::{ConnId, EventLoop, Service};
use crate::{
    net::{
        accept::Accepted,
        conn::Conn,
        far::Far,
        loops::FIRST,
        newcomer::Newcomer,
        origin::{Origin, Source},
        pipe::LoopEnd,
        random_id,
        remote::Command,
        stream::LoopStream,
    },
    proto::{Buffer, Connection},
    wire::{CloseCode, ConnectionToken},
};
use mio::Token;
use std::{sync::Arc, time::Instant};

/// Connections that are accepted in one turn.
const ACCEPTS: usize = 64;

impl<S: Service> EventLoop<S> {
    pub(super) fn accept(&mut self, at: usize) {
        for _ in 0..ACCEPTS {
            match self.listeners[at].accept() {
                Accepted::Connection(stream, origin, source) => {
                    self.accepted(stream, origin, source);
                }
                Accepted::Nothing => return,
                Accepted::StillNoRoom => return self.loops.note_no_room(),
                Accepted::NoRoom(error) => {
                    self.loops.note_no_room();
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
        if let Some(id) = self.come_in(stream, origin) {
            self.lobby.enter(id, source);
            self.make_room();
        }
    }

    /// Takes a socket in that has just been accepted.
    pub(super) fn come_in(&mut self, stream: LoopStream, origin: Origin) -> Option<ConnId> {
        // The peer can have gone meanwhile; its address is all that there was.
        stream.prepare().ok()?;
        let newcomer = self.newcomer(stream, origin)?;
        self.take_in(newcomer)
    }

    pub(super) fn accept_pipe(&mut self, pipe: LoopEnd) {
        let newcomer = self.newcomer(LoopStream::Pipe(pipe), Origin::memory());
        let Some(newcomer) = newcomer else { return };
        match self.loops.fewest() {
            FIRST => {
                let id = self.take_in(newcomer);
                id.into_iter().for_each(|id| self.join(id));
            }
            other => self.loops.hand_over(other, newcomer),
        }
    }

    /// Somebody of whom nothing is known yet.
    pub(super) fn newcomer(&mut self, stream: LoopStream, origin: Origin) -> Option<Newcomer> {
        let token = self.token()?;
        let mut proto = Connection::server(Arc::clone(&self.config), Instant::now()).named(token);
        proto.set_attended(true);
        let (number, charge) = (self.loops.number(), self.account.charge(0));
        Some(Newcomer { number, token, stream, origin, proto, input: Buffer::new(), charge })
    }

    fn take_in(&mut self, newcomer: Newcomer) -> Option<ConnId> {
        let Newcomer { number, token, mut stream, origin, proto, input, charge } = newcomer;
        let entry = self.connections.vacant_entry();
        // The peer can have gone meanwhile.
        stream.register(self.poll.registry(), Token(entry.key())).ok()?;
        let id = ConnId { index: entry.key(), generation: number };
        let hard = self.config.limits.output_hard;
        let far = Arc::new(Far::new(id, token, self.remote.clone(), hard));
        let session = self.service.opened(origin, &far);
        entry.insert(Box::new(Conn::new(id, stream, (proto, input), session, far, charge)));
        self.touch(id);
        self.hear_pipe(id);
        Some(id)
    }

    /// A pipe calls its loop by itself.
    fn hear_pipe(&mut self, id: ConnId) {
        let stream = self.connections.get(id.index).map(|conn| &conn.stream);
        if let Some(LoopStream::Pipe(pipe)) = stream {
            let remote = self.remote.clone();
            // A loop that has returned has closed the pipe as well.
            pipe.on_change(move || drop(remote.send(Command::PipeChanged(id))));
            self.pipe_changed(id);
        }
    }

    /// Goes on with a connection that the first loop has accepted.
    pub(super) fn go_on_with(&mut self, newcomer: Newcomer) {
        let Some(id) = self.take_in(newcomer) else { return self.remote.left() };
        let stopping = self.stopping.is_some();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        conn.joined = true;
        // Handed over by a loop that has panicked since, or it would be here before the end.
        if stopping {
            conn.drain(&self.service);
        }
        conn.understand(Instant::now(), &mut self.service, &mut self.jobs);
    }

    // Dealing out.

    /// A connection has shown its preface: it goes where it will be served.
    pub(super) fn deal(&mut self, id: ConnId, place: usize) {
        self.lobby.leave(id);
        if place == self.place {
            return self.join(id);
        }
        let conn = self.connections.try_remove(id.index);
        let Some(mut conn) = conn else { return };
        conn.stream.deregister(self.poll.registry());
        if let Some(newcomer) = conn.into_newcomer(&mut self.service) {
            self.loops.hand_over(place, newcomer);
        }
    }

    /// A connection stays: it counts as one of this loop's.
    fn join(&mut self, id: ConnId) {
        if self.loops.are_alone() {
            return;
        }
        let conn = self.get(id).filter(|conn| !conn.joined);
        if let Some(conn) = conn {
            conn.joined = true;
            self.remote.joined();
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
            self.read(id, None);
        }
        if let Some(id) = self.lobby.crowded_out() {
            self.close(id, CloseCode::DISPLACED);
        }
    }
}
