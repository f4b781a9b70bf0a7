//! The calls that this side has started and not finished.
//!
//! Knows slots, numbers and what has been written. Does not know deadlines, bodies' contents or
//! the other side's handlers.

use super::{
    body::SharedBody,
    output::{MessageId, Offset},
};
use crate::wire::{CallHead, Ran};
use slab::Slab;
use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
};

/// Names a call of this side until its final event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// Its place in the table.
    pub(super) index: u32,
    generation: u32,
}

impl CallKey {
    /// A place for it in a table: no two calls under way have the same.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// A call that is to be sent.
#[derive(Clone, Debug)]
pub struct NewCall {
    /// Name, shape, remaining time, length of the metadata.
    pub head: CallHead,
    /// Metadata, then the encoded input.
    pub body: SharedBody,
}

#[derive(Debug)]
struct OutCall {
    generation: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Beyond the grant, or waiting for the other side's preface. Boxed: most calls never wait, and
    /// the table holds them all.
    Queued(Box<NewCall>),
    Sent(Sent),
}

#[derive(Debug)]
struct Sent {
    slot: u16,
    /// Its place among all calls of this side; the first is 1.
    ordinal: u64,
    /// Where its last byte lies in the output; `None` while fragments wait for their place, and
    /// for ever if they are never to be sent.
    end: Option<Offset>,
    /// Nobody waits any more; the slot stays taken until the final frame.
    abandoned: bool,
}

#[derive(Debug, Default)]
struct Slot {
    seq: u32,
    call: Option<u32>,
}

/// The table of a connection.
#[derive(Debug)]
pub(super) struct Calls {
    calls: Slab<OutCall>,
    generation: u32,
    queue: VecDeque<CallKey>,
    /// Bytes of the calls in the queue, their entries included.
    queued_bytes: usize,
    /// Entries of the queue whose calls have been given up.
    given_up: usize,
    slots: Vec<Slot>,
    /// A bit for each slot of `slots` that is free: the lowest is found without a search.
    free: Vec<u64>,
    grant: u16,
    started: u64,
}

/// What a call takes up where its answer is waited for, in bytes: its handle, its place among those
/// that wait, its timer. More than it takes here.
pub(crate) const WAITER: usize = 512;

/// What became of a call that this side gave up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Abandoned {
    /// It had not been sent and never will be.
    Unsent,
    /// The other side must be told.
    Sent(MessageId),
    /// It is not under way.
    Unknown,
}

/// Where a call of either side stands, as far as this side may still say something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// It waits for a slot.
    Queued,
    /// It is under way, and this names what this side sends of it.
    Sent(MessageId),
    /// It has ended, or was given up.
    Gone,
}

/// The table of a connection that may never make a call, as most of a server's do: it is made with
/// the first one.
#[derive(Debug)]
pub(super) struct OwnCalls {
    grant: u16,
    table: Option<Box<Calls>>,
}

static NONE: Calls = Calls::new(0);

impl OwnCalls {
    pub(super) fn new(grant: u16) -> OwnCalls {
        OwnCalls { grant, table: None }
    }

    /// As [`Calls::grant`].
    pub(super) fn grant(&mut self, slots: u16) {
        self.grant = slots;
        if let Some(table) = &mut self.table {
            table.grant(slots);
        }
    }

    /// Takes a call off the table at its final frame, if somebody waits for it; else nothing changes.
    #[inline(always)]
    pub(super) fn finish_wanted(&mut self, slot: u16, seq: u32) -> Option<CallKey> {
        self.table.as_mut()?.finish_wanted(slot, seq)
    }

    /// Whether calls wait for a slot.
    #[inline]
    pub(super) fn has_queue(&self) -> bool {
        self.table.as_ref().is_some_and(|table| !table.queue.is_empty())
    }
}

impl Deref for OwnCalls {
    type Target = Calls;

    #[inline]
    fn deref(&self) -> &Calls {
        self.table.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for OwnCalls {
    #[inline]
    fn deref_mut(&mut self) -> &mut Calls {
        self.table.get_or_insert_with(|| begun(self.grant))
    }
}

// Apart: whoever asks for it mostly has it.
#[cold]
fn begun(grant: u16) -> Box<Calls> {
    Box::new(Calls::new(grant))
}

impl Calls {
    pub(super) const fn new(grant: u16) -> Calls {
        Calls {
            calls: Slab::new(),
            generation: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            given_up: 0,
            slots: Vec::new(),
            free: Vec::new(),
            grant,
            started: 0,
        }
    }

    /// The other side allows this many calls in flight; a grant never shrinks below what is used.
    pub(super) fn grant(&mut self, slots: u16) {
        self.grant = slots;
    }

    /// Takes a call into the queue.
    pub(super) fn push(&mut self, call: NewCall) -> CallKey {
        self.queued_bytes += cost(&call);
        let key = self.insert(State::Queued(Box::new(call)));
        self.queue.push_back(key);
        key
    }

    #[inline(always)]
    fn insert(&mut self, state: State) -> CallKey {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.calls.insert(OutCall { generation, state });
        CallKey { index: index as u32, generation }
    }

    /// Gives a new call a slot, if none waits before it and one is free: it is to be
    /// [put](Calls::put) there next.
    #[inline(always)]
    pub(super) fn slot_at_once(&mut self) -> Option<MessageId> {
        if !self.queue.is_empty() {
            return None;
        }
        let slot = self.lowest_free()?;
        let place = self.calls.vacant_key() as u32;
        Some(self.take_slot(slot, place))
    }

    /// Puts a call on its slot, with where its last byte lies if it has its place in the output.
    #[inline(always)]
    pub(super) fn put(&mut self, id: MessageId, end: Option<Offset>) -> CallKey {
        let ordinal = self.count();
        let sent = Sent { slot: id.slot, ordinal, end, abandoned: false };
        let key = self.insert(State::Sent(sent));
        debug_assert_eq!(self.slots[usize::from(id.slot)].call, Some(key.index));
        key
    }

    #[inline(always)]
    fn take_slot(&mut self, slot: u16, call: u32) -> MessageId {
        let at = usize::from(slot);
        self.free[at / 64] &= !(1 << (at % 64));
        let place = &mut self.slots[at];
        place.call = Some(call);
        place.seq = place.seq.wrapping_add(1);
        MessageId { initiator: true, slot, seq: place.seq }
    }

    /// The call at the front of the queue, if it may be sent as far as slots are concerned.
    pub(super) fn front(&mut self) -> Option<&NewCall> {
        let key = self.first_queued()?;
        self.lowest_free()?;
        match &self.calls[key.index as usize].state {
            State::Queued(call) => Some(call),
            State::Sent(_) => unreachable!("a call leaves the queue when it is sent"),
        }
    }

    /// The first in the queue that has not been given up: those that have are only counted there.
    fn first_queued(&mut self) -> Option<CallKey> {
        loop {
            let key = *self.queue.front()?;
            if self.is_current(key) {
                return Some(key);
            }
            self.queue.pop_front();
            self.given_up -= 1;
        }
    }

    fn is_current(&self, key: CallKey) -> bool {
        self.calls.get(key.index as usize).is_some_and(|call| call.generation == key.generation)
    }

    /// Gives the call at the front of the queue a slot.
    pub(super) fn send_front(&mut self) -> Option<(MessageId, NewCall)> {
        let key = self.first_queued()?;
        let slot = self.lowest_free()?;
        self.queue.pop_front();
        let id = self.take_slot(slot, key.index);
        let ordinal = self.count();
        let sent = Sent { slot, ordinal, end: None, abandoned: false };
        let state = &mut self.calls[key.index as usize].state;
        match std::mem::replace(state, State::Sent(sent)) {
            State::Queued(call) => {
                self.queued_bytes -= cost(&call);
                Some((id, *call))
            }
            State::Sent(_) => unreachable!("a call leaves the queue when it is sent"),
        }
    }

    /// Counts a call frame, as the other side does until it drains.
    pub(super) fn count(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    /// Call frames so far.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// Removes the call at the front of the queue.
    pub(super) fn drop_front(&mut self) -> Option<CallKey> {
        let key = self.first_queued()?;
        self.queue.pop_front();
        self.remove_queued(key);
        Some(key)
    }

    #[inline(always)]
    fn lowest_free(&mut self) -> Option<u16> {
        let free = self.free.iter().position(|&bits| bits != 0);
        if let Some(word) = free {
            return Some((word * 64) as u16 + self.free[word].trailing_zeros() as u16);
        }
        let at = self.slots.len();
        if at >= usize::from(self.grant) {
            return None;
        }
        self.slots.push(Slot::default());
        self.free.resize(at / 64 + 1, 0);
        self.free[at / 64] |= 1 << (at % 64);
        Some(at as u16)
    }

    /// Notes where a message ends in the output.
    pub(super) fn ends_at(&mut self, id: MessageId, end: Offset) {
        // Items that follow the call on its slot end as well, and change nothing.
        if let Some(sent) = self.sent(id) {
            sent.end.get_or_insert(end);
        }
    }

    fn sent(&mut self, id: MessageId) -> Option<&mut Sent> {
        let slot = self.slots.get(usize::from(id.slot)).filter(|slot| slot.seq == id.seq)?;
        match &mut self.calls.get_mut(slot.call? as usize)?.state {
            State::Sent(sent) => Some(sent),
            State::Queued(_) => None,
        }
    }

    /// Where a call stands that somebody waits for.
    pub(super) fn place(&self, key: CallKey) -> Where {
        match self.calls.get(key.index as usize) {
            Some(call) if call.generation == key.generation => match &call.state {
                State::Queued(_) => Where::Queued,
                State::Sent(sent) if sent.abandoned => Where::Gone,
                State::Sent(Sent { slot, .. }) => {
                    let seq = self.slots[usize::from(*slot)].seq;
                    Where::Sent(MessageId { initiator: true, slot: *slot, seq })
                }
            },
            _ => Where::Gone,
        }
    }

    /// The call that has this slot and number, given up or not.
    pub(super) fn under_way(&self, id: MessageId) -> Option<CallKey> {
        let slot = self.slots.get(usize::from(id.slot)).filter(|slot| slot.seq == id.seq)?;
        let index = slot.call?;
        let call = self.calls.get(index as usize)?;
        Some(CallKey { index, generation: call.generation })
    }

    /// Whether a call stands at this place of the table.
    pub(super) fn contains(&self, index: u32) -> bool {
        self.calls.contains(index as usize)
    }

    /// Whether a frame may answer on this slot with this number.
    #[inline]
    pub(super) fn is_under_way(&mut self, slot: u16, seq: u32) -> bool {
        self.sent(MessageId { initiator: true, slot, seq }).is_some()
    }

    /// Takes the call off the table at its final frame. `Ok(None)` if nobody waits for it.
    pub(super) fn finish(&mut self, slot: u16, seq: u32) -> Result<Option<CallKey>, ()> {
        if !self.is_under_way(slot, seq) {
            return Err(());
        }
        let at = usize::from(slot);
        let index = self.slots[at].call.take().ok_or(())?;
        self.free[at / 64] |= 1 << (at % 64);
        let call = self.calls.remove(index as usize);
        let key = CallKey { index, generation: call.generation };
        let wanted = !matches!(call.state, State::Sent(Sent { abandoned: true, .. }));
        Ok(wanted.then_some(key))
    }

    /// The same for an answer that somebody waits for; else nothing changes.
    #[inline(always)]
    fn finish_wanted(&mut self, slot: u16, seq: u32) -> Option<CallKey> {
        let at = usize::from(slot);
        let place = self.slots.get_mut(at).filter(|place| place.seq == seq)?;
        let index = place.call?;
        let OutCall { generation, state } = self.calls.get(index as usize)?;
        if !matches!(state, State::Sent(Sent { abandoned: false, .. })) {
            return None;
        }
        let key = CallKey { index, generation: *generation };
        place.call = None;
        self.free[at / 64] |= 1 << (at % 64);
        match self.calls.try_remove(index as usize)?.state {
            State::Sent(_ended) => Some(key),
            State::Queued(_) => unreachable!("it has been sent, see the lines above"),
        }
    }

    /// Whether somebody waits for the answer on this slot.
    pub(super) fn is_wanted(&mut self, slot: u16, seq: u32) -> bool {
        let sent = self.sent(MessageId { initiator: true, slot, seq });
        sent.is_some_and(|sent| !sent.abandoned)
    }

    /// Nobody waits for the call any more.
    pub(super) fn abandon(&mut self, key: CallKey) -> Abandoned {
        if !self.is_current(key) {
            return Abandoned::Unknown;
        }
        match &mut self.calls[key.index as usize].state {
            State::Queued(_) => {
                self.remove_queued(key);
                self.given_up += 1;
                self.tidy_queue();
                Abandoned::Unsent
            }
            State::Sent(sent) if sent.abandoned => Abandoned::Unknown,
            State::Sent(sent) => {
                sent.abandoned = true;
                let seq = self.slots[usize::from(sent.slot)].seq;
                Abandoned::Sent(MessageId { initiator: true, slot: sent.slot, seq })
            }
        }
    }

    fn remove_queued(&mut self, key: CallKey) {
        if let State::Queued(call) = self.calls.remove(key.index as usize).state {
            self.queued_bytes -= cost(&call);
        }
    }

    /// Drops entries that were given up once they are the most: giving up stays cheap, and the
    /// queue stays short.
    fn tidy_queue(&mut self) {
        if self.given_up > 32 && self.given_up > self.queue.len() / 2 {
            let calls = &self.calls;
            self.queue.retain(|key| {
                let call = calls.get(key.index as usize);
                call.is_some_and(|call| call.generation == key.generation)
            });
            self.given_up = 0;
        }
    }

    /// Whether the handler of a call can have run, judged by how far the output has left.
    pub(super) fn ran(&self, key: CallKey, left: Offset) -> Ran {
        match self.calls.get(key.index as usize) {
            Some(call) if call.generation == key.generation => may_have_run(&call.state, left),
            _ => Ran::Unknown,
        }
    }

    /// Takes the calls off the table that the other side will not accept: all those after the
    /// `accepted` first, and everything in the queue. Says which of them somebody waits for, and
    /// which messages need not be sent on.
    pub(super) fn refused_after(&mut self, accepted: u64) -> (Vec<CallKey>, Vec<MessageId>) {
        let slots: Vec<u32> = self.slots.iter().map(|slot| slot.seq).collect();
        let mut messages = Vec::new();
        let taken = self.take(|state| match state {
            State::Sent(sent) if sent.ordinal <= accepted => false,
            State::Queued(_) => true,
            State::Sent(Sent { slot, .. }) => {
                let seq = slots[usize::from(*slot)];
                messages.push(MessageId { initiator: true, slot: *slot, seq });
                true
            }
        });
        (taken.into_iter().map(|(key, _)| key).collect(), messages)
    }

    /// Empties the table: the connection is gone.
    pub(super) fn take_all(&mut self, left: Offset) -> Vec<(CallKey, Ran)> {
        let taken = self.take(|_| true);
        taken.into_iter().map(|(key, state)| (key, may_have_run(&state, left))).collect()
    }

    /// Takes off the calls that `pick` names, in the order in which they began. The whole queue
    /// is always among them. Those that nobody waits for are not in the result.
    fn take(&mut self, mut pick: impl FnMut(&State) -> bool) -> Vec<(CallKey, State)> {
        let picked: Vec<usize> =
            self.calls.iter().filter(|(_, call)| pick(&call.state)).map(|(at, _)| at).collect();
        self.queue.clear();
        (self.queued_bytes, self.given_up) = (0, 0);
        let mut taken = Vec::new();
        for at in picked {
            let call = self.calls.remove(at);
            if let State::Sent(sent) = &call.state {
                let slot = usize::from(sent.slot);
                self.slots[slot].call = None;
                self.free[slot / 64] |= 1 << (slot % 64);
            }
            if !matches!(&call.state, State::Sent(Sent { abandoned: true, .. })) {
                taken.push((CallKey { index: at as u32, generation: call.generation }, call.state));
            }
        }
        taken.sort_by_key(|(key, _)| key.generation);
        taken
    }

    /// Calls that have not ended; one that was given up counts while it holds its slot.
    pub(super) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Bytes that calls take up which wait for a slot.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Calls that wait for a slot.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.queue.len() - self.given_up
    }
}

/// What a call takes up while it waits.
fn cost(call: &NewCall) -> usize {
    size_of::<OutCall>() + size_of::<CallKey>() + WAITER + call.body.len()
}

/// The other side runs a call only once it has all of it: while a byte is still here, it cannot.
fn may_have_run(state: &State, left: Offset) -> Ran {
    match state {
        State::Sent(Sent { end: Some(end), .. }) if *end <= left => Ran::Unknown,
        _ => Ran::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> NewCall {
        NewCall { head: CallHead::default(), body: SharedBody::default() }
    }

    fn send(calls: &mut Calls) -> Option<(u16, u32)> {
        calls.push(call());
        calls.send_front().map(|(id, _)| (id.slot, id.seq))
    }

    #[test]
    fn a_call_takes_the_lowest_free_slot_and_the_next_number_on_it() {
        let mut calls = Calls::new(100);
        let sent: Vec<_> = (0..70).map(|_| send(&mut calls).unwrap()).collect();
        assert_eq!(sent[69], (69, 1));
        calls.finish(65, 1).unwrap();
        calls.finish(3, 1).unwrap();
        assert_eq!(send(&mut calls), Some((3, 2)));
        assert_eq!(send(&mut calls), Some((65, 2)));
    }

    #[test]
    fn a_call_beyond_the_grant_waits() {
        let mut calls = Calls::new(1);
        assert_eq!(send(&mut calls), Some((0, 1)));
        assert_eq!(send(&mut calls), None);
        assert_eq!(calls.queued(), 1);
        calls.finish(0, 1).unwrap();
        assert_eq!(calls.send_front().map(|(id, _)| id.seq), Some(2));
    }

    #[test]
    fn an_answer_with_another_number_is_refused() {
        let mut calls = Calls::new(1);
        send(&mut calls);
        assert_eq!(calls.finish(0, 2), Err(()));
        assert_eq!(calls.finish(1, 1), Err(()));
    }

    #[test]
    fn an_abandoned_call_keeps_its_slot_until_its_final_frame() {
        let mut calls = Calls::new(1);
        let key = calls.push(call());
        let id = calls.send_front().unwrap().0;
        assert_eq!(calls.abandon(key), Abandoned::Sent(id));
        assert_eq!(calls.abandon(key), Abandoned::Unknown);
        assert_eq!(send(&mut calls), None);
        assert_eq!(calls.finish(0, 1), Ok(None));
        assert!(calls.send_front().is_some());
    }

    #[test]
    fn a_call_that_has_not_wholly_left_cannot_have_run() {
        let mut calls = Calls::new(2);
        let key = calls.push(call());
        assert_eq!(calls.ran(key, 1000), Ran::No, "in the queue");
        let id = calls.send_front().unwrap().0;
        assert_eq!(calls.ran(key, 1000), Ran::No, "fragments without a place");
        calls.ends_at(id, 50);
        assert_eq!(calls.ran(key, 49), Ran::No);
        assert_eq!(calls.ran(key, 50), Ran::Unknown);
    }

    #[test]
    fn a_drain_refuses_what_came_after_the_last_accepted_call() {
        let mut calls = Calls::new(2);
        let keys: Vec<_> = (0..3).map(|_| calls.push(call())).collect();
        calls.send_front();
        calls.send_front();
        let second = MessageId { initiator: true, slot: 1, seq: 1 };
        assert_eq!(calls.refused_after(1), (keys[1..].to_vec(), vec![second]));
        assert_eq!((calls.in_flight(), calls.queued()), (1, 0));
    }

    #[test]
    fn giving_up_queued_calls_is_cheap_and_leaves_no_trace() {
        let mut calls = Calls::new(1);
        send(&mut calls);
        let last = (0..100_000).map(|_| calls.push(call())).last().unwrap();
        for index in 1..100_000 {
            let key = CallKey { index, generation: index + 1 };
            assert_eq!(calls.abandon(key), Abandoned::Unsent);
        }
        assert_eq!(calls.queued(), 1);
        assert!(calls.queue.len() < 100);
        calls.finish(0, 1).unwrap();
        assert_eq!(calls.front().map(|_| ()), Some(()));
        calls.send_front();
        assert_eq!(calls.finish(0, 2), Ok(Some(last)));
    }

    #[test]
    fn numbers_of_a_slot_wrap_around() {
        let mut calls = Calls::new(1);
        send(&mut calls);
        calls.finish(0, 1).unwrap();
        calls.slots[0].seq = u32::MAX;
        assert_eq!(send(&mut calls), Some((0, 0)));
        assert_eq!(calls.finish(0, 0).map(|key| key.is_some()), Ok(true));
        assert_eq!(send(&mut calls), Some((0, 1)));
    }
}
