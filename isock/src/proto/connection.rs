//! The connection: commands, time and output. What arrives is handled in `receive`.

use super::{
    calls::{Abandoned, Calls},
    clock::{Bucket, Unfinished},
    inbound::Inbound,
    output::{MessageId, Output},
    served::Served,
    Answer, CallKey, Closed, Event, Lost, NewCall, ServedKey, FRAGMENT,
};
use crate::{
    limits::Limits,
    wire::{
        Close, CloseCode, Features, Flags, FrameKind, Header, Hello, InstanceId, Ran, Refusal,
        RefusalCode, Total, Welcome, INITIAL_MESSAGE, INITIAL_SLOTS, MAX_METADATA, VERSION,
    },
};
use std::{collections::VecDeque, io::IoSlice, time::Instant};

/// What a connection is told at its beginning.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its bounds.
    pub limits: Limits,
    /// Names this client object or server process.
    pub instance: InstanceId,
    /// The lowest and highest version spoken; tests alone use others than [`VERSION`].
    pub versions: (u8, u8),
}

impl Config {
    /// The versions of this build, with these bounds.
    pub fn new(limits: Limits, instance: InstanceId) -> Config {
        Config { limits: limits.in_range(), instance, versions: (VERSION, VERSION) }
    }

    /// The longest payload of one frame that is accepted.
    pub(super) fn fragment(&self) -> usize {
        FRAGMENT.min(self.limits.message)
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) output: Output,
    pub(super) calls: Calls,
    pub(super) served: Served,
    pub(super) inbound: Inbound,
    /// Sends that wait for the other side's preface.
    early: VecDeque<NewCall>,
    /// Events that no received byte stands behind.
    pub(super) events: VecDeque<Event<'static>>,
    /// What the other side accepts.
    pub(super) peer: PeerLimits,
    /// Call frames read, of which a drain tells.
    pub(super) calls_read: u64,
    /// This side accepts no further calls.
    pub(super) draining: bool,
    /// The other side accepts no further calls.
    pub(super) drained: bool,
    /// The other side refused the handshake: it has run nothing.
    pub(super) turned_away: bool,
    pub(super) pings: Bucket,
    /// The frame at the front of the input.
    pub(super) unfinished: Option<Unfinished>,
    /// Since when this side does not read, because the other one does not.
    pub(super) paused: Option<Instant>,
    pub(super) handshake_deadline: Instant,
    pub(super) stall_deadline: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The other side's preface has not come.
    Handshake,
    /// The server speaks none of our versions; its close follows.
    Refused {
        min: u8,
        max: u8,
    },
    Open,
    Closed,
}

/// What the other side accepts; before its preface, what every peer accepts.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerLimits {
    pub(super) message: usize,
    pub(super) fragment: usize,
}

/// A call that was not even queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// The other side accepts messages of at most this many bytes.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The other side accepts no further calls.
    Draining,
    /// The connection has ended.
    Closed,
}

impl Connection {
    /// The calling end of a new connection; its preface is in the output at once.
    pub fn client(config: Config, now: Instant) -> Connection {
        let mut connection = Connection::new(Role::Client, config, now, INITIAL_SLOTS);
        let hello = Hello {
            min_version: connection.config.versions.0,
            max_version: connection.config.versions.1,
            features: Features::default(),
            max_message: connection.config.limits.message as u32,
            max_fragment: connection.config.fragment() as u32,
            slots: connection.config.limits.in_flight,
            instance: connection.config.instance,
        };
        connection.output.copy(|out| hello.write(out));
        connection
    }

    /// The accepting end of a new connection.
    pub fn server(config: Config, now: Instant) -> Connection {
        Connection::new(Role::Server, config, now, 0)
    }

    fn new(role: Role, config: Config, now: Instant, grant: u16) -> Connection {
        let slots = config.limits.in_flight;
        Connection {
            role,
            phase: Phase::Handshake,
            output: Output::default(),
            calls: Calls::new(grant),
            served: Served::new(slots),
            inbound: Inbound::default(),
            early: VecDeque::new(),
            events: VecDeque::new(),
            peer: PeerLimits { message: INITIAL_MESSAGE, fragment: FRAGMENT },
            calls_read: 0,
            draining: false,
            drained: false,
            turned_away: false,
            pings: Bucket::new(now),
            unfinished: None,
            paused: None,
            handshake_deadline: now + config.limits.handshake,
            stall_deadline: None,
            config,
        }
    }

    /// Starts a call: sends it, or queues it behind the other side's grant.
    ///
    /// # Errors
    /// If the call can never be sent; nothing has been written then.
    pub fn call(&mut self, call: NewCall) -> Result<CallKey, NotStarted> {
        if self.is_over() {
            return Err(NotStarted::Closed);
        }
        if self.drained {
            return Err(NotStarted::Draining);
        }
        if self.phase == Phase::Open && call.body.len() > self.peer.message {
            return Err(NotStarted::TooLarge { limit: self.peer.message });
        }
        if call.head.metadata as usize > MAX_METADATA {
            return Err(NotStarted::TooLarge { limit: MAX_METADATA });
        }
        let key = self.calls.push(call);
        self.send_queued();
        Ok(key)
    }

    /// Sends what waits for a slot or for the other side's preface.
    pub(super) fn send_queued(&mut self) {
        loop {
            let limit = self.peer.message;
            match self.calls.front() {
                Some(call) if call.body.len() <= limit => self.send_front(),
                Some(_) if self.phase == Phase::Open => self.refuse_front(limit),
                _ => return,
            }
        }
    }

    fn send_front(&mut self) {
        let Some((id, call)) = self.calls.send_front() else { return };
        let (head, body) = (call.head, call.body);
        let whole = body.len();
        let end = self.output.message(id, body, self.peer.fragment, |out, len, flags| {
            let total = flags.has(Flags::MORE).then_some(Total(whole as u32));
            let header = Header::new(FrameKind::CALL, flags, head.words(total), len);
            header.of_call(id.slot, id.seq).write(out);
            head.write(total, out);
        });
        if let Some(end) = end {
            self.calls.ends_at(id, end);
        }
    }

    fn refuse_front(&mut self, limit: usize) {
        let text = format!("the other side accepts messages of at most {limit} bytes");
        let refusal = Refusal::new(RefusalCode::INPUT_TOO_LARGE, Ran::No, text);
        if let Some(call) = self.calls.drop_front() {
            let outcome = super::Outcome::Refused(refusal);
            self.events.push_back(Event::Reply { call, outcome });
        }
    }

    /// Sends an input that wants no answer, in order with the other sends. It is given no slot,
    /// and is lost without a word if the connection ends first, or if it had to wait for the
    /// other side's preface and turns out to be too long for it.
    ///
    /// # Errors
    /// If it can never be sent, as when it is longer than a fragment.
    pub fn send(&mut self, call: &NewCall) -> Result<(), NotStarted> {
        let limit = match self.phase {
            Phase::Open => self.peer.message.min(self.peer.fragment),
            _ => FRAGMENT,
        };
        match () {
            () if self.is_over() => Err(NotStarted::Closed),
            () if self.drained => Err(NotStarted::Draining),
            () if call.body.len() > limit => Err(NotStarted::TooLarge { limit }),
            () if call.head.metadata as usize > MAX_METADATA => {
                Err(NotStarted::TooLarge { limit: MAX_METADATA })
            }
            () if self.must_wait(call) => {
                self.early.push_back(call.clone());
                Ok(())
            }
            () => {
                self.write_send(call);
                Ok(())
            }
        }
    }

    /// Whether a send has to wait for the other side's preface: a server speaks after its own, a
    /// long one needs the limits, and what comes after it keeps its place.
    fn must_wait(&self, call: &NewCall) -> bool {
        let early = self.role == Role::Server || !self.early.is_empty();
        self.phase == Phase::Handshake && (early || call.body.len() > self.peer.message)
    }

    fn write_send(&mut self, call: &NewCall) {
        let flags = Flags::INITIATOR.with(Flags::ONEWAY);
        let words = call.head.words(None);
        let header = Header::new(FrameKind::CALL, flags, words, call.body.len());
        self.calls.count();
        self.output.frame(header, |out| call.head.write(None, out), &call.body);
    }

    /// Does what had to wait for the other side's preface.
    pub(super) fn catch_up(&mut self) {
        let limit = self.peer.message.min(self.peer.fragment);
        for call in std::mem::take(&mut self.early) {
            if call.body.len() <= limit {
                self.write_send(&call);
            }
        }
        self.send_queued();
        if self.draining {
            self.write_drain();
        }
    }

    /// Gives a call up. If the other side may have it, it is told so, and the slot stays taken
    /// until its final frame; no event follows either way. Says whether the handler can have run
    /// or still may.
    pub fn cancel(&mut self, key: CallKey) -> Ran {
        match self.calls.abandon(key) {
            Abandoned::Unsent => Ran::No,
            Abandoned::Unknown => Ran::Unknown,
            Abandoned::Sent(_) if self.phase == Phase::Closed => {
                let left = if self.turned_away { 0 } else { self.output.placed() };
                self.calls.ran(key, left)
            }
            Abandoned::Sent(id) => {
                let truncated = self.output.truncate(id);
                if truncated {
                    self.calls.truncate(id);
                }
                self.inbound.ignore(MessageId { initiator: false, ..id });
                let header = Header::new(FrameKind::CANCEL, id.flags(), 0, 0);
                self.output.frame(header.of_call(id.slot, id.seq), |_| (), &[]);
                if truncated {
                    Ran::No
                } else {
                    Ran::Unknown
                }
            }
        }
    }

    /// Whether the handler of a call under way can have run, as far as this side knows.
    pub fn ran(&self, key: CallKey) -> Ran {
        let left = if self.turned_away { 0 } else { self.output.sent() };
        self.calls.ran(key, left)
    }

    /// Answers a call of the other side. An answer to a call that is not under way, or after the
    /// end, is dropped.
    pub fn answer(&mut self, key: ServedKey, answer: Answer) {
        if self.phase == Phase::Closed || !self.served.finish(key) {
            return;
        }
        let (kind, body) = match answer {
            Answer::Value(body) => (FrameKind::REPLY, body),
            Answer::Error(body) => (FrameKind::ERROR, body),
            Answer::Refusal(refusal) => return self.refuse(key, &refusal),
        };
        if body.len() > self.peer.message {
            let limit = self.peer.message;
            let text = format!("the caller accepts messages of at most {limit} bytes");
            let refusal = Refusal::new(RefusalCode::OUTPUT_TOO_LARGE, Ran::Yes, text);
            return self.refuse(key, &refusal);
        }
        let waiting = self.output.len();
        if waiting > 0 && waiting + body.len() > self.config.limits.output_hard {
            let text = "too much waits to be read already; read on, or ask for less at once";
            return self.refuse(key, &Refusal::new(RefusalCode::OVERLOADED, Ran::Yes, text));
        }
        let whole = body.len() as u64;
        self.output.message(key.answer(), body, self.peer.fragment, |out, len, flags| {
            let more = flags.has(Flags::MORE);
            let header = Header::new(kind, flags, u8::from(more), len);
            header.of_call(key.slot, key.seq).write(out);
            if more {
                out.extend_from_slice(&whole.to_le_bytes());
            }
        });
    }

    /// The final frame without a value; the slot is free already, or was never taken.
    pub(super) fn refuse(&mut self, key: ServedKey, refusal: &Refusal) {
        let text = refusal.short_text().as_bytes();
        let header = Header::new(FrameKind::REFUSAL, Flags::default(), 1, text.len());
        let header = header.of_call(key.slot, key.seq);
        self.output.frame(header, |out| refusal.write_words(out), text);
    }

    /// Asks the other side for an [`Event::Pong`] with the same number. Does nothing on a server
    /// that has not seen its client's preface.
    pub fn ping(&mut self, number: u64) {
        if self.role == Role::Server && self.phase == Phase::Handshake {
            return;
        }
        let header = Header::new(FrameKind::PING, Flags::default(), 0, 8);
        self.output.frame(header, |_| (), &number.to_le_bytes());
    }

    /// Accepts no further calls: those that have arrived will be answered, the other side learns
    /// which, and later ones are dropped unread. In the handshake, that is all of them.
    pub fn drain(&mut self) {
        if !std::mem::replace(&mut self.draining, true) && self.phase == Phase::Open {
            self.write_drain();
        }
    }

    fn write_drain(&mut self) {
        let read = self.calls_read;
        let header = Header::new(FrameKind::DRAIN, Flags::default(), 1, 0);
        self.output.frame(header, |out| out.extend_from_slice(&read.to_le_bytes()), &[]);
    }

    /// Ends the connection, and tells the other side why as far as it still reads.
    pub fn close(&mut self, code: CloseCode) {
        let mut close = Close::new(code);
        if code == CloseCode::VERSION {
            let (min, max) = self.config.versions;
            close.text = format!("this side speaks the versions {min} to {max}");
        }
        self.close_saying(close);
    }

    fn close_saying(&mut self, close: Close) {
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
        let welcome = Welcome { version: 0, instance: InstanceId::default(), ..self.welcome(0) };
        self.output.copy(|out| welcome.write(out));
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
        }
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
        self.events.push_back(Event::Closed(closed));
    }

    /// Whether nothing can be started any more.
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Refused { .. })
    }

    /// The bytes to write next, in at most `slices.len()` pieces; returns how many there are.
    pub fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(slices)
    }

    /// Bytes that wait to be written.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Whether more input should be read: not while the other side leaves too much unread.
    pub fn wants_input(&self) -> bool {
        self.phase != Phase::Closed && self.output.len() < self.config.limits.output_soft
    }

    /// Calls of this side that have not ended.
    pub fn in_flight(&self) -> usize {
        self.calls.in_flight()
    }

    /// Calls of the other side that have not been answered.
    pub fn serving(&self) -> usize {
        self.served.running()
    }

    /// Whether the prefaces have been exchanged.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the connection has ended. Its output may still hold the reason for the other side.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether the other side accepts no further calls.
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Bytes of memory held for input that is not complete and output that has not left.
    pub fn memory(&self) -> usize {
        self.inbound.memory() + self.output.len()
    }

    /// The calls that ended with the connection, and whether their handlers can have run. Empty
    /// before the end. What still waits to be written then counts as sent, unless it has been
    /// [discarded](Connection::discard_output): a driver may deliver it yet.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        if self.phase != Phase::Closed {
            return Vec::new();
        }
        self.note_ends();
        let left = if self.turned_away { 0 } else { self.output.placed() };
        self.calls.take_all(left)
    }

    /// Drops the output, now and from here on: nobody will take it. What the other side has said
    /// can still be read.
    pub fn discard_output(&mut self) {
        self.note_ends();
        self.output.discard();
        (self.stall_deadline, self.paused) = (None, None);
    }

    /// Learns where those messages end whose last fragment has found its place.
    pub(super) fn note_ends(&mut self) {
        for (id, end) in self.output.ended() {
            if id.initiator {
                self.calls.ends_at(id, end);
            }
        }
    }
}
