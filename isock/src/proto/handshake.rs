//! The two prefaces: agreeing on a version and on limits, or saying why not.

use super::{
    connection::{Connection, Phase, Role},
    receive::{Pending, Step},
    Buffer, Closed, Event, FRAGMENT,
};
use crate::wire::{BadPreface, CloseCode, Hello, Welcome};

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
        let welcome = self.welcome(version);
        self.output.copy(|out| welcome.write(out));
        self.open(hello.max_message, hello.max_fragment, hello.slots)
    }

    fn answered(&mut self, input: &mut Buffer) -> Step {
        let (welcome, len) = match Welcome::parse(input.waiting()) {
            Ok(None) => return Step::Starved,
            Ok(Some(parsed)) => parsed,
            Err(BadPreface::Magic(kind)) => return self.ended(Closed::NotIsock(kind)),
            Err(BadPreface::Fields) => {
                return self.ended(Closed::NotIsock(crate::wire::PeerKind::Other));
            }
        };
        input.take(len);
        let (min, max) = self.config.versions;
        if welcome.version == 0 {
            self.phase = Phase::Refused { min: welcome.min_version, max: welcome.max_version };
            return Step::On;
        }
        if !(min..=max).contains(&welcome.version) {
            let (min, max) = (welcome.min_version, welcome.max_version);
            return self.ended(Closed::Versions { min, max });
        }
        self.open(welcome.max_message, welcome.max_fragment, welcome.slots).unwrap_or_else(|code| {
            self.close(code);
            Step::On
        })
    }

    pub(super) fn ended(&mut self, closed: Closed) -> Step {
        self.end(closed);
        Step::On
    }

    /// Both prefaces are here: the other side's limits hold.
    fn open(&mut self, message: u32, fragment: u32, slots: u16) -> Result<Step, CloseCode> {
        let fragment = (fragment as usize).min(FRAGMENT);
        if fragment < crate::wire::INITIAL_MESSAGE {
            return Err(CloseCode::BAD_FRAME);
        }
        self.peer.fragment = fragment;
        self.peer.message = (message as usize).max(crate::wire::INITIAL_MESSAGE);
        self.phase = Phase::Open;
        self.calls.grant(slots);
        self.send_queued();
        Ok(Step::Event(Pending::Done(Event::Ready)))
    }
}
