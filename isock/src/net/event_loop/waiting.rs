//! How a loop waits for its sockets, and takes note of those that have something.
//!
//! Knows how long it may sleep or look. Does not read: who has something is put on a list, and whoever
//! connects is let in.

use super::{EventLoop, Service, LISTENERS, WAKE};
use crate::net::lately::lately;
use mio::Token;
use std::{
    io, thread,
    time::{Duration, Instant},
};

/// Where a turn of the loop makes no difference.
const LONG: Duration = Duration::from_secs(1);

impl<S: Service> EventLoop<S> {
    pub(super) fn wait(&mut self, events: &mut mio::Events) {
        // A loop that was taken over may have answers that nobody has written.
        let idle = self.ready.is_empty() && self.jobs.is_empty() && self.touched.is_empty();
        match self.poll_or_sleep(events, idle) {
            Ok(()) => {
                self.looked = Instant::now();
                self.heard = self.looked;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.heard = Instant::now();
                events.clear();
            }
            Err(error) => {
                // Nothing can be served without poll; a tight loop of errors helps nobody.
                events.clear();
                self.service.log(&format!("waiting for events failed: {error}"));
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    pub(super) fn poll_or_sleep(&mut self, events: &mut mio::Events, idle: bool) -> io::Result<()> {
        if !idle || self.alone.is_apart() {
            return self.poll.poll(events, Some(Duration::ZERO));
        }
        if let Some(until) = self.polling.until(self.active) {
            let until = self.next_due().map_or(until, |due| due.min(until));
            let EventLoop { poll, polling, .. } = self;
            let look = || match poll.poll(events, Some(Duration::ZERO)) {
                Ok(()) if events.is_empty() => None,
                result => Some(result),
            };
            if let Some(result) = polling.look(until, look) {
                return result;
            }
            self.has_been_busy();
        }
        let due = self.next_due();
        self.poll.poll(events, due.map(|due| self.time_until(due)))
    }

    /// How long it is until then: without a look at the clock, and a little more, if it is long.
    fn time_until(&self, due: Instant) -> Duration {
        let left = due.saturating_duration_since(self.now());
        match left > LONG {
            true => left,
            false => due.saturating_duration_since(Instant::now()),
        }
    }

    /// The time, at most a tick ago: who is read after the process was stopped is not late by that.
    pub(super) fn now(&self) -> Instant {
        self.heard.max(lately())
    }

    /// What was done since it last looked is no part of the calls that it reads next.
    pub(super) fn has_been_busy(&mut self) {
        self.heard = Instant::now();
    }

    pub(super) fn note(&mut self, token: Token, event: &mio::event::Event) {
        match token {
            WAKE => self.called = true,
            Token(index) if LISTENERS - index < self.listeners.len() => {
                self.accept(LISTENERS - index);
                self.has_been_busy();
            }
            Token(index) => {
                let Some(conn) = self.connections.get_mut(index) else { return };
                conn.readable |= event.is_readable() || event.is_read_closed();
                conn.read_closed |= event.is_read_closed();
                conn.writable |= event.is_writable() || event.is_write_closed();
                conn.queue(&mut self.ready);
                conn.touch(&mut self.touched);
            }
        }
    }
}
