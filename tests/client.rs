//! Claims about clients.

#[path = "client/connecting.rs"]
mod connecting;
#[path = "client/deadlines.rs"]
mod deadlines;
#[path = "client/futures.rs"]
mod futures;
#[path = "client/reconnecting.rs"]
mod reconnecting;
#[path = "client/several.rs"]
mod several;
#[path = "client/sharing.rs"]
mod sharing;
#[path = "client/states.rs"]
mod states;

use isock::{Client, Server, ServerBuilder, ServerHandle};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

/// Serves at a free port of this machine.
fn spawn(builder: ServerBuilder) -> ServerHandle {
    builder.bind("127.0.0.1:0").and_then(Server::spawn).expect("a server")
}

/// A client that has connected.
fn connect(server: &ServerHandle) -> Client {
    Client::connect(server.address()).expect("a client")
}
