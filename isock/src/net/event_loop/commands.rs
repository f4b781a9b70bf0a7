//! What other threads ask of an event loop.

use super::{ConnId, EventLoop, Service};
use crate::{
    net::{accept::Accepting, flow::Look, remote::Command},
    proto::{Answer, Closed, ServedKey},
};

/// Commands whose memory is kept.
const COMMANDS: usize = 256;

impl<S: Service> EventLoop<S> {
    pub(super) fn take_commands(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        self.remote.take(&mut commands);
        let some = !commands.is_empty();
        for command in commands.drain(..) {
            match command {
                Command::Answer { connection, key, answer, room } => {
                    self.answer(connection, key, answer);
                    if let Some(conn) = self.get(connection) {
                        conn.far.carries(room, conn.proto.backlog());
                    }
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
                        conn.pings.get_mut().into_iter().for_each(|pings| pings.forget(&echo));
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
                Command::TakeIn(newcomer) => self.go_on_with(*newcomer),
                Command::Room => self.listeners.iter_mut().for_each(Accepting::room),
                // It has woken the loop, to see whether it was the last.
                Command::Ended => {}
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
        if some {
            self.has_been_busy();
        }
    }

    #[inline]
    pub(super) fn answer(&mut self, id: ConnId, key: ServedKey, answer: Answer) {
        // Not through `get`: the service is borrowed beside the connection.
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        conn.answer(key, answer);
        if let Some(session) = &mut conn.session {
            self.service.answered(session, key);
        }
        self.touch(id);
    }

    pub(super) fn pipe_changed(&mut self, id: ConnId) {
        if let Some(conn) = self.get(id) {
            (conn.readable, conn.writable) = (true, true);
            self.queue(id);
            self.touch(id);
        }
    }
}
