//! A client, as far as the thread behind its futures knows.

pub(crate) mod background;
mod backoff;
pub(crate) mod channel;
pub(crate) mod connector;
pub(crate) mod raw;

use crate::net::Far;
use isock_models::std::sync::Arc;

/// The other side of a connection of a server.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Arc<Far>);

impl Peer {
    pub(crate) fn far(&self) -> Option<Arc<Far>> {
        Some(Arc::clone(&self.0))
    }
}
