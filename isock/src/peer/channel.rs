//! What the clones of a client share: the way to the server and the connection of the moment.
//! On a server, the way to one of its clients.

use super::{background::Background, retry::Bucket, Session};
use crate::{
    address::Address,
    error::ConnectError,
    limits::Limits,
    net::{self, Command, Dialled, Far, Host, Line, Link, Process, Remote},
    proto::{Closed, Config},
    wire::{CloseCode, ConnectionToken, InstanceId, PeerKind, VERSION},
};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Where the other side is.
#[derive(Debug)]
pub(crate) enum Target {
    Addresses(Vec<Address>),
    Memory(Remote),
    /// At the other end of a connection that has been accepted: there is no other.
    Connection(Arc<Far>, Address),
}

/// What a client was told.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) limits: Limits,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(30), attempts: 3, limits: Limits::default() }
    }
}

/// The shared part of a client.
#[derive(Debug)]
pub(crate) struct Channel {
    target: Target,
    /// The first address, for people.
    address: Address,
    pub(crate) options: Options,
    /// Who serves what the other side calls.
    host: Option<Arc<dyn Host>>,
    /// Fresh for each client object; made with the first connection.
    instance: Mutex<Option<InstanceId>>,
    state: Mutex<State>,
    /// A connection has been made, or could not be.
    dialled: Condvar,
    /// Whose it is: a process does not use what its parent has made.
    owner: Process,
    session: Session,
    /// What its calls may spend on further attempts.
    pub(super) bucket: Bucket,
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
pub(crate) enum NoLink {
    /// Trying again may help.
    Unreachable(Arc<io::Error>),
    /// It was the only connection that there can be.
    Gone,
    /// It belongs to the process that has forked this one.
    Forked,
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
    /// The way to a server.
    pub(crate) fn new(target: Target, options: Options, host: Arc<dyn Host>) -> Arc<Channel> {
        Arc::new_cyclic(|channel| {
            Channel::with(target, options, Some(host), Background::new(channel.clone()))
        })
    }

    /// The way over a connection that exists.
    pub(super) fn over(
        target: Target,
        options: Options,
        background: Arc<Background>,
    ) -> Arc<Channel> {
        Arc::new(Channel::with(target, options, None, background))
    }

    fn with(
        target: Target,
        options: Options,
        host: Option<Arc<dyn Host>>,
        background: Arc<Background>,
    ) -> Channel {
        Channel {
            address: target.address(),
            target,
            options,
            host,
            instance: Mutex::new(None),
            state: Mutex::default(),
            dialled: Condvar::new(),
            owner: Process::this(),
            session: Session::default(),
            bucket: Bucket::default(),
            background,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is a child of the process that it belongs to.
    pub(super) fn is_forked(&self) -> bool {
        !self.owner.is_this()
    }

    /// The connection of the moment, if there is one that takes calls.
    pub(super) fn current(&self) -> Option<Line> {
        match &self.target {
            _ if self.is_forked() => None,
            Target::Connection(far, _) => (!far.is_gone()).then(|| Line::Far(Arc::clone(far))),
            _ => self.lock().link.as_ref().filter(|link| link.is_usable()).cloned().map(Line::Near),
        }
    }

    /// The connection of the moment of a client.
    pub(super) fn near(&self) -> Option<Arc<Link>> {
        if self.is_forked() {
            return None;
        }
        self.lock().link.clone().filter(|link| link.is_usable())
    }

    /// The name of the connection of the moment.
    pub(super) fn token(&self) -> Option<ConnectionToken> {
        self.current()?.token()
    }

    /// The connection of the moment, made first if need be.
    pub(super) fn line(&self, deadline: Instant) -> Result<Line, NoLink> {
        match &self.target {
            _ if self.is_forked() => Err(NoLink::Forked),
            Target::Connection(..) => self.current().ok_or(NoLink::Gone),
            _ => self.link(deadline).map(Line::Near),
        }
    }

    /// The same on a client. Of several callers one dials.
    pub(crate) fn link(&self, deadline: Instant) -> Result<Arc<Link>, NoLink> {
        if self.is_forked() {
            return Err(NoLink::Forked);
        }
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
        drop(state);
        link.enter();
        // It may be about to make one itself.
        self.background.look_again();
        Ok(link)
    }

    /// One attempt at every address.
    fn dial(&self, deadline: Instant) -> Result<Arc<Link>, NoLink> {
        match &self.target {
            Target::Connection(..) => Err(NoLink::Gone),
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
        let config = Config::new(self.options.limits.clone(), self.instance()?);
        let link = Link::new(dialled.stream, dialled.address, config, self.host.clone());
        let mut state = self.lock();
        if state.closed {
            return Err(NoLink::Closed);
        }
        let before = state.opening.replace(Arc::clone(&link));
        drop(state);
        drop(before);
        // After the link can be seen: who adds the first action meanwhile tells it, or is seen here.
        if self.host.as_ref().is_some_and(|host| host.attends()) {
            link.say_attended();
        }
        let patience = Instant::now() + self.options.limits.handshake;
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

    /// Whether it leads from a server to its client.
    pub(super) fn is_to_client(&self) -> bool {
        matches!(self.target, Target::Connection(..))
    }

    /// The addresses as they were given.
    pub(crate) fn name(&self) -> String {
        match &self.target {
            Target::Addresses(addresses) => {
                let names: Vec<String> = addresses.iter().map(Address::to_string).collect();
                names.join(", ")
            }
            _ => self.address.to_string(),
        }
    }

    /// What this side's handlers keep.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The first address.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Keeps a connection, and reads it whether anybody waits or not.
    pub(crate) fn attend(&self) {
        if self.is_forked() {
            return;
        }
        self.background.attend();
        let state = self.lock();
        let links = [state.link.clone(), state.opening.clone()];
        drop(state);
        links.into_iter().flatten().for_each(|link| link.say_attended());
    }

    pub(crate) fn close(&self) {
        if self.is_forked() {
            return;
        }
        let mut state = self.lock();
        state.closed = true;
        let links = [state.link.take(), state.opening.take()];
        drop(state);
        links.into_iter().flatten().for_each(|link| link.close());
        // Those who wait for a connection that another caller makes.
        self.dialled.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        !self.is_forked() && self.lock().closed
    }
}

impl Target {
    fn address(&self) -> Address {
        match self {
            Target::Addresses(addresses) => addresses.first().cloned(),
            Target::Connection(_, address) => Some(address.clone()),
            Target::Memory(_) => None,
        }
        .unwrap_or_else(Address::memory)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if !self.is_forked() {
            self.background.look_again();
        }
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
    pub(crate) fn into_connect_error(self, address: String, attempts: u32) -> ConnectError {
        match self {
            NoLink::Unreachable(source) => ConnectError::Unreachable { address, attempts, source },
            NoLink::WrongPeer(why) => ConnectError::WrongPeer { address, why },
            NoLink::Closed | NoLink::Gone | NoLink::Forked => ConnectError::Closed,
        }
    }
}
