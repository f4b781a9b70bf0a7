//! What each kind of frame means for the connection.

use super::{
    connection::Connection,
    inbound::{patience, Collected, Partial, Wanted},
    output::MessageId,
    receive::{Frame, Pending, Place, Step},
    served::{Arrival, ServedKey},
    CallKey, Closed, Event, Outcome,
};
use crate::wire::{
    u64_at, CallHead, Close, CloseCode, Flags, FrameKind, Header, Ran, Refusal, RefusalCode, Total,
    CODEC_POSTCARD, MAX_METADATA, MAX_REFUSAL_TEXT, WORD_LEN,
};
use std::time::Instant;

impl Connection {
    pub(super) fn call_frame(
        &mut self,
        now: Instant,
        frame: &Frame,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let header = &frame.header;
        let (head, total) = CallHead::parse(words).ok_or(CloseCode::BAD_FRAME)?;
        let total = self.whole_len(header, total, payload)?;
        let metadata = head.metadata as usize;
        let oneway = header.flags.has(Flags::ONEWAY);
        if !header.flags.has(Flags::INITIATOR)
            || header.codec != CODEC_POSTCARD
            || metadata > total.min(MAX_METADATA)
            || (oneway && total != payload.len())
        {
            return Err(CloseCode::BAD_FRAME);
        }
        if self.draining {
            return Ok(Step::On);
        }
        self.calls_read += 1;
        let key = ServedKey { slot: header.slot, seq: header.seq };
        let id = MessageId { initiator: true, slot: key.slot, seq: key.seq };
        if !oneway && self.inbound.is_taken(id) {
            return Err(CloseCode::BAD_FRAME);
        }
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
        Ok(total)
    }

    pub(super) fn reply_frame(
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
        let total = reply_total(words)?;
        let total = self.whole_len(header, total, payload)?;
        if !self.calls.is_under_way(header.slot, header.seq) {
            return Err(CloseCode::NO_SUCH_CALL);
        }
        let id = MessageId { initiator: false, slot: header.slot, seq: header.seq };
        if self.inbound.is_taken(id) {
            return Err(CloseCode::BAD_FRAME);
        }
        if total != payload.len() {
            let deadline = now + patience(&self.config.limits, total);
            let kind = (header.kind, CallHead::default());
            let wanted = self.calls.is_wanted(id.slot, id.seq);
            self.inbound.begin(id, kind, (payload, total), deadline, wanted);
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

    pub(super) fn refusal_frame(
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

    pub(super) fn more_frame(
        &mut self,
        header: &Header,
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let initiator = header.flags.has(Flags::INITIATOR);
        let id = MessageId { initiator, slot: header.slot, seq: header.seq };
        let last = !header.flags.has(Flags::MORE);
        if !self.inbound.contains(id) && initiator && self.draining {
            return Ok(Step::On);
        }
        match self.inbound.collect(id, payload, last) {
            Collected::Violation => Err(CloseCode::BAD_FRAME),
            Collected::Partly => Ok(Step::On),
            Collected::Whole(partial, Some(body)) => self.whole(header, partial, body),
            // The reply to a call that was given up: nobody wants it, but the slot is free.
            Collected::Whole(partial, None) if !partial.id.initiator => {
                self.finish(header).map(|_| Step::On)
            }
            Collected::Whole(_, None) => Ok(Step::On),
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
    pub(super) fn cancel_frame(
        &mut self,
        header: &Header,
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        if !header.flags.has(Flags::INITIATOR) || !payload.is_empty() {
            return Err(CloseCode::BAD_FRAME);
        }
        let id = MessageId { initiator: true, slot: header.slot, seq: header.seq };
        let key = ServedKey { slot: header.slot, seq: header.seq };
        // A copy of a running call is forgotten without touching the call itself.
        if self.inbound.forget(id) == Some(Wanted(true)) && self.served.finish(key) {
            let text = "cancelled before all of it had arrived";
            self.refuse(key, &Refusal::new(RefusalCode::CANCELLED, Ran::No, text));
            return Ok(Step::On);
        }
        if self.served.cancel(key) {
            return Ok(Step::Event(Pending::Done(Event::Cancel(key))));
        }
        if self.output.truncate(key.answer()) {
            let text = "cancelled while the answer was being sent";
            self.refuse(key, &Refusal::new(RefusalCode::CANCELLED, Ran::Yes, text));
        }
        Ok(Step::On)
    }

    pub(super) fn ping_frame(&mut self, now: Instant, payload: &[u8]) -> Result<Step, CloseCode> {
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
    pub(super) fn drain_frame(&mut self, words: &[u8], payload: &[u8]) -> Result<Step, CloseCode> {
        if words.len() < WORD_LEN || !payload.is_empty() || self.drained {
            return Err(CloseCode::BAD_FRAME);
        }
        let read = u64_at(words, 0);
        if read > self.calls.started() {
            return Err(CloseCode::BAD_FRAME);
        }
        self.drained = true;
        self.events.push_back(Event::Draining);
        let (refused, unneeded) = self.calls.refused_after(read);
        for id in unneeded {
            self.output.truncate(id);
        }
        for call in refused {
            let text = "the other side is stopping";
            let refusal = Refusal::new(RefusalCode::DRAINING, Ran::No, text);
            let outcome = Outcome::Refused(refusal);
            self.events.push_back(Event::Reply { call, outcome });
        }
        Ok(Step::On)
    }

    pub(super) fn close_frame(&mut self, words: &[u8], payload: &[u8]) -> Result<Step, CloseCode> {
        let close = Close::parse(words, payload).ok_or(CloseCode::BAD_FRAME)?;
        Ok(self.ended(Closed::ByPeer(close)))
    }
}

/// What the first header word of a reply or an error announces.
pub(super) fn reply_total(words: &[u8]) -> Result<Option<Total>, CloseCode> {
    if words.len() < WORD_LEN {
        return Ok(None);
    }
    let total = u32::try_from(u64_at(words, 0)).map_err(|_| CloseCode::MESSAGE_TOO_LARGE)?;
    Ok((total > 0).then_some(Total(total)))
}

pub(super) fn pong_frame(payload: &[u8]) -> Result<Step, CloseCode> {
    let number = payload.try_into().map_err(|_| CloseCode::BAD_FRAME)?;
    Ok(Step::Event(Pending::Done(Event::Pong(u64::from_le_bytes(number)))))
}
