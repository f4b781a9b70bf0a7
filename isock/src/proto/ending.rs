//! How a connection ends: by a word of this side, by one of the other, or without any.

use super::{
    connection::{Connection, Phase, Role},
    inbound::Inbound,
    streams::Streams,
    Closed, Event, Lost,
};
use crate::wire::{Close, CloseCode, Flags, FrameKind, Header, InstanceId, Welcome};

impl Connection {
    /// Ends the connection, and tells the other side why as far as it still reads.
    pub fn close(&mut self, code: CloseCode) {
        let mut close = Close::new(code);
        if code == CloseCode::VERSION {
            let (min, max) = self.config.versions;
            close.text = format!("this side speaks the versions {min} to {max}");
        }
        self.close_saying(close);
    }

    /// The same in other words.
    pub fn close_saying(&mut self, close: Close) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.role == Role::Server && self.phase == Phase::Handshake {
            self.refuse_handshake();
        }
        let header = Header::new(FrameKind::CLOSE, Flags::default(), 1, close.text.len());
        self.output.seal(header, |out| close.write_words(out), close.text.as_bytes());
        self.leave(Closed::ByUs(close));
    }

    /// A welcome in version 0, which says that a close follows and which versions would do.
    fn refuse_handshake(&mut self) {
        let strange = self.welcome(0);
        let welcome = Welcome { instance: InstanceId::default(), connection: None, ..strange };
        self.output.copy(|out| welcome.write(out));
    }

    /// The other side will send nothing more, and nothing is left to say to it: what waits to be
    /// written is dropped. A driver that lets a half-closed peer have its answers calls this once
    /// [`serving`](Connection::serving) and [`output_len`](Connection::output_len) are 0.
    pub fn handle_eof(&mut self) {
        let closed = match self.phase {
            Phase::Refused { min, max } => self.unexplained(min, max),
            _ => Closed::Eof,
        };
        self.end(closed);
    }

    /// Ends without a word to the other side.
    pub(super) fn end(&mut self, closed: Closed) {
        if self.phase != Phase::Closed {
            self.output.discard();
            self.leave(closed);
        }
    }

    fn leave(&mut self, closed: Closed) {
        self.phase = Phase::Closed;
        self.inbound = Inbound::default();
        self.streams = Streams::default();
        self.events.push_back(Event::Closed(closed));
    }

    /// Whether nothing can be started any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Refused { .. })
    }

    /// The calls that ended with the connection, and whether their handlers can have run. Empty
    /// before the end. What still waits to be written then counts as sent, unless it has been
    /// [discarded](Connection::discard_output): a driver may deliver it yet.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        if self.phase != Phase::Closed {
            return Vec::new();
        }
        self.note_ends();
        let left = self.will_have_left();
        self.calls.take_all(left)
    }

    /// Drops the output, now and from here on: nobody will take it. What the other side has said
    /// can still be read.
    pub fn discard_output(&mut self) {
        self.note_ends();
        self.output.discard();
        self.unread.take();
    }

    /// Learns where those messages end whose last fragment has found its place.
    pub(super) fn note_ends(&mut self) {
        for (id, end) in self.output.take_ended() {
            if id.initiator {
                self.calls.ends_at(id, end);
            }
        }
    }
}
