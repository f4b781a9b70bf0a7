//! Moves bytes: the drivers of the protocol machine.
//!
//! One driver is an event loop over many connections, for servers; the other lets blocking
//! callers read and write their own connection. Knows sockets, pipes, threads and the clock. Does
//! not know actions, handlers or types.

mod accept;
mod account;
mod behind;
mod bell;
mod blocking;
mod cancel;
mod chain;
mod conn;
mod corker;
mod crowd;
mod dial;
mod event_loop;
mod expiry;
mod far;
mod flow;
mod handover;
mod inherited;
mod lately;
mod line;
mod link;
mod listen;
mod lobby;
mod loops;
mod newcomer;
mod origin;
mod pending;
mod ping;
mod pipe;
mod polling;
mod remote;
#[cfg(unix)]
mod sigterm;
mod stream;
mod timing;
#[cfg(unix)]
mod unix;
mod watch;

pub(crate) use account::{Account, Charge, Tally};
pub(crate) use bell::Bell;
pub(crate) use blocking::{about_to_block, hook, may_block};
pub(crate) use cancel::{run_hooks, Cancel};
pub(crate) use chain::{
    begin_to_wait, forget_chain, handling, is_handling, waiters, work_at, Place, Waiting,
};
pub(crate) use dial::{dial, share, Dialled};
pub(crate) use event_loop::{ConnId, Done, EventLoop, Incoming, Job, Pace, Quick, Reply, Service};
pub(crate) use far::Far;
pub(crate) use flow::{Conduit, Driver, Flow, Received, Unsent};
pub(crate) use handover::serve;
pub(crate) use inherited::{inherited, serving};
pub(crate) use lately::lately;
pub(crate) use line::{Flight, Line};
pub(crate) use link::{Called, Host, Link, Refused};
pub(crate) use listen::bind;
pub(crate) use origin::Origin;
pub(crate) use pending::{Ended, Small};
pub(crate) use ping::Pinged;
pub(crate) use polling::Polling;
pub(crate) use remote::{Command, Remote, Running};
#[cfg(unix)]
pub(crate) use sigterm::{on_sigterm, Listening, Termination};
pub(crate) use watch::{watch, Purpose, Watched};

/// A connection in memory: the end for an event loop, and the other one as if it had been dialled.
pub(crate) fn memory_pair() -> (pipe::LoopEnd, Dialled) {
    let (loop_end, caller_end) = pipe::pipe();
    let stream = stream::CallerStream::Pipe(caller_end);
    (loop_end, Dialled { stream, address: crate::address::Address::memory() })
}

/// A name for one run of a program, from the operating system's generator.
pub(crate) fn random_id() -> std::io::Result<crate::wire::InstanceId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(std::io::Error::from)?;
    Ok(crate::wire::InstanceId(id))
}

/// A connection that no loop has, and where it comes from.
#[cfg(test)]
pub(crate) fn far_for_tests() -> (Origin, std::sync::Arc<Far>) {
    let poll = mio::Poll::new().unwrap();
    let remote = Remote::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
    let token = crate::wire::ConnectionToken([0; 16]);
    let far = Far::new(ConnId::for_tests(0), token, remote, usize::MAX);
    (Origin::memory(), far.into())
}
