//! The calls that the other side has started and this side has not answered.

use super::{by_slot::BySlot, output::MessageId};

/// Names a call of the other side until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServedKey {
    /// Its slot.
    pub slot: u16,
    /// Its number on that slot.
    pub seq: u32,
}

impl ServedKey {
    /// The message that answers it.
    pub(super) fn answer(self) -> MessageId {
        MessageId { initiator: false, slot: self.slot, seq: self.seq }
    }
}

/// What a call frame means for its slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the next one.
    New,
    /// It is under way already: its answer will come, and it does not run again.
    Attached,
    /// Neither the next nor the current one. It must not run.
    Stale,
    /// The slot is above the grant, or its call is not answered yet.
    Violation,
}

#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    seq: u32,
    /// A call has come at all.
    used: bool,
    running: bool,
    cancelled: bool,
}

/// The table of a connection.
#[derive(Debug)]
pub(super) struct Served {
    slots: BySlot<Slot>,
    grant: u16,
    /// How many of them run.
    running: u16,
}

impl Served {
    pub(super) fn new(grant: u16) -> Served {
        Served { slots: BySlot::default(), grant, running: 0 }
    }

    /// Judges the first frame of a call, and takes the slot if it is new.
    #[inline(always)]
    pub(super) fn arrive(&mut self, key: ServedKey) -> Arrival {
        if key.slot >= self.grant {
            return Arrival::Violation;
        }
        let slot = self.slots.take_up(key.slot);
        let next = key.seq == slot.seq.wrapping_add(1);
        match (next, slot.running) {
            (true, true) => Arrival::Violation,
            (true, false) => {
                *slot = Slot { seq: key.seq, used: true, running: true, cancelled: false };
                self.running += 1;
                Arrival::New
            }
            (false, true) if key.seq == slot.seq => Arrival::Attached,
            (false, _) => Arrival::Stale,
        }
    }

    /// Whether the call has been accepted and not answered.
    pub(super) fn is_running(&self, key: ServedKey) -> bool {
        let slot = self.slots.get(key.slot);
        slot.is_some_and(|slot| slot.running && slot.seq == key.seq)
    }

    /// Whether this was the last call accepted on its slot, answered or not.
    pub(super) fn is_last(&self, key: ServedKey) -> bool {
        let slot = self.slots.get(key.slot);
        slot.is_some_and(|slot| slot.used && slot.seq == key.seq)
    }

    /// Notes that the caller no longer waits; false if that is known, or the call is not running.
    pub(super) fn cancel(&mut self, key: ServedKey) -> bool {
        let slot = self.slots.get_mut(key.slot);
        slot.is_some_and(|slot| {
            slot.running && slot.seq == key.seq && !std::mem::replace(&mut slot.cancelled, true)
        })
    }

    /// Frees the slot; false if the call had been answered already.
    #[inline]
    pub(super) fn finish(&mut self, key: ServedKey) -> bool {
        let slot = self.slots.get_mut(key.slot);
        let Some(slot) = slot.filter(|slot| slot.running && slot.seq == key.seq) else {
            return false;
        };
        slot.running = false;
        self.running -= 1;
        true
    }

    /// Calls that are not answered.
    pub(super) fn running(&self) -> usize {
        self.running.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u16, seq: u32) -> ServedKey {
        ServedKey { slot, seq }
    }

    #[test]
    fn only_the_next_number_of_a_slot_is_a_new_call() {
        let mut served = Served::new(4);
        assert_eq!(served.arrive(key(0, 1)), Arrival::New);
        assert_eq!(served.arrive(key(0, 1)), Arrival::Attached);
        assert_eq!(served.arrive(key(0, 3)), Arrival::Stale);
        assert!(served.finish(key(0, 1)));
        assert_eq!(served.arrive(key(0, 1)), Arrival::Stale);
        assert_eq!(served.arrive(key(0, 2)), Arrival::New);
    }

    #[test]
    fn a_slot_that_is_taken_or_not_granted_is_a_violation() {
        let mut served = Served::new(1);
        assert_eq!(served.arrive(key(1, 1)), Arrival::Violation);
        served.arrive(key(0, 1));
        assert_eq!(served.arrive(key(0, 2)), Arrival::Violation);
    }

    #[test]
    fn a_call_is_answered_once() {
        let mut served = Served::new(1);
        served.arrive(key(0, 1));
        assert!(served.finish(key(0, 1)));
        assert!(!served.finish(key(0, 1)));
        assert_eq!(served.running(), 0);
    }

    #[test]
    fn numbers_of_a_slot_wrap_around() {
        let mut served = Served::new(1);
        served.slots.take_up(0).seq = u32::MAX;
        assert_eq!(served.arrive(key(0, 0)), Arrival::New);
    }
}
