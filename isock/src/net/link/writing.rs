//! What leaves a connection: at once, with what follows, or when its socket takes it again.
//!
//! Knows the socket and the output. Does not know what is in it.

use super::{
    state::{Pattern, Reader},
    watching::Awaits,
    Link, State, IDLE,
};
use crate::net::{
    corker::{self, Looking},
    flow::Look,
    stream::{is_retry, CallerStream, WRITE_PATIENCE},
};
use std::{
    io::{self, IoSlice},
    sync::{Arc, MutexGuard},
    time::Instant,
};

/// A way to write.
type Write = fn(&CallerStream, &[IoSlice<'_>]) -> io::Result<usize>;

impl Link {
    /// Makes sure that what stayed behind is sent within about a millisecond.
    pub(crate) fn watch_cork(self: &Arc<Self>) {
        corker::watch(self);
    }

    pub(in crate::net) fn looking(&self) -> &Looking {
        &self.looking
    }

    /// Sends what stayed behind; says whether there was anything.
    pub(crate) fn uncork(&self) -> bool {
        if !self.owner.is_this() {
            return false;
        }
        let mut state = self.lock();
        let corked = state.corked > 0;
        if corked {
            state.note_pattern();
            self.flush_unless_full(&mut state);
        }
        self.unlock(state);
        corked
    }

    /// The same for a thread that is about to wait elsewhere, and so without waiting here.
    pub(in crate::net) fn uncork_in_passing(&self) {
        if !self.owner.is_this() {
            return;
        }
        let mut state = self.lock();
        if state.corked > 0 && state.reader != Reader::Awake && !state.full {
            state.note_pattern();
            self.flush_by(&mut state, CallerStream::write_now);
        }
        self.unlock(state);
    }

    /// The same when there may be no caller at all, since who sends waits for nothing: into a full
    /// socket only a reader writes, so this reads for a moment if nobody does.
    pub(in crate::net) fn push_on(&self) -> bool {
        let corked = self.uncork();
        let left = self.owner.is_this() && {
            let state = self.lock();
            state.full && state.proto.output_len() > 0
        };
        if left {
            self.glance();
        }
        corked || left
    }

    /// The state once what stayed behind is sent, unless whoever is about to read does so.
    pub(super) fn lock_uncorked(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if state.corked > 0 && state.reader != Reader::Awake {
            self.flush_unless_full(&mut state);
            self.unlock(state);
            state = self.lock();
        }
        state
    }

    /// Writes what waits, unless the socket is full: then its reader does.
    pub(super) fn flush_unless_full(&self, state: &mut State) {
        if !state.full {
            self.flush(state);
        }
    }

    /// Writes what waits, for about the patience of one write. Into a full socket only with the
    /// role, and then without waiting.
    pub(super) fn flush(&self, state: &mut State) {
        self.flush_by(state, CallerStream::write);
    }

    /// The same with another way to write while the socket is not full.
    pub(super) fn flush_by(&self, state: &mut State, write: Write) {
        state.corked = 0;
        state.settle_flows();
        let mut began = None;
        while state.proto.output_len() > 0 {
            if state.write_failed {
                state.proto.discard_output();
                break;
            }
            let write = if state.full { CallerStream::write_now } else { write };
            let result = state.proto.write_with(|pieces| write(&self.stream, pieces));
            let now = Instant::now();
            match result {
                Ok(n) => {
                    state.proto.written(now, n);
                    state.note_traffic(now);
                    // A peer that takes a little now and then must not keep the lock here.
                    if now.duration_since(*began.get_or_insert(now)) >= WRITE_PATIENCE {
                        if state.proto.output_len() > 0 {
                            state.is_full(now);
                        }
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_retry(&error) => {
                    state.is_full(now);
                    return;
                }
                // What the other side said before it went is still to be read.
                Err(_) => state.write_failed = true,
            }
        }
        state.full = false;
        if state.go_on_with_flows() {
            self.flush_by(state, write);
        }
    }

    pub(super) fn say_last(&self, state: &mut State) {
        state.proto.write_with(|pieces| self.stream.write_last(pieces));
        self.stream.close();
    }
}

impl State {
    /// Bytes have moved.
    pub(super) fn note_traffic(&mut self, now: Instant) {
        (self.last_traffic, self.idle_from) = (now, now + IDLE);
    }

    /// The socket takes no more for now: from here on its reader writes, if need be a watcher.
    pub(super) fn is_full(&mut self, now: Instant) {
        self.full = true;
        self.proto.write_blocked(now);
        if let Some(bell) = self.watcher_of(Awaits::Full) {
            bell.ring();
        }
    }

    /// Whether the call that has just been started need not wait for others. One that nothing is
    /// under way with leaves at once, unless such calls have been followed by others lately.
    pub(super) fn leaves_at_once(&mut self) -> bool {
        let alone = self.proto.in_flight() == 1;
        self.start = match (alone, self.start) {
            (true, Pattern::Single | Pattern::Open) => Pattern::Open,
            (false, Pattern::Open) => Pattern::Burst,
            (_, pattern) => pattern,
        };
        alone && self.start == Pattern::Open
    }

    /// What stayed behind is about to leave: a single call has waited for nobody.
    pub(super) fn note_pattern(&mut self) {
        if self.corked == 1 && self.proto.in_flight() == 1 {
            self.start = Pattern::Single;
        }
    }

    /// Hands the protocol what the users of streams have asked for.
    pub(super) fn settle_flows(&mut self) {
        if self.unsettled.is_empty() {
            return;
        }
        for flow in std::mem::take(&mut self.unsettled) {
            if self.flows.key_of(&flow).is_some() {
                self.flows.settle(&flow, Look::Asked, &mut self.proto, &mut self.woken);
            }
        }
    }

    /// The same for those that had to wait for room; says whether there is more to write.
    pub(super) fn go_on_with_flows(&mut self) -> bool {
        self.flows.go_on(&mut self.proto, &mut self.woken);
        self.proto.output_len() > 0 && !self.write_failed
    }
}
