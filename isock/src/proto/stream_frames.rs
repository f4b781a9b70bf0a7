//! What the frames of streams mean for the connection: items and credit.

use super::{
    connection::Connection,
    frames::total_word,
    inbound::{patience, Partial},
    output::MessageId,
    receive::{keep, Frame, Pending, Place, Step},
    Event, ServedKey, StreamKey,
};
use crate::wire::{Block, CallHead, CloseCode, Credit, Flags, FrameKind, Header, CODEC_POSTCARD};
use std::time::Instant;

/// For whom items are that have come.
#[derive(Clone, Copy)]
enum For {
    Consumer(StreamKey),
    /// The call has been given up; its items are dropped, and cost their credit.
    NoLonger(StreamKey),
    /// The call has been answered: its items crossed the answer.
    Answered,
    /// The call came after this side's drain, and is not known.
    Drained,
}

impl Connection {
    pub(super) fn item_frame(
        &mut self,
        now: Instant,
        frame: &Frame,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let header = &frame.header;
        if header.codec != CODEC_POSTCARD {
            return Err(CloseCode::BAD_FRAME);
        }
        let total = self.whole_len(header, total_word(words)?, payload)?;
        let id = MessageId::of(header);
        match total {
            0 if !is_last(header) => self.note_idle(now)?,
            0 => {}
            _ => self.note_work(),
        }
        if self.inbound.is_taken(id) {
            return Err(CloseCode::BAD_FRAME);
        }
        let whom = self.addressee(id)?;
        if let (For::Drained, _) | (For::Answered, true) = (whom, total == payload.len()) {
            return Ok(Step::On);
        }
        if total == payload.len() {
            let place = Place::Input(frame.payload.clone());
            return self.items_arrived(whom, payload, is_last(header), place);
        }
        self.item_begins(whom, total)?;
        let deadline = now + patience(&self.config.limits, total);
        let kind = (header.kind, header.flags, CallHead::default());
        let wanted = matches!(whom, For::Consumer(_));
        self.inbound.begin(id, kind, (payload, total), deadline, keep::<false>(wanted));
        Ok(Step::On)
    }

    /// For whom items are that come now; an error if none may.
    fn addressee(&mut self, id: MessageId) -> Result<For, CloseCode> {
        if id.initiator {
            let key = ServedKey { slot: id.slot, seq: id.seq };
            return match self.streams.intake(key.into()) {
                Some(intake) if self.served.is_running(key) && !intake.ended => {
                    Ok(For::Consumer(key.into()))
                }
                _ if self.served.is_running(key) => Err(CloseCode::BAD_FRAME),
                _ if self.served.is_last(key) => Ok(For::Answered),
                _ if self.draining => Ok(For::Drained),
                _ => Err(CloseCode::NO_SUCH_CALL),
            };
        }
        let call = self.calls.under_way(id).ok_or(CloseCode::NO_SUCH_CALL)?;
        if self.streams.intake(call.into()).is_none() {
            return Err(CloseCode::BAD_CREDIT);
        }
        let wanted = self.calls.is_wanted(id.slot, id.seq);
        Ok(if wanted { For::Consumer(call.into()) } else { For::NoLonger(call.into()) })
    }

    /// The first fragment of items. The first item must have credit now, the others when all of
    /// the message is here: until then it is one message beyond the window.
    fn item_begins(&mut self, whom: For, total: usize) -> Result<(), CloseCode> {
        let (For::Consumer(stream) | For::NoLonger(stream)) = whom else { return Ok(()) };
        let intake = self.streams.intake(stream).ok_or(CloseCode::BAD_CREDIT)?;
        if !intake.allows_one() {
            return Err(CloseCode::BAD_CREDIT);
        }
        if matches!(whom, For::NoLonger(_)) {
            intake.book(total);
        }
        Ok(())
    }

    fn items_arrived(
        &mut self,
        whom: For,
        message: &[u8],
        last: bool,
        body: Place,
    ) -> Result<Step, CloseCode> {
        let (For::Consumer(stream) | For::NoLonger(stream)) = whom else { return Ok(Step::On) };
        let intake = self.streams.intake(stream).ok_or(CloseCode::BAD_CREDIT)?;
        let items = intake.take(message)?;
        intake.ended = last;
        if matches!(whom, For::NoLonger(_)) {
            return Ok(Step::On);
        }
        if let (StreamKey::Served(key), true) = (stream, last) {
            self.events.push_back(Event::ItemsEnd(key));
        }
        if items == 0 {
            return Ok(Step::On);
        }
        Ok(Step::Event(Pending::Items { stream, items, body }))
    }

    /// The last fragment of items has come.
    pub(super) fn items_whole(
        &mut self,
        partial: &Partial,
        body: Block,
    ) -> Result<Step, CloseCode> {
        let whom = self.addressee(partial.id)?;
        let last = partial.id.initiator && partial.flags.has(Flags::END);
        let items = self.items_arrived(whom, &body, last, Place::Input(0..0))?;
        Ok(match items {
            Step::Event(Pending::Items { stream, items, .. }) => {
                Step::Event(Pending::Items { stream, items, body: Place::Owned(body) })
            }
            other => other,
        })
    }

    pub(super) fn credit_frame(
        &mut self,
        now: Instant,
        header: &Header,
        words: &[u8],
        payload: &[u8],
    ) -> Result<Step, CloseCode> {
        let credit = Credit::parse(words).ok_or(CloseCode::BAD_FRAME)?;
        if !payload.is_empty() {
            return Err(CloseCode::BAD_FRAME);
        }
        if credit.is_zero() {
            return Err(CloseCode::BAD_CREDIT);
        }
        // Credit that answers an item is work, however little it grants.
        match self.items_sent.checked_sub(1) {
            Some(fewer) => self.items_sent = fewer,
            None => self.note_idle(now)?,
        }
        let id = MessageId::of(header);
        let stream = if id.initiator {
            let key = ServedKey { slot: id.slot, seq: id.seq };
            if !self.served.is_running(key) {
                return Ok(Step::On);
            }
            StreamKey::Served(key)
        } else {
            StreamKey::Own(self.calls.under_way(id).ok_or(CloseCode::NO_SUCH_CALL)?)
        };
        let outgoing = self.streams.outgoing(stream).ok_or(CloseCode::BAD_CREDIT)?;
        outgoing.add(credit)?;
        let (left, ended) = (outgoing.left, outgoing.ended);
        // A call that is not all there is nobody's stream yet.
        if ended || self.inbound.begun(id) == Some(FrameKind::CALL) {
            return Ok(Step::On);
        }
        Ok(Step::Event(Pending::Done(Event::Credit { stream, left })))
    }
}

/// The message that this frame belongs to, as its sender sees it.
/// Whether the initiator's items end here. The responder's end with its final frame.
fn is_last(header: &Header) -> bool {
    header.flags.has(Flags::INITIATOR.with(Flags::END))
}
