//! The calling side: typed calls over a connection that is shared, and made again when it ends.

mod background;
mod backoff;
mod builder;
mod call;
mod channel;
mod described;
mod mismatch;
mod raw;
mod request;

pub use builder::ClientBuilder;
pub use call::Call;
pub use request::Request;

use crate::{
    action::{Action, Api, Description, ItsOwnInput, Never, OneReply, SendAs, Unary},
    address::{Address, IntoAddresses},
    builtin,
    error::{CallError, ConnectError, ExpectError, Problem, ProblemKind},
    net::Remote,
};
use channel::{Channel, Settings, Target};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Why a server does not have a built-in action.
const SILENT: &str = "its reflection is off, or it is of an older version";

/// What [`run`](Client::run) gives for the action `A`.
pub type CallResult<A> = Result<<A as Action>::Output, CallError<<A as Action>::Error>>;

/// Calls the actions of a server.
///
/// Cheap to clone, usable from any number of threads at once: all clones share one connection,
/// which is made again when it has ended. Every call ends by its deadline, 30 s unless set, and
/// says whether its handler ran.
///
/// `run` and `wait` block the thread: inside async code use `start(…).await`.
#[derive(Clone)]
pub struct Client {
    channel: Arc<Channel>,
}

impl Client {
    /// Connects to a server: `"host:port"`, `"unix:path"`, or several addresses of which the first
    /// that answers is taken. Tries three times before it gives up.
    ///
    /// # Errors
    /// If no server answers, with the address and the attempts; or if what answers is no isock
    /// server of this version.
    pub fn connect(address: impl IntoAddresses) -> Result<Client, ConnectError> {
        Client::builder().connect(address)
    }

    /// A client with settings of its own.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    pub(crate) fn of_address(address: Address) -> Client {
        Client::with(Target::Addresses(vec![address]), Settings::default())
    }

    pub(crate) fn in_memory(server: Remote) -> Client {
        Client::with(Target::Memory(server), Settings::default())
    }

    /// Connects if that is possible now, so that calls which are started next leave at once.
    pub(crate) fn connect_now(&self) {
        let deadline = Instant::now() + self.channel.settings.limits.handshake;
        // Why it is not possible is told by the first call.
        let _ = self.channel.link(deadline);
    }

    fn with(target: Target, settings: Settings) -> Client {
        Client { channel: Channel::new(target, settings) }
    }

    /// Calls the action `A` and waits for its output.
    ///
    /// # Errors
    /// The action's own error as a value, or the problem that kept it from answering.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # #[derive(Action)] #[action(input = String, output = usize)] struct Length;
    /// # let server = Server::in_memory().on::<Length>(|text, _| Ok(text.len())).spawn()?;
    /// # let client = server.client();
    /// assert_eq!(client.run::<Length>("four")?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run<A: Action>(&self, input: impl SendAs<A::Input>) -> CallResult<A>
    where
        A::Pattern: OneReply,
    {
        self.request::<A>(input).run()
    }

    /// Calls an action whose struct is its own input.
    ///
    /// # Errors
    /// As [`run`](Client::run).
    pub fn call<A: ItsOwnInput>(&self, action: A) -> CallResult<A>
    where
        A::Pattern: OneReply,
    {
        self.run::<A>(action)
    }

    /// Starts a call and returns at once. Without a connection, before the first call of a lazy
    /// client or after the server has gone, the call is sent when somebody waits for it; wait for it with [`Call::wait`] or `.await`. Calls that
    /// overlap share the connection and have no order among themselves.
    pub fn start<A: Action>(&self, input: impl SendAs<A::Input>) -> Call<A>
    where
        A::Pattern: OneReply,
    {
        self.request::<A>(input).start()
    }

    /// A call with options of its own.
    pub fn request<A: Action>(&self, input: impl SendAs<A::Input>) -> Request<A> {
        Request::new(Arc::clone(&self.channel), &input)
    }

    /// Checks that the server has every action of a set.
    ///
    /// # Errors
    /// With the names that it lacks; or if it could not be asked.
    pub fn expect<S: Api>(&self, set: S) -> Result<(), ExpectError> {
        let _ = set;
        let names = self.ask::<builtin::Actions>((), self.channel.settings.timeout)?;
        let lacks = |name: &&str| !names.iter().any(|has| has == name);
        let missing: Vec<_> = S::ACTIONS.iter().map(|info| info.name).filter(lacks).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ExpectError::Missing(missing))
        }
    }

    /// Asks the server what it offers: its actions with documentation, kinds, types and limits, by
    /// name. A value for tools, which prints as a text for people.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// /// Counts the letters.
    /// #[derive(Action)]
    /// #[action(input = String, output = usize, kind = read)]
    /// struct Length;
    ///
    /// let server = Server::in_memory().on::<Length>(|text, _| Ok(text.len())).spawn()?;
    /// let description = server.client().describe()?;
    /// assert_eq!(description.action("Length").unwrap().summary(), "Counts the letters.");
    /// println!("{description}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it does not say by the client's timeout, or its
    /// [`reflection`](crate::ServerBuilder::reflection) is off.
    pub fn describe(&self) -> Result<Description, Problem> {
        let began = Instant::now();
        let actions = described::all(|after| {
            let left = self.channel.settings.timeout.saturating_sub(began.elapsed());
            self.ask::<builtin::Describe>(after, left)
        })?;
        Ok(Description { name: self.channel.name(), actions })
    }

    /// Calls the server and takes the time: through the connection, the dispatch and back, with an
    /// action that does nothing.
    ///
    /// # Errors
    /// If it does not answer by the client's timeout, or its
    /// [`reflection`](crate::ServerBuilder::reflection) is off.
    pub fn ping(&self) -> Result<Duration, Problem> {
        let began = Instant::now();
        self.ask::<builtin::Ping>((), self.channel.settings.timeout)?;
        Ok(began.elapsed())
    }

    /// Calls a built-in action.
    fn ask<A>(&self, input: impl SendAs<A::Input>, within: Duration) -> Result<A::Output, Problem>
    where
        A: Action<Error = Never, Pattern = Unary>,
    {
        match self.request::<A>(input).timeout(within).run() {
            Ok(answer) => Ok(answer),
            Err(CallError::Action(never)) => match never {},
            Err(CallError::Call(problem)) => Err(match problem.kind() {
                ProblemKind::UnknownAction => problem.with_detail(SILENT),
                _ => problem,
            }),
        }
    }

    /// Ends the connection. Calls under way end with it, and later ones are refused, on every
    /// clone.
    pub fn close(&self) {
        self.channel.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.channel.name()).finish()
    }
}
