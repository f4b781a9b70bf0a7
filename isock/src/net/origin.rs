//! Where a connection comes from, as far as the system tells.

use crate::address::Address;
#[cfg(unix)]
use crate::credentials::Credentials;
use std::net::{IpAddr, SocketAddr};

/// The other end of an accepted connection.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) address: Address,
    #[cfg(unix)]
    pub(crate) credentials: Option<Credentials>,
}

/// Who counts as one where connections are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Host(IpAddr),
    /// A user of this machine, if the system tells which.
    #[cfg(unix)]
    User(Option<u32>),
}

impl Origin {
    pub(super) fn memory() -> Origin {
        Origin {
            address: Address::memory(),
            #[cfg(unix)]
            credentials: None,
        }
    }

    pub(super) fn tcp(address: SocketAddr) -> (Origin, Source) {
        (Origin { address: address.into(), ..Origin::memory() }, Source::Host(address.ip()))
    }

    /// The other end of a Unix socket has no name: it goes by the path that it connected to.
    #[cfg(unix)]
    pub(super) fn unix(path: &Address, credentials: Option<Credentials>) -> (Origin, Source) {
        let source = Source::User(credentials.map(|who| who.uid));
        (Origin { address: path.clone(), credentials }, source)
    }
}
