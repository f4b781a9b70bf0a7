//! How a connection ends: who learns of it, and how long it is read on for its last words.
//!
//! Knows what it still waits for. Does not know why it ends.

use super::Conn;
use crate::{
    net::{
        event_loop::Service,
        flow::Flows,
        pending::{wake_all, Ended},
    },
    proto::{Closed, Room},
    seldom::Seldom,
    wire::CloseCode,
};
use std::{
    io,
    time::{Duration, Instant},
};

/// How long a closed connection is read on, so that the last words are not cut off by a reset. While a
/// server stops, which waits for answers until its grace is over, so long after the last sign that
/// they still leave.
const LINGER: Duration = Duration::from_secs(1);
/// How often a stopping server looks whether its last words have left, or its sends have run.
const LOOK: Duration = Duration::from_millis(5);
/// How much is read then, in bytes.
const LINGER_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Linger {
    until: Instant,
    bytes: usize,
    /// The other side has been told that nothing follows. Telling it again would be an event for
    /// ourselves, and so for ever.
    told: bool,
    /// Bytes of the last words that had not left, when a stopping server last looked.
    left: usize,
    /// When to look whether its last words have left.
    look: Option<Instant>,
}

impl Linger {
    /// It has ended now.
    pub(super) fn since(now: Instant) -> Linger {
        Linger { until: now + LINGER, bytes: 0, told: false, left: usize::MAX, look: None }
    }
}

impl<S: Service> Conn<S> {
    /// The connection has ended: whoever holds something of it learns so.
    pub(in crate::net) fn over(&mut self, service: &mut S, why: &Closed) {
        self.far.leave();
        if std::mem::take(&mut self.joined) {
            self.far.remote().left();
        }
        let mut woken = Vec::new();
        for (call, ran) in self.proto.take_lost() {
            let flow = self.flows.get_mut().and_then(|flows| flows.remove(call.into()));
            match (flow, self.outgoing.get_mut()) {
                (Some(flow), _) => flow.end(Ended::Lost(ran, why.clone()), &mut woken),
                (None, Some(outgoing)) => outgoing.lost(call, ran, why),
                (None, None) => {}
            }
        }
        // First: a handler that finds its stream stopped is to see that its call is cancelled.
        if let Some(session) = self.session.take() {
            service.closed(session, why);
        }
        if let Some(flows) = self.flows.get_mut() {
            flows.stop_all(&mut woken);
        }
        if let Some(pings) = self.pings.get_mut() {
            pings.lost(why, &mut woken);
        }
        wake_all(woken);
    }

    /// Accepts no further calls. Who has nothing to wait for hears of that and of the end at once, and
    /// has no time to look for another server in between.
    pub(in crate::net) fn drain(&mut self, service: &S) {
        let waits = self.proto.serving() > 0 || self.proto.output_len() > 0;
        let open = self.proto.is_open();
        if open {
            self.proto.drain();
        }
        if !open || !(waits || self.sends(service)) {
            self.proto.close(CloseCode::STOPPING);
        }
    }

    /// Whether one-way sends of the other side wait or run.
    pub(super) fn sends(&self, service: &S) -> bool {
        self.session.as_ref().is_some_and(|session| !service.is_idle(session))
    }

    /// Ends the connection once nothing is left to do on it.
    #[inline]
    pub(in crate::net) fn settle(&mut self, now: Instant, service: &S, stopping: bool) {
        self.look.take();
        self.flows.drop_if(Flows::are_none);
        // The rest of a call will not come any more; what is whole is answered first.
        let serving = if self.eof { self.proto.serving_whole() } else { self.proto.serving() };
        if self.proto.is_closed() || serving > 0 || self.proto.output_len() > 0 {
            return;
        }
        // A peer that only closed its sending half still gets its replies first.
        if self.eof {
            self.proto.handle_eof();
        } else if stopping {
            match self.sends(service) {
                true => self.look = Seldom::with(now + LOOK),
                false => self.proto.close(CloseCode::STOPPING),
            }
        }
    }

    /// Whether it can be dropped: its last words are out, and the other side has heard them.
    #[inline]
    pub(in crate::net) fn is_over(&mut self, now: Instant, stopping: bool) -> bool {
        let Some(linger) = self.linger.get_mut() else { return false };
        let left = self.proto.output_len() + self.stream.unsent();
        // Only then: whoever is closed for what it did has that one second, however it reads.
        if stopping && left < std::mem::replace(&mut linger.left, left) {
            linger.until = now + LINGER;
        }
        if self.eof || linger.until <= now || linger.bytes > LINGER_BYTES {
            return true;
        }
        if self.proto.output_len() > 0 {
            return false;
        }
        if !std::mem::replace(&mut linger.told, true) {
            self.stream.close_write();
        }
        // A stopping server does not wait for a peer that is not listening. The peer still reads
        // what has reached it, a drain above all, before it sees a reset.
        linger.look = (stopping && self.stream.unsent() > 0).then(|| now + LOOK);
        stopping && linger.look.is_none()
    }

    /// Reads and forgets: closing with unread input would reset the connection, and the other side
    /// would lose the reason.
    pub(super) fn read_away(&mut self) {
        let mut sink = [0; 4096];
        while self.readable {
            match self.stream.read(&mut Room::plain(&mut sink)) {
                Ok(0) => (self.eof, self.readable) = (true, false),
                Ok(n) => self.note_lingering(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => (self.eof, self.readable) = (true, false),
            }
        }
    }

    pub(super) fn note_lingering(&mut self, n: usize) {
        if let Some(linger) = self.linger.get_mut() {
            linger.bytes += n;
            self.readable &= linger.bytes <= LINGER_BYTES;
        }
    }

    /// Something is due on it. A connection that is not read for now cannot be heard.
    pub(in crate::net) fn handle_timeout(&mut self, now: Instant, service: &S) {
        if !self.wants_input(service) {
            self.proto.not_reading(now);
        }
        self.proto.handle_timeout(now);
    }

    /// When something is due on it, if that is before its timer goes off, which is set to it.
    #[inline]
    pub(in crate::net) fn sooner_due(&mut self) -> Option<Instant> {
        let due = self.due().filter(|at| self.timer.is_none_or(|timer| *at < timer))?;
        self.timer = Some(due);
        Some(due)
    }

    /// When something is due on it.
    #[inline]
    fn due(&self) -> Option<Instant> {
        let proto = self.proto.poll_timeout();
        if self.linger.get().is_none() && self.look.get().is_none() {
            return proto;
        }
        let linger =
            self.linger.get().map(|linger| linger.look.unwrap_or(linger.until).min(linger.until));
        proto.into_iter().chain(linger).chain(self.look.get().copied()).min()
    }
}
