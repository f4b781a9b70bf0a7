//! A connection that calls are made on, whoever drives it.
//!
//! Knows the two ways to make a call. Does not know attempts, or what a call means.

use super::{
    blocking::{about_to_block, WouldDeadlock},
    far::{Far, Ticket},
    flow::{Conduit, Driver, Flow},
    link::{Link, Refused, Started},
    pending::{Awaited, Ended},
    ping::Pinged,
};
use crate::{
    address::Address,
    proto::{NewCall, SharedBody},
    wire::{CallHead, ConnectionToken, Ran},
};
use std::{
    sync::{Arc, Weak},
    task::Waker,
    time::Instant,
};

/// A connection.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// Its callers read and write it themselves.
    Near(Arc<Link>),
    /// An event loop does.
    Far(Arc<Far>),
}

/// A call under way on a connection.
#[derive(Debug)]
pub(crate) enum Flight {
    Near(Arc<Link>, Awaited),
    Far(Arc<Far>, Arc<Ticket>),
}

impl Line {
    /// Sends a call, or queues it. Returns soon in any case; what stays behind leaves within about
    /// a millisecond, or when somebody waits.
    #[inline(always)]
    pub(crate) fn start(
        self,
        now: Instant,
        head: &CallHead,
        body: &SharedBody,
    ) -> Result<Flight, Refused> {
        match self {
            Line::Near(link) => {
                let Started { call, corked } = link.start(now, head, body)?;
                if corked {
                    link.watch_cork();
                }
                Ok(Flight::Near(link, call))
            }
            Line::Far(far) => {
                let ticket = far.start(NewCall { head: *head, body: body.clone() })?;
                Ok(Flight::Far(far, ticket))
            }
        }
    }

    /// Sends an input that wants no answer.
    pub(crate) fn send(&self, call: &NewCall) -> Result<(), Refused> {
        match self {
            Line::Near(link) => link.send(call),
            Line::Far(far) => far.send(call),
        }
    }

    /// Sends a call that carries items.
    pub(crate) fn open(self, call: NewCall, flow: &Arc<Flow>) -> Result<Conduit, Refused> {
        let driver = match self {
            Line::Near(link) => {
                link.open(call, flow)?;
                Driver::Near(link)
            }
            Line::Far(far) => {
                far.open(call, flow)?;
                Driver::Far(far)
            }
        };
        Ok(Conduit::new(driver, Arc::clone(flow)))
    }

    /// Asks the other side whether it is there, and blocks until it has answered.
    pub(crate) fn ping(&self, deadline: Instant) -> Result<Pinged, Refused> {
        match self {
            Line::Near(link) => link.ping(deadline),
            Line::Far(far) => far.ping(deadline),
        }
    }

    /// The name that the server gave the connection.
    pub(crate) fn token(&self) -> Option<ConnectionToken> {
        match self {
            Line::Near(link) => link.token(),
            Line::Far(far) => Some(far.token()),
        }
    }
}

impl Flight {
    /// Blocks until the call has ended; `None` if the deadline comes first.
    ///
    /// # Errors
    /// If it has not ended, where nothing may block.
    #[inline(always)]
    pub(crate) fn wait(&self, deadline: Instant) -> Result<Option<Ended>, WouldDeadlock> {
        match self {
            Flight::Near(link, call) => link.wait(*call, deadline),
            Flight::Far(_, ticket) => Flight::wait_for_loop(ticket, deadline),
        }
    }

    #[inline(never)]
    fn wait_for_loop(ticket: &Ticket, deadline: Instant) -> Result<Option<Ended>, WouldDeadlock> {
        if !ticket.is_ended() {
            about_to_block()?;
        }
        Ok(ticket.wait(deadline))
    }

    /// The end, if it is there.
    pub(crate) fn take(&self) -> Option<Ended> {
        match self {
            Flight::Near(link, call) => link.take(*call),
            Flight::Far(_, ticket) => ticket.take(),
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Flight::Near(link, call) => link.has_ended(*call),
            Flight::Far(_, ticket) => ticket.is_ended(),
        }
    }

    /// Has the waker woken at the end, and sends what stayed behind; false if the end has come.
    pub(crate) fn wake_with(&self, waker: &Waker) -> bool {
        match self {
            Flight::Near(link, call) => link.wake_with(*call, waker),
            Flight::Far(_, ticket) => ticket.wake_with(waker),
        }
    }

    /// What has to be read for the call to end, if nobody else reads it.
    pub(crate) fn to_read(&self) -> Weak<Link> {
        match self {
            Flight::Near(link, _) => Arc::downgrade(link),
            Flight::Far(..) => Weak::new(),
        }
    }

    /// Reads what has come, for who has been late since then; says whether the answer may still be on
    /// its way from the socket.
    pub(crate) fn may_have_come(&self, now: Instant, late: Instant, deadline: Instant) -> bool {
        match self {
            Flight::Near(link, _) => link.may_have_come(now, late, deadline),
            Flight::Far(..) => false,
        }
    }

    /// Gives the call up, and says whether its handler can have run.
    pub(crate) fn cancel(&self) -> Ran {
        match self {
            Flight::Near(link, call) => link.cancel(*call),
            Flight::Far(far, ticket) => far.cancel(ticket),
        }
    }

    /// Where the other end is, if the connection knows.
    pub(crate) fn address(&self) -> Option<&Address> {
        match self {
            Flight::Near(link, _) => Some(link.address()),
            Flight::Far(..) => None,
        }
    }
}
