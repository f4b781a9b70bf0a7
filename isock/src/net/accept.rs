//! Listening sockets in an event loop, and what to do when the system has no descriptors left.

use super::{
    listen::Listener,
    origin::{Origin, Source},
    stream::LoopStream,
};
use mio::{Registry, Token};
use std::{
    io,
    time::{Duration, Instant},
};

/// The first pause after the system ran out of something, and the longest.
const FIRST: Duration = Duration::from_millis(10);
const MOST: Duration = Duration::from_secs(1);

/// A listener that is registered with a loop.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) listener: Listener,
    /// When to try again, and how long the pause was.
    retry: Option<(Instant, Duration)>,
}

/// What one try to accept gave.
#[derive(Debug)]
pub(super) enum Accepted {
    Connection(LoopStream, Origin, Source),
    /// Nobody waits.
    Nothing,
    /// The system has no room; the first time it says so.
    NoRoom(io::Error),
    /// The system still has no room.
    StillNoRoom,
}

impl Accepting {
    pub(super) fn new(
        mut listener: Listener,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Accepting> {
        listener.register(registry, token)?;
        Ok(Accepting { listener, retry: None })
    }

    /// The next connection.
    pub(super) fn accept(&mut self) -> Accepted {
        loop {
            match self.listener.accept() {
                Ok((stream, origin, source)) => {
                    self.retry = None;
                    return Accepted::Connection(stream, origin, source);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.retry = None;
                    return Accepted::Nothing;
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => return self.no_room(error),
            }
        }
    }

    /// Edge-triggered polling never speaks of the backlog again after a failure, so a timer does.
    fn no_room(&mut self, error: io::Error) -> Accepted {
        let pause = self.retry.map_or(FIRST, |(_, pause)| (pause * 2).clamp(FIRST, MOST));
        let first = self.retry.is_none_or(|(_, pause)| pause.is_zero());
        self.retry = Some((Instant::now() + pause, pause));
        if first {
            Accepted::NoRoom(error)
        } else {
            Accepted::StillNoRoom
        }
    }

    /// There may be more to accept, of which polling has spoken already.
    pub(super) fn go_on_soon(&mut self) {
        self.retry = Some((Instant::now(), Duration::ZERO));
    }

    /// A descriptor has come free: somebody who waits for one need not wait any longer.
    pub(super) fn room(&mut self) {
        if let Some((at, _)) = &mut self.retry {
            *at = Instant::now();
        }
    }

    /// When to try again, if the system had no room.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry.map(|(at, _)| at)
    }

    /// Lets nobody else connect, as far as that can be had.
    pub(super) fn hide(&mut self) {
        self.listener.hide();
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        self.listener.deregister(registry);
    }
}

/// Whether accepting failed because of the one connection, not because of this process.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
