//! How a client is put together.

use super::{
    backoff,
    channel::{Channel, NoLink, Settings, Target},
    Client,
};
use crate::{
    address::{BadAddress, IntoAddresses},
    error::ConnectError,
    limits::Limits,
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Settings of a client, each with a default that is meant to be shipped.
#[derive(Clone, Debug)]
#[must_use = "a builder connects to nothing until `connect` or `connect_lazy`"]
pub struct ClientBuilder {
    settings: Settings,
}

impl ClientBuilder {
    pub(super) fn new() -> ClientBuilder {
        ClientBuilder { settings: Settings::default() }
    }

    /// How long a call may take, all its attempts together; 30 s unless set. A call that has not
    /// ended by then fails with [`ProblemKind::Deadline`](crate::ProblemKind::Deadline).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How often a call is tried in all; 3 unless set, at least 1. A call is tried again only
    /// where it provably did not run, or may be repeated by its kind.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = attempts.max(1);
        self
    }

    /// Bounds of the connection; [`Limits::default`] unless set. What is out of its range is
    /// refused by [`connect`](ClientBuilder::connect).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Connects, as [`Client::connect`].
    ///
    /// # Errors
    /// If no server answers, or what answers is no isock server of this version; or if a limit
    /// is out of its range.
    pub fn connect(self, address: impl IntoAddresses) -> Result<Client, ConnectError> {
        let client = self.connect_lazy(address)?;
        reach(&client.channel)?;
        Ok(client)
    }

    /// Connects with the first call, so that a client can exist before its server does.
    ///
    /// # Errors
    /// If the address cannot be read, or a limit is out of its range.
    pub fn connect_lazy(self, address: impl IntoAddresses) -> Result<Client, ConnectError> {
        self.settings.limits.check()?;
        let addresses = address.into_addresses()?;
        if let Some(memory) = addresses.iter().find(|address| address.is_memory()) {
            let why = "a server in memory has no address; take `server.client()`";
            return Err(BadAddress { text: memory.to_string(), why }.into());
        }
        Ok(Client::with(Target::Addresses(addresses), self.settings))
    }
}

/// The first connection, in as many attempts as a call has.
fn reach(channel: &Channel) -> Result<(), ConnectError> {
    let deadline = Instant::now() + channel.settings.timeout;
    let mut made = 0;
    loop {
        made += 1;
        let error = match channel.link(deadline) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let again = matches!(error, NoLink::Unreachable(_)) && made < channel.settings.attempts;
        if !again || deadline <= Instant::now() {
            return Err(error.into_connect_error(channel.name(), made));
        }
        thread::sleep(backoff::pause(made).min(deadline - Instant::now()));
    }
}
