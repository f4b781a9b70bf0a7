//! What this side wants: calls, sends, cancels, answers, pings and drains. Items are in
//! `stream_commands`.

use super::{
    calls::Abandoned,
    connection::{Connection, NotStarted, Phase, Role},
    frames::MAX_SETTINGS,
    output::{MessageId, Offset},
    Answer, CallKey, Event, NewCall, Outcome, ServedKey, SharedBody, FRAGMENT,
};
use crate::wire::{
    CallHead, Credit, Flags, FrameKind, Header, Ran, Refusal, RefusalCode, Settings, Total,
    LEAST_WORDS, MAX_CREDIT, MAX_METADATA,
};

/// Pings that are waited for; past that the oldest is forgotten.
const MOST_PINGS: usize = 1024;

impl Connection {
    /// Starts a call: sends it, or queues it behind the other side's grant.
    ///
    /// # Errors
    /// If the call can never be sent; nothing has been written then.
    pub fn call(&mut self, call: NewCall) -> Result<CallKey, NotStarted> {
        self.call_with(&call.head, &call.body)
    }

    /// The same of parts that stay where they are: what leaves in one piece is copied to the output alone.
    ///
    /// # Errors
    /// As [`call`](Connection::call).
    pub fn call_with(&mut self, head: &CallHead, body: &SharedBody) -> Result<CallKey, NotStarted> {
        if self.is_over() {
            return Err(NotStarted::Closed);
        }
        if self.drained {
            return Err(NotStarted::Draining);
        }
        let (len, message) = (body.len(), self.peer.message());
        if len > message && self.phase == Phase::Open {
            return Err(NotStarted::TooLarge { limit: message });
        }
        if head.metadata as usize > MAX_METADATA {
            return Err(NotStarted::TooLarge { limit: MAX_METADATA });
        }
        self.note_need();
        let in_one_piece = head.words(None) == LEAST_WORDS
            && !head.items
            && self.output.takes_short(len, self.peer.fragment());
        if in_one_piece && len <= message {
            let calls = &mut *self.calls;
            if let Some(id) = calls.slot_at_once() {
                self.settings_sent = 0;
                let header = Header::new(FrameKind::CALL, id.flags(), LEAST_WORDS, len);
                let header = header.of_call(id.slot, id.seq);
                let end = self.output.short(header, head.least_words(), body);
                return Ok(calls.put(id, Some(end)));
            }
        }
        Ok(self.call_otherwise(NewCall { head: *head, body: body.clone() }))
    }

    // Apart: what it needs of the stack and of registers a call in one piece does not pay for.
    #[inline(never)]
    fn call_otherwise(&mut self, mut call: NewCall) -> CallKey {
        let stream = call.head.is_stream().then(|| {
            let Credit { bytes, items } = call.head.credit;
            call.head.credit =
                Credit { bytes: bytes.min(MAX_CREDIT), items: items.min(MAX_CREDIT) };
            call.head
        });
        let fits = call.body.len() <= self.peer.message();
        let at_once = if fits { self.calls.slot_at_once() } else { None };
        let (key, sent) = match at_once {
            Some(id) => (self.calls.put(id, None), Some((id, call))),
            None => (self.calls.push(call), None),
        };
        if let Some(head) = stream {
            self.streams.open_own(key.index, &head, self.config.limits.widest_window());
        }
        match sent {
            Some((id, call)) => self.write_call(id, &call),
            None => self.send_queued(),
        }
        key
    }

    /// Sends what waits for a slot or for the other side's preface.
    #[inline]
    pub(super) fn send_queued(&mut self) {
        // Asked for each call that ends.
        if self.calls.has_queue() {
            self.send_from_queue();
        }
    }

    fn send_from_queue(&mut self) {
        loop {
            let limit = self.peer.message();
            match self.calls.front() {
                Some(call) if call.body.len() <= limit => self.send_front(),
                Some(_) if self.phase == Phase::Open => self.refuse_front(limit),
                _ => return,
            }
        }
    }

    fn send_front(&mut self) {
        if let Some((id, call)) = self.calls.send_front() {
            self.write_call(id, &call);
        }
    }

    fn write_call(&mut self, id: MessageId, NewCall { head, body }: &NewCall) {
        let whole = body.len();
        let end = self.output.message(id, body, self.peer.fragment(), |out, len, flags| {
            let total = flags.has(Flags::MORE).then_some(Total(whole as u32));
            let items = if head.items { Flags::ITEMS } else { Flags::default() };
            let header = Header::new(FrameKind::CALL, flags.with(items), head.words(total), len);
            header.of_call(id.slot, id.seq).write(out);
            head.write(total, out);
        });
        self.settings_sent = 0;
        if let Some(end) = end {
            self.calls.ends_at(id, end);
        }
        if head.items {
            self.write_early_end(id);
        }
    }

    fn refuse_front(&mut self, limit: usize) {
        let text = format!("the other side accepts messages of at most {limit} bytes");
        let refusal = Refusal::new(RefusalCode::INPUT_TOO_LARGE, Ran::No, text);
        if let Some(call) = self.calls.drop_front() {
            self.streams.close_own(call.index);
            let outcome = Outcome::Refused(refusal);
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
            Phase::Open => self.peer.message().min(self.peer.fragment()),
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
                self.opening.get_mut().into_iter().for_each(|it| it.early.push(call.clone()));
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
        let early = self.opening.get().is_some_and(|opening| !opening.early.is_empty());
        let early = early || self.role == Role::Server;
        self.phase == Phase::Handshake && (early || call.body.len() > self.peer.message())
    }

    fn write_send(&mut self, call: &NewCall) {
        let flags = Flags::INITIATOR.with(Flags::ONEWAY);
        // No items travel with it.
        let head = CallHead { credit: Credit::default(), items: false, ..call.head };
        let header = Header::new(FrameKind::CALL, flags, head.words(None), call.body.len());
        self.calls.count();
        self.settings_sent = 0;
        self.output.copy(|out| {
            header.write(out);
            head.write(None, out);
            call.body.copy_to(out);
        });
    }

    /// Does what had to wait for the other side's preface.
    pub(super) fn catch_up(&mut self) {
        let limit = self.peer.message().min(self.peer.fragment());
        for call in self.opening.take().into_iter().flat_map(|opening| opening.early) {
            if call.body.len() <= limit {
                self.write_send(&call);
            }
        }
        self.send_queued();
        self.write_settings();
        if self.draining {
            self.write_drain();
        }
    }

    /// Gives a call up. If the other side may have it, it is told so, and the slot stays taken
    /// until its final frame; no event follows either way. Says whether the handler can have run
    /// or still may.
    pub fn cancel(&mut self, key: CallKey) -> Ran {
        match self.calls.abandon(key) {
            Abandoned::Unsent => {
                self.streams.close_own(key.index);
                Ran::No
            }
            Abandoned::Unknown => Ran::Unknown,
            Abandoned::Sent(id) => {
                if let Some(outgoing) = self.streams.outgoing(key.into()) {
                    outgoing.ended = true;
                }
                self.output.truncate(id);
                self.inbound.ignore(MessageId { initiator: false, ..id });
                self.cancel_rest(id);
                self.note_ends();
                self.calls.ran(key, self.will_have_left())
            }
        }
    }

    /// Tells the other side that nobody waits, and that missing fragments will not come.
    pub(super) fn cancel_rest(&mut self, id: MessageId) {
        let header = Header::new(FrameKind::CANCEL, id.flags(), 0, 0).of_call(id.slot, id.seq);
        self.output.frame(header, |_| (), &[]);
    }

    /// Whether the handler of a call under way can have run, as far as this side knows.
    pub fn ran(&self, key: CallKey) -> Ran {
        let left = if self.turned_away { 0 } else { self.output.sent() };
        self.calls.ran(key, left)
    }

    /// How far the bytes have left that the other side may act on, or will unless discarded.
    pub(super) fn will_have_left(&self) -> Offset {
        if self.turned_away {
            0
        } else {
            self.output.placed()
        }
    }

    /// Answers a call of the other side. An answer to a call that is not under way, or after the
    /// end, is dropped.
    pub fn answer(&mut self, key: ServedKey, answer: Answer) {
        if self.phase == Phase::Closed || !self.finish_served(key) {
            return;
        }
        if !self.output.is_leaving(key.answer()) {
            self.settings_sent = 0;
        }
        let (kind, body) = match &answer {
            Answer::Value(body) => (FrameKind::REPLY, body),
            Answer::Error(body) => (FrameKind::ERROR, body),
            Answer::Refusal(refusal) => return self.refuse(key, refusal),
        };
        if body.len() > self.peer.message() {
            return self.refuse_too_large(key);
        }
        let waiting = self.output.len();
        if waiting > 0 && waiting + body.len() > self.config.limits.output_hard {
            return self.refuse_more(key);
        }
        if !self.output.takes_short(body.len(), self.peer.fragment()) {
            return self.write_answer(key, kind, body);
        }
        let header = Header::new(kind, Flags::default(), 0, body.len());
        self.output.short(header.of_call(key.slot, key.seq), [], body);
    }

    #[inline(never)]
    fn write_answer(&mut self, key: ServedKey, kind: FrameKind, body: &SharedBody) {
        let whole = body.len() as u64;
        self.output.message(key.answer(), body, self.peer.fragment(), |out, len, flags| {
            let more = flags.has(Flags::MORE);
            let header = Header::new(kind, flags, u8::from(more), len);
            header.of_call(key.slot, key.seq).write(out);
            if more {
                out.extend_from_slice(&whole.to_le_bytes());
            }
        });
    }

    /// The other side does not take an answer as long as this.
    #[cold]
    fn refuse_too_large(&mut self, key: ServedKey) {
        let limit = self.peer.message();
        let text = format!("the caller accepts messages of at most {limit} bytes");
        self.refuse(key, &Refusal::new(RefusalCode::OUTPUT_TOO_LARGE, Ran::Yes, text));
    }

    /// The other side leaves too much unread.
    #[cold]
    fn refuse_more(&mut self, key: ServedKey) {
        let text = "too much waits to be read already; read on, or ask for less at once";
        self.refuse(key, &Refusal::new(RefusalCode::OVERLOADED, Ran::Yes, text));
    }

    /// Frees the slot of a call of the other side; false if it had been answered already. Items
    /// that still come for it are dropped.
    #[inline]
    pub(super) fn finish_served(&mut self, key: ServedKey) -> bool {
        let finished = self.served.finish(key);
        if finished && self.streams.close_served(key.slot) {
            self.inbound.ignore(MessageId { initiator: true, ..key.answer() });
        }
        finished
    }

    /// Refuses the calls of the other side of which a part has not come: they have not run, and will
    /// not any more.
    pub fn refuse_partial(&mut self, refusal: &Refusal) {
        for id in self.inbound.names_of_calls() {
            let key = ServedKey { slot: id.slot, seq: id.seq };
            self.inbound.ignore(id);
            if self.finish_served(key) {
                self.refuse(key, refusal);
            }
        }
    }

    /// The final frame without a value; the slot is free already, or was never taken.
    pub(super) fn refuse(&mut self, key: ServedKey, refusal: &Refusal) {
        let text = refusal.short_text().as_bytes();
        let header = Header::new(FrameKind::REFUSAL, Flags::default(), 1, text.len());
        let header = header.of_call(key.slot, key.seq);
        self.output.last_frame(key.answer(), header, |out| refusal.write_words(out), text);
    }

    /// Asks the other side for an [`Event::Pong`] with the same number, which should be a fresh one:
    /// the answer to a later ping answers this one as well. Does nothing on a server that has not
    /// seen its client's preface.
    pub fn ping(&mut self, number: u64) {
        if self.role == Role::Server && self.phase == Phase::Handshake {
            return;
        }
        let header = Header::new(FrameKind::PING, Flags::default(), 0, 8);
        self.output.frame(header, |_| (), &number.to_le_bytes());
        let sent = self.pings_sent.or_begin();
        if sent.len() == MOST_PINGS {
            sent.pop_front();
        }
        sent.push_back(number);
    }

    /// Says whether something always reads what comes, so that pings will be answered. At first
    /// nothing does. A client's word follows its preface at once, so that its server knows before it
    /// would call; a server's leaves when both prefaces are there. If it changes more often than
    /// anything is called, answered or sent, the last word that the other side hears is no.
    pub fn set_attended(&mut self, attended: bool) {
        self.settings = Settings { attended };
        let early = self.role == Role::Client && self.phase == Phase::Handshake;
        if early || self.phase == Phase::Open {
            self.write_settings();
        }
    }

    fn write_settings(&mut self) {
        // A yes leaves room for a no.
        let most = MAX_SETTINGS - u8::from(self.settings.attended);
        if self.settings == self.settings_said || self.settings_sent >= most {
            return;
        }
        self.settings_sent += 1;
        self.settings_said = self.settings;
        let header = Header::new(FrameKind::SETTINGS, Flags::default(), 1, 0);
        let settings = self.settings;
        self.output.frame(header, |out| settings.write(out), &[]);
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
}
