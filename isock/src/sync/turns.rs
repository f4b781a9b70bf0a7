//! What is done one after the other, by whoever is there: nothing is left behind, and never two at
//! once.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What waits, in its order.
#[derive(Debug)]
pub(crate) struct Turns<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// Somebody does what waits.
    busy: bool,
}

impl<T> Turns<T> {
    pub(crate) fn new() -> Turns<T> {
        Turns(Mutex::new(State { waiting: VecDeque::new(), busy: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something; true if somebody must come and do it.
    #[must_use]
    pub(crate) fn push(&self, item: T) -> bool {
        let mut state = self.lock();
        state.waiting.push_back(item);
        !std::mem::replace(&mut state.busy, true)
    }

    /// The next one, for whoever has come. Once there is none, somebody else must be told to come.
    pub(crate) fn next(&self) -> Option<T> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.busy = next.is_some();
        next
    }

    /// Takes all that waits, since nobody can come.
    pub(crate) fn give_up(&self) -> VecDeque<T> {
        let mut state = self.lock();
        state.busy = false;
        std::mem::take(&mut state.waiting)
    }
}
