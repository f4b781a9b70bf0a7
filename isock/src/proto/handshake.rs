//! The two prefaces: agreeing on a version and on limits, or saying why not.

use super::{
    connection::{Connection, PeerLimits, Phase, Role},
    receive::{Pending, Step},
    Buffer, Closed, Event,
};
use crate::{
    seldom::Seldom,
    wire::{
        BadPreface, Close, CloseCode, Features, FrameKind, Hello, PeerKind, Welcome,
        INITIAL_MESSAGE, INITIAL_SLOTS,
    },
};
use std::time::Instant;

impl Connection {
    pub(super) fn preface(&mut self, input: &mut Buffer) -> Result<Step, CloseCode> {
        match self.role {
            Role::Server => self.hello(input),
            Role::Client => Ok(self.answered(input)),
        }
    }

    fn hello(&mut self, input: &mut Buffer) -> Result<Step, CloseCode> {
        let parsed = Hello::parse(input.waiting()).map_err(|_| CloseCode::BAD_PREFACE)?;
        let Some((hello, len)) = parsed else { return Ok(Step::Starved) };
        input.take(len);
        let version = hello.max_version.min(self.config.versions.1);
        if version < hello.min_version.max(self.config.versions.0) {
            return Err(CloseCode::VERSION);
        }
        if !suffices(hello.max_message, hello.max_fragment) {
            return Err(CloseCode::BAD_PREFACE);
        }
        let welcome = self.welcome(version);
        self.output.copy(|out| welcome.write(out));
        self.token.take();
        Ok(self.open(hello.max_message, hello.max_fragment, hello.slots))
    }

    fn answered(&mut self, input: &mut Buffer) -> Step {
        let (welcome, len) = match Welcome::parse(input.waiting()) {
            Ok(None) => return Step::Starved,
            Ok(Some(parsed)) => parsed,
            Err(bad) => return self.not_isock(bad),
        };
        input.take(len);
        let (min, max) = (welcome.min_version, welcome.max_version);
        if welcome.version == 0 {
            self.turned_away = true;
            self.phase = Phase::Refused { min, max };
            return Step::On;
        }
        if !(self.config.versions.0..=self.config.versions.1).contains(&welcome.version) {
            return self.ended(Closed::Versions { min, max });
        }
        if !suffices(welcome.max_message, welcome.max_fragment) || welcome.slots < INITIAL_SLOTS {
            self.close(CloseCode::BAD_FRAME);
            return Step::On;
        }
        self.token = welcome.connection.map(Seldom::with).unwrap_or_default();
        self.open(welcome.max_message, welcome.max_fragment, welcome.slots)
    }

    pub(super) fn welcome(&self, version: u8) -> Welcome {
        Welcome {
            version,
            min_version: self.config.versions.0,
            max_version: self.config.versions.1,
            features: Features::default(),
            max_message: self.config.limits.message as u32,
            max_fragment: self.config.fragment() as u32,
            slots: self.config.limits.in_flight,
            instance: self.config.instance,
            connection: self.token.get().copied(),
        }
    }

    fn not_isock(&mut self, bad: BadPreface) -> Step {
        let kind = match bad {
            BadPreface::Magic(kind) => kind,
            BadPreface::Fields => PeerKind::Other,
        };
        self.turned_away = true;
        self.ended(Closed::NotIsock(kind))
    }

    /// What follows a welcome in version 0: a close that says why.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        input: &mut Buffer,
        (min, max): (u8, u8),
    ) -> Step {
        let frame = match self.next_frame(now, input) {
            Ok(None) => return Step::Starved,
            Ok(Some(frame)) => frame,
            Err(_) => return self.ended(self.unexplained(min, max)),
        };
        let (words, payload) = (input.taken(frame.words), input.taken(frame.payload));
        let closed = match Close::parse(words, payload) {
            _ if frame.header.kind != FrameKind::CLOSE => self.unexplained(min, max),
            Some(close) if close.code != CloseCode::VERSION => Closed::ByPeer(close),
            _ => Closed::Versions { min, max },
        };
        self.ended(closed)
    }

    /// The end of a refused handshake whose close did not come, as when a reset overtook it: the
    /// versions are the reason only if they have nothing in common.
    pub(super) fn unexplained(&self, min: u8, max: u8) -> Closed {
        let ours = self.config.versions;
        if ours.1 < min || max < ours.0 {
            Closed::Versions { min, max }
        } else {
            Closed::Eof
        }
    }

    pub(super) fn ended(&mut self, closed: Closed) -> Step {
        self.end(closed);
        Step::On
    }

    /// Both prefaces are here: the other side's limits hold.
    fn open(&mut self, message: u32, fragment: u32, slots: u16) -> Step {
        self.peer = PeerLimits::new(message, fragment);
        self.phase = Phase::Open;
        self.calls.grant(slots);
        self.catch_up();
        Step::Event(Pending::Done(Event::Ready))
    }
}

/// Whether these limits allow at least what may be sent before they are known.
fn suffices(message: u32, fragment: u32) -> bool {
    message as usize >= INITIAL_MESSAGE && fragment as usize >= INITIAL_MESSAGE
}
