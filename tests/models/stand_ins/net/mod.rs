//! The drivers of the library, between stand-ins for sockets and for the loop.

pub(crate) mod account;
pub(crate) mod behind;
pub(crate) mod bell;
pub(crate) mod blocking;
pub(crate) mod cancel;
pub(crate) mod chain;
pub(crate) mod corker;
pub(crate) mod crowd;
pub(crate) mod event_loop;
pub(crate) mod expiry;
pub(crate) mod far;
pub(crate) mod flow;
pub(crate) mod handover;
pub(crate) mod inherited;
pub(crate) mod link;
pub(crate) mod loops;
pub(crate) mod newcomer;
pub(crate) mod pending;
pub(crate) mod ping;
pub(crate) mod pipe;
pub(crate) mod polling;
pub(crate) mod remote;
pub(crate) mod stream;
pub(crate) mod timing;
pub(crate) mod watch;

pub(crate) use account::Charge;
pub(crate) use bell::Bell;
pub(crate) use chain::{forget_chain, work_at, Place};
pub(crate) use far::Far;
pub(crate) use link::Link;
pub(crate) use watch::{watch, Purpose, Watched};
