//! A server that is bound, and the handles to one that runs.

use super::{
    callers::Callers,
    service::{Desk, Dispatch, Hook, Marks},
    ServerBuilder,
};
use crate::{
    action::{Action, Context, Decoding, Deferrable, Deferred, Registration},
    address::Address,
    client::{Client, ClientBuilder},
    error::{ConnectError, RegisterError, ServeError},
    limits::Limits,
    net::{bind, random_id, serve, Account, Command, EventLoop, Polling, Remote, Running},
    peer::{Connections, Home, Target},
    process::Process,
    proto::Config,
    router::{Lately, Router},
    serving::{register_builtins, Log, Settings, Workers},
};
use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long [`stop`](ServerHandle::stop) lets calls in flight finish.
const GRACE: Duration = Duration::from_secs(10);
/// How long a handle that is dropped waits for handlers that have been told to end.
const DROPPED: Duration = Duration::from_secs(1);

/// A server that is bound to its addresses and not serving yet.
///
/// A handler that panics ends its call alone, and its caller is told. One that overflows its stack
/// ends the process, and so does a panic where the program is built with `panic = "abort"`: the calls
/// of all clients end then, with [`Ran::Unknown`](crate::Ran::Unknown) if they had been read.
#[must_use = "a bound server answers nobody until `run` or `spawn`"]
pub struct Server {
    /// The first one accepts.
    event_loops: Vec<EventLoop<Dispatch>>,
    workers: Workers,
    account: Account,
    stopper: Stopper,
    /// Hears of SIGTERM for as long as it serves.
    #[cfg(unix)]
    _sigterm: Option<crate::net::Listening>,
}

pub(super) struct Parts {
    pub(super) router: Arc<Router>,
    pub(super) addresses: Vec<Address>,
    pub(super) limits: Limits,
    pub(super) log: Log,
    pub(super) hide_failures: bool,
    pub(super) workers: usize,
    pub(super) event_loops: usize,
    pub(super) busy_poll: Duration,
    pub(super) on_connect: Option<Hook>,
    pub(super) on_disconnect: Option<Hook>,
    pub(super) reflection: bool,
    #[cfg(unix)]
    pub(super) drain_on_sigterm: Option<Duration>,
}

/// Stops a server from anywhere: a signal handler's thread, a handler, another program part.
///
/// ```
/// use isock::{Action, Client, Server};
///
/// /// Ends the server.
/// #[derive(Action)]
/// struct Quit;
///
/// let server = Server::builder().bind("127.0.0.1:0")?.spawn()?;
/// let stopper = server.stopper();
/// server.on::<Quit>(move |(), _cx| Ok(stopper.stop()))?;
///
/// Client::connect(server.address())?.run::<Quit>(())?;
/// server.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Stopper {
    /// That of the first loop, which tells the others.
    remote: Remote,
    router: Arc<Router>,
    addresses: Arc<[Address]>,
    connections: Connections,
    log: Log,
}

/// What the threads of a server that run handlers have to do at the moment. Calls that are quick
/// enough to run where they are read are not among it.
///
/// A server whose `busy` stays at `workers` while `waiting` grows has handlers that block for longer
/// than its callers can wait: they are turned away with
/// [`ProblemKind::Overloaded`](crate::ProblemKind::Overloaded) once too many calls wait. One connection
/// has at most half of the threads, so while a single client asks for too much, `waiting` grows and
/// `busy` stays at half of `workers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Threads that there may be, as [`ServerBuilder::workers`] says.
    pub workers: usize,
    /// Threads that run a handler.
    pub busy: usize,
    /// Calls that wait for a thread.
    pub waiting: usize,
}

/// A server that runs on a thread of its own.
///
/// Dropping the handle ends the server and waits for that, which takes no longer than its handlers
/// and at most a second and a little more. Unlike [`stop`](ServerHandle::stop), it does not wait for
/// calls to be finished: those that run are [cancelled](crate::CallInfo::cancelled), those that wait are
/// refused and have not run. [`detach`](ServerHandle::detach) lets the server run.
#[must_use = "dropping the handle stops the server; use `detach` to let it run"]
pub struct ServerHandle {
    stopper: Stopper,
    account: Account,
    workers: Workers,
    thread: Option<JoinHandle<()>>,
    /// Its thread is there, and not in a child of the process.
    owner: Process,
}

impl Server {
    /// Begins a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// Begins a server that needs no address: [`ServerBuilder::spawn`] and
    /// [`ServerHandle::client`] give a server and its clients without a socket, for tests.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # #[derive(Action)] #[action(input = u64, output = u64)] struct Square;
    /// let server = Server::in_memory().on::<Square>(|n, _| Ok(n * n)).spawn()?;
    /// assert_eq!(server.client().run::<Square>(7)?, 49);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn in_memory() -> ServerBuilder {
        ServerBuilder::new().in_memory()
    }

    pub(super) fn new(parts: Parts) -> Result<Server, ServeError> {
        let mut listeners = Vec::new();
        for address in &parts.addresses {
            listeners.extend(bind(address).map_err(|why| ServeError::of_bind(address, why))?);
        }
        if parts.reflection {
            register_builtins(&parts.router)?;
        }
        // Half, and at least one: what blocks on one connection leaves the others room.
        let workers = Workers::new(parts.workers, parts.workers.div_ceil(2));
        let settings = Arc::new(Settings {
            log: Arc::clone(&parts.log),
            hide_failures: parts.hide_failures,
            max_output: parts.limits.message,
            streams: parts.limits.streams,
            stream_idle: parts.limits.stream_idle,
            decoding: Decoding {
                depth: parts.limits.decode_depth,
                budget: parts.limits.decode_budget,
            },
        });
        let instance = random_id().map_err(ServeError::System)?;
        let account = Account::new(parts.limits.total);
        let home = Home::new(parts.limits.clone());
        let connections = Connections::new(Arc::clone(&home));
        let config = Config::new(parts.limits, instance);
        let given_up = Arc::default();
        let service = |remote: &Remote| Dispatch {
            router: Arc::clone(&parts.router),
            lately: Lately::default(),
            marks: Marks::default(),
            workers: workers.clone(),
            remote: remote.clone(),
            desk: Desk::new(&account),
            settings: Arc::clone(&settings),
            home: Arc::clone(&home),
            given_up: Arc::clone(&given_up),
            callers: Callers::default(),
            on_connect: parts.on_connect.clone(),
            on_disconnect: parts.on_disconnect.clone(),
        };
        let (many, polling) = (parts.event_loops, Polling::new(parts.busy_poll));
        let event_loops = EventLoop::several(many, config, &account, polling, listeners, service);
        let event_loops = event_loops.map_err(ServeError::System)?;
        let first = &event_loops[0];
        let addresses = first.addresses().cloned().collect();
        let remote = first.remote().clone();
        let stopper =
            Stopper { remote, router: parts.router, addresses, connections, log: parts.log };
        Ok(Server {
            #[cfg(unix)]
            _sigterm: parts.drain_on_sigterm.map(|grace| stopper.on_sigterm(grace)).transpose()?,
            event_loops,
            workers,
            account,
            stopper,
        })
    }

    /// Where it listens, with the ports that it really has.
    pub fn addresses(&self) -> &[Address] {
        self.stopper.addresses()
    }

    /// A handle that stops it; needed before [`run`](Server::run), which blocks.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// The clients that are connected, now and while it serves.
    pub fn connections(&self) -> Connections {
        self.stopper.connections.clone()
    }

    /// Serves on this thread until a [`Stopper`] says otherwise, or SIGTERM if
    /// [`drain_on_sigterm`](ServerBuilder::drain_on_sigterm) was asked for. When it returns, the
    /// server has ended in good order, and the program may end too.
    pub fn run(self) {
        serve(self.event_loops);
        self.workers.close();
    }

    /// Serves on a thread of its own.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn spawn(self) -> Result<ServerHandle, ServeError> {
        let (stopper, account) = (self.stopper(), self.account.clone());
        let workers = self.workers.clone();
        let thread = thread::Builder::new().name("isock-server".into());
        let thread = thread.spawn(move || self.run()).map_err(ServeError::System)?;
        let owner = Process::this();
        Ok(ServerHandle { stopper, account, workers, thread: Some(thread), owner })
    }
}

impl Stopper {
    /// Asks the server to accept nothing more, finish the calls in flight and return, within ten
    /// seconds in any case. Does not wait.
    pub fn stop(&self) {
        self.drain(GRACE);
    }

    /// The same with another bound for the calls in flight: see [`ServerHandle::drain`]. Of several
    /// bounds the one that comes first counts, so `drain(Duration::ZERO)` ends a stop that takes
    /// too long.
    pub fn drain(&self, grace: Duration) {
        self.end(grace, Running::Finish);
    }

    fn end(&self, grace: Duration, running: Running) {
        let now = Instant::now();
        let until = now.checked_add(grace).unwrap_or(now + Duration::from_secs(86_400 * 365));
        // A server that has stopped already needs no telling.
        let _ = self.remote.send(Command::Drain { until, running });
    }

    #[cfg(unix)]
    fn on_sigterm(&self, grace: Duration) -> Result<crate::net::Listening, ServeError> {
        use crate::net::{on_sigterm, Termination};
        let stopper = self.clone();
        let hear = move |termination| match termination {
            Termination::First => {
                (stopper.log)(&format!("SIGTERM: calls in flight have {grace:?} to finish"));
                stopper.drain(grace);
            }
            Termination::Again => {
                (stopper.log)("SIGTERM again: calls in flight are given up");
                stopper.drain(Duration::ZERO);
            }
        };
        on_sigterm(hear).map_err(ServeError::System)
    }

    fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

impl ServerHandle {
    /// Where it listens, with the ports that it really has.
    pub fn addresses(&self) -> &[Address] {
        self.stopper.addresses()
    }

    /// The first address at which it listens; `memory` if there is none.
    pub fn address(&self) -> Address {
        self.addresses().first().cloned().unwrap_or_else(Address::memory)
    }

    /// A client of this server: over its first address, or in memory if it has none. A server that
    /// has stopped is noticed by its first call.
    pub fn client(&self) -> Client {
        // Without actions to serve, nothing can be wrong with it.
        let client = Client::new(self.target());
        client.connect_now();
        client
    }

    /// The same with settings, or with actions that the client serves to this server.
    ///
    /// # Errors
    /// If the server has stopped, or an action cannot be served.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # use std::time::Duration;
    /// # #[derive(Action)] #[action(input = u64, output = u64)] struct Square;
    /// let server = Server::in_memory().on::<Square>(|n, _| Ok(n * n)).spawn()?;
    /// let hasty = server.client_with(|client| client.timeout(Duration::from_secs(1)))?;
    /// assert_eq!(hasty.run::<Square>(3)?, 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client_with(
        &self,
        settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Client, ConnectError> {
        settings(Client::builder()).connect_to(self.target())
    }

    fn target(&self) -> Target {
        match self.addresses().first() {
            Some(address) => Target::Addresses(vec![address.clone()]),
            None => Target::Memory(self.stopper.remote.clone()),
        }
    }

    /// The clients that are connected: to list, to pick from and to call all of them.
    pub fn connections(&self) -> Connections {
        self.stopper.connections.clone()
    }

    /// Bytes that the server holds for its connections at the moment, of those that
    /// [`Limits::total`] allows; 0 while nothing is under way.
    pub fn held_bytes(&self) -> usize {
        self.account.held()
    }

    /// What its threads have to do at the moment: for a monitor to watch.
    ///
    /// ```
    /// # use isock::Server;
    /// let server = Server::in_memory().workers(4).spawn()?;
    /// let load = server.load();
    /// assert_eq!((load.workers, load.busy, load.waiting), (4, 0, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(&self) -> Load {
        let (busy, waiting) = self.workers.load();
        Load { workers: self.workers.most(), busy, waiting }
    }

    /// Adds an action while the server runs; connections that exist can call it at once.
    ///
    /// # Errors
    /// If its name is taken, or a type of it cannot travel.
    pub fn add(&self, registration: Registration) -> Result<(), RegisterError> {
        let name = registration.info().name;
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            return Err(RegisterError::Stopped { name });
        }
        self.stopper.router.add(registration.clone())?;
        registration.tell_unknown(&*self.stopper.log);
        Ok(())
    }

    /// The same with a closure or a function.
    ///
    /// # Errors
    /// If its name is taken, or a type of it cannot travel.
    pub fn on<A: Action>(
        &self,
        handler: impl Fn(A::Input, &Context<A>) -> Result<A::Output, A::Error> + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.add(A::with(handler))
    }

    /// The same for a handler that answers later: see
    /// [`Context::defer`](crate::Context::defer).
    ///
    /// # Errors
    /// If its name is taken, or a type of it cannot travel.
    pub fn on_deferred<A: Action>(
        &self,
        handler: impl Fn(A::Input, &Context<A, Deferred>) -> Result<(), A::Error>
            + Send
            + Sync
            + 'static,
    ) -> Result<(), RegisterError>
    where
        A::Pattern: Deferrable,
    {
        self.add(A::with_deferred(handler))
    }

    /// A handle that stops the server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Accepts nothing more, lets the calls in flight finish for at most ten seconds, and waits
    /// for the end.
    pub fn stop(self) {
        self.drain(GRACE);
    }

    /// The same with another bound for what clients have in flight: calls, streams and one-way sends.
    /// Calls of this server to a client are not waited for: they end with the connection.
    ///
    /// Clients learn which of their calls were accepted; the others have not run and go elsewhere,
    /// also those of clients that are just connecting. Once the bound has passed, what runs is
    /// [cancelled](crate::CallInfo::cancelled), what still waits is refused and has not run, and every
    /// connection is closed with the reason that the server stops. That takes at most 100 ms more.
    /// A handler that does not look goes on, on its own thread, until the program ends; its caller
    /// hears [`Ran::Unknown`](crate::Ran::Unknown).
    pub fn drain(mut self, grace: Duration) {
        self.stopper.drain(grace);
        self.join();
    }

    /// Waits until the server has stopped for another reason.
    pub fn wait(mut self) {
        self.join();
    }

    /// Lets the server run until the program ends.
    pub fn detach(mut self) {
        self.thread = None;
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take().filter(|_| self.owner.is_this()) {
            // A handler that drops its own server's handle must not wait for itself.
            if thread.thread().id() != thread::current().id() {
                // A panic of the loop has been reported by the panic hook already.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        if self.thread.is_some() && self.owner.is_this() {
            self.stopper.end(DROPPED, Running::Cancel);
            self.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}
