//! What callers ask of a connection: calls, streams, sends, pings, and what is given up.
//!
//! Knows what may stay behind to leave with what follows. Does not know who reads the answers.

use super::{Link, State};
use crate::{
    net::{
        behind, corker,
        flow::Flow,
        pending::{Awaited, Ended, Stage, Waiter},
        ping::{Echo, Pinged},
    },
    proto::{CallKey, NewCall, NotStarted, SharedBody},
    wire::{CallHead, Ran},
};
use std::{
    fmt::Debug,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

/// Calls that overlap leave together: at this many calls or bytes, or as soon as anybody waits.
const CORK_CALLS: u32 = 32;
/// Where many are under way, at one in so many of them: the other side has the rest to do meanwhile.
const CORK_PART: u32 = 4;
const CORK_BYTES: usize = 16 * 1024;
/// A send this soon after other traffic waits for more of its kind.
const BURST: Duration = Duration::from_millis(1);
/// Bytes that may wait to be written, or for a slot, before new calls are turned away.
const QUEUE: usize = 8 << 20;

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) call: Awaited,
    /// It has not been written: see [`Link::uncork`].
    pub(crate) corked: bool,
}

/// Why a call was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Protocol(NotStarted),
    Busy,
    /// Nothing reads at the other side unless it calls.
    Unattended,
}

impl Link {
    /// Sends a call, or queues it as the protocol wants. Returns soon in any case.
    ///
    /// While others are under way it may stay behind, to leave with those that follow: whoever
    /// waits sends it, and [`uncork`](Link::uncork) if nobody does.
    pub(crate) fn start(
        self: &Arc<Self>,
        now: Instant,
        head: &CallHead,
        body: &SharedBody,
    ) -> Result<Started, Refused> {
        let mut state = self.look_around(now);
        if state.proto.backlog() > QUEUE {
            return Err(Refused::Busy);
        }
        let key = state.proto.call_with(head, body).map_err(Refused::Protocol)?;
        let call = state.pending.insert(key);
        state.corked += 1;
        let leaves = state.leaves_at_once();
        state.deepest = state.deepest.max(state.proto.in_flight() as u32);
        // Whoever keeps many under way has few of them while it starts the next ones.
        let most = CORK_CALLS.max(state.deepest.max(state.depth) / CORK_PART);
        if leaves || state.corked >= most || state.proto.output_len() >= CORK_BYTES {
            self.flush_unless_full(&mut state);
        }
        let corked = state.corked;
        drop(state);
        if corked == 1 {
            behind::note(self);
        }
        corker::attend();
        Ok(Started { call, corked: corked > 0 })
    }

    /// Sends a call that carries items, or queues it as the protocol wants.
    pub(crate) fn open(&self, call: NewCall, flow: &Arc<Flow>) -> Result<(), Refused> {
        let mut state = self.look_around(Instant::now());
        if state.proto.backlog() > QUEUE {
            return Err(Refused::Busy);
        }
        let key = state.proto.call(call).map_err(Refused::Protocol)?;
        flow.begun(key, state.proto.message_limit());
        state.flows.insert(key.into(), Arc::clone(flow));
        self.flush_unless_full(&mut state);
        self.unlock(state);
        Ok(())
    }

    /// Does what a stream's user has asked for: at once, or with what follows in a burst.
    pub(in crate::net) fn settle(self: &Arc<Self>, flow: &Arc<Flow>) {
        if !self.owner.is_this() {
            return;
        }
        let mut state = self.lock();
        state.unsettled.push(Arc::clone(flow));
        state.corked += 1;
        if state.last_traffic.elapsed() >= BURST {
            self.flush_unless_full(&mut state);
        }
        let corked = state.corked > 0;
        self.unlock(state);
        if corked {
            self.watch_cork();
        }
    }

    /// Gives a stream of this side up, and says whether its handler can have run.
    pub(in crate::net) fn cancel_stream(&self, key: CallKey) -> Ran {
        if !self.owner.is_this() {
            return Ran::Unknown;
        }
        let mut state = self.lock();
        if state.flows.remove(key.into()).is_none() {
            return Ran::Unknown;
        }
        let ran = state.proto.cancel(key);
        self.flush_unless_full(&mut state);
        self.unlock(state);
        ran
    }

    /// Sends an input that wants no answer: at once, or with those that follow in a burst.
    pub(crate) fn send(self: &Arc<Self>, call: &NewCall) -> Result<(), Refused> {
        let now = Instant::now();
        let mut state = self.look_around(now);
        if state.proto.backlog() > QUEUE {
            return Err(Refused::Busy);
        }
        state.proto.send(call).map_err(Refused::Protocol)?;
        state.corked += 1;
        let burst = now.saturating_duration_since(state.last_traffic) < BURST;
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

    /// Asks the other side whether it is there, and waits for its answer.
    pub(crate) fn ping(&self, deadline: Instant) -> Result<Pinged, Refused> {
        if !self.rhythm.wait(deadline) {
            return Ok(Pinged::Late);
        }
        let echo = Echo::default();
        let mut state = self.look_around(Instant::now());
        if state.closed.is_some() {
            return Err(Refused::Protocol(NotStarted::Closed));
        }
        let State { pings, proto, .. } = &mut *state;
        pings.start(proto, echo.clone());
        self.flush_unless_full(&mut state);
        self.unlock(state);
        let ended = self.wait_for_signal(&echo.pending, deadline);
        self.lock().pings.forget(&echo);
        Ok(echo.ended(ended))
    }

    /// Takes the end of a call, if it is there.
    pub(crate) fn take(&self, call: Awaited) -> Option<Ended> {
        match self.owner.is_this() {
            true => self.lock().pending.take(call),
            false => None,
        }
    }

    /// Whether a wait for it would return at once, as one does in a child of the process.
    pub(crate) fn has_ended(&self, call: Awaited) -> bool {
        let locked = || self.lock().pending.has_ended(call);
        !self.owner.is_this() || self.marks.has_ended(call).unwrap_or_else(locked)
    }

    /// Has the waker woken at the end, and sends what stayed behind; false if the end has come.
    pub(crate) fn wake_with(&self, call: Awaited, waker: &Waker) -> bool {
        if !self.owner.is_this() {
            return false;
        }
        let waiter = Waiter::Future(waker.clone());
        let mut state = self.lock();
        let before = state.pending.wait_as(call, waiter);
        let waits = before.is_ok();
        if waits && state.corked > 0 {
            state.note_pattern();
            self.flush_unless_full(&mut state);
        }
        self.unlock(state);
        waits
    }

    /// Gives a call up, and says whether its handler can have run.
    pub(crate) fn cancel(&self, call: Awaited) -> Ran {
        if !self.owner.is_this() {
            return Ran::Unknown;
        }
        let mut state = self.lock();
        let Some((key, left)) = state.pending.remove(call) else { return Ran::Unknown };
        if let Stage::Ended(_) = left {
            return Ran::Unknown;
        }
        let ran = state.proto.cancel(key);
        self.flush_unless_full(&mut state);
        drop(state);
        // A waker in it is the user's code.
        drop(left);
        ran
    }
}
