//! The connections of a server: each as its handlers and hooks see it, and all of them together.

use super::{
    background::Background,
    channel::{Channel, Options, Target},
    CallResult, Peer, Session,
};
#[cfg(unix)]
use crate::credentials::Credentials;
use crate::{
    action::{Action, OneReply, SendAs},
    address::Address,
    error::Problem,
    limits::Limits,
    net::{self, Far, Origin},
    wire::ConnectionToken,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    str::FromStr,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The name of a connection: random, chosen by the server, known to its two ends and to nobody
/// else. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionId([u8; 16]);

impl From<ConnectionToken> for ConnectionId {
    fn from(token: ConnectionToken) -> ConnectionId {
        ConnectionId(token.0)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no [`ConnectionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no id of a connection; one has 32 hexadecimal digits")]
pub struct BadConnectionId;

impl FromStr for ConnectionId {
    type Err = BadConnectionId;

    fn from_str(text: &str) -> Result<ConnectionId, BadConnectionId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(|number| ConnectionId(number.to_be_bytes())).ok_or(BadConnectionId)
    }
}

/// What is kept for an accepted connection.
pub(crate) struct Served {
    origin: Origin,
    /// When it was accepted, in nanoseconds of Unix time: half as long as a [`SystemTime`].
    since: u64,
    far: Arc<Far>,
    home: Arc<Home>,
    session: Session,
    /// Made with the first call to the client.
    calls: OnceLock<Arc<Channel>>,
}

/// What the connections of one server share.
pub(crate) struct Home {
    limits: Limits,
    background: Arc<Background>,
    open: Mutex<Open>,
    stopping: AtomicBool,
}

/// Those that have shaken hands, in the order in which they were accepted.
type Open = BTreeMap<u64, Arc<Served>>;

impl Home {
    pub(crate) fn new(limits: Limits) -> Arc<Home> {
        let background = Background::new(Weak::new());
        let (open, stopping) = Default::default();
        Arc::new(Home { limits, background, open, stopping })
    }

    /// The server accepts nothing more.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    pub(crate) fn new(origin: Origin, far: Arc<Far>, home: Arc<Home>) -> Arc<Served> {
        let (session, calls) = (Session::default(), OnceLock::new());
        // A clock that is set to before 1970 or after 2554 is wrong in any case.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Arc::new(Served { origin, since, far, home, session, calls })
    }

    /// It has shaken hands: from now on it is among those that the server lists.
    pub(crate) fn enter(self: &Arc<Self>) {
        self.home.lock().insert(self.far.number(), Arc::clone(self));
    }

    /// It has ended.
    pub(crate) fn leave(&self) {
        self.home.lock().remove(&self.far.number());
    }

    pub(super) fn channel(&self) -> &Arc<Channel> {
        self.calls.get_or_init(|| {
            let target = Target::Connection(Arc::clone(&self.far), self.origin.address.clone());
            let options = Options { limits: self.home.limits.clone(), ..Options::default() };
            Channel::over(target, options, Arc::clone(&self.home.background))
        })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn address(&self) -> &Address {
        &self.origin.address
    }

    pub(super) fn far(&self) -> &Arc<Far> {
        &self.far
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.far.token().into()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn connections(&self) -> Connections {
        Connections::new(Arc::clone(&self.home))
    }

    /// Whether the server accepts nothing more.
    pub(super) fn is_stopping(&self) -> bool {
        self.home.stopping.load(Ordering::Acquire)
    }

    #[cfg(unix)]
    pub(super) fn credentials(&self) -> Option<Credentials> {
        self.origin.credentials
    }
}

/// A connection of a server: calls its client, tells about it, ends it. Derefs to [`Peer`].
///
/// Cheap to clone. A handle that outlives its connection is harmless: calls over it fail with
/// [`ProblemKind::NotConnected`](crate::ProblemKind::NotConnected), and did not run.
#[derive(Clone)]
pub struct Connection {
    peer: Peer,
    served: Arc<Served>,
}

impl Connection {
    pub(crate) fn new(served: Arc<Served>) -> Connection {
        Connection { peer: Peer::of_served(Arc::clone(&served)), served }
    }

    /// The name of the connection, which its client knows too.
    pub fn id(&self) -> ConnectionId {
        self.served.id()
    }

    /// When it was accepted, by the clock of this machine.
    pub fn since(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.served.since)
    }

    /// Whether it has not ended yet, as far as is known.
    pub fn is_connected(&self) -> bool {
        !self.served.far.is_gone()
    }

    /// What is kept for it.
    pub fn session(&self) -> &Session {
        self.served.session()
    }

    /// Ends the connection. Its client is told the reason, cut to 64 bytes, and may connect again.
    /// Calls under way on it end.
    pub fn disconnect(&self, reason: &str) {
        self.served.far.disconnect(reason);
    }
}

impl Deref for Connection {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.served.address().to_string();
        let mut debug = f.debug_struct("Connection");
        debug.field("id", &self.id()).field("address", &address);
        debug.field("connected", &self.is_connected()).finish()
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.served, &other.served)
    }
}

impl Eq for Connection {}

/// The connections of a server at any moment: to list, to pick from and to call all of them.
///
/// ```
/// # use isock::{Action, Client, Server};
/// /// Shows a text.
/// #[derive(Action)]
/// #[action(input = String, output = ())]
/// struct Show;
///
/// # let (sent, shown) = std::sync::mpsc::channel();
/// let server = Server::in_memory().spawn()?;
/// let client = server.client_with(|it| it.on::<Show>(move |text, _| Ok(sent.send(text)?)))?;
/// assert_eq!(server.connections().len(), 1);
/// let there = server.connections().latest().ok_or("nobody")?;
/// assert_eq!(Some(there.id()), client.id());
/// there.run::<Show>("to you")?;
/// for (_, result) in server.connections().send_all::<Show>("to all") {
///     result?;
/// }
/// assert_eq!([shown.recv()?, shown.recv()?], ["to you", "to all"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Connections(Option<Arc<Home>>);

impl Connections {
    pub(crate) fn new(home: Arc<Home>) -> Connections {
        Connections(Some(home))
    }

    /// Those of a program that accepts none.
    pub(crate) fn none() -> Connections {
        Connections(None)
    }

    fn look<T: Default>(&self, look: impl FnOnce(&Open) -> T) -> T {
        self.0.as_ref().map_or_else(T::default, |home| look(&home.lock()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.look(|open| open.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> Vec<Connection> {
        self.look(|open| open.values().cloned().map(Connection::new).collect())
    }

    /// The one with this id.
    pub fn get(&self, id: ConnectionId) -> Option<Connection> {
        self.look(|open| open.values().find(|served| served.id() == id).cloned())
            .map(Connection::new)
    }

    /// The one that was accepted last.
    pub fn latest(&self) -> Option<Connection> {
        self.look(|open| open.values().next_back().cloned()).map(Connection::new)
    }

    /// One of them by chance.
    pub fn random(&self) -> Option<Connection> {
        let id = net::random_id().ok()?;
        let number = u128::from_le_bytes(id.0) as usize;
        self.look(|open| open.values().nth(number.checked_rem(open.len())?).cloned())
            .map(Connection::new)
    }

    /// Sends an input to all of them, as [`Peer::send`] does to one. It is encoded once.
    pub fn send_all<A: Action>(
        &self,
        input: impl SendAs<A::Input>,
    ) -> Vec<(Connection, Result<(), Problem>)>
    where
        A::Pattern: OneReply,
    {
        let all = self.all();
        let Some(first) = all.first() else { return Vec::new() };
        let request = first.request::<A>(input);
        all.into_iter()
            .map(|connection| {
                let result = request.over(connection.channel()).send();
                (connection, result)
            })
            .collect()
    }

    /// Calls an action of all of them at once and waits for every end. The input is encoded once.
    pub fn run_all<A: Action>(
        &self,
        input: impl SendAs<A::Input>,
        timeout: Duration,
    ) -> Vec<(Connection, CallResult<A>)>
    where
        A::Pattern: OneReply,
    {
        let all = self.all();
        let Some(first) = all.first() else { return Vec::new() };
        let request = first.request::<A>(input).timeout(timeout);
        let start = |connection: Connection| {
            let call = request.over(connection.channel()).start();
            (connection, call)
        };
        let calls: Vec<_> = all.into_iter().map(start).collect();
        calls.into_iter().map(|(connection, call)| (connection, call.wait())).collect()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
