//! The connections of a client that has several servers to choose from.
//!
//! Knows who is connected, and connects to others on threads of their own, so that a server that
//! does not answer costs no caller its time while another one serves. Whom to take is `choice`.

use super::{
    channel::{Pick, Route},
    choice::{choose, Dice, Rest, Server},
    connector::{Connector, NoLink},
};
use crate::{
    address::Address,
    net::{Line, Link},
};
use std::{
    io,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
    },
    thread,
    time::{Duration, Instant},
};

/// How long one server may take to accept a connection, beside its handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// All of them.
#[derive(Debug)]
pub(super) struct Several {
    connector: Arc<Connector>,
    state: Mutex<State>,
    /// A connection has been made, or could not be.
    dialled: Condvar,
}

#[derive(Debug)]
struct State {
    servers: Vec<Kept>,
    /// What is known of each, for the choice.
    known: Vec<Server>,
    /// The one for what is to stay on one connection.
    home: Option<usize>,
    dice: Dice,
    closed: bool,
}

/// One of the servers.
#[derive(Debug)]
struct Kept {
    seat: Arc<Seat>,
    link: Option<Arc<Link>>,
    /// The connection that shakes hands just now.
    opening: Option<Arc<Link>>,
    dialling: bool,
    rest: Rest,
    failed: Option<NoLink>,
}

/// What calls share with the server that they have gone to.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) address: Address,
    in_flight: AtomicUsize,
}

/// A call that its server has not answered, or whose answer nobody has waited for.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Busy {
    pub(super) fn at(seat: &Arc<Seat>) -> Busy {
        seat.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(seat))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Several {
    pub(super) fn new(addresses: &[Address], connector: Arc<Connector>) -> Arc<Several> {
        let servers: Vec<Kept> = addresses.iter().cloned().map(Kept::new).collect();
        // Without random numbers from the system, any will do: nobody gains by guessing.
        let dice = Dice::new(getrandom::u64().unwrap_or(1));
        let known = Vec::with_capacity(servers.len());
        let state = State { servers, known, home: None, dice, closed: false };
        Arc::new(Several { connector, state: Mutex::new(state), dialled: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that takes calls, if there is one.
    pub(super) fn current(
        self: &Arc<Self>,
        pick: Pick,
        unless: Option<&Arc<Seat>>,
    ) -> Option<Route> {
        let mut state = self.lock();
        let Found { route, dial, ended } = state.look(pick, unless, Instant::now());
        drop(state);
        drop(ended);
        self.start(dial);
        route
    }

    /// The same, made first if need be: whoever answers first is taken.
    pub(super) fn route(
        self: &Arc<Self>,
        pick: Pick,
        unless: Option<&Arc<Seat>>,
        deadline: Instant,
    ) -> Result<Route, NoLink> {
        let mut has_waited = false;
        loop {
            let now = Instant::now();
            // Goes after the lock does, on every way out.
            let _ended;
            let mut state = self.lock();
            if state.closed {
                return Err(NoLink::Closed);
            }
            let Found { route, mut dial, ended } = state.look(pick, unless, now);
            _ended = ended;
            if let Some(route) = route {
                drop(state);
                self.start(dial);
                return Ok(route);
            }
            if deadline <= now {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            let dialling = !dial.is_empty() || state.is_dialling();
            match (dialling, has_waited) {
                (false, true) => return Err(state.failure()),
                // All have failed lately, and nobody else serves.
                (false, false) => dial = state.dial_all(|_| true),
                (true, _) => dial.extend(state.dial_all(|server| server.may_be_dialled(now))),
            }
            drop(state);
            self.start(dial);
            self.wait(deadline);
            has_waited = true;
        }
    }

    /// Waits for a connection, or for the end of a rest.
    fn wait(&self, deadline: Instant) {
        let state = self.lock();
        // What was started may have ended before the lock was taken again.
        if state.closed || state.is_connected() || !state.is_dialling() {
            return;
        }
        let now = Instant::now();
        let rests = state.servers.iter().filter(|server| !server.dialling);
        let rests = rests.filter_map(|server| server.rest.until);
        let until = rests.filter(|until| *until > now).fold(deadline, Instant::min);
        let waited = self.dialled.wait_timeout(state, until.saturating_duration_since(now));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Connects to these servers, which are marked as being dialled.
    fn start(self: &Arc<Self>, dial: Vec<usize>) {
        for at in dial {
            let (several, connector) = (Arc::downgrade(self), Arc::clone(&self.connector));
            let seat = Arc::clone(&self.lock().servers[at].seat);
            let thread = thread::Builder::new().name("isock-dial".into());
            if let Err(error) = thread.spawn(move || connect(&several, &connector, at, &seat)) {
                self.ended(at, Err(error.into()));
            }
        }
    }

    /// A connection shakes hands: who closes the client ends that too.
    fn opening(&self, at: usize, link: &Arc<Link>) -> Result<(), NoLink> {
        let mut state = self.lock();
        if state.closed {
            return Err(NoLink::Closed);
        }
        let before = state.servers[at].opening.replace(Arc::clone(link));
        drop(state);
        drop(before);
        Ok(())
    }

    /// A server has been connected to, or could not be.
    fn ended(&self, at: usize, dialled: Result<Arc<Link>, NoLink>) {
        let (now, mut unused) = (Instant::now(), None);
        let mut state = self.lock();
        let chance = state.dice.fraction();
        let closed = state.closed;
        let server = &mut state.servers[at];
        server.dialling = false;
        let opening = server.opening.take();
        match dialled {
            Ok(link) if closed => unused = Some(link),
            Ok(link) => {
                server.rest.connected(now);
                server.failed = None;
                unused = server.link.replace(link);
            }
            Err(error) => {
                server.rest.failed(now, chance);
                server.failed = Some(error);
            }
        }
        drop(state);
        // Not under the lock: a connection says its last words.
        drop((opening, unused));
        self.dialled.notify_all();
    }

    /// The connection for what is to stay on one, if it is there.
    pub(super) fn home(&self) -> Option<Arc<Link>> {
        let state = self.lock();
        state.servers[state.home?].usable().cloned()
    }

    /// Gives that up, and the others too: from now on one connection is enough.
    pub(super) fn retire(&self) -> Option<Arc<Link>> {
        let mut state = self.lock();
        let home = state.home.filter(|at| state.servers[*at].usable().is_some());
        let connected = |state: &State| state.servers.iter().position(|s| s.usable().is_some());
        let home = home.or_else(|| connected(&state))?;
        let mut links: Vec<_> = state.servers.iter_mut().map(|s| s.link.take()).collect();
        drop(state);
        links[home].take()
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let links: Vec<_> =
            state.servers.iter_mut().flat_map(|s| [s.link.take(), s.opening.take()]).collect();
        drop(state);
        links.into_iter().flatten().for_each(|link| link.close());
        self.dialled.notify_all();
    }
}

/// The thread that connects to one server.
fn connect(several: &Weak<Several>, connector: &Connector, at: usize, seat: &Seat) {
    let patience = PATIENCE + connector.limits().handshake;
    let dialled = connector.dial(&seat.address, Instant::now() + patience, |link| {
        several.upgrade().ok_or(NoLink::Closed)?.opening(at, link)
    });
    if let Some(several) = several.upgrade() {
        several.ended(at, dialled);
    }
}

/// What a look has found.
#[derive(Default)]
struct Found {
    route: Option<Route>,
    /// Whom to connect to: marked as being dialled.
    dial: Vec<usize>,
    /// Connections that have ended, to be dropped without the lock: they say their last words.
    ended: Vec<Arc<Link>>,
}

impl State {
    fn look(&mut self, pick: Pick, unless: Option<&Arc<Seat>>, now: Instant) -> Found {
        let ended = self.note_ends(now);
        if let (Pick::Same, Some(home)) = (pick, self.home) {
            if let Some(route) = self.servers[home].route() {
                return Found { route: Some(route), ended, ..Found::default() };
            }
        }
        let unless = unless.and_then(|seat| self.position(seat));
        self.known.clear();
        self.known.extend(self.servers.iter().map(Kept::known));
        let choice = choose(&self.known, unless, now, &mut self.dice);
        let route = choice.take.and_then(|at| self.servers[at].route());
        if pick == Pick::Same && route.is_some() {
            self.home = choice.take;
        }
        let dial = Vec::from_iter(choice.dial);
        dial.iter().for_each(|at| self.servers[*at].dialling = true);
        Found { route, dial, ended }
    }

    /// Takes connections away that take no more calls: calls on them keep theirs.
    fn note_ends(&mut self, now: Instant) -> Vec<Arc<Link>> {
        let mut ended = Vec::new();
        for server in &mut self.servers {
            if let Some(link) = server.link.take_if(|link| !link.is_usable()) {
                server.rest.ended(now, self.dice.fraction());
                ended.push(link);
            }
        }
        ended
    }

    fn position(&self, seat: &Arc<Seat>) -> Option<usize> {
        self.servers.iter().position(|server| Arc::ptr_eq(&server.seat, seat))
    }

    /// Marks those as being dialled that are not yet and that `may` be.
    fn dial_all(&mut self, may: impl Fn(&Server) -> bool) -> Vec<usize> {
        let mut dial = Vec::new();
        for (at, server) in self.servers.iter_mut().enumerate() {
            if !server.dialling && may(&server.known()) {
                server.dialling = true;
                dial.push(at);
            }
        }
        dial
    }

    fn is_dialling(&self) -> bool {
        self.servers.iter().any(|server| server.dialling)
    }

    fn is_connected(&self) -> bool {
        self.servers.iter().any(|server| server.usable().is_some())
    }

    /// What all of them said.
    fn failure(&self) -> NoLink {
        let failed = self.servers.iter();
        NoLink::of_all(failed.filter_map(|s| Some((&s.seat.address, s.failed.clone()?))))
    }
}

impl Kept {
    fn new(address: Address) -> Kept {
        Kept {
            seat: Arc::new(Seat { address, in_flight: AtomicUsize::new(0) }),
            link: None,
            opening: None,
            dialling: false,
            rest: Rest::default(),
            failed: None,
        }
    }

    fn usable(&self) -> Option<&Arc<Link>> {
        self.link.as_ref().filter(|link| link.is_usable())
    }

    fn known(&self) -> Server {
        Server {
            connected: self.usable().is_some(),
            dialling: self.dialling,
            rest: self.rest,
            in_flight: self.seat.in_flight.load(Ordering::Relaxed),
        }
    }

    fn route(&self) -> Option<Route> {
        let link = Arc::clone(self.usable()?);
        Some(Route { line: Line::Near(link), seat: Some(Arc::clone(&self.seat)) })
    }
}
