//! What this side wants of its streams: to send items, and to take them.

use super::{
    body::SharedBody,
    calls::Where,
    connection::{Connection, Phase},
    output::{MessageId, COPY_UP_TO},
    streams::Intake,
    Balance, NotSent, ServedKey, StreamKey,
};
use crate::wire::{Credit, Flags, FrameKind, Header, ItemBatch};

impl Connection {
    /// Sends the items of `batch`, which is empty afterwards. With `end` they are the last ones of
    /// this side's call; the items of a served call end with its answer instead. An empty batch
    /// says only that.
    ///
    /// # Errors
    /// If not all of them may be sent now, or ever; nothing has been written then, and the batch
    /// is as it was.
    pub fn send_items(
        &mut self,
        stream: StreamKey,
        batch: &mut ItemBatch,
        end: bool,
    ) -> Result<(), NotSent> {
        let place = self.may_send(stream, batch)?;
        // The items of a served call end with its final frame.
        let end = end && matches!(stream, StreamKey::Own(_));
        let (items, len) = (batch.items(), batch.as_bytes().len());
        if let Some(outgoing) = self.streams.outgoing(stream) {
            outgoing.spend(items, len);
            outgoing.ended = end;
        }
        self.items_sent = self.items_sent.saturating_add(items);
        match place {
            Where::Sent(id) if len > 0 || end => self.write_items(id, batch, end),
            _ => {}
        }
        Ok(())
    }

    fn may_send(&self, stream: StreamKey, batch: &ItemBatch) -> Result<Where, NotSent> {
        let place = self.place(stream);
        let outgoing = self.streams.get(stream).and_then(|stream| stream.outgoing.as_ref());
        let outgoing = match outgoing {
            Some(outgoing) if place != Where::Gone && !outgoing.ended => outgoing,
            _ => return Err(NotSent::Ended),
        };
        let (len, waiting) = (batch.as_bytes().len(), self.output.len());
        let limit = self.peer.message();
        match () {
            () if len > limit => Err(NotSent::TooLarge { limit }),
            () if !outgoing.allows(batch.items(), batch.before_last()) => Err(NotSent::NoCredit),
            // Items alone never bring the output to where this side stops reading: two sides that
            // both send would wait for each other.
            () if len > 0 && waiting > 0 && waiting + len > self.config.limits.output_soft => {
                Err(NotSent::Full)
            }
            () => Ok(place),
        }
    }

    /// Writes an end that was asked for before its call had a slot.
    pub(super) fn write_early_end(&mut self, id: MessageId) {
        let Some(call) = self.calls.under_way(id) else { return };
        if self.streams.outgoing(call.into()).is_some_and(|outgoing| outgoing.ended) {
            self.write_items(id, &mut ItemBatch::new(), true);
        }
    }

    /// Short messages are copied next to their header, unless one of the same stream is still
    /// leaving in fragments, behind which they wait.
    fn write_items(&mut self, id: MessageId, batch: &mut ItemBatch, end: bool) {
        let last = if end { Flags::END } else { Flags::default() };
        let len = batch.as_bytes().len();
        if len <= COPY_UP_TO && !self.output.is_leaving(id) {
            let header = Header::new(FrameKind::ITEM, id.flags().with(last), 0, len);
            self.output.frame(header.of_call(id.slot, id.seq), |_| (), batch.as_bytes());
            if len > 0 {
                self.settings_sent = 0;
            }
            return batch.clear();
        }
        let body = SharedBody::new(batch.take());
        self.output.message(id, &body, self.peer.fragment(), |out, first, flags| {
            let more = flags.has(Flags::MORE);
            let header = Header::new(FrameKind::ITEM, flags.with(last), u8::from(more), first);
            header.of_call(id.slot, id.seq).write(out);
            if more {
                out.extend_from_slice(&(len as u64).to_le_bytes());
            }
        });
    }

    /// What may be sent on this stream now; nothing if it carries no items of this side.
    pub fn credit(&self, stream: StreamKey) -> Balance {
        let outgoing = match self.place(stream) {
            Where::Gone => None,
            _ => self.streams.get(stream).and_then(|stream| stream.outgoing.as_ref()),
        };
        let outgoing = outgoing.filter(|outgoing| !outgoing.ended);
        outgoing.map_or(Balance::default(), |outgoing| outgoing.left)
    }

    /// Lets the items of a call of the other side come: without this it may send none. The first
    /// window is that of [`Limits`](crate::Limits).
    pub fn take_items(&mut self, key: ServedKey) {
        let first = self.config.limits.first_window();
        self.give_credit(key.into(), |intake| intake.widen(first));
    }

    /// Notes that items have been consumed: so many, whose messages had so many bytes, the items'
    /// lengths included. Credit for as much goes back to their sender, half a window at a time.
    /// `starving` says that no received item waits any more, so that a wider window would help.
    pub fn consumed(&mut self, stream: StreamKey, bytes: usize, items: u32, starving: bool) {
        self.give_credit(stream, |intake| intake.consumed(bytes, items, starving));
    }

    fn give_credit(&mut self, stream: StreamKey, change: impl FnOnce(&mut Intake)) {
        let Where::Sent(id) = self.place(stream) else { return };
        let Some(intake) = self.streams.intake(stream) else { return };
        change(intake);
        if let Some(credit) = intake.due() {
            self.write_credit(id, credit);
        }
    }

    fn write_credit(&mut self, id: MessageId, credit: Credit) {
        let header = Header::new(FrameKind::CREDIT, id.flags(), 1, 0).of_call(id.slot, id.seq);
        self.output.frame(header, |out| credit.write(out), &[]);
    }

    /// Streams of the other side that have not been answered.
    pub fn serving_streams(&self) -> usize {
        self.streams.serving()
    }

    /// Where the call of a stream stands, and which messages of it are this side's.
    fn place(&self, stream: StreamKey) -> Where {
        match stream {
            _ if self.phase == Phase::Closed => Where::Gone,
            StreamKey::Own(call) => self.calls.place(call),
            StreamKey::Served(key) if self.served.is_running(key) => Where::Sent(key.answer()),
            StreamKey::Served(_) => Where::Gone,
        }
    }
}
