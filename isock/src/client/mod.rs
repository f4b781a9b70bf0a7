//! The calling side: a connection that is shared by all clones and made again when it ends, and
//! what it serves to its server in return.

mod builder;
mod hooks;
mod host;

pub use builder::ClientBuilder;

use crate::{
    action::{Action, Context, Registration},
    address::IntoAddresses,
    error::{ConnectError, RegisterError},
    net::Host,
    peer::{Channel, Options, Peer, Target},
};
use host::Handlers;
use std::{fmt, ops::Deref, sync::Arc, time::Instant};

/// Calls the actions of a server. Derefs to [`Peer`], which has the calls:
/// [`run`](Peer::run), [`start`](Peer::start), [`request`](Peer::request).
///
/// Cheap to clone, usable from any number of threads at once: all clones share one connection, or
/// one to each of several servers, which is made again when it has ended. Every call ends by its deadline, 30 s unless set, and
/// says whether its handler ran.
///
/// `run` and `wait` block the thread: inside async code use `start(…).await`. A child of `fork` needs
/// a client of its own; its parent's is an error there.
#[derive(Clone)]
pub struct Client {
    peer: Peer,
    handlers: Arc<Handlers>,
}

impl Client {
    /// Connects to a server: `"host:port"`, `"unix:path"`, or several addresses, among which
    /// [calls are shared](ClientBuilder::balance). Tries three times before it gives up, and once where
    /// somebody accepts the connection and says nothing for 3 s.
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

    /// Connects if that is possible now, so that calls which are started next leave at once.
    pub(crate) fn connect_now(&self) {
        let deadline = Instant::now() + self.channel().options.limits.handshake;
        // Why it is not possible is told by the first call.
        let _ = self.channel().reach(deadline);
    }

    /// A client with every setting as it comes.
    pub(crate) fn new(target: Target) -> Client {
        let parts = ClientBuilder::new().parts();
        Client::with(target, parts.0, parts.1)
    }

    fn with(target: Target, options: Options, handlers: Handlers) -> Client {
        let handlers = Arc::new(handlers);
        let host = Arc::clone(&handlers) as Arc<dyn Host>;
        let channel = Channel::new(target, options, host);
        handlers.belong_to(&channel);
        if handlers.want_a_connection() {
            channel.attend();
        }
        Client { peer: Peer::of_channel(channel), handlers }
    }

    /// Serves an action to the server from now on. A client that serves any keeps its connection,
    /// and makes it again when it has ended.
    ///
    /// # Errors
    /// If its name is taken, or a type of it cannot travel.
    pub fn add(&self, registration: Registration) -> Result<(), RegisterError> {
        self.handlers.router().add(registration)?;
        self.channel().attend();
        Ok(())
    }

    /// The same with a closure or a function.
    ///
    /// # Errors
    /// As [`add`](Client::add).
    pub fn on<A: Action>(
        &self,
        handler: impl Fn(A::Input, &Context<A>) -> Result<A::Output, A::Error> + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.add(A::with(handler))
    }

    /// Ends the connection. Calls under way end with it, and later ones are refused, on every
    /// clone.
    pub fn close(&self) {
        self.channel().close();
    }
}

impl Deref for Client {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.channel().name()).finish()
    }
}
