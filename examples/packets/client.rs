//! The client: sends packets, and runs those that the server sends.

use crate::packet::{Bindings, Broadcast, Packet};
use isock::{Client, ConnectError};

/// Connects with these actions bound; `gone` hears of every end of the connection, and why.
pub fn connect(
    address: &str,
    bindings: Bindings,
    gone: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Client, ConnectError> {
    Client::builder()
        .handler::<Packet>(bindings.clone())
        .handler::<Broadcast>(bindings)
        .on_disconnect(move |_, why| gone(why))
        .connect(address)
}
