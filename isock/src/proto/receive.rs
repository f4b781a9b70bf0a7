//! What arrives: prefaces, then frames, one event at a time.

use super::{
    aside::Aside,
    buffer::Wish,
    connection::{Connection, Phase},
    frames::total_word,
    inbound::{Fragment, Keep},
    output::MessageId,
    served::ServedKey,
    Body, Buffer, CallKey, Event, Outcome, StreamKey,
};
use crate::wire::{Block, CallHead, CloseCode, Flags, FrameKind, Header, Total, HEADER_LEN};
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
    Owned(Block),
}

/// A whole frame that has been taken from the buffer.
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) words: Range<usize>,
    /// Empty if it lies beside the buffer.
    pub(super) payload: Range<usize>,
    beside: bool,
}

/// A payload of which less than this is missing is copied: to lend a place would cost as much.
const WORTH_LENDING: usize = 16 * 1024;
/// After a payload from this length on, a header alone is read at first.
pub(super) const WORTH_A_GLANCE: usize = 64 * 1024;

impl Connection {
    /// The next event in the bytes of `input`; `None` if more must arrive.
    ///
    /// Whole frames are taken from the front, a partial one stays. A frame that breaks the
    /// protocol ends the connection: the output tells the other side why, and so does the event.
    pub fn read<'b>(&mut self, now: Instant, input: &'b mut Buffer) -> Option<Event<'b>> {
        if !self.has_events() {
            if let Some(short) = self.accept_short(input) {
                return Some(self.take_short(now, input, short));
            }
        }
        self.read_any(now, input)
    }

    /// The same, whatever there is.
    // Apart: what it needs of the stack and of registers a short frame does not pay for.
    #[inline(never)]
    pub(super) fn read_any<'b>(
        &mut self,
        now: Instant,
        input: &'b mut Buffer,
    ) -> Option<Event<'b>> {
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
            Some(frame) if frame.beside => self.frame_beside(now, input, &frame),
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
        if input.len() < len {
            self.wait_for(now, input.len(), len);
            self.lend(header, input);
            return Ok(None);
        }
        self.unfinished = None;
        self.note_heard(now);
        if header.payload_len() >= WORTH_A_GLANCE {
            note_length(header, input);
        } else if header.kind != FrameKind::MORE {
            input.expect_short();
        }
        let beside = input.is_lent();
        let all = input.take(if beside { header.payload_at() } else { len });
        let payload = all.start + header.payload_at()..all.end;
        let words = all.start + HEADER_LEN..payload.start;
        Ok(Some(Frame { header, words, payload, beside }))
    }

    /// Has what is missing of a long payload read straight into its message.
    #[cold]
    fn lend(&mut self, header: Header, input: &mut Buffer) {
        if header.flags.has(Flags::MORE) {
            input.end_soon_behind(header.len);
        }
        let missing = header.len as usize - input.len();
        let at = header.payload_at();
        let come = input.waiting().get(at..);
        let (Some(come), true) = (come, missing >= WORTH_LENDING && !input.is_lent()) else {
            return;
        };
        if header.kind == FrameKind::MORE {
            if let Some(aside) = self.inbound.lend(&header, come) {
                input.lend(at, aside);
            }
        } else if let Some(total) = whole_len(&header, input) {
            if total / 4 <= come.len() || input.has_glanced() {
                input.wish(Wish { at, len: header.payload_len(), total });
            }
        }
    }

    /// A message that is too long is refused by what it announces, before its body.
    fn judge_total(&self, header: &Header, words: &[u8]) -> Result<(), CloseCode> {
        match announced(header, words)? {
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
            FrameKind::CALL => self.call_frame::<false>(now, frame, words, payload),
            FrameKind::REPLY | FrameKind::ERROR => {
                self.reply_frame::<false>(now, frame, words, payload)
            }
            FrameKind::REFUSAL => self.refusal_frame(&frame.header, words, payload),
            FrameKind::MORE => self.more_frame(&frame.header, Fragment::Input(payload)),
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

    /// The same for a frame whose payload lies where its message does.
    #[cold]
    fn frame_beside(
        &mut self,
        now: Instant,
        input: &mut Buffer,
        frame: &Frame,
    ) -> Result<Step, CloseCode> {
        let Some(aside) = input.take_aside() else { return Ok(Step::On) };
        let words = input.taken(frame.words.clone());
        let step = match frame.header.kind {
            FrameKind::MORE => return self.more_frame(&frame.header, Fragment::Aside(aside)),
            FrameKind::CALL => self.call_frame::<true>(now, frame, words, aside.payload())?,
            _ => self.reply_frame::<true>(now, frame, words, aside.payload())?,
        };
        Ok(match step {
            Step::Event(pending) => Step::Event(pending.owning(*aside)),
            other => {
                self.inbound.adopt(MessageId::of(&frame.header), *aside);
                other
            }
        })
    }
}

/// How a message that begins is kept, if it is wanted.
pub(super) fn keep<const BESIDE: bool>(wanted: bool) -> Keep {
    match (wanted, BESIDE) {
        (false, _) => Keep::Nothing,
        (true, false) => Keep::Copy,
        (true, true) => Keep::Place,
    }
}

/// A long payload at the front says what may follow, unless it goes on with a message.
#[cold]
fn note_length(header: Header, input: &mut Buffer) {
    match whole_len(&header, input) {
        _ if header.kind == FrameKind::MORE => {}
        None => input.expect_short(),
        Some(_) => input.expect_long(&header),
    }
}

/// How long the message is that the frame at the front begins, if that brings a quarter of it: memory
/// that lies ready is lent for no less. Items are mostly taken apart at once.
fn whole_len(header: &Header, input: &Buffer) -> Option<usize> {
    if !matches!(header.kind, FrameKind::CALL | FrameKind::REPLY | FrameKind::ERROR) {
        return None;
    }
    let words = input.waiting().get(HEADER_LEN..header.payload_at())?;
    let len = header.payload_len();
    let total = match announced(header, words).ok()? {
        Some(total) if header.flags.has(Flags::MORE) => len.max(total.0 as usize),
        _ => len,
    };
    (total / 4 <= len).then_some(total)
}

/// The whole length that the first fragment of a message announces.
fn announced(header: &Header, words: &[u8]) -> Result<Option<Total>, CloseCode> {
    Ok(match header.kind {
        FrameKind::CALL => CallHead::parse(words).and_then(|(_, total)| total),
        FrameKind::REPLY | FrameKind::ERROR | FrameKind::ITEM => total_word(words)?,
        _ => None,
    })
}

impl Pending {
    /// The same with the body that lies beside the buffer.
    fn owning(mut self, aside: Aside) -> Pending {
        if let Pending::Call { body, .. } | Pending::Reply { body, .. } = &mut self {
            *body = Place::Owned(aside.into_body());
        }
        self
    }

    // With this inside, the function that reads a short frame takes a tenth more instructions.
    #[inline(never)]
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
