//! How connections come into an event loop: who they are, and who must make room for them.

use super::{ConnId, EventLoop, Service};
use crate::{
    net::{
        accept::Accepted,
        conn::Conn,
        far::Far,
        origin::{Origin, Source},
        pipe::LoopEnd,
        random_id,
        remote::Command,
        stream::LoopStream,
    },
    proto::Connection,
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

    pub(super) fn take_in(&mut self, mut stream: LoopStream, origin: Origin) -> Option<ConnId> {
        let token = Token(self.connections.vacant_key());
        // The peer can have gone between the two; its address is all that there was.
        stream.register(self.poll.registry(), token).ok()?;
        let name = self.token()?;
        Some(self.insert(stream, origin, name))
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

    pub(super) fn accept_pipe(&mut self, pipe: LoopEnd) {
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
}
