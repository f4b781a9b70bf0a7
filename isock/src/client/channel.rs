//! What the clones of a client share: the way to the server and the connection of the moment.

use super::background::Background;
use crate::{
    address::Address,
    error::ConnectError,
    limits::Limits,
    net::{self, Command, Dialled, Link, Remote},
    proto::{Closed, Config},
    wire::{CloseCode, InstanceId, PeerKind, VERSION},
};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Where the server is.
#[derive(Debug)]
pub(super) enum Target {
    Addresses(Vec<Address>),
    Memory(Remote),
}

/// What a client was told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) limits: Limits,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { timeout: Duration::from_secs(30), attempts: 3, limits: Limits::default() }
    }
}

/// The shared part of a client.
#[derive(Debug)]
pub(super) struct Channel {
    target: Target,
    pub(super) settings: Settings,
    /// Fresh for each client object; made with the first connection.
    instance: Mutex<Option<InstanceId>>,
    state: Mutex<State>,
    /// A connection has been made, or could not be.
    dialled: Condvar,
    pub(super) background: Arc<Background>,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Arc<Link>>,
    /// The connection that shakes hands just now.
    opening: Option<Arc<Link>>,
    dialling: bool,
    closed: bool,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) enum NoLink {
    /// Trying again may help.
    Unreachable(Arc<io::Error>),
    /// Trying again does not help.
    WrongPeer(String),
    Closed,
}

/// Resets the flag on every way out.
struct Dialling<'c>(&'c Channel);

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.dialling = false;
        let failed = state.opening.take();
        drop(state);
        drop(failed);
        self.0.dialled.notify_all();
    }
}

impl Channel {
    pub(super) fn new(target: Target, settings: Settings) -> Arc<Channel> {
        Arc::new_cyclic(|channel| Channel {
            target,
            settings,
            instance: Mutex::new(None),
            state: Mutex::default(),
            dialled: Condvar::new(),
            background: Background::new(channel.clone()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of the moment, if there is one that takes calls.
    pub(super) fn current(&self) -> Option<Arc<Link>> {
        self.lock().link.as_ref().filter(|link| link.is_usable()).cloned()
    }

    /// The connection of the moment, made first if need be. Of several callers one dials.
    pub(super) fn link(&self, deadline: Instant) -> Result<Arc<Link>, NoLink> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(NoLink::Closed);
            }
            match &state.link {
                Some(link) if link.is_usable() => return Ok(Arc::clone(link)),
                _ if !state.dialling => break,
                _ => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(unreachable(io::ErrorKind::TimedOut.into()));
            }
            state =
                self.dialled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.dialling = true;
        // The old connection may be dropped here: not under the lock, it says its last words.
        let old = state.link.take();
        drop(state);
        drop(old);
        let _dialling = Dialling(self);
        let dialled = self.dial(deadline);
        let mut state = self.lock();
        if state.closed {
            return Err(NoLink::Closed);
        }
        let link = dialled?;
        state.link = Some(Arc::clone(&link));
        Ok(link)
    }

    /// One attempt at every address.
    fn dial(&self, deadline: Instant) -> Result<Arc<Link>, NoLink> {
        match &self.target {
            Target::Memory(server) => self.shake_hands(pipe_to(server)?, deadline),
            Target::Addresses(addresses) => {
                let mut failed = unreachable(io::ErrorKind::AddrNotAvailable.into());
                for address in addresses {
                    match self.dial_one(address, deadline) {
                        Ok(link) => return Ok(link),
                        Err(error) => failed = error,
                    }
                }
                Err(failed)
            }
        }
    }

    fn dial_one(&self, address: &Address, deadline: Instant) -> Result<Arc<Link>, NoLink> {
        let dialled = net::dial(address, deadline).map_err(unreachable)?;
        self.shake_hands(dialled, deadline)
    }

    fn shake_hands(&self, dialled: Dialled, deadline: Instant) -> Result<Arc<Link>, NoLink> {
        let config = Config::new(self.settings.limits.clone(), self.instance()?);
        let link = Arc::new(Link::new(dialled.stream, dialled.address, config));
        let mut state = self.lock();
        if state.closed {
            return Err(NoLink::Closed);
        }
        let before = state.opening.replace(Arc::clone(&link));
        drop(state);
        drop(before);
        let patience = Instant::now() + self.settings.limits.handshake;
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
            None => Ok(*instance.insert(net::random_id().map_err(unreachable)?)),
        }
    }

    /// The addresses as they were given.
    pub(super) fn name(&self) -> String {
        match &self.target {
            Target::Memory(_) => Address::memory().to_string(),
            Target::Addresses(addresses) => {
                let names: Vec<String> = addresses.iter().map(Address::to_string).collect();
                names.join(", ")
            }
        }
    }

    /// The first address.
    pub(super) fn address(&self) -> Option<Address> {
        match &self.target {
            Target::Memory(_) => Some(Address::memory()),
            Target::Addresses(addresses) => addresses.first().cloned(),
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let links = [state.link.take(), state.opening.take()];
        drop(state);
        links.into_iter().flatten().for_each(|link| link.close());
        // Those who wait for a connection that another caller makes.
        self.dialled.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.background.look_again();
    }
}

fn unreachable(error: io::Error) -> NoLink {
    NoLink::Unreachable(Arc::new(error))
}

fn silent() -> NoLink {
    let text = "connected, but no isock preface came; is it an isock server?";
    unreachable(io::Error::new(io::ErrorKind::TimedOut, text))
}

fn pipe_to(server: &Remote) -> Result<Dialled, NoLink> {
    let (server_end, dialled) = net::memory_pair();
    server.send(Command::Accept(server_end)).map_err(|_| {
        unreachable(io::Error::new(io::ErrorKind::ConnectionRefused, "the server has stopped"))
    })?;
    Ok(dialled)
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
            return unreachable(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "connected, but the server closed without an isock preface",
            ))
        }
        Closed::ByPeer(close) => {
            return unreachable(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("the server closed the connection: {}", close.text),
            ))
        }
    })
}

impl NoLink {
    pub(super) fn into_connect_error(self, address: String, attempts: u32) -> ConnectError {
        match self {
            NoLink::Unreachable(source) => ConnectError::Unreachable { address, attempts, source },
            NoLink::WrongPeer(why) => ConnectError::WrongPeer { address, why },
            NoLink::Closed => ConnectError::Closed,
        }
    }
}
