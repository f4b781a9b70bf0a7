//! How a client is put together.

use super::{hooks::Hooks, host::Handlers, Client};
use crate::{
    action::{
        Action, Api, Context, Decoding, Deferrable, Deferred, Handle, Registration, SentView,
        ServedBy, ViewInput, ViewOutput,
    },
    address::{BadAddress, IntoAddresses},
    error::{ConnectError, RegisterError},
    limits::{check_busy_poll, Limits},
    peer::{deadline, pause, Channel, NoLink, Options, Peer, Target},
    router::Router,
    serving::{contained, standard_log, Log, Settings},
};
use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Threads that run a client's handlers at most.
const WORKERS: usize = 256;

/// Settings of a client, each with a default that is meant to be shipped, and the actions that it
/// serves to its server.
#[must_use = "a builder connects to nothing until `connect` or `connect_lazy`"]
pub struct ClientBuilder {
    options: Options,
    router: Router,
    error: Option<RegisterError>,
    log: Log,
    hooks: Hooks,
}

impl ClientBuilder {
    pub(super) fn new() -> ClientBuilder {
        ClientBuilder {
            options: Options::default(),
            router: Router::default(),
            error: None,
            log: standard_log(),
            hooks: Hooks::default(),
        }
    }

    /// How long a call may take, all its attempts together, and how long
    /// [`connect`](ClientBuilder::connect) may; 30 s unless set. A call that has not ended by then
    /// fails with [`ProblemKind::Deadline`](crate::ProblemKind::Deadline). An action with a timeout of
    /// its own has that, and a call with a [`timeout`](crate::Request::timeout) of its own that one.
    /// In a handler all of them end by the deadline of the handler's own caller too.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How often a call is tried in all; 3 unless set, at least 1. A call is tried again only
    /// where it provably did not run, or may be repeated by its kind.
    ///
    /// All calls of a client together have ten attempts beyond their first, and one more for every
    /// ten answers, so that a server in trouble does not get several times its usual load. A call
    /// that a stopping server sends elsewhere goes there for nothing, once.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts.max(1);
        self
    }

    /// Whether calls are shared among several addresses; they are unless set.
    ///
    /// Each call, each stream and each further attempt goes to one of two that are drawn, to that
    /// with fewer calls of this client under way. All are connected to at first, and whoever answers
    /// first is enough to begin; later on a connection is made when its server is drawn. A
    /// server that fails is left alone for 50 ms, doubling to 5 s, while another one serves, and
    /// one that stops is left without an error. Sends have an order, and so stay on one connection
    /// for as long as it lasts, as do [`ping`](Peer::ping) and [`id`](Peer::id).
    ///
    /// What a server keeps for a connection, as in a handler's `cx.session()`, it keeps for the
    /// calls that came to it: where that matters, switch this off. Then the first address that
    /// answers takes everything until its connection ends, as it does where a client serves
    /// actions or has hooks, since those belong to one connection.
    ///
    /// A name counts as one server: if it stands for several addresses, the first that answers is
    /// taken, in the order in which the system gives them.
    ///
    /// ```
    /// # use isock::{Action, Client, Server};
    /// # #[derive(Action)] #[action(input = u64, output = u64, kind = read)] struct Square;
    /// # let serve = || Server::builder().on::<Square>(|n, _| Ok(n * n)).bind("127.0.0.1:0")?.spawn();
    /// let (a, b) = (serve()?, serve()?);
    /// let client = Client::connect([a.address(), b.address()])?;
    /// assert_eq!(client.run::<Square>(3)?, 9);
    /// a.stop();
    /// assert_eq!(client.run::<Square>(4)?, 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn balance(mut self, balance: bool) -> Self {
        self.options.balance = balance;
        self
    }

    /// Bounds of the connection; [`Limits::default`] unless set. What is out of its range is
    /// refused by [`connect`](ClientBuilder::connect).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// For how long a caller looks for its answer without sleeping, after the last byte of its
    /// connection in either direction; it does not unless set. At most a second, else
    /// [`connect`](ClientBuilder::connect) refuses it.
    ///
    /// A thread that sleeps takes some microseconds to wake up, which is most of what a short call
    /// over a fast network costs. Polling saves that: meanwhile the caller's own thread keeps its
    /// core busy, and of several callers that share the connection the one that reads for all. So it
    /// helps where answers come within this time, their latency matters, and there is a core for
    /// every connection that waits; 50 to 200 µs are plenty. It harms where other threads need the
    /// core: a server on the same machine, or many callers. An answer that takes longer is slept for,
    /// as always, and a client without a call under way uses no processor.
    ///
    /// It is for callers that block, over sockets of Unix systems. Futures and the calls of a server
    /// are read by a thread that serves all of them and sleeps; a server in memory is slept for too.
    /// With one processor nothing is polled, nor for a while where others turn out to need it. See
    /// [the server's side](crate::ServerBuilder::busy_poll) for an example.
    pub fn busy_poll(mut self, window: Duration) -> Self {
        self.options.busy_poll = window;
        self
    }

    /// Serves the action `A` to the server, with a closure or a function. It runs on a thread of
    /// its own, never inside a call of this client, and may call the server in turn.
    ///
    /// A client that serves any action keeps its connection, and makes it again when it has ended.
    ///
    /// ```
    /// # use isock::{Action, Client, Server};
    /// /// What is your name?
    /// #[derive(Action)]
    /// #[action(output = String, kind = read)]
    /// struct Name;
    ///
    /// /// Greets whoever calls.
    /// #[derive(Action)]
    /// #[action(output = String)]
    /// struct Greet;
    ///
    /// let server = Server::builder()
    ///     .on::<Greet>(|(), cx| Ok(format!("hello {}", cx.peer().run::<Name>(())?)))
    ///     .bind("127.0.0.1:0")?
    ///     .spawn()?;
    /// let client = Client::builder().on::<Name>(|(), _| Ok("Ada".into())).connect(server.address())?;
    /// assert_eq!(client.run::<Greet>(())?, "hello Ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on<A: Action>(
        self,
        handler: impl Fn(A::Input, &Context<A>) -> Result<A::Output, A::Error> + Send + Sync + 'static,
    ) -> Self {
        self.add(A::with(handler))
    }

    /// Serves the action `A` to the server with a handler that reads its input where it has arrived, and
    /// copies what it keeps: see [`ViewInput`].
    pub fn on_view<A: ViewInput>(
        self,
        handler: impl Fn(A::InputView<'_>, &Context<A>) -> Result<A::Output, A::Error>
            + Send
            + Sync
            + 'static,
    ) -> Self {
        self.add(A::with_view(handler))
    }

    /// The same with a handler that also answers with a view, of its input for one: see
    /// [`ViewInput::with_views`].
    pub fn on_views<A: ViewInput + ViewOutput>(
        self,
        handler: impl for<'v> Fn(A::InputView<'v>, &'v Context<'_, A>) -> Result<A::OutputView<'v>, A::Error>
            + Send
            + Sync
            + 'static,
    ) -> Self
    where
        for<'v> A::OutputView<'v>: SentView<'v>,
    {
        self.add(A::with_views(handler))
    }

    /// Serves the action `A` to the server with a handler that answers later: it hands a
    /// [`Responder`](crate::Responder) to whoever has the answer, and returns. See
    /// [`Context::defer`](crate::Context::defer).
    pub fn on_deferred<A: Action>(
        self,
        handler: impl Fn(A::Input, &Context<A, Deferred>) -> Result<(), A::Error>
            + Send
            + Sync
            + 'static,
    ) -> Self
    where
        A::Pattern: Deferrable,
    {
        self.add(A::with_deferred(handler))
    }

    /// Serves the action `A` to the server with a value that implements [`Handle`].
    pub fn handler<A: Action>(self, handler: impl Handle<A>) -> Self {
        self.add(A::with(move |input, cx| handler.handle(input, cx)))
    }

    /// Serves every action of a set to the server with one value.
    pub fn serve<S: ServedBy<H> + Api, H>(self, set: S, handler: H) -> Self {
        let _ = set;
        S::stubs(Arc::new(handler)).into_iter().fold(self, ClientBuilder::add)
    }

    /// Serves a registration stub to the server. What is wrong with it is said when the client
    /// connects.
    // The name is the one that iSocket's users know; a builder is no number.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, registration: Registration) -> Self {
        if let Err(error) = self.router.add(registration) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// Is told of every connection that has been made, the first one included: the place to say
    /// again what a server forgets with a connection. A client with a hook keeps its connection, and
    /// makes it again when it has ended.
    ///
    /// Hooks run on a thread of their own, one after the other; they may block, and call the server.
    /// Calls that others make do not wait for them: what must come first on a connection belongs
    /// into the calls themselves.
    ///
    /// ```
    /// # use isock::{Client, Server};
    /// # let (sent, seen) = std::sync::mpsc::channel();
    /// # let went = sent.clone();
    /// let server = Server::builder().bind("127.0.0.1:0")?.spawn()?;
    /// let client = Client::builder()
    ///     .on_connect(move |server| drop(sent.send(format!("at {}", server.address()))))
    ///     .on_disconnect(move |_, why| drop(went.send(why.to_owned())))
    ///     .connect(server.address())?;
    /// assert_eq!(seen.recv()?, format!("at {}", server.address()));
    /// server.connections().latest().ok_or("nobody")?.disconnect("closing time");
    /// assert_eq!(seen.recv()?, "the server closed it: closing time");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_connect(mut self, hook: impl Fn(&Peer) + Send + Sync + 'static) -> Self {
        self.hooks.on_connect(Box::new(hook));
        self
    }

    /// Is told of every connection that has been made after the first one: a lost connection has been
    /// replaced, by one to the same server or to another. The place to catch up on what was missed;
    /// what a server forgets with every connection is better said in
    /// [`on_connect`](ClientBuilder::on_connect), which comes before it. The same holds for both:
    /// the hook may call the server, and calls that others make meanwhile do not wait for it.
    ///
    /// ```
    /// # use isock::{Action, Client, Server};
    /// # #[derive(Action)] #[action(output = u64, kind = read)] struct Latest;
    /// # let (sent, seen) = std::sync::mpsc::channel();
    /// let server = Server::builder().on::<Latest>(|(), _| Ok(7)).bind("127.0.0.1:0")?.spawn()?;
    /// let client = Client::builder()
    ///     .on_reconnect(move |server| drop(sent.send(server.run::<Latest>(()).ok())))
    ///     .connect(server.address())?;
    /// server.connections().latest().ok_or("nobody")?.disconnect("once more");
    /// assert_eq!(seen.recv()?, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_reconnect(mut self, hook: impl Fn(&Peer) + Send + Sync + 'static) -> Self {
        self.hooks.on_reconnect(Box::new(hook));
        self
    }

    /// Is told of every connection that has ended, and why, unless the client itself has gone. The
    /// same holds as for [`on_connect`](ClientBuilder::on_connect). A client that is not to come
    /// back closes itself: keep a clone of it, or let the hook tell who has one.
    pub fn on_disconnect(mut self, hook: impl Fn(&Peer, &str) + Send + Sync + 'static) -> Self {
        self.hooks.on_disconnect(Box::new(hook));
        self
    }

    /// Where panics and hidden failures of this client's handlers are told; standard error unless
    /// set.
    pub fn log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Arc::new(move |line| drop(contained(|| log(line))));
        self
    }

    /// Connects, as [`Client::connect`].
    ///
    /// # Errors
    /// If no server answers, what answers is no isock server of this version, an action cannot be
    /// served, or a limit is out of its range.
    pub fn connect(self, address: impl IntoAddresses) -> Result<Client, ConnectError> {
        let client = self.connect_lazy(address)?;
        reach(client.channel())?;
        Ok(client)
    }

    /// Connects with the first call, so that a client can exist before its server does. One that
    /// serves actions connects by itself, as soon as there is a server.
    ///
    /// # Errors
    /// If there is no address or it cannot be read, an action cannot be served, or a limit is out of its range.
    pub fn connect_lazy(self, address: impl IntoAddresses) -> Result<Client, ConnectError> {
        let addresses = address.into_addresses()?;
        if addresses.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        if let Some(memory) = addresses.iter().find(|address| address.is_memory()) {
            let why = "a server in memory has no address; take `server.client()`";
            return Err(BadAddress { text: memory.to_string(), why }.into());
        }
        self.reaching(Target::Addresses(addresses))
    }

    /// The same with a server of this program.
    pub(crate) fn connect_to(self, target: Target) -> Result<Client, ConnectError> {
        let client = self.reaching(target)?;
        reach(client.channel())?;
        Ok(client)
    }

    fn reaching(self, target: Target) -> Result<Client, ConnectError> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        self.options.limits.check()?;
        check_busy_poll(self.options.busy_poll)?;
        let (options, handlers) = self.parts();
        Ok(Client::with(target, options, handlers))
    }

    pub(super) fn parts(self) -> (Options, Handlers) {
        let limits = &self.options.limits;
        let settings = Settings {
            log: self.log,
            hide_failures: false,
            max_output: limits.message,
            streams: limits.streams,
            stream_idle: limits.stream_idle,
            decoding: Decoding { depth: limits.decode_depth, budget: limits.decode_budget },
        };
        let handlers = Handlers::new(self.router, self.hooks, WORKERS, settings);
        (self.options, handlers)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The first connection, in as many attempts as a call has.
fn reach(channel: &Channel) -> Result<(), ConnectError> {
    let (deadline, _) = deadline(Instant::now(), channel.options.timeout);
    let mut made = 0;
    loop {
        made += 1;
        let error = match channel.reach(deadline) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let again = matches!(error, NoLink::Unreachable(_)) && made < channel.options.attempts;
        if !again || deadline <= Instant::now() {
            return Err(error.into_connect_error(channel.name(), made));
        }
        thread::sleep(pause(made).min(deadline - Instant::now()));
    }
}
