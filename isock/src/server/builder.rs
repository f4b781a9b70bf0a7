//! How a server is put together.

use super::{
    handle::{Parts, Server},
    service::Hook,
    ServerHandle,
};
use crate::{
    action::{
        Action, Api, Context, Deferrable, Deferred, Handle, Info, Registration, SentView, ServedBy,
        ViewInput, ViewOutput,
    },
    address::{Address, IntoAddresses},
    error::ServeError,
    limits::{check_busy_poll, Limits},
    peer::Connection,
    router::Router,
    serving::{contained, standard_log, Log},
};
use std::{fmt, sync::Arc, thread, time::Duration};

/// Threads that run handlers at most, unless said otherwise.
const WORKERS: usize = 256;
/// Processors for each event loop, and loops at most, unless said otherwise.
const PROCESSORS: usize = 4;
const LOOPS: usize = 8;

/// Collects actions and addresses; what is wrong with them is said by
/// [`bind`](ServerBuilder::bind).
#[must_use = "a builder serves nothing until `bind`, and `run` or `spawn`"]
pub struct ServerBuilder {
    router: Router,
    required: Vec<Info>,
    addresses: Vec<Address>,
    error: Option<ServeError>,
    limits: Limits,
    log: Log,
    hide_failures: bool,
    workers: usize,
    event_loops: Option<usize>,
    busy_poll: Duration,
    reflection: bool,
    in_memory: bool,
    on_connect: Option<Hook>,
    on_disconnect: Option<Hook>,
    #[cfg(unix)]
    drain_on_sigterm: Option<Duration>,
}

impl ServerBuilder {
    pub(super) fn new() -> ServerBuilder {
        ServerBuilder {
            router: Router::default(),
            required: Vec::new(),
            addresses: Vec::new(),
            error: None,
            limits: Limits::default(),
            log: standard_log(),
            hide_failures: false,
            workers: WORKERS,
            event_loops: None,
            busy_poll: Duration::ZERO,
            reflection: true,
            in_memory: false,
            on_connect: None,
            on_disconnect: None,
            #[cfg(unix)]
            drain_on_sigterm: None,
        }
    }

    /// Needs no address.
    pub(super) fn in_memory(self) -> ServerBuilder {
        ServerBuilder { in_memory: true, ..self }
    }

    /// Serves the action `A` with a closure or a function.
    pub fn on<A: Action>(
        self,
        handler: impl Fn(A::Input, &Context<A>) -> Result<A::Output, A::Error> + Send + Sync + 'static,
    ) -> Self {
        self.add(A::with(handler))
    }

    /// Serves the action `A` with a handler that reads its input where it has arrived, and copies
    /// what it keeps: see [`ViewInput`].
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// pub struct Entry {
    ///     level: u8,
    ///     text: String,
    /// }
    ///
    /// /// The same where it has arrived.
    /// #[derive(Deserialize)]
    /// pub struct EntryView<'a> {
    ///     level: u8,
    ///     text: &'a str,
    /// }
    ///
    /// /// How long the texts of some level are together.
    /// #[derive(Action)]
    /// #[action(input = Vec<Entry>, output = usize, input_view = Vec<EntryView<'_>>)]
    /// pub struct Weigh;
    ///
    /// let server = Server::in_memory()
    ///     .on_view::<Weigh>(|entries, _cx| {
    ///         Ok(entries.iter().filter(|entry| entry.level > 1).map(|entry| entry.text.len()).sum())
    ///     })
    ///     .spawn()?;
    /// let entries = [(1, "fine"), (2, "disk full")];
    /// let entries = entries.map(|(level, text)| Entry { level, text: text.to_owned() });
    /// assert_eq!(server.client().run::<Weigh>(Vec::from(entries))?, 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Serves the action `A` with a handler that answers later: it hands a
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

    /// Serves the action `A` with a value that implements [`Handle`]. A value that handles several
    /// actions says which, `.handler::<Echo>(app.clone())`, or is given to
    /// [`serve`](ServerBuilder::serve) with a set.
    pub fn handler<A: Action>(self, handler: impl Handle<A>) -> Self {
        self.add(A::with(move |input, cx| handler.handle(input, cx)))
    }

    /// Serves every action of a set with one value. A missing [`Handle`] impl is an error of the
    /// compiler.
    pub fn serve<S: ServedBy<H>, H>(self, set: S, handler: H) -> Self {
        let _ = set;
        self.add_all(S::stubs(Arc::new(handler)))
    }

    /// Serves a registration stub.
    // The name is the one that iSocket's users know; a builder is no number.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, registration: Registration) -> Self {
        if let Err(error) = self.router.add(registration) {
            self.fail(error.into());
        }
        self
    }

    /// Serves several registration stubs.
    pub fn add_all(self, registrations: impl IntoIterator<Item = Registration>) -> Self {
        registrations.into_iter().fold(self, ServerBuilder::add)
    }

    /// Demands that every action of a set has a handler by the time of
    /// [`bind`](ServerBuilder::bind): for sets that are served by closures.
    pub fn require<S: Api>(mut self, set: S) -> Self {
        let _ = set;
        self.required.extend_from_slice(S::ACTIONS);
        self
    }

    /// Listens at this address too. Port 0 takes a free port, which
    /// [`Server::addresses`] tells.
    ///
    /// A Unix socket, `"unix:path"` or a [`Path`](std::path::Path), lets in the user that the
    /// server runs as and nobody else (mode 0600; change it after [`bind`](ServerBuilder::bind) to
    /// let others in). A path that a dead server left behind is taken over, one where somebody
    /// listens is [`ServeError::InUse`], and whatever else is there is left alone, symbolic links
    /// included. The path is removed when the server stops.
    pub fn listen(mut self, address: impl IntoAddresses) -> Self {
        match address.into_addresses() {
            Ok(addresses) => self.addresses.extend(addresses),
            Err(error) => self.fail(error.into()),
        }
        self
    }

    /// Bounds of each connection; [`Limits::default`] unless set. What is out of its range is
    /// refused by [`bind`](ServerBuilder::bind).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Threads that run handlers at most; 256 unless set, at least 1. Calls beyond wait, and take
    /// turns by connection; one connection has at most half of the threads at once.
    pub fn workers(mut self, most: usize) -> Self {
        self.workers = most.max(1);
        self
    }

    /// Event loops: threads that read connections, run quick handlers and write their answers. One
    /// for every four processors unless set, at least 1 and at most 8. 0 counts as 1.
    ///
    /// A connection is served by one loop, the one that has the fewest when it comes, to its end. So
    /// several loops help where many connections are busy at once with quick handlers, and one
    /// processor is not enough to read and write for them. They do nothing for a single connection,
    /// nor for handlers that take longer: those run on [`workers`](ServerBuilder::workers) in any
    /// case. What a server holds and counts, its [`Limits`] too, is for all loops together.
    ///
    /// The default leaves most processors to workers, and to clients on the same machine: one loop
    /// serves some hundred thousand calls a second, and a loop that nobody needs costs a processor's
    /// caches and two threads, asleep.
    ///
    /// ```
    /// # use isock::{Action, Client, Server};
    /// # #[derive(Action)] #[action(input = u64, output = u64, kind = read)] struct Square;
    /// let server = Server::builder().event_loops(3).on::<Square>(|n, _| Ok(n * n));
    /// let server = server.bind("127.0.0.1:0")?.spawn()?;
    /// let clients = [server.client(), server.client(), server.client()];
    /// for client in &clients {
    ///     assert_eq!(client.run::<Square>(7)?, 49);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn event_loops(mut self, many: usize) -> Self {
        self.event_loops = Some(many.max(1));
        self
    }

    /// For how long the server looks for the next byte without sleeping, after the last one of any
    /// client; it does not unless set. At most a second, else [`bind`](ServerBuilder::bind) refuses it.
    ///
    /// A thread that sleeps takes some microseconds to wake up, which is most of what a short call
    /// over a fast network costs. Polling saves that, for a core of its own: meanwhile one thread of
    /// the server, or of each of its [event loops](ServerBuilder::event_loops), runs without a pause,
    /// whatever its clients do. So it helps where calls follow one
    /// another within this time, their latency matters, and cores are idle; 50 to 200 µs are
    /// plenty. It harms where other threads need the core, those of handlers that block and those
    /// of clients on the same machine among them. When nothing has come for this long, the server
    /// sleeps and uses no processor, as always. With one processor nothing is polled, and where others
    /// turn out to need it the server sleeps for a while.
    ///
    /// Clients have [the same](crate::ClientBuilder::busy_poll); each side gains by itself.
    ///
    /// ```
    /// # use isock::{Action, Client, Server};
    /// # #[derive(Action)] #[action(input = u64, output = u64, kind = read)] struct Square;
    /// use std::time::Duration;
    ///
    /// let window = Duration::from_micros(100);
    /// let server = Server::builder().busy_poll(window).on::<Square>(|n, _| Ok(n * n));
    /// let server = server.bind("127.0.0.1:0")?.spawn()?;
    /// let client = Client::builder().busy_poll(window).connect(server.address())?;
    /// assert_eq!(client.run::<Square>(7)?, 49);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn busy_poll(mut self, window: Duration) -> Self {
        self.busy_poll = window;
        self
    }

    /// Where the operator reads what happens: a line at a time, on the thread that it happens on.
    /// Standard error unless set. A panic of its own harms nobody else.
    pub fn log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Arc::new(move |line| drop(contained(|| log(line))));
        self
    }

    /// Is told of every client that has connected, before its first call runs. A hook holds up all
    /// connections of its [event loop](ServerBuilder::event_loops), and that of the first one all that
    /// come, so it must not block: a blocking call in it fails with
    /// [`ProblemKind::WouldDeadlock`](crate::ProblemKind::WouldDeadlock); `start`, `send` and
    /// channels are fine.
    ///
    /// ```
    /// # use isock::Server;
    /// # let (sent, seen) = std::sync::mpsc::channel();
    /// # let came = sent.clone();
    /// let server = Server::in_memory()
    ///     .on_connect(move |connection| drop(came.send(format!("came {}", connection.id()))))
    ///     .on_disconnect(move |connection, why| {
    ///         drop(sent.send(format!("went {}: {why}", connection.id())))
    ///     })
    ///     .spawn()?;
    /// let client = server.client();
    /// let id = client.id().ok_or("not connected")?;
    /// assert_eq!(seen.recv()?, format!("came {id}"));
    /// client.close();
    /// assert_eq!(seen.recv()?, format!("went {id}: the client closed it"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_connect(mut self, hook: impl Fn(&Connection) + Send + Sync + 'static) -> Self {
        self.on_connect = Some(Arc::new(move |connection, _| hook(connection)));
        self
    }

    /// Is told of every client that has gone, and why. The same rules hold as for
    /// [`on_connect`](ServerBuilder::on_connect).
    pub fn on_disconnect(
        mut self,
        hook: impl Fn(&Connection, &str) + Send + Sync + 'static,
    ) -> Self {
        self.on_disconnect = Some(Arc::new(hook));
        self
    }

    /// Whether callers may ask what this server has; they may unless it is set to `false`.
    ///
    /// Reflection is the built-in actions, whose names begin with `isock.`: what
    /// [`Client::describe`](crate::Peer::describe) and [`Client::expect`](crate::Peer::expect) call,
    /// what tools live on, and what puts a mismatch of two builds in words. Without it they are
    /// unknown actions, and a mismatch still fails before anything runs, without the words.
    /// [`Client::ping`](crate::Peer::ping) needs none of it.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # #[derive(Action)] #[action(output = u64)] struct Count;
    /// let server = Server::in_memory().reflection(false).on::<Count>(|(), _| Ok(1)).spawn()?;
    /// assert!(server.client().describe().is_err());
    /// assert_eq!(server.client().run::<Count>(())?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reflection(mut self, allowed: bool) -> Self {
        self.reflection = allowed;
        self
    }

    /// Keeps the text of every [`Failure`](crate::Failure) in the log, and tells callers only that
    /// the handler failed. Declared errors travel as before.
    pub fn hide_failures(mut self) -> Self {
        self.hide_failures = true;
        self
    }

    /// Ends the server in good order when the process gets SIGTERM, as service managers and
    /// container runtimes send it: it [drains](ServerHandle::drain) with this grace, and then
    /// [`run`](Server::run) returns. Choose a grace below the patience of whoever sends the signal.
    /// Unless this is said, SIGTERM ends the process at once, as always.
    ///
    /// A second SIGTERM ends the drain at once. A third, and any that comes when no such server
    /// serves, does what it did before: unless the program had a handler, it ends the process.
    ///
    /// The signal is caught from [`bind`](ServerBuilder::bind) on, for all servers of the process
    /// together. A handler that the program has installed before is called too. One that it installs
    /// afterwards takes the place of this one, unless it calls what was there before it, as those
    /// of `signal-hook` do; such a program calls [`Stopper::drain`](super::Stopper::drain) in its
    /// own handling instead. Other signals are left alone, and so are child processes.
    ///
    /// ```no_run
    /// # use isock::Server;
    /// # use std::time::Duration;
    /// let server = Server::builder().drain_on_sigterm(Duration::from_secs(25));
    /// server.bind("127.0.0.1:4440")?.run();
    /// println!("all calls have been answered");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(unix)]
    pub fn drain_on_sigterm(mut self, grace: Duration) -> Self {
        self.drain_on_sigterm = Some(grace);
        self
    }

    /// Listens at this address, and those given before.
    ///
    /// # Errors
    /// What is wrong with the registrations, the addresses or the limits, the first thing first.
    pub fn bind(self, address: impl IntoAddresses) -> Result<Server, ServeError> {
        self.listen(address).build()
    }

    /// Serves on a thread of its own at the addresses given with
    /// [`listen`](ServerBuilder::listen); a server that was begun with
    /// [`Server::in_memory`] needs none.
    ///
    /// # Errors
    /// As [`bind`](ServerBuilder::bind).
    pub fn spawn(self) -> Result<ServerHandle, ServeError> {
        self.build()?.spawn()
    }

    fn build(self) -> Result<Server, ServeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.limits.check()?;
        check_busy_poll(self.busy_poll)?;
        if self.addresses.is_empty() && !self.in_memory {
            return Err(ServeError::NoAddress);
        }
        let missing = self.router.missing(&self.required);
        if !missing.is_empty() {
            return Err(ServeError::Missing(missing));
        }
        for registration in self.router.registrations() {
            registration.tell_unknown(&*self.log);
        }
        Server::new(Parts {
            router: Arc::new(self.router),
            addresses: self.addresses,
            limits: self.limits,
            log: self.log,
            hide_failures: self.hide_failures,
            workers: self.workers,
            event_loops: self.event_loops.unwrap_or_else(|| {
                loops_for(thread::available_parallelism().map_or(1, usize::from))
            }),
            busy_poll: self.busy_poll,
            on_connect: self.on_connect,
            on_disconnect: self.on_disconnect,
            reflection: self.reflection,
            #[cfg(unix)]
            drain_on_sigterm: self.drain_on_sigterm,
        })
    }

    fn fail(&mut self, error: ServeError) {
        self.error.get_or_insert(error);
    }
}

/// How many there are unless it is said.
fn loops_for(processors: usize) -> usize {
    (processors / PROCESSORS).clamp(1, LOOPS)
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("actions", &self.router.infos())
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_processors_are_left_to_others() {
        let loops = [1, 2, 4, 7, 8, 16, 32, 1000].map(loops_for);
        assert_eq!(loops, [1, 1, 1, 1, 2, 4, 8, 8]);
    }
}
