//! What the clones of a client share: one connection, which is there once somebody has made it.

use super::{background::Background, connector::NoLink};
use crate::{limits::Limits, net::Link};
use isock_models::std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Instant,
};

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) options: Options,
    pub(crate) background: Arc<Background>,
    link: Arc<Link>,
    made: AtomicBool,
}

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
}

impl Channel {
    /// One that makes this connection.
    pub(crate) fn new(link: Arc<Link>) -> Arc<Channel> {
        Arc::new_cyclic(|channel| Channel {
            options: Options::default(),
            background: Background::new(channel.clone()),
            link,
            made: AtomicBool::new(false),
        })
    }

    pub(crate) fn reach(&self, deadline: Instant) -> Result<(), NoLink> {
        self.link(deadline).map(drop)
    }

    pub(crate) fn link(&self, _deadline: Instant) -> Result<Arc<Link>, NoLink> {
        self.made.store(true, Ordering::SeqCst);
        self.near().ok_or(NoLink::Closed)
    }

    pub(crate) fn near(&self) -> Option<Arc<Link>> {
        let made = self.made.load(Ordering::SeqCst);
        made.then(|| Arc::clone(&self.link)).filter(|link| link.is_usable())
    }

    pub(crate) fn left(&self) -> Vec<Arc<Link>> {
        Vec::new()
    }

    pub(crate) fn is_closed(&self) -> bool {
        false
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.background.look_again();
    }
}
