//! A watcher of a connection: it reads for those who wait without a thread of their own.
//!
//! Knows when callers read and when nobody does. Does not know whose the watcher is.

use super::{
    reading::{Role, FULL},
    state::Reader,
    Link, State,
};
use crate::net::{bell::Bell, stream::CallerStream, watch::Purpose};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long callers must have been quiet before a watcher reads what the other side calls.
const STAND_BACK: Duration = Duration::from_millis(2);

/// How a watcher finds a connection.
#[derive(Debug)]
pub(in crate::net) enum Turn {
    /// Nobody reads it.
    Mine {
        /// When something is due on it.
        due: Option<Instant>,
        /// Its socket is full, and there is something to write.
        full: bool,
    },
    /// Callers do, or have until now.
    Theirs {
        /// When to look again; else the bell is rung.
        again: Option<Instant>,
    },
}

/// What a watcher wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// Nobody reads any more.
    Role,
    /// The socket has become full.
    Full,
}

impl Link {
    /// Says whether a watcher is to read, and whom to wake otherwise.
    pub(in crate::net) fn turn(&self, purpose: Purpose, bell: &Arc<Bell>) -> Turn {
        let mut state = self.lock();
        state.watcher = None;
        if state.closed.is_some() {
            return Turn::Theirs { again: Some(Instant::now()) };
        }
        let busy = state.taken != state.taken_before && purpose == Purpose::Calls;
        state.taken_before = state.taken;
        let pause = match () {
            () if busy => STAND_BACK,
            () if state.reader != Reader::Nobody => {
                state.watcher = Some((Arc::clone(bell), Awaits::Role));
                return Turn::Theirs { again: None };
            }
            () if state.is_fed() => FULL,
            () => {
                state.watcher = Some((Arc::clone(bell), Awaits::Full));
                return Turn::Mine { due: state.proto.poll_timeout(), full: state.full };
            }
        };
        Turn::Theirs { again: Some(Instant::now() + pause) }
    }

    /// Reads once for those who do not read themselves, unless callers have come meanwhile.
    pub(in crate::net) fn take_turn(&self, purpose: Purpose) {
        let mut state = self.lock();
        let busy = state.taken != state.taken_before && purpose == Purpose::Calls;
        if busy || state.reader != Reader::Nobody {
            return;
        }
        state.reader = Reader::Awake;
        // It sees by itself whether the socket is full.
        state.watcher = None;
        drop(state);
        let _role = Role(self);
        self.pump(CallerStream::read_now, None);
    }

    /// What a watcher waits at; a pipe has none.
    #[cfg(unix)]
    pub(in crate::net) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.stream.descriptor()
    }

    /// Has a pipe ring instead; says whether there is something to read already.
    #[cfg(unix)]
    pub(in crate::net) fn rings(&self, bell: &Arc<Bell>) -> bool {
        self.stream.rings(bell)
    }
}

impl State {
    /// Whom to wake for this, once.
    pub(super) fn watcher_of(&mut self, event: Awaits) -> Option<Arc<Bell>> {
        self.watcher.take_if(|(_, awaits)| *awaits == event).map(|(bell, _)| bell)
    }
}
