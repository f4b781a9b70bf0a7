//! The drivers of the library, between stand-ins for sockets and for the loop.

pub(crate) mod account;
pub(crate) mod behind;
pub(crate) mod bell;
pub(crate) mod blocking;
pub(crate) mod cancel;
pub(crate) mod corker;
pub(crate) mod crowd;
pub(crate) mod event_loop;
pub(crate) mod expiry;
pub(crate) mod far;
pub(crate) mod flow;
pub(crate) mod handover;
pub(crate) mod inherited;
pub(crate) mod link;
pub(crate) mod newcomer;
pub(crate) mod pending;
pub(crate) mod ping;
pub(crate) mod pipe;
pub(crate) mod polling;
pub(crate) mod remote;
pub(crate) mod stream;
pub(crate) mod timing;
pub(crate) mod watch;

/// The thread of a pool that a handler runs on. Here no handler waits for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pool: u64,
    pub(crate) turn: u64,
}

/// Says what jobs of a pool this thread runs from now on.
pub(crate) fn work_at(_place: Place) {}
