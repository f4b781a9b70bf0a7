//! What arrives: prefaces, then frames, one event at a time.

use super::{
    connection::{Connection, Phase, Role},
    inbound::{patience, Collected, Partial},
    output::MessageId,
    served::{Arrival, ServedKey},
    Body, Buffer, CallKey, Closed, Event, Outcome, FRAGMENT,
};
use crate::wire::{
    u64_at, BadPreface, CallHead, Close, CloseCode, Flags, FrameKind, Header, Hello, Ran, Refusal,
    RefusalCode, Total, Welcome, CODEC_POSTCARD, HEADER_LEN, MAX_CLOSE_TEXT, MAX_REFUSAL_TEXT,
    WORD_LEN,
};
use std::{ops::Range, time::Instant};

/// What one step of reading did. Bodies are places in the buffer until the last moment, so that
/// the loop over frames that cause no event can go on.
enum Step {
    /// Nothing to tell; there may be more.
    On,
    /// The rest of the frame has not come.
    Starved,
    Event(Pending),
}

enum Pending {
    Done(Event<'static>),
    Call { key: ServedKey, head: CallHead, body: Place, oneway: bool },
    Reply { call: CallKey, kind: FrameKind, body: Place },
}

enum Place {
    Input(Range<usize>),
    Owned(Vec<u8>),
}

/// A whole frame that has been taken from the buffer.
struct Frame {
    header: Header,
    words: Range<usize>,
    payload: Range<usize>,
}

impl Connection {
    /// The next event in the bytes of `input`; `None` if more must arrive.
    ///
    /// Whole frames are taken from the front, a partial one stays. A frame that breaks the
    /// protocol ends the connection: the output tells the other side why, and so does the event.
    pub fn read<'b>(&mut self, now: Instant, input: &'b mut Buffer) -> Option<Event<'b>> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let pending = loop {
            if self.phase == Phase::Closed {
                return self.events.pop_front();
            }
            match self.step(now, input) {
                Ok(Step::On) => {
                    if let Some(event) = self.events.pop_front() {
                        return Some(event);
                    }
                }
                Ok(Step::Starved) => return None,
                Ok(Step::Event(pending)) => break pending,
                Err(code) => self.close(code),
            }
        };
        Some(pending.into_event(input))
    }

    fn step(&mut self, now: Instant, input: &mut Buffer) -> Result<Step, CloseCode> {
        if self.phase == Phase::Handshake {
            return self.preface(input);
        }
        match self.next_frame(now, input)? {
            Some(frame) => self.frame(now, input, &frame),
            None => Ok(Step::Starved),
        }
    }

    fn preface(&mut self, input: &mut Buffer) -> Result<Step, CloseCode> {
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

    fn ended(&mut self, closed: Closed) -> Step {
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

    /// Takes the next frame if all of it is here. Its length is judged by its first 16 bytes.
    fn next_frame(&mut self, now: Instant, input: &mut Buffer) -> Result<Option<Frame>, CloseCode> {
        let waiting = input.waiting();
        let Some(header) = waiting.first_chunk::<HEADER_LEN>() else {
            self.wait_for(now, waiting.len(), HEADER_LEN);
            return Ok(None);
        };
        let header = Header::parse(header).map_err(|_| CloseCode::BAD_LENGTH)?;
        if header.payload_len() > FRAGMENT {
            return Err(CloseCode::BAD_LENGTH);
        }
        let len = header.len as usize;
        if waiting.len() < len {
            self.wait_for(now, waiting.len(), len);
            return Ok(None);
        }
        self.frame_deadline = None;
        let all = input.take(len);
        let payload = all.start + header.payload_at()..all.end;
        let words = all.start + HEADER_LEN..payload.start;
        Ok(Some(Frame { header, words, payload }))
    }

    /// The clock of a frame starts with its first byte and does not stop.
    fn wait_for(&mut self, now: Instant, have: usize, want: usize) {
        if have > 0 && self.frame_deadline.is_none() {
            self.frame_deadline = Some(now + patience(&self.config.limits, want));
        }
    }

    fn frame(&mut self, now: Instant, input: &Buffer, frame: &Frame) -> Result<Step, CloseCode> {
        let words = input.taken(frame.words.clone());
        let payload = input.taken(frame.payload.clone());
        let kind = frame.header.kind;
        if let Phase::Refused { min, max } = self.phase {
            return Ok(self.ended(Closed::Versions { min, max }));
        }
        match kind {
            FrameKind::CALL => self.call_frame(now, frame, words, payload),
            FrameKind::REPLY | FrameKind::ERROR => self.reply_frame(now, frame, words, payload),
            FrameKind::REFUSAL => self.refusal_frame(&frame.header, words, payload),
            FrameKind::MORE => self.more_frame(&frame.header, payload),
            FrameKind::CANCEL => self.cancel_frame(&frame.header),
            FrameKind::PING => self.ping_frame(now, payload),
            FrameKind::PONG => pong_frame(payload),
            FrameKind::DRAIN => self.drain_frame(words),
            FrameKind::CLOSE => self.close_frame(words, payload),
            _ if frame.header.flags.has(Flags::IGNORABLE) => Ok(Step::On),
            _ => Err(CloseCode::UNKNOWN_KIND),
        }
    }

    fn call_frame(
        &mut self,
        now: Instant,
        frame: &Frame,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let header = &frame.header;
        let (head, total) = CallHead::parse(words).ok_or(CloseCode::BAD_FRAME)?;
        let total = self.whole_len(header, total, payload)?;
        let oneway = header.flags.has(Flags::ONEWAY);
        if !header.flags.has(Flags::INITIATOR)
            || header.codec != CODEC_POSTCARD
            || head.metadata as usize > total
            || (oneway && total != payload.len())
        {
            return Err(CloseCode::BAD_FRAME);
        }
        if self.draining {
            return Ok(Step::On);
        }
        self.calls_read += 1;
        let key = ServedKey { slot: header.slot, seq: header.seq };
        let arrival = if oneway { Arrival::New } else { self.served.arrive(key) };
        let wanted = match arrival {
            Arrival::Violation => return Err(CloseCode::BAD_SLOT),
            Arrival::New => true,
            Arrival::Attached => false,
            Arrival::Stale => {
                let text = "the number of this call has passed on its slot";
                self.refuse(key, &Refusal::new(RefusalCode::STALE, Ran::Unknown, text));
                false
            }
        };
        if total != payload.len() {
            let id = MessageId { initiator: true, slot: key.slot, seq: key.seq };
            if self.inbound.contains(id) {
                return Err(CloseCode::BAD_FRAME);
            }
            let deadline = now + patience(&self.config.limits, total);
            self.inbound.begin(id, (header.kind, head), (payload, total), deadline, wanted);
            return Ok(Step::On);
        }
        if !wanted {
            return Ok(Step::On);
        }
        let body = Place::Input(frame.payload.clone());
        Ok(Step::Event(Pending::Call { key, head, body, oneway }))
    }

    /// The whole length of the message that this frame begins, from the frame alone.
    fn whole_len(
        &self,
        header: &Header,
        total: Option<Total>,
        payload: &[u8],
    ) -> Result<usize, CloseCode> {
        let total = match (header.flags.has(Flags::MORE), total) {
            (false, None) => payload.len(),
            (true, Some(total)) if total.0 as usize > payload.len() && !payload.is_empty() => {
                total.0 as usize
            }
            _ => return Err(CloseCode::BAD_FRAME),
        };
        if total > self.config.limits.message {
            return Err(CloseCode::MESSAGE_TOO_LARGE);
        }
        Ok(total)
    }

    fn reply_frame(
        &mut self,
        now: Instant,
        frame: &Frame,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let header = &frame.header;
        if header.flags.has(Flags::INITIATOR) || header.codec != CODEC_POSTCARD {
            return Err(CloseCode::BAD_FRAME);
        }
        let total = (words.len() >= WORD_LEN)
            .then(|| u32::try_from(u64_at(words, 0)).map(Total))
            .transpose()
            .map_err(|_| CloseCode::MESSAGE_TOO_LARGE)?
            .filter(|total| total.0 > 0);
        let total = self.whole_len(header, total, payload)?;
        if !self.calls.is_under_way(header.slot, header.seq) {
            return Err(CloseCode::NO_SUCH_CALL);
        }
        if total != payload.len() {
            let id = MessageId { initiator: false, slot: header.slot, seq: header.seq };
            if self.inbound.contains(id) {
                return Err(CloseCode::BAD_FRAME);
            }
            let deadline = now + patience(&self.config.limits, total);
            let kind = (header.kind, CallHead::default());
            self.inbound.begin(id, kind, (payload, total), deadline, true);
            return Ok(Step::On);
        }
        self.finished(header, Place::Input(frame.payload.clone()))
    }

    /// A call of this side has its value or its error.
    fn finished(&mut self, header: &Header, body: Place) -> Result<Step, CloseCode> {
        let call = self.finish(header)?;
        let kind = header.kind;
        Ok(call.map_or(Step::On, |call| Step::Event(Pending::Reply { call, kind, body })))
    }

    fn finish(&mut self, header: &Header) -> Result<Option<CallKey>, CloseCode> {
        let id = MessageId { initiator: true, slot: header.slot, seq: header.seq };
        let call = self.calls.finish(id.slot, id.seq).map_err(|()| CloseCode::NO_SUCH_CALL)?;
        // A refusal may come while fragments of the call still wait for their turn.
        if self.output.truncate(id) {
            self.cancel_rest(id);
        }
        self.send_queued();
        Ok(call)
    }

    /// The other side must not wait for fragments that will not come.
    fn cancel_rest(&mut self, id: MessageId) {
        let header = Header::new(FrameKind::CANCEL, id.flags(), 0, 0).of_call(id.slot, id.seq);
        self.output.frame(header, |_| (), &[]);
    }

    fn refusal_frame(
        &mut self,
        header: &Header,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let refusal = Refusal::parse(words, payload).ok_or(CloseCode::BAD_FRAME)?;
        if header.flags.has(Flags::INITIATOR) || payload.len() > MAX_REFUSAL_TEXT {
            return Err(CloseCode::BAD_FRAME);
        }
        let id = MessageId { initiator: false, slot: header.slot, seq: header.seq };
        self.inbound.forget(id);
        let call = self.finish(header)?;
        Ok(call.map_or(Step::On, |call| {
            let outcome = Outcome::Refused(refusal);
            Step::Event(Pending::Done(Event::Reply { call, outcome }))
        }))
    }

    fn more_frame(&mut self, header: &Header, payload: &[u8]) -> Result<Step, CloseCode> {
        let initiator = header.flags.has(Flags::INITIATOR);
        let id = MessageId { initiator, slot: header.slot, seq: header.seq };
        let last = !header.flags.has(Flags::MORE);
        if !self.inbound.contains(id) && initiator && self.draining {
            return Ok(Step::On);
        }
        match self.inbound.collect(id, payload, last) {
            Collected::Violation => Err(CloseCode::BAD_FRAME),
            Collected::Partly | Collected::Whole(_, None) => Ok(Step::On),
            Collected::Whole(partial, Some(body)) => self.whole(header, partial, body),
        }
    }

    fn whole(
        &mut self,
        header: &Header,
        partial: Partial,
        body: Vec<u8>,
    ) -> Result<Step, CloseCode> {
        let body = Place::Owned(body);
        if partial.id.initiator {
            let key = ServedKey { slot: header.slot, seq: header.seq };
            let (head, oneway) = (partial.head, false);
            return Ok(Step::Event(Pending::Call { key, head, body, oneway }));
        }
        self.finished(&Header { kind: partial.kind, ..*header }, body)
    }

    /// A cancel for a call that has been answered is normal: the two crossed.
    fn cancel_frame(&mut self, header: &Header) -> Result<Step, CloseCode> {
        if !header.flags.has(Flags::INITIATOR) {
            return Err(CloseCode::BAD_FRAME);
        }
        let id = MessageId { initiator: true, slot: header.slot, seq: header.seq };
        let key = ServedKey { slot: header.slot, seq: header.seq };
        if self.inbound.forget(id) {
            if self.served.finish(key) {
                let text = "cancelled before all of it had arrived";
                self.refuse(key, &Refusal::new(RefusalCode::CANCELLED, Ran::No, text));
            }
            return Ok(Step::On);
        }
        if self.served.is_running(key) {
            return Ok(Step::Event(Pending::Done(Event::Cancel(key))));
        }
        Ok(Step::On)
    }

    fn ping_frame(&mut self, now: Instant, payload: &[u8]) -> Result<Step, CloseCode> {
        if payload.len() != 8 {
            return Err(CloseCode::BAD_FRAME);
        }
        if !self.pings.add(now, self.config.limits.pings_per_second) {
            return Err(CloseCode::FLOOD);
        }
        let header = Header::new(FrameKind::PONG, Flags::default(), 0, 8);
        self.output.frame(header, |_| (), payload);
        Ok(Step::On)
    }

    /// The calls that the other side has not read will never run.
    fn drain_frame(&mut self, words: &[u8]) -> Result<Step, CloseCode> {
        if words.len() < WORD_LEN || self.drained {
            return Err(CloseCode::BAD_FRAME);
        }
        self.drained = true;
        self.events.push_back(Event::Draining);
        for call in self.calls.refused_after(u64_at(words, 0)) {
            let refusal = Refusal::new(RefusalCode::DRAINING, Ran::No, "the server is stopping");
            let outcome = Outcome::Refused(refusal);
            self.events.push_back(Event::Reply { call, outcome });
        }
        Ok(Step::On)
    }

    fn close_frame(&mut self, words: &[u8], payload: &[u8]) -> Result<Step, CloseCode> {
        let close = Close::parse(words, payload).ok_or(CloseCode::BAD_FRAME)?;
        if payload.len() > MAX_CLOSE_TEXT {
            return Err(CloseCode::BAD_FRAME);
        }
        Ok(self.ended(Closed::ByPeer(close)))
    }
}

fn pong_frame(payload: &[u8]) -> Result<Step, CloseCode> {
    let number = payload.try_into().map_err(|_| CloseCode::BAD_FRAME)?;
    Ok(Step::Event(Pending::Done(Event::Pong(u64::from_le_bytes(number)))))
}

impl Pending {
    fn into_event(self, input: &Buffer) -> Event<'_> {
        match self {
            Pending::Done(event) => event,
            Pending::Call { key: _, head, body, oneway: true } => {
                Event::Send { head, body: body.into_body(input) }
            }
            Pending::Call { key, head, body, oneway: false } => {
                Event::Call { key, head, body: body.into_body(input) }
            }
            Pending::Reply { call, kind, body } => {
                let body = body.into_body(input);
                let outcome = match kind {
                    FrameKind::REPLY => Outcome::Value(body),
                    _ => Outcome::Error(body),
                };
                Event::Reply { call, outcome }
            }
        }
    }
}

impl Place {
    fn into_body(self, input: &Buffer) -> Body<'_> {
        match self {
            Place::Input(range) => Body::Borrowed(input.taken(range)),
            Place::Owned(bytes) => Body::Owned(bytes),
        }
    }
}
