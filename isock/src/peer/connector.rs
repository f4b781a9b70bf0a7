//! How a client comes to a connection that has shaken hands.
//!
//! Knows what this side says of itself, and what it means that a peer says something else. Does not
//! know which connection is used for what.

use crate::{
    address::Address,
    error::ConnectError,
    limits::Limits,
    net::{self, Dialled, Host, Link, Polling},
    proto::{Closed, Config},
    wire::{CloseCode, InstanceId, PeerKind, VERSION},
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// What all connections of a client have in common.
#[derive(Debug)]
pub(super) struct Connector {
    limits: Limits,
    polling: Polling,
    /// Who serves what the other side calls.
    host: Option<Arc<dyn Host>>,
    /// Fresh for each client object; made with the first connection.
    instance: Mutex<Option<InstanceId>>,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(crate) enum NoLink {
    /// Trying again may help.
    Unreachable(Arc<io::Error>),
    /// Somebody accepted the connection and then said nothing: that was a long wait already.
    Silent(Arc<io::Error>),
    /// It was the only connection that there can be.
    Gone,
    /// It belongs to the process that has forked this one.
    Forked,
    /// Trying again does not help.
    WrongPeer(String),
    Closed,
}

impl Connector {
    pub(super) fn new(limits: Limits, polling: Polling, host: Option<Arc<dyn Host>>) -> Connector {
        Connector { limits, polling, host, instance: Mutex::default() }
    }

    /// Connects to an address. `opening` is told of a connection before it shakes hands, and may
    /// refuse it.
    pub(super) fn dial(
        &self,
        address: &Address,
        deadline: Instant,
        mut opening: impl FnMut(&Arc<Link>) -> Result<(), NoLink>,
    ) -> Result<Arc<Link>, NoLink> {
        net::dial(address, deadline, |dialled, until| self.greet(dialled, until, &mut opening))
    }

    /// The same over a stream that is connected.
    pub(super) fn greet(
        &self,
        dialled: Dialled,
        deadline: Instant,
        opening: impl FnOnce(&Arc<Link>) -> Result<(), NoLink>,
    ) -> Result<Arc<Link>, NoLink> {
        let config = Config::new(self.limits.clone(), self.instance()?);
        let Dialled { stream, address } = dialled;
        let link = Link::new(stream, address, config, self.polling, self.host.clone());
        opening(&link)?;
        // After the link can be seen: who adds the first action meanwhile tells it, or is seen here.
        if self.host.as_ref().is_some_and(|host| host.attends()) {
            link.say_attended();
        }
        let patience = Instant::now() + self.limits.handshake;
        match link.handshake(deadline.min(patience)) {
            Ok(()) => Ok(link),
            Err(None) => Err(silent()),
            Err(Some(closed)) => Err(not_welcome(closed)),
        }
    }

    fn instance(&self) -> Result<InstanceId, NoLink> {
        let mut instance = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        match *instance {
            Some(id) => Ok(id),
            None => Ok(*instance.insert(net::random_id()?)),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl From<io::Error> for NoLink {
    fn from(error: io::Error) -> NoLink {
        NoLink::Unreachable(Arc::new(error))
    }
}

impl NoLink {
    pub(crate) fn into_connect_error(self, address: String, attempts: u32) -> ConnectError {
        match self {
            NoLink::Unreachable(source) | NoLink::Silent(source) => {
                ConnectError::Unreachable { address, attempts, source }
            }
            NoLink::WrongPeer(why) => ConnectError::WrongPeer { address, why },
            NoLink::Closed | NoLink::Gone | NoLink::Forked => ConnectError::Closed,
        }
    }

    /// What several addresses said, in one: the kind that leaves most hope, and the words of all.
    pub(super) fn of_all<'a>(
        failed: impl Iterator<Item = (&'a Address, NoLink)> + Clone,
    ) -> NoLink {
        let Some((_, first)) = failed.clone().next() else {
            return io::Error::from(io::ErrorKind::AddrNotAvailable).into();
        };
        if failed.clone().nth(1).is_none() {
            return first;
        }
        let words: Vec<String> =
            failed.clone().map(|(address, why)| format!("{address}: {}", why.words())).collect();
        let words = words.join("; ");
        let kind = failed.map(|(_, why)| why).min_by_key(NoLink::hopelessness).unwrap_or(first);
        match kind {
            NoLink::Unreachable(error) => {
                let text = format!("{words}; start one there, or check the addresses");
                NoLink::Unreachable(Arc::new(io::Error::new(error.kind(), text)))
            }
            NoLink::Silent(error) => NoLink::Silent(Arc::new(io::Error::new(error.kind(), words))),
            NoLink::WrongPeer(_) => NoLink::WrongPeer(words),
            NoLink::Gone | NoLink::Forked | NoLink::Closed => kind,
        }
    }

    fn words(&self) -> String {
        match self {
            NoLink::Unreachable(error) | NoLink::Silent(error) => error.to_string(),
            NoLink::WrongPeer(why) => why.clone(),
            NoLink::Gone | NoLink::Forked | NoLink::Closed => "closed".to_owned(),
        }
    }

    fn hopelessness(&self) -> u8 {
        match self {
            NoLink::Unreachable(_) => 0,
            NoLink::Silent(_) => 1,
            NoLink::WrongPeer(_) => 2,
            NoLink::Gone | NoLink::Forked | NoLink::Closed => 3,
        }
    }
}

fn silent() -> NoLink {
    let text = "connected, but no isock preface came; is it an isock server?";
    NoLink::Silent(Arc::new(io::Error::new(io::ErrorKind::TimedOut, text)))
}

/// How a handshake failed, for people.
fn not_welcome(closed: Closed) -> NoLink {
    NoLink::WrongPeer(match closed {
        Closed::NotIsock(PeerKind::Tls) => {
            "the server speaks TLS, this client does not; check the port".to_owned()
        }
        Closed::NotIsock(PeerKind::Http) => {
            "the server speaks HTTP, not isock; check the port".to_owned()
        }
        Closed::NotIsock(PeerKind::Other) => {
            "what answers is no isock server; check the port".to_owned()
        }
        Closed::Versions { min, max } => format!(
            "the server speaks the protocol versions {min} to {max}, this client speaks \
             {VERSION}; rebuild the older one"
        ),
        Closed::ByUs(close) if close.code == CloseCode::HANDSHAKE_TIMEOUT => return silent(),
        Closed::ByUs(close) => format!("the server's preface is wrong: {}", close.text),
        Closed::Eof => {
            return io::Error::new(
                io::ErrorKind::ConnectionReset,
                "connected, but the server closed without an isock preface",
            )
            .into()
        }
        Closed::ByPeer(close) => {
            return io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("the server closed the connection: {}", close.text),
            )
            .into()
        }
    })
}
