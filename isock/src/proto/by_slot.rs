//! A table with a place for each slot.
//!
//! Whoever calls takes the lowest free slot, and most connections have one call at a time: the first
//! place needs no block of its own.

use crate::seldom::Seldom;

/// Grows with the slots that are used.
#[derive(Debug, Default)]
pub(crate) struct BySlot<T> {
    first: T,
    others: Seldom<Vec<T>>,
}

impl<T: Default> BySlot<T> {
    /// The place of a slot, if one as high has been used.
    #[inline]
    pub(crate) fn get(&self, slot: u16) -> Option<&T> {
        match usize::from(slot) {
            0 => Some(&self.first),
            at => self.others.get()?.get(at - 1),
        }
    }

    /// The same, to change it.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u16) -> Option<&mut T> {
        match usize::from(slot) {
            0 => Some(&mut self.first),
            at => self.others.get_mut()?.get_mut(at - 1),
        }
    }

    /// The place of a slot that is used.
    #[inline(always)]
    pub(crate) fn take_up(&mut self, slot: u16) -> &mut T {
        let at = usize::from(slot);
        if at == 0 {
            return &mut self.first;
        }
        let others = self.others.or_begin();
        if at > others.len() {
            widen(others, at);
        }
        &mut others[at - 1]
    }

    /// All places, that of the lowest slot first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(self.others.get().into_iter().flatten())
    }
}

#[cold]
fn widen<T: Default>(others: &mut Vec<T>, len: usize) {
    others.resize_with(len, T::default);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_there_from_the_first_use_of_its_slot_or_a_higher_one() {
        let mut table = BySlot::<u32>::default();
        assert_eq!((table.get(0), table.get(1)), (Some(&0), None));
        assert_eq!(table.get_mut(1), None);
        *table.take_up(2) = 12;
        *table.take_up(0) = 10;
        *table.take_up(1) += 11;
        assert!(table.iter().eq(&[10, 11, 12]));
        assert_eq!(table.get_mut(2), Some(&mut 12));
        assert_eq!(table.get_mut(3), None);
    }

    #[test]
    fn one_call_at_a_time_takes_no_block() {
        let mut table = BySlot::<u32>::default();
        table.take_up(0);
        assert!(table.others.get().is_none());
    }
}
