//! Claims about servers.

#[path = "server/addresses.rs"]
mod addresses;
#[path = "server/deferring.rs"]
mod deferring;
#[path = "server/handlers.rs"]
mod handlers;
#[path = "server/overload.rs"]
mod overload;
#[path = "server/registration.rs"]
mod registration;
#[path = "server/resources.rs"]
mod resources;
#[path = "server/stopping.rs"]
mod stopping;

use isock::{Client, Server, ServerBuilder, ServerHandle};

/// Serves at a free port of this machine.
fn spawn(builder: ServerBuilder) -> ServerHandle {
    builder.bind("127.0.0.1:0").and_then(Server::spawn).expect("a server")
}

/// A client that has connected.
fn connect(server: &ServerHandle) -> Client {
    Client::connect(server.address()).expect("a client")
}
