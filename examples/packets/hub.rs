//! The server: it knows its clients, and sends them packets.

use crate::packet::{Bindings, Broadcast, Packet, PacketError, State};
use isock::{Bytes, CallError, Connection, Connections, ServeError, Server, ServerHandle};
use std::time::{Duration, SystemTime};

/// How long a broadcast waits for the slowest client.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that can be started and stopped.
pub struct Hub {
    address: String,
    bindings: Bindings,
    tell: fn(&str),
    server: Option<ServerHandle>,
}

impl Hub {
    /// A hub that does not listen yet. What happens to its connections is told to `tell`, which
    /// must not block.
    pub fn new(address: impl Into<String>, bindings: Bindings, tell: fn(&str)) -> Hub {
        Hub { address: address.into(), bindings, tell, server: None }
    }

    /// Listens; says whether it did not before.
    pub fn start(&mut self) -> Result<bool, ServeError> {
        if self.server.is_some() {
            return Ok(false);
        }
        let tell = self.tell;
        let server = Server::builder()
            .handler::<Packet>(self.bindings.clone())
            .on_connect(move |it| tell(&format!("+ {} from {}", it.id(), it.address())))
            .on_disconnect(move |it, why| tell(&format!("- {}: {why}", it.id())))
            .bind(&*self.address)?
            .spawn()?;
        self.server = Some(server);
        Ok(true)
    }

    /// Lets calls in flight finish, and ends all connections.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }

    /// The server, while it is started.
    pub fn server(&self) -> Option<&ServerHandle> {
        self.server.as_ref()
    }

    /// Its clients; `None` unless it is started.
    pub fn clients(&self) -> Option<Connections> {
        self.server().map(ServerHandle::connections)
    }

    /// What is bound here.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }
}

/// Sends a packet to all clients, and says how it went with each. Those who are suspended hear it
/// too: it is the operator who speaks.
pub fn broadcast(
    clients: &Connections,
    action: &str,
    data: &[u8],
) -> Vec<(Connection, Result<(), CallError<PacketError>>)> {
    let (action, created) = (action.to_owned(), SystemTime::now());
    let all = Broadcast { action, data: Bytes::from(data), created };
    clients.run_all::<Broadcast>(all, PATIENCE)
}

/// Suspends a client or lets it go on; says whether that changes anything.
pub fn suspend(client: &Connection, suspended: bool) -> bool {
    State::of(client.session()).suspend(suspended) != suspended
}
