//! What the lock of a connection keeps: who waits for what, and what has come of it.
//!
//! Knows what an event of the protocol means to whom. Does not know sockets.

use super::State;
use crate::{
    net::{
        crowd::Caller,
        pending::{Awaited, Ended, Pending, Waiter},
    },
    proto::{Buffer, Closed, Event},
};
use std::{fmt::Debug, sync::Arc, thread::ThreadId, time::Instant};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Nobody,
    /// Somebody is about to: whatever is in the output by then leaves first.
    Awake,
    /// Somebody waits for bytes, and sends nothing meanwhile.
    Asleep,
}

/// What calls that are started with nothing else under way have been followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// By their answers: the next one leaves at once.
    Single,
    /// Not known yet of the one under way.
    Open,
    /// By further calls: the next one waits for those.
    Burst,
}

/// A caller that would have the role: it reads for itself and for all.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) thread: ThreadId,
    pub(super) caller: Caller,
    pub(super) wants: Wanted,
}

/// What somebody waits for on a connection.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Call(Awaited),
    /// What comes of a ping, or happens to a stream.
    Signal(Arc<Pending>),
}

impl State {
    /// Takes the role of who reads, if nobody has it.
    pub(super) fn lead(&mut self) -> bool {
        let free = self.reader == Reader::Nobody;
        if free {
            self.reader = Reader::Awake;
            self.taken += 1;
        }
        free
    }

    /// Takes the end of this, if it is there.
    pub(super) fn take(&mut self, wanted: &Wanted) -> Option<Ended> {
        match wanted {
            Wanted::Call(call) => self.pending.take(*call),
            Wanted::Signal(pending) => pending.take(),
        }
    }

    pub(super) fn has_ended(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Call(call) => self.pending.has_ended(*call),
            Wanted::Signal(pending) => pending.is_ended(),
        }
    }

    /// Says which thread waits for this; `None` if there is no need to. With it comes who waited before,
    /// which may be a waker, and so is not dropped under the lock.
    pub(super) fn wait_as(&mut self, wanted: &Wanted, waiter: Waiter) -> Option<Option<Waiter>> {
        match wanted {
            Wanted::Call(call) => self.pending.wait_as(*call, waiter).ok(),
            Wanted::Signal(pending) => pending.wait_as(waiter).then_some(None),
        }
    }

    /// Takes whoever is to read next off the list. Those whose calls have ended are woken for that.
    pub(super) fn next_reader(&mut self) -> Option<(ThreadId, Caller)> {
        loop {
            let Parked { thread, caller, wants } = self.parked.pop()?;
            if !self.has_ended(&wants) {
                return Some((thread, caller));
            }
        }
    }

    /// Hands every event to whom it concerns.
    pub(super) fn understand(&mut self, now: Instant, input: &mut Buffer, woken: &mut Vec<Waiter>) {
        while let Some(event) = self.proto.read(now, input) {
            match event {
                Event::Reply { call, outcome } => match self.flows.remove(call.into()) {
                    Some(flow) => flow.end(Ended::of(outcome), woken),
                    None => {
                        if let Some(waiter) = self.pending.end(call, Ended::of(outcome)) {
                            woken.push(waiter);
                        }
                    }
                },
                Event::Items { stream, items, body } => {
                    if let Some(flow) = self.flows.get(stream) {
                        flow.deliver(body, items, woken);
                    }
                }
                Event::ItemsEnd(key) => {
                    if let Some(flow) = self.flows.get(key.into()) {
                        flow.complete(woken);
                    }
                }
                Event::Credit { stream, left } => {
                    if let Some(flow) = self.flows.get(stream) {
                        flow.credit(left, woken);
                    }
                }
                Event::Call { key, head, body } => {
                    let body = body.into_block();
                    self.called(Some(key), head, body, now);
                }
                Event::Send { head, body } => {
                    let body = body.into_block();
                    self.called(None, head, body, now);
                }
                Event::Cancel(key) => {
                    let running = self.hosting.iter().flat_map(|hosting| &hosting.running);
                    let running = running.filter(|(known, _)| *known == key);
                    woken.extend(running.map(|(_, cancel)| Waiter::Hooks(cancel.tell())));
                    self.flows.cancelled(key, woken);
                }
                Event::Closed(closed) => return self.closed(closed, woken),
                Event::Pong(number) => self.pings.answered(number, now, woken),
                Event::Ready | Event::Settings(_) | Event::Draining => {}
            }
        }
    }

    fn closed(&mut self, closed: Closed, woken: &mut Vec<Waiter>) {
        for (call, ran) in self.proto.take_lost() {
            let ended = Ended::Lost(ran, closed.clone());
            match self.flows.remove(call.into()) {
                Some(flow) => flow.end(ended, woken),
                None => woken.extend(self.pending.end(call, ended)),
            }
        }
        self.flows.stop_all(woken);
        self.pings.lost(&closed, woken);
        if let Some(hosting) = &mut self.hosting {
            let running = hosting.running.drain(..);
            woken.extend(running.map(|(_, cancel)| Waiter::Hooks(cancel.tell())));
            if std::mem::take(&mut hosting.entered) {
                hosting.host.ended(&closed);
            }
        }
        self.closed = Some(closed);
    }
}
