//! A place where something is put once, and who waits for it.

use std::sync::{
    atomic::{AtomicBool, Ordering},
    Mutex, MutexGuard, PoisonError,
};

/// A place for a `T`; who waits for it is a `W`.
#[derive(Debug)]
pub(crate) struct Place<T, W> {
    /// Something is there, for who only looks. Changed under the lock.
    filled: AtomicBool,
    state: Mutex<State<T, W>>,
}

#[derive(Debug)]
struct State<T, W> {
    value: Option<T>,
    waiter: Option<W>,
}

impl<T, W> Place<T, W> {
    pub(crate) fn new() -> Place<T, W> {
        let state = Mutex::new(State { value: None, waiter: None });
        Place { filled: AtomicBool::new(false), state }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts it there, and returns who is to be woken.
    #[must_use]
    pub(crate) fn put(&self, value: T) -> Option<W> {
        let mut state = self.lock();
        state.value = Some(value);
        self.filled.store(true, Ordering::Release);
        state.waiter.take()
    }

    /// Takes it, if it is there.
    pub(crate) fn take(&self) -> Option<T> {
        if !self.is_filled() {
            return None;
        }
        let mut state = self.lock();
        self.filled.store(false, Ordering::Relaxed);
        state.value.take()
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Says who waits; false if there is no need to.
    pub(crate) fn wait_as(&self, waiter: W) -> bool {
        let mut state = self.lock();
        let waits = state.value.is_none();
        if waits {
            state.waiter = Some(waiter);
        }
        waits
    }
}
