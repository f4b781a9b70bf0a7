//! What the clones of a client share: the way to the server and the connection of the moment.
//! On a server, the way to one of its clients.

use super::{
    background::Background,
    connector::{Connector, NoLink},
    recent::Number,
    retry::Bucket,
    several::{Seat, Several},
    Session,
};
use crate::{
    address::Address,
    limits::Limits,
    net::{self, Command, Dialled, Far, Host, Line, Link, Polling, Remote},
    process::Process,
    wire::ConnectionToken,
};
use std::{
    io,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
    },
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
    pub(crate) balance: bool,
    pub(crate) busy_poll: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout: Duration::from_secs(30),
            attempts: 3,
            limits: Limits::default(),
            balance: true,
            busy_poll: Duration::ZERO,
        }
    }
}

/// The shared part of a client.
#[derive(Debug)]
pub(crate) struct Channel {
    number: Number,
    target: Target,
    /// The first address, for people.
    address: Address,
    pub(crate) options: Options,
    connector: Arc<Connector>,
    /// The connections of a client of several servers.
    several: Option<Arc<Several>>,
    /// It uses one of them at a time after all.
    one_at_a_time: AtomicBool,
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
    /// Connections that were moved on from: the other side may still wait for answers on them.
    left: Vec<Weak<Link>>,
    dialling: bool,
    closed: bool,
}

/// Which of several connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// The one with less to do, of two by chance; another one than that of the last attempt, if there
    /// is any.
    LeastBusy,
    /// The same for as long as it lasts: for what has an order, or asks who is there.
    Same,
}

/// A connection for one attempt.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) line: Line,
    /// Whose it is, if there are several.
    pub(super) seat: Option<Arc<Seat>>,
}

impl Route {
    fn only(line: Line) -> Route {
        Route { line, seat: None }
    }
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
        let polling = Polling::new(options.busy_poll);
        let connector = Arc::new(Connector::new(options.limits.clone(), polling, host));
        let several = match &target {
            Target::Addresses(addresses) if options.balance && addresses.len() > 1 => {
                Some(Several::new(addresses, Arc::clone(&connector)))
            }
            _ => None,
        };
        Channel {
            number: Number::next(),
            address: target.address(),
            target,
            options,
            connector,
            several,
            one_at_a_time: AtomicBool::new(false),
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

    /// A connection that takes calls, if there is one. `unless` has just failed.
    #[inline(always)]
    pub(super) fn current(&self, pick: Pick, unless: Option<&Arc<Seat>>) -> Option<Route> {
        if self.is_forked() {
            return None;
        }
        // Only a client of one connection at a time has one in mind.
        match self.number.recent() {
            Some(link) => Some(Route::only(Line::Near(link))),
            None => self.look_up(pick, unless),
        }
    }

    #[inline(never)]
    fn look_up(&self, pick: Pick, unless: Option<&Arc<Seat>>) -> Option<Route> {
        match (&self.target, self.balanced()) {
            (Target::Connection(far, _), _) => {
                (!far.is_gone()).then(|| Route::only(Line::Far(Arc::clone(far))))
            }
            (_, Some(several)) => several.current(pick, unless),
            _ => {
                let link = self.near();
                self.number.note(link.as_ref());
                link.map(Line::Near).map(Route::only)
            }
        }
    }

    /// The one connection of the moment of a client.
    pub(super) fn near(&self) -> Option<Arc<Link>> {
        if self.is_forked() {
            return None;
        }
        self.lock().link.clone().filter(|link| link.is_usable())
    }

    /// Connections that were moved on from, and that calls of the other side are still served on.
    pub(super) fn left(&self) -> Vec<Arc<Link>> {
        let state = self.lock();
        let left: Vec<_> = state.left.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        left.into_iter().filter(|link| link.is_serving()).collect()
    }

    /// A call of the other side has been answered: a connection that was moved on from goes with
    /// the last one.
    pub(crate) fn answered(&self, link: Arc<Link>) {
        let left = !link.is_usable();
        drop(link);
        if left {
            self.background.look_again();
        }
    }

    /// The servers to choose from, if it does.
    fn balanced(&self) -> Option<&Arc<Several>> {
        self.several.as_ref().filter(|_| !self.one_at_a_time.load(Ordering::Acquire))
    }

    /// The name of the connection of the moment.
    pub(super) fn token(&self) -> Option<ConnectionToken> {
        match self.balanced() {
            _ if self.is_forked() => None,
            Some(several) => several.home()?.token(),
            None => self.current(Pick::Same, None)?.line.token(),
        }
    }

    /// A connection that takes calls, made first if need be.
    pub(super) fn route(
        &self,
        pick: Pick,
        unless: Option<&Arc<Seat>>,
        deadline: Instant,
    ) -> Result<Route, NoLink> {
        match (&self.target, self.balanced()) {
            _ if self.is_forked() => Err(NoLink::Forked),
            (Target::Connection(..), _) => self.current(pick, unless).ok_or(NoLink::Gone),
            (_, Some(several)) => several.route(pick, unless, deadline),
            _ => self.link(deadline).map(Line::Near).map(Route::only),
        }
    }

    /// Makes a connection if there is none.
    pub(crate) fn reach(&self, deadline: Instant) -> Result<(), NoLink> {
        self.route(Pick::Same, None, deadline).map(drop)
    }

    /// The one connection of the moment of a client, made first if need be. Of several callers one
    /// dials.
    pub(super) fn link(&self, deadline: Instant) -> Result<Arc<Link>, NoLink> {
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
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            state =
                self.dialled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.dialling = true;
        // The old connection may be dropped here: not under the lock, it says its last words.
        let old = state.link.take();
        state.left.retain(|link| link.strong_count() > 0);
        state.left.extend(old.as_ref().map(Arc::downgrade));
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
            Target::Memory(server) => {
                self.connector.greet(pipe_to(server)?, deadline, |link| self.opening(link))
            }
            Target::Addresses(addresses) => {
                let mut failed = Vec::new();
                for (at, address) in addresses.iter().enumerate() {
                    let until = net::share(Instant::now(), deadline, addresses.len() - at);
                    match self.connector.dial(address, until, |link| self.opening(link)) {
                        Ok(link) => return Ok(link),
                        Err(error) => failed.push((address, error)),
                    }
                }
                Err(NoLink::of_all(failed.into_iter()))
            }
        }
    }

    /// A connection shakes hands: who closes the client ends that too.
    fn opening(&self, link: &Arc<Link>) -> Result<(), NoLink> {
        let mut state = self.lock();
        if state.closed {
            return Err(NoLink::Closed);
        }
        let before = state.opening.replace(Arc::clone(link));
        drop(state);
        drop(before);
        Ok(())
    }

    /// Who is at the other end, for people.
    pub(super) fn other_end(&self) -> &'static str {
        match self.is_to_client() {
            true => "client",
            false => "server",
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
        let single = !self.one_at_a_time.swap(true, Ordering::AcqRel);
        let home = self.several.as_ref().filter(|_| single).and_then(|several| several.retire());
        self.background.attend();
        let mut state = self.lock();
        if state.link.is_none() && !state.closed {
            state.link = home;
        }
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
        if let Some(several) = &self.several {
            several.close();
        }
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
        if self.is_forked() {
            return;
        }
        if let Some(several) = &self.several {
            several.close();
        }
        self.background.look_again();
    }
}

fn pipe_to(server: &Remote) -> Result<Dialled, NoLink> {
    let (server_end, dialled) = net::memory_pair();
    server
        .send(Command::Accept(server_end))
        .map_err(|_| io::Error::new(io::ErrorKind::ConnectionRefused, "the server has stopped"))?;
    Ok(dialled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proto::SharedBody, wire::CallHead, Client, Server};

    fn recent(client: &Client) -> Option<Arc<Link>> {
        client.channel().number.recent()
    }

    fn near(client: &Client) -> Arc<Link> {
        client.channel().near().expect("a connection")
    }

    /// Starts so many calls, waits for all, and says how often some of them left before that.
    fn departures(link: &Arc<Link>, calls: usize) -> usize {
        let (head, body) = (CallHead::default(), SharedBody::default());
        let start = || link.start(Instant::now(), &head, &body).expect("a connection");
        let started: Vec<_> = (0..calls).map(|_| start()).collect();
        let soon = Instant::now() + Duration::from_secs(60);
        for call in &started {
            assert!(link.wait(call.call, soon).expect("may block").is_some());
        }
        started.iter().filter(|call| !call.corked).count()
    }

    #[test]
    fn of_calls_that_are_kept_under_way_a_quarter_leaves_together() {
        let server = Server::in_memory().spawn().expect("a server");
        let client = server.client();
        client.ping().expect("a server");
        let link = near(&client);
        departures(&link, 200);
        // After a pause it may be read before all are started.
        assert!((0..10).any(|_| departures(&link, 200) <= 4));
        // After that it is of no account how many once were.
        departures(&link, 40);
        assert!((0..10).any(|_| departures(&link, 40) == 1));
    }

    #[test]
    fn a_thread_keeps_a_connection_in_mind_and_not_open() {
        let server = Server::in_memory().spawn().expect("a server");
        let client = server.client();
        client.ping().expect("a server");
        let link = Arc::downgrade(&recent(&client).expect("in mind"));
        drop(client);
        assert_eq!(link.strong_count(), 0);
    }

    #[test]
    fn a_connection_that_has_ended_is_in_nobodys_mind() {
        let server = Server::in_memory().spawn().expect("a server");
        let client = server.client();
        client.ping().expect("a server");
        let before = near(&client);
        before.close();
        assert!(recent(&client).is_none());
        // The first one makes it, the second one finds it.
        for _ in 0..2 {
            client.ping().expect("another connection");
        }
        let now = recent(&client).expect("in mind");
        assert!(Arc::ptr_eq(&now, &near(&client)) && !Arc::ptr_eq(&now, &before));
    }

    #[test]
    fn no_client_is_taken_for_another() {
        let server = Server::in_memory().spawn().expect("a server");
        let clients: Vec<Client> = (0..9).map(|_| server.client()).collect();
        for client in clients.iter().chain(&clients) {
            assert!(recent(client).is_none_or(|link| Arc::ptr_eq(&link, &near(client))));
            client.ping().expect("a server");
            assert!(recent(client).is_some_and(|link| Arc::ptr_eq(&link, &near(client))));
        }
    }
}
