//! The way of most frames: a call without metadata or items, or an answer, short and whole.
//!
//! Knows how they look, and what has to be at rest for them. Judges nothing: where something is
//! otherwise no event has come of it, and the frame goes the way of all frames, in `receive`.

use super::{
    connection::{Connection, Phase},
    output::MessageId,
    receive::WORTH_A_GLANCE,
    served::{Arrival, ServedKey},
    Body, Buffer, CallKey, Event, Outcome,
};
use crate::wire::{
    u16_at, u32_at, CallHead, Flags, FrameKind, Header, HEADER_LEN, LEAST_WORDS, WORD_LEN,
};
use std::time::Instant;

/// A frame at the front of the buffer that has been accepted, and is to be taken.
pub(super) struct Short {
    len: usize,
    of: Of,
}

enum Of {
    Call(ServedKey),
    Reply(CallKey),
    Error(CallKey),
}

const CALL: u32 = Header::look(FrameKind::CALL, Flags::INITIATOR, LEAST_WORDS);
const REPLY: u32 = Header::look(FrameKind::REPLY, Flags(0), 0);
const ERROR: u32 = Header::look(FrameKind::ERROR, Flags(0), 0);
/// Where the body of a call begins.
const BODY_AT: usize = HEADER_LEN + LEAST_WORDS as usize * WORD_LEN;

impl Connection {
    /// Accepts the frame at the front, if it is one of these.
    // Each here always: in one function the parts share what they know in registers.
    #[inline(always)]
    pub(super) fn accept_short(&mut self, input: &Buffer) -> Option<Short> {
        let waiting = input.waiting();
        let header = waiting.first_chunk::<HEADER_LEN>()?;
        let len = u32_at(header, 0) as usize;
        // What stands behind the header of a payload that lies beside the buffer is no part of it.
        if self.phase != Phase::Open || len > waiting.len() || input.is_lent() {
            return None;
        }
        let (slot, seq) = (u16_at(header, 8), u32_at(header, 12));
        let of = match u32_at(header, 4) {
            CALL if self.is_short(len, BODY_AT) => Of::Call(self.short_call(slot, seq)?),
            REPLY if self.is_short(len, HEADER_LEN) => Of::Reply(self.short_answer(slot, seq)?),
            ERROR if self.is_short(len, HEADER_LEN) => Of::Error(self.short_answer(slot, seq)?),
            _ => return None,
        };
        Some(Short { len, of })
    }

    /// Whether a frame of `len` bytes has a body behind `at`, and one that may be taken.
    #[inline(always)]
    fn is_short(&self, len: usize, at: usize) -> bool {
        let fits = |body| body < WORTH_A_GLANCE && body <= self.config.fragment();
        len.checked_sub(at).is_some_and(fits)
    }

    #[inline(always)]
    fn short_call(&mut self, slot: u16, seq: u32) -> Option<ServedKey> {
        let key = ServedKey { slot, seq };
        let taken = self.inbound.is_taken(MessageId { initiator: true, slot, seq });
        let accepted = !self.draining && !taken && self.served.arrive(key) == Arrival::New;
        accepted.then_some(key)
    }

    #[inline(always)]
    fn short_answer(&mut self, slot: u16, seq: u32) -> Option<CallKey> {
        let taken = self.inbound.is_taken(MessageId { initiator: false, slot, seq });
        if taken || self.streams.has_own() || self.output.takes_turns() {
            return None;
        }
        self.calls.finish_wanted(slot, seq)
    }

    /// Takes what has been accepted.
    #[inline(always)]
    pub(super) fn take_short<'b>(
        &mut self,
        now: Instant,
        input: &'b mut Buffer,
        short: Short,
    ) -> Event<'b> {
        let frame = self.take_frame(now, input, short.len);
        match short.of {
            Of::Call(key) => self.take_call(frame, key),
            Of::Reply(call) => {
                let outcome = Outcome::Value(self.take_answer(frame));
                Event::Reply { call, outcome }
            }
            Of::Error(call) => {
                let outcome = Outcome::Error(self.take_answer(frame));
                Event::Reply { call, outcome }
            }
        }
    }

    #[inline(always)]
    fn take_call<'b>(&mut self, frame: &'b [u8], key: ServedKey) -> Event<'b> {
        self.calls_read += 1;
        let (words, body) = frame.split_at(BODY_AT);
        let (head, _) = CallHead::parse(&words[HEADER_LEN..]).unwrap_or_default();
        Event::Call { key, head, body: Body::Borrowed(body) }
    }

    #[inline(always)]
    fn take_answer<'b>(&mut self, frame: &'b [u8]) -> Body<'b> {
        self.send_queued();
        Body::Borrowed(&frame[HEADER_LEN..])
    }

    /// Takes the frame at the front, all of which is there.
    #[inline(always)]
    fn take_frame<'b>(&mut self, now: Instant, input: &'b mut Buffer, len: usize) -> &'b [u8] {
        self.unfinished = None;
        self.note_heard(now);
        self.note_work();
        input.expect_short();
        let frame = input.take(len);
        input.taken(frame)
    }
}
