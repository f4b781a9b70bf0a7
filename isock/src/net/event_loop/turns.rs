//! What a loop does with one connection after the other: reads it, writes what waits, and lets it go.
//!
//! Knows who has something to do. Does not know what is due when, or what the calls mean.

use super::{ConnId, EventLoop, Service};
use crate::{
    net::{
        accept::Accepting,
        conn::{Allowance, Preface},
        loops::FIRST,
    },
    proto::Closed,
    wire::CloseCode,
};
use std::{cmp::Reverse, time::Instant};

/// What a connection may be read in one turn before the others get theirs, in bytes.
const TURN: usize = 512 * 1024;
/// Connections that are read between two looks at the clock, if they have sent little.
const READS: usize = 8;
/// Connections with something to do whose memory is kept.
const KEPT: usize = 256;
/// What a connection may always hold, even when the server holds too much, in bytes.
const SHARE: usize = 128 * 1024;

impl<S: Service> EventLoop<S> {
    pub(super) fn read_ready(&mut self) {
        if self.ready.is_empty() {
            return;
        }
        let mut ready = std::mem::replace(&mut self.ready, std::mem::take(&mut self.emptied));
        for (place, id) in ready.iter().enumerate() {
            if place % READS == READS - 1 {
                self.has_been_busy();
            }
            if let Some(conn) = self.get(*id) {
                conn.queued = false;
                self.read(*id, None);
            }
        }
        ready.clear();
        self.keep(ready);
    }

    /// Will be read in the next round: once, so that nobody has more turns than others.
    pub(super) fn queue(&mut self, id: ConnId) {
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        conn.into_iter().for_each(|conn| conn.queue(&mut self.ready));
    }

    /// Gives one connection its turn, and waits for it until then.
    pub(super) fn read(&mut self, id: ConnId, until: Option<Instant>) {
        let now = self.now();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        if !conn.proto.is_open() {
            return self.read_preface(id);
        }
        let busily = until.map(|until| (until, &mut self.polling));
        let allowance = Allowance { bytes: TURN, now, busily };
        if let Some(at) = conn.read(&mut self.service, &mut self.jobs, &mut self.spare, allowance) {
            self.heard = at;
        }
        if conn.is_ready(&self.service) {
            conn.queue(&mut self.ready);
        }
        conn.touch(&mut self.touched);
    }

    /// The same for one that has not shown its preface, or has ended: it goes where it will be served.
    fn read_preface(&mut self, id: ConnId) {
        let now = self.now();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        let is_dealt = conn.joined || self.place != FIRST || self.stopping.is_some();
        let place = if is_dealt { self.place } else { self.loops.fewest() };
        conn.preface = if place == self.place { Preface::Stays } else { Preface::Moves };
        let allowance = Allowance { bytes: TURN, now, busily: None };
        if let Some(at) = conn.read(&mut self.service, &mut self.jobs, &mut self.spare, allowance) {
            self.heard = at;
        }
        let ready = conn.is_ready(&self.service);
        if conn.proto.is_open() {
            // A hook that has heard of it is no part of its first call.
            self.has_been_busy();
            self.deal(id, place);
        }
        if ready {
            self.queue(id);
        }
        self.touch(id);
    }

    pub(super) fn touch(&mut self, id: ConnId) {
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        conn.into_iter().for_each(|conn| conn.touch(&mut self.touched));
    }

    pub(super) fn flush_touched(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        let mut touched = std::mem::replace(&mut self.touched, std::mem::take(&mut self.emptied));
        // What is due by it is due in seconds.
        let now = self.now();
        for id in &touched {
            if let Some(conn) = self.get(*id) {
                conn.touched = false;
                self.flush(now, *id);
            }
        }
        touched.clear();
        self.keep(touched);
    }

    /// Writes what waits, and ends what is over.
    pub(super) fn flush(&mut self, now: Instant, id: ConnId) {
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
        if !alive || conn.is_over(now, stopping) {
            return self.drop_connection(id);
        }
        if conn.is_ready(&self.service) {
            conn.queue(&mut self.ready);
        }
        // A timer that goes off too early is set again then; one that is too late must be moved.
        if let Some(at) = conn.sooner_due() {
            self.timers.push(Reverse((at, id)));
        }
    }

    pub(super) fn close(&mut self, id: ConnId, code: CloseCode) {
        self.lobby.leave(id);
        if let Some(conn) = self.get(id) {
            conn.proto.close(code);
            self.touch(id);
        }
    }

    pub(super) fn drop_connection(&mut self, id: ConnId) {
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

    /// Keeps the memory of a list for the next one, unless it has been a long one.
    pub(super) fn keep(&mut self, list: Vec<ConnId>) {
        if list.capacity() <= KEPT {
            self.emptied = list;
        }
    }
}
