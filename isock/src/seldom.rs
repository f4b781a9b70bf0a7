//! A part that most of those who have it do without, most of the time.
//!
//! A server holds many connections that have nothing to say. What only a busy one needs is in one of
//! these: a pointer while it is at rest, and a block of its own from its first change on.

use std::collections::VecDeque;

/// A `T` that is there while it is needed. Whoever ends what it was needed for drops it.
#[derive(Debug)]
pub(crate) struct Seldom<T>(Option<Box<T>>);

/// A queue that is mostly empty, and takes no memory then.
pub(crate) type SeldomQueue<T> = Seldom<VecDeque<T>>;

impl<T> Default for Seldom<T> {
    fn default() -> Seldom<T> {
        Seldom(None)
    }
}

impl<T> Seldom<T> {
    /// One that is there.
    pub(crate) fn with(value: T) -> Seldom<T> {
        Seldom(Some(Box::new(value)))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Makes it if it is not there.
    pub(crate) fn or_make(&mut self, make: impl FnOnce() -> T) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(make()))
    }

    /// Makes it as it begins if it is not there.
    #[inline]
    pub(crate) fn or_begin(&mut self) -> &mut T
    where
        T: Default,
    {
        self.0.get_or_insert_with(begun)
    }

    /// Takes it away, if it is there.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.take().map(|there| *there)
    }

    /// Drops it if it is not needed any more.
    #[inline]
    pub(crate) fn drop_if(&mut self, is_at_rest: impl FnOnce(&T) -> bool) {
        if self.get().is_some_and(is_at_rest) {
            self.0 = None;
        }
    }
}

// Apart: whoever asks for it mostly has it.
#[cold]
fn begun<T: Default>() -> Box<T> {
    Box::default()
}

impl<T> SeldomQueue<T> {
    pub(crate) fn push_back(&mut self, value: T) {
        self.or_begin().push_back(value);
    }

    /// With the last of them the queue goes.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let first = self.get_mut()?.pop_front();
        self.drop_if(VecDeque::is_empty);
        first
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.get().is_none_or(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_there_while_something_waits_in_it() {
        let mut queue = SeldomQueue::default();
        assert_eq!((queue.pop_front(), queue.is_empty()), (None, true));
        queue.push_back(1);
        queue.push_back(2);
        assert_eq!((queue.pop_front(), queue.is_empty()), (Some(1), false));
        assert_eq!((queue.pop_front(), queue.get()), (Some(2), None));
    }

    #[test]
    fn what_is_needed_no_more_is_dropped() {
        let mut number = Seldom::with(7);
        number.drop_if(|n| *n == 0);
        assert_eq!(*number.or_begin(), 7);
        *number.or_begin() = 0;
        number.drop_if(|n| *n == 0);
        assert_eq!(number.get(), None);
        assert_eq!(*number.or_make(|| 3), 3);
    }
}
