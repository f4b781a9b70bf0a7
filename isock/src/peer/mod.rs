//! The other end of a connection, and the calls that are made to it.
//!
//! A client's server and a server's client are called the same way. Knows attempts, deadlines,
//! futures and types. Does not know sockets or frames.

mod background;
mod backoff;
mod call;
mod channel;
mod choice;
mod connection;
mod connector;
mod described;
mod mismatch;
mod named;
mod raw;
mod recent;
mod request;
mod retry;
mod several;
mod state;
mod stream;
mod view;

pub(crate) use crate::net::{Cancel, Unsent};
pub(crate) use backoff::pause;
pub use call::Call;
pub(crate) use channel::{Channel, Options, Target};
pub use connection::{BadConnectionId, Connection, ConnectionId, Connections};
pub(crate) use connection::{Home, Served};
pub(crate) use connector::NoLink;
pub use named::{EncodedError, NamedCall, NamedInput, NamedRequest, NamedResult};
pub(crate) use raw::words;
pub(crate) use request::deadline;
pub use request::Request;
pub use state::Session;
pub(crate) use stream::ItemStream;
pub use stream::{Canceller, Stream, StreamItem};

#[cfg(unix)]
use crate::credentials::Credentials;
use crate::{
    action::{Action, Api, Description, ItsOwnInput, Never, OneReply, SendAs, Streaming, Unary},
    address::Address,
    builtin,
    error::{CallError, ExpectError, Problem, ProblemKind},
    net::Far,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Why a server does not have a built-in action.
const SILENT: &str = "its reflection is off, or it is of an older version";

/// What [`run`](Peer::run) gives for the action `A`.
pub type CallResult<A> = Result<<A as Action>::Output, CallError<<A as Action>::Error>>;

/// The other end of a connection: the server as its client sees it, or a client as its server
/// does. Either is called the same way.
///
/// Cheap to clone, usable from any number of threads at once. Every call ends by its deadline,
/// 30 s unless set, and says whether its handler ran.
///
/// `run` and `wait` block the thread: inside async code use `start(…).await`. A handler may call
/// too, also the connection that called it: `cx.peer().run::<Square>(4)?`.
#[derive(Clone)]
pub struct Peer(Way);

#[derive(Clone)]
enum Way {
    /// A connection that is made again when it has ended.
    Channel(Arc<Channel>),
    /// A connection that has been accepted.
    Served(Arc<Served>),
}

impl Peer {
    pub(crate) fn of_channel(channel: Arc<Channel>) -> Peer {
        Peer(Way::Channel(channel))
    }

    pub(crate) fn of_served(served: Arc<Served>) -> Peer {
        Peer(Way::Served(served))
    }

    /// The connection of an event loop that it is, if it is one.
    pub(crate) fn far(&self) -> Option<Arc<Far>> {
        match &self.0 {
            Way::Channel(_) => None,
            Way::Served(served) => Some(Arc::clone(served.far())),
        }
    }

    /// Whether it is the client of this connection.
    pub(crate) fn is_of(&self, connection: &Arc<Served>) -> bool {
        matches!(&self.0, Way::Served(served) if Arc::ptr_eq(served, connection))
    }

    /// Whether this side accepts no further calls of it.
    pub(crate) fn is_stopping(&self) -> bool {
        match &self.0 {
            Way::Channel(channel) => channel.is_closed(),
            Way::Served(served) => served.is_stopping(),
        }
    }

    /// The way that calls take.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        match &self.0 {
            Way::Channel(channel) => channel,
            Way::Served(served) => served.channel(),
        }
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
        // The input goes last: so the owner of long bytes is dropped here, and by no other thread.
        request::run::<A>(self.channel(), &input)
    }

    /// Calls an action whose struct is its own input.
    ///
    /// # Errors
    /// As [`run`](Peer::run).
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Action, Serialize, Deserialize)]
    /// #[action(output = u32, kind = read)]
    /// struct Add(u32, u32);
    ///
    /// # let server = Server::in_memory().on::<Add>(|Add(a, b), _| Ok(a + b)).spawn()?;
    /// # let client = server.client();
    /// assert_eq!(client.call(Add(2, 3))?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call<A: ItsOwnInput>(&self, action: A) -> CallResult<A>
    where
        A::Pattern: OneReply,
    {
        self.run::<A>(action)
    }

    /// Starts a call and returns at once; wait for it with [`Call::wait`] or `.await`. Calls that
    /// overlap share the connection and have no order among themselves. Without a connection,
    /// before the first call of a lazy client or after the server has gone, the call is sent when
    /// somebody waits for it.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # #[derive(Action)] #[action(input = u64, output = u64)] struct Square;
    /// # let server = Server::in_memory().on::<Square>(|n, _| Ok(n * n)).spawn()?;
    /// # let client = server.client();
    /// let (two, three) = (client.start::<Square>(2), client.start::<Square>(3));
    /// assert_eq!(two.wait()? + three.wait()?, 13);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start<A: Action>(&self, input: impl SendAs<A::Input>) -> Call<A>
    where
        A::Pattern: OneReply,
    {
        Call::new(request::start::<A>(self.channel(), &input))
    }

    /// Opens a stream: a call that carries items, from the handler, to it, or both.
    ///
    /// # Errors
    /// If it was not opened, as when there is no connection. What the other side says to it comes
    /// with the first item or with [`Stream::finish`].
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # #[derive(Action)] #[action(input = u32, stream = u32, output = ())] struct CountTo;
    /// # let server = Server::in_memory()
    /// #     .on::<CountTo>(|to, cx| Ok((1..=to).try_for_each(|n| cx.send(n))?))
    /// #     .spawn()?;
    /// # let client = server.client();
    /// let numbers = client.open::<CountTo>(3)?.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(numbers, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open<A: Action>(&self, input: impl SendAs<A::Input>) -> Result<Stream<A>, Problem>
    where
        A::Pattern: Streaming,
    {
        self.request::<A>(input).open()
    }

    /// A call with options of its own.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # use std::time::Duration;
    /// # #[derive(Action)] #[action(input = u64, output = u64, kind = read)] struct Square;
    /// # let server = Server::in_memory().on::<Square>(|n, _| Ok(n * n)).spawn()?;
    /// # let client = server.client();
    /// let patient = client.request::<Square>(9).timeout(Duration::from_secs(60)).retry(5);
    /// assert_eq!(patient.run()?, 81);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn request<A: Action>(&self, input: impl SendAs<A::Input>) -> Request<A> {
        Request::new(Arc::clone(self.channel()), &input)
    }

    /// Calls an action by a name that is known at run time only, with a [`Value`](crate::Value) or
    /// with bytes that are encoded already, and waits for what it returns in the same form.
    ///
    /// # Errors
    /// The action's own error, encoded if bytes were sent; or the problem that kept it from
    /// answering.
    ///
    /// ```
    /// use isock::{Registration, Server, Value};
    ///
    /// let double = |number: Value, _: &isock::CallInfo| Ok(number.as_i64().map(|n| 2 * n));
    /// let server = Server::in_memory().add(Registration::named("double", double)?).spawn()?;
    ///
    /// let name = ["dou", "ble"].concat();
    /// assert_eq!(server.client().run_named(&name, Value::from(21))?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_named<I: NamedInput>(&self, name: &str, input: I) -> NamedResult<I> {
        self.request_named(name, input).run()
    }

    /// A call by name with options of its own. It counts as one that is to run once, unless
    /// [`kind`](NamedRequest::kind) says otherwise.
    ///
    /// Any action can be called so, also one with types that this program does not have: its input
    /// is what [postcard](https://docs.rs/postcard) makes of a value.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// use isock::ActionKind;
    /// use std::time::Duration;
    ///
    /// # #[derive(Action)] #[action(input = String, output = String, kind = read)] struct Echo;
    /// # let server = Server::in_memory().on::<Echo>(|text, _| Ok(text)).spawn()?;
    /// # let client = server.client();
    /// // A text of two bytes.
    /// let call = client.request_named("Echo", vec![2, b'h', b'i']).timeout(Duration::from_secs(5));
    /// assert_eq!(call.kind(ActionKind::Read).run()?, [2, b'h', b'i']);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request_named<I: NamedInput>(&self, name: &str, input: I) -> NamedRequest<I> {
        NamedRequest::new(Arc::clone(self.channel()), name, &input)
    }

    /// Sends an input of at most 256 KiB without waiting for anything: neither an output nor an error comes back, and
    /// the send is lost without a word if the connection ends before the other side has read it.
    /// Those to one action on one connection run one after the other, in the order of their
    /// sending.
    ///
    /// # Errors
    /// If it was not sent: there is no connection, or too much waits to be sent already.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// # #[derive(Action)] #[action(input = String)] struct Note;
    /// # let (sent, received) = std::sync::mpsc::channel();
    /// # let server = Server::in_memory()
    /// #     .on::<Note>(move |text, _| Ok(sent.send(text)?))
    /// #     .spawn()?;
    /// # let client = server.client();
    /// client.send::<Note>("one")?;
    /// client.send::<Note>("two")?;
    /// assert_eq!([received.recv()?, received.recv()?], ["one", "two"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send<A: Action>(&self, input: impl SendAs<A::Input>) -> Result<(), Problem>
    where
        A::Pattern: OneReply,
    {
        self.request::<A>(input).send()
    }

    /// Checks that the other side has every action of a set.
    ///
    /// # Errors
    /// With the names that it lacks; or if it could not be asked.
    pub fn expect<S: Api>(&self, set: S) -> Result<(), ExpectError> {
        let _ = set;
        let names = self.ask::<builtin::Actions>((), self.channel().options.timeout)?;
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
            let left = self.channel().options.timeout.saturating_sub(began.elapsed());
            self.ask::<builtin::Describe>(after, left)
        })?;
        Ok(Description { name: self.channel().name(), actions })
    }

    /// Asks the other side whether it is there, and says how long the way there and back took. It is
    /// answered between the calls, also while every handler is stuck. Often asked, a connection
    /// carries at most a hundred a second: the next one waits for its turn.
    ///
    /// A client that serves no actions reads only while it calls, and answers only then: asking such
    /// a client fails by the deadline. Tools that want to go the way of a call instead call the
    /// action `isock.ping`.
    ///
    /// ```
    /// let server = isock::Server::in_memory().spawn()?;
    /// println!("{:?}", server.client().ping()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If there is no connection, or no answer by the timeout.
    pub fn ping(&self) -> Result<Duration, Problem> {
        self.request::<builtin::Ping>(()).timeout(self.channel().options.timeout).ping()
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

    /// Where the other end is: the first address of several, `memory` without a socket. A caller
    /// over a Unix socket has no address of its own: it goes by the path that it connected to.
    pub fn address(&self) -> &Address {
        match &self.0 {
            Way::Channel(channel) => channel.address(),
            Way::Served(served) => served.address(),
        }
    }

    /// The name of the connection, which its two ends know and nobody else does: chosen by the
    /// server at random. `None` on a client that is not connected.
    pub fn id(&self) -> Option<ConnectionId> {
        match &self.0 {
            Way::Channel(channel) => channel.token().map(ConnectionId::from),
            Way::Served(served) => Some(served.id()),
        }
    }

    /// On a server, its connection to this client; `None` on a client.
    pub fn connection(&self) -> Option<Connection> {
        match &self.0 {
            Way::Channel(_) => None,
            Way::Served(served) => Some(Connection::new(Arc::clone(served))),
        }
    }

    pub(crate) fn connections(&self) -> Connections {
        match &self.0 {
            Way::Channel(_) => Connections::none(),
            Way::Served(served) => served.connections(),
        }
    }

    pub(crate) fn session(&self) -> &Session {
        match &self.0 {
            Way::Channel(channel) => channel.session(),
            Way::Served(served) => served.session(),
        }
    }

    /// The process at the other end, over a Unix socket where the system tells; `None` over TCP
    /// and in memory.
    #[cfg(unix)]
    pub fn credentials(&self) -> Option<Credentials> {
        match &self.0 {
            Way::Channel(_) => None,
            Way::Served(served) => served.credentials(),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("address", &self.address().to_string()).finish()
    }
}
