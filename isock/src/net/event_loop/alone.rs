//! How a loop that polls looks at a connection that everything comes on.
//!
//! To look through the system's poll takes two of its calls for each message, and the other side
//! tells that poll of it: together a tenth of the time of a short call. So after some turns in which
//! nothing else had anything, the poll is told to forget that connection and the loop looks at its
//! socket alone, and at all others every [`GLANCE`]. As soon as one of those has something, or it is
//! time to sleep, the poll hears of the connection again.

use super::{ConnId, EventLoop, Service};
use crate::wire::CloseCode;
use mio::{event::Event, Token};
use std::{
    io,
    time::{Duration, Instant},
};

/// Turns in a row in which one connection alone had something, before it is looked at alone.
const TURNS: u32 = 16;
/// How long the others may wait to be looked at meanwhile, but for a turn of that connection and what it
/// calls.
const GLANCE: Duration = Duration::from_micros(50);

/// Who had something in the last turns.
#[derive(Debug, Default)]
pub(super) struct Alone {
    last: Option<ConnId>,
    turns: u32,
    /// The poll does not know of it.
    is_apart: bool,
    /// Something had come when it was looked at alone.
    came: bool,
}

impl Alone {
    /// Whether there is a connection that the poll does not know of.
    pub(super) fn is_apart(&self) -> bool {
        self.is_apart
    }

    /// That connection.
    pub(super) fn apart(&self) -> Option<ConnId> {
        self.last.filter(|_| self.is_apart)
    }

    /// One connection alone had something in this turn, or others had; says whether to look at it
    /// alone.
    fn note(&mut self, only: Option<ConnId>) -> bool {
        self.turns = if only.is_some() && only == self.last { self.turns + 1 } else { 0 };
        self.last = only;
        self.turns >= TURNS
    }
}

impl<S: Service> EventLoop<S> {
    /// Looks at the connection that is looked at alone, if there is one; says whether something came.
    /// If nothing did, the others are to be looked at.
    pub(super) fn look_alone(&mut self) -> bool {
        let Some(id) = self.alone.apart() else { return false };
        if !self.may_stay_apart(id) {
            self.put_back();
            return false;
        }
        // What all others wait for counts from the last look at them.
        if self.heard.saturating_duration_since(self.looked) >= GLANCE {
            return false;
        }
        let before = self.heard;
        // What is due by the clock can wait for as long as the others.
        self.read(id, Some(self.looked + GLANCE));
        self.alone.came = self.heard != before;
        if self.alone.came {
            self.active = self.heard;
        }
        self.alone.came
    }

    /// Whether the poll need not know of a connection any longer.
    fn may_stay_apart(&self, id: ConnId) -> bool {
        let idle = self.ready.is_empty() && self.jobs.is_empty();
        // Whom something came from just now is looked at once more whatever the time is.
        let polls = || self.alone.came || self.polling.until(self.active).is_some();
        let conn = self.connections.get(id.index).filter(|conn| conn.id == id);
        idle && conn.is_some_and(|conn| conn.waits_for_input_alone(&self.service)) && polls()
    }

    /// Takes note of who had something in this turn.
    pub(super) fn note_turn(&mut self, events: &mio::Events) {
        // What can only be written to has brought nothing.
        if events.iter().any(Event::is_readable) {
            self.active = self.looked;
        }
        self.put_back();
        if self.polling.is_off(self.looked) {
            return;
        }
        let mut events = events.iter();
        let only = match (events.next(), events.next()) {
            (Some(event), None) if event.is_readable() => self.connections.get(event.token().0),
            _ => None,
        };
        let only = only.map(|conn| conn.id);
        if self.alone.note(only) {
            self.set_apart();
        }
    }

    /// Has the poll forget the connection that everything comes on.
    fn set_apart(&mut self) {
        let Some(id) = self.alone.last else { return };
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        conn.stream.deregister(self.poll.registry());
        self.alone.is_apart = true;
    }

    /// Has the poll know of all connections again. It says at once what is the matter with one that it
    /// did not know of.
    pub(super) fn put_back(&mut self) {
        let Some(id) = self.alone.apart() else { return };
        self.alone = Alone::default();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else { return };
        if let Err(error) = conn.stream.register(self.poll.registry(), Token(id.index)) {
            self.shut_out(id, &error);
        }
    }

    /// Ends a connection that the poll does not take back: nobody would ever hear of it again. It is
    /// told so, as far as its socket takes that at once, and whoever waits for it learns why.
    fn shut_out(&mut self, id: ConnId, error: &io::Error) {
        self.service.log(&format!("a connection ends, the system cannot watch it: {error}"));
        self.close(id, CloseCode::OVERLOADED);
        self.flush(Instant::now(), id);
        self.drop_connection(id);
    }
}
