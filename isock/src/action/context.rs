//! What a handler knows about the call it serves.

use super::Info;
use crate::{
    peer::{Connection, Connections, Peer, Session},
    wire::DecodeLimits,
};
use std::{
    fmt,
    marker::PhantomData,
    ops::Deref,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

/// A call as its handler sees it. Derefs to [`CallInfo`].
pub struct Context<'c, A> {
    call: &'c CallInfo,
    action: PhantomData<fn() -> A>,
}

impl<'c, A> Context<'c, A> {
    pub(super) fn new(call: &'c CallInfo) -> Context<'c, A> {
        Context { call, action: PhantomData }
    }
}

impl<A> Deref for Context<'_, A> {
    type Target = CallInfo;

    fn deref(&self) -> &CallInfo {
        self.call
    }
}

impl<A> fmt::Debug for Context<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

/// Who calls, and for how long.
#[derive(Debug)]
pub struct CallInfo {
    pub(crate) action: Info,
    pub(crate) peer: Peer,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) hide_failures: bool,
    pub(crate) decoding: Decoding,
}

impl CallInfo {
    /// The action that was called.
    pub fn action(&self) -> Info {
        self.action
    }

    /// Who called: its address, and calls to it in return.
    ///
    /// A handler that blocks in such a call does not hold up others.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// On a server, the connection that the call came over; `None` on a client.
    pub fn connection(&self) -> Option<Connection> {
        self.peer.connection()
    }

    /// All connections of the server that serves the call; none on a client.
    pub fn connections(&self) -> Connections {
        self.peer.connections()
    }

    /// What is kept for the connection that the call came over: values of your own types, dropped
    /// with it. On a client, for the client.
    pub fn session(&self) -> &Session {
        self.peer.session()
    }

    /// When the caller stops waiting; `None` if it waits without end.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long the caller still waits: zero once it has given up, [`Duration::MAX`] if it waits
    /// without end.
    pub fn remaining(&self) -> Duration {
        match self.deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        }
    }

    /// Whether nobody wants the answer any more: the caller cancelled, its connection ended, or
    /// its deadline has passed.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.remaining().is_zero()
    }
}

/// What decoding may cost, whatever the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoding {
    pub(crate) depth: u32,
    pub(crate) budget: usize,
}

impl Decoding {
    /// What it may cost for a message of an action.
    pub(crate) fn limits(self, info: &Info, encoded: usize) -> DecodeLimits {
        let by_len = DecodeLimits::for_len(encoded).budget.min(self.budget);
        DecodeLimits { depth: self.depth, budget: info.decode_budget.unwrap_or(by_len) }
    }
}
