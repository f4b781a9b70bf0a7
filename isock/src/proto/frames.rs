//! What each kind of frame means for the connection; those of streams are in `stream_frames`.

use super::{
    connection::Connection,
    inbound::{patience, Collected, Fragment, Partial},
    output::MessageId,
    receive::{keep, Frame, Pending, Place, Step},
    served::{Arrival, ServedKey},
    CallKey, Closed, Event, Outcome,
};
use crate::wire::{
    u64_at, Block, CallHead, Close, CloseCode, Flags, FrameKind, Header, Ran, Refusal, RefusalCode,
    Settings, Total, CODEC_POSTCARD, MAX_METADATA, MAX_REFUSAL_TEXT, WORD_LEN,
};
use std::time::Instant;

/// Settings that may come one after the other without a call, an answer or items between them.
pub(super) const MAX_SETTINGS: u8 = 4;

impl Connection {
    pub(super) fn call_frame<const BESIDE: bool>(
        &mut self,
        now: Instant,
        frame: &Frame,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let header = &frame.header;
        let (mut head, total) = CallHead::parse(words).ok_or(CloseCode::BAD_FRAME)?;
        head.items = header.flags.has(Flags::ITEMS);
        let total = self.whole_len(header, total, payload)?;
        let metadata = head.metadata as usize;
        let oneway = header.flags.has(Flags::ONEWAY);
        if !header.flags.has(Flags::INITIATOR)
            || header.codec != CODEC_POSTCARD
            || metadata > total.min(MAX_METADATA)
            || (oneway && (total != payload.len() || head.is_stream()))
        {
            return Err(CloseCode::BAD_FRAME);
        }
        self.note_work();
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
            Arrival::New if head.is_stream() => {
                self.streams.open_served(key.slot, &head, self.config.limits.widest_window())?;
                true
            }
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
            let kind = (header.kind, header.flags, head);
            self.inbound.begin(id, kind, (payload, total), deadline, keep::<BESIDE>(wanted));
            return Ok(Step::On);
        }
        if !wanted {
            return Ok(Step::On);
        }
        let body = Place::Input(frame.payload.clone());
        Ok(Step::Event(Pending::Call { key, head, body, oneway }))
    }

    /// The whole length of the message that this frame begins, from the frame alone.
    pub(super) fn whole_len(
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

    pub(super) fn reply_frame<const BESIDE: bool>(
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
        let total = total_word(words)?;
        let total = self.whole_len(header, total, payload)?;
        if !self.calls.is_under_way(header.slot, header.seq) {
            return Err(CloseCode::NO_SUCH_CALL);
        }
        self.note_work();
        let id = MessageId { initiator: false, slot: header.slot, seq: header.seq };
        if self.inbound.is_taken(id) {
            return Err(CloseCode::BAD_FRAME);
        }
        if total != payload.len() {
            let deadline = now + patience(&self.config.limits, total);
            let kind = (header.kind, header.flags, CallHead::default());
            let wanted = self.calls.is_wanted(id.slot, id.seq);
            self.inbound.begin(id, kind, (payload, total), deadline, keep::<BESIDE>(wanted));
            return Ok(Step::On);
        }
        self.finished(header, Place::Input(frame.payload.clone()))
    }

    /// A call of this side has its value or its error.
    #[inline]
    fn finished(&mut self, header: &Header, body: Place) -> Result<Step, CloseCode> {
        let call = self.finish(header)?;
        let kind = header.kind;
        Ok(call.map_or(Step::On, |call| Step::Event(Pending::Reply { call, kind, body })))
    }

    #[inline]
    fn finish(&mut self, header: &Header) -> Result<Option<CallKey>, CloseCode> {
        let id = MessageId { initiator: true, slot: header.slot, seq: header.seq };
        if self.streams.has_own() {
            if let Some(call) = self.calls.under_way(id) {
                self.streams.close_own(call.index);
            }
        }
        let call = self.calls.finish(id.slot, id.seq).map_err(|()| CloseCode::NO_SUCH_CALL)?;
        // It may come while fragments of the call, or of its items, still wait for their turn.
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
        self.note_work();
        let call = self.finish(header)?;
        Ok(call.map_or(Step::On, |call| {
            let outcome = Outcome::Refused(refusal);
            Step::Event(Pending::Done(Event::Reply { call, outcome }))
        }))
    }

    #[inline(never)]
    pub(super) fn more_frame(
        &mut self,
        header: &Header,
        fragment: Fragment<'_>,
    ) -> Result<Step, CloseCode> {
        let id = MessageId::of(header);
        let last = !header.flags.has(Flags::MORE);
        if !self.inbound.contains(id) && id.initiator && self.draining {
            return Ok(Step::On);
        }
        match self.inbound.collect(id, fragment, last) {
            Collected::Violation => Err(CloseCode::BAD_FRAME),
            Collected::Partly => Ok(Step::On),
            Collected::Whole(partial, body) if partial.kind == FrameKind::ITEM => {
                body.map_or(Ok(Step::On), |body| self.items_whole(&partial, body))
            }
            Collected::Whole(partial, Some(body)) => self.whole(header, partial, body),
            // The reply to a call that was given up: nobody wants it, but the slot is free.
            Collected::Whole(partial, None) if !partial.id.initiator => {
                self.finish(header).map(|_| Step::On)
            }
            Collected::Whole(_, None) => Ok(Step::On),
        }
    }

    fn whole(&mut self, header: &Header, partial: Partial, body: Block) -> Result<Step, CloseCode> {
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
        now: Instant,
        header: &Header,
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        if !header.flags.has(Flags::INITIATOR) || !payload.is_empty() {
            return Err(CloseCode::BAD_FRAME);
        }
        let id = MessageId { initiator: true, slot: header.slot, seq: header.seq };
        let key = ServedKey { slot: header.slot, seq: header.seq };
        // A copy of a running call is forgotten without touching the call itself.
        if self.inbound.forget(id) == Some(FrameKind::CALL) && self.finish_served(key) {
            let text = "cancelled before all of it had arrived";
            self.refuse(key, &Refusal::new(RefusalCode::CANCELLED, Ran::No, text));
            return Ok(Step::On);
        }
        if self.served.cancel(key) {
            self.end_items(key);
            return Ok(Step::Event(Pending::Done(Event::Cancel(key))));
        }
        if !self.served.is_running(key) && self.output.truncate(key.answer()) {
            let text = "cancelled while the answer was being sent";
            self.refuse(key, &Refusal::new(RefusalCode::CANCELLED, Ran::Yes, text));
            return Ok(Step::On);
        }
        self.note_idle(now)?;
        Ok(Step::On)
    }

    /// A call that was cancelled carries no further items.
    fn end_items(&mut self, key: ServedKey) {
        if let Some(stream) = self.streams.get_mut(key.into()) {
            stream.outgoing.iter_mut().for_each(|outgoing| outgoing.ended = true);
            stream.intake.iter_mut().for_each(|intake| intake.ended = true);
        }
    }

    pub(super) fn ping_frame(&mut self, now: Instant, payload: &[u8]) -> Result<Step, CloseCode> {
        if payload.len() != 8 {
            return Err(CloseCode::BAD_FRAME);
        }
        self.note_ping(now)?;
        self.output.pong(payload);
        Ok(Step::On)
    }

    /// The other side answers a ping, and with it those before it.
    pub(super) fn pong_frame(&mut self, now: Instant, payload: &[u8]) -> Result<Step, CloseCode> {
        let number = payload.try_into().map_err(|_| CloseCode::BAD_FRAME)?;
        let number = u64::from_le_bytes(number);
        let sent = self.pings_sent.get();
        let Some(at) = sent.and_then(|sent| sent.iter().position(|&sent| sent == number)) else {
            self.note_idle(now)?;
            return Ok(Step::On);
        };
        for number in (0..=at).filter_map(|_| self.pings_sent.pop_front()) {
            self.events.push_back(Event::Pong(number));
        }
        Ok(Step::On)
    }

    pub(super) fn settings_frame(
        &mut self,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let settings = Settings::parse(words).filter(|_| payload.is_empty());
        let settings = settings.ok_or(CloseCode::BAD_FRAME)?;
        self.settings_read += 1;
        if self.settings_read > MAX_SETTINGS {
            return Err(CloseCode::FLOOD);
        }
        self.settings_heard = settings;
        Ok(Step::Event(Pending::Done(Event::Settings(settings))))
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
        self.streams.keep_own(|call| self.calls.contains(call));
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

/// What the first header word of a reply, an error or items announces.
pub(super) fn total_word(words: &[u8]) -> Result<Option<Total>, CloseCode> {
    if words.len() < WORD_LEN {
        return Ok(None);
    }
    let total = u32::try_from(u64_at(words, 0)).map_err(|_| CloseCode::MESSAGE_TOO_LARGE)?;
    Ok((total > 0).then_some(Total(total)))
}
