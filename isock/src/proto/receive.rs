//! What arrives: prefaces, then frames, one event at a time.

use super::{
    connection::{Connection, Phase},
    frames::total_word,
    served::ServedKey,
    Body, Buffer, CallKey, Event, Outcome, StreamKey,
};
use crate::wire::{CallHead, CloseCode, Flags, FrameKind, Header, HEADER_LEN};
use std::{ops::Range, time::Instant};

/// What one step of reading did. Bodies are places in the buffer until the last moment, so that
/// the loop over frames that cause no event can go on.
pub(super) enum Step {
    /// Nothing to tell; there may be more.
    On,
    /// The rest of the frame has not come.
    Starved,
    Event(Pending),
}

pub(super) enum Pending {
    Done(Event<'static>),
    Call { key: ServedKey, head: CallHead, body: Place, oneway: bool },
    Reply { call: CallKey, kind: FrameKind, body: Place },
    Items { stream: StreamKey, items: u32, body: Place },
}

pub(super) enum Place {
    Input(Range<usize>),
    Owned(Vec<u8>),
}

/// A whole frame that has been taken from the buffer.
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) words: Range<usize>,
    pub(super) payload: Range<usize>,
}

impl Connection {
    /// The next event in the bytes of `input`; `None` if more must arrive.
    ///
    /// Whole frames are taken from the front, a partial one stays. A frame that breaks the
    /// protocol ends the connection: the output tells the other side why, and so does the event.
    pub fn read<'b>(&mut self, now: Instant, input: &'b mut Buffer) -> Option<Event<'b>> {
        if self.has_events() {
            return self.events.pop_front();
        }
        let pending = loop {
            if self.phase == Phase::Closed {
                return self.events.pop_front();
            }
            match self.step(now, input) {
                Ok(Step::On) if self.has_events() => return self.events.pop_front(),
                Ok(Step::On) => {}
                Ok(Step::Starved) => return None,
                Ok(Step::Event(pending)) => break pending,
                Err(code) => self.close(code),
            }
        };
        Some(pending.into_event(input))
    }

    /// Whether there is an event that no further byte stands behind.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    // Always: what it gives is large, and is taken apart by its one caller.
    #[inline(always)]
    fn step(&mut self, now: Instant, input: &mut Buffer) -> Result<Step, CloseCode> {
        match self.phase {
            Phase::Handshake => return self.preface(input),
            Phase::Refused { min, max } => return Ok(self.refused(now, input, (min, max))),
            Phase::Open | Phase::Closed => {}
        }
        match self.next_frame(now, input)? {
            Some(frame) => self.frame(now, input, &frame),
            None => Ok(Step::Starved),
        }
    }

    /// Takes the next frame if all of it is here. Its length is judged by its first 16 bytes.
    #[inline]
    pub(super) fn next_frame(
        &mut self,
        now: Instant,
        input: &mut Buffer,
    ) -> Result<Option<Frame>, CloseCode> {
        let waiting = input.waiting();
        let Some(header) = waiting.first_chunk::<HEADER_LEN>() else {
            self.wait_for(now, waiting.len(), HEADER_LEN);
            return Ok(None);
        };
        let header = Header::parse(header).map_err(|_| CloseCode::BAD_LENGTH)?;
        if header.payload_len() > self.config.fragment() {
            return Err(CloseCode::BAD_LENGTH);
        }
        let words = waiting.get(HEADER_LEN..header.payload_at());
        if let (true, Some(words)) = (header.flags.has(Flags::MORE), words) {
            self.judge_total(&header, words)?;
        }
        let len = header.len as usize;
        if waiting.len() < len {
            self.wait_for(now, waiting.len(), len);
            return Ok(None);
        }
        self.unfinished = None;
        self.note_heard(now);
        let all = input.take(len);
        let payload = all.start + header.payload_at()..all.end;
        let words = all.start + HEADER_LEN..payload.start;
        Ok(Some(Frame { header, words, payload }))
    }

    /// A message that is too long is refused by what it announces, before its body.
    fn judge_total(&self, header: &Header, words: &[u8]) -> Result<(), CloseCode> {
        let total = match header.kind {
            FrameKind::CALL => CallHead::parse(words).and_then(|(_, total)| total),
            FrameKind::REPLY | FrameKind::ERROR | FrameKind::ITEM => total_word(words)?,
            _ => None,
        };
        match total {
            Some(total) if total.0 as usize > self.config.limits.message => {
                Err(CloseCode::MESSAGE_TOO_LARGE)
            }
            _ => Ok(()),
        }
    }

    fn frame(&mut self, now: Instant, input: &Buffer, frame: &Frame) -> Result<Step, CloseCode> {
        let words = input.taken(frame.words.clone());
        let payload = input.taken(frame.payload.clone());
        let kind = frame.header.kind;
        match kind {
            FrameKind::CALL => self.call_frame(now, frame, words, payload),
            FrameKind::REPLY | FrameKind::ERROR => self.reply_frame(now, frame, words, payload),
            FrameKind::REFUSAL => self.refusal_frame(&frame.header, words, payload),
            FrameKind::MORE => self.more_frame(&frame.header, payload),
            FrameKind::CANCEL => self.cancel_frame(now, &frame.header, payload),
            FrameKind::ITEM => self.item_frame(now, frame, words, payload),
            FrameKind::CREDIT => self.credit_frame(now, &frame.header, words, payload),
            FrameKind::PING => self.ping_frame(now, payload),
            FrameKind::PONG => self.pong_frame(now, payload),
            FrameKind::DRAIN => self.drain_frame(words, payload),
            FrameKind::CLOSE => self.close_frame(words, payload),
            FrameKind::SETTINGS => self.settings_frame(words, payload),
            _ if frame.header.flags.has(Flags::IGNORABLE) => {
                self.note_idle(now)?;
                Ok(Step::On)
            }
            _ => Err(CloseCode::UNKNOWN_KIND),
        }
    }
}

impl Pending {
    #[inline]
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
            Pending::Items { stream, items, body } => {
                Event::Items { stream, items, body: body.into_body(input) }
            }
        }
    }
}

impl Place {
    #[inline]
    fn into_body(self, input: &Buffer) -> Body<'_> {
        match self {
            Place::Input(range) => Body::Borrowed(input.taken(range)),
            Place::Owned(bytes) => Body::Owned(bytes),
        }
    }
}
