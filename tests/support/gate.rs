//! A gate that holds handlers until a test lets them go.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    entered: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Called by a handler: blocks until the gate is open.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.entered += 1;
        changed.notify_all();
        drop(changed.wait_while(state, |state| !state.open).unwrap());
    }

    /// Waits until this many handlers have come, whether they wait or have passed.
    ///
    /// # Panics
    /// If they do not come.
    pub fn wait_for(&self, handlers: usize) {
        let (state, changed) = &*self.0;
        let late = |state: &mut State| state.entered < handlers;
        let (state, waited) =
            changed.wait_timeout_while(state.lock().unwrap(), PATIENCE, late).unwrap();
        // Not under the lock: a panic would poison it for whoever opens the gate.
        let entered = state.entered;
        drop(state);
        assert!(!waited.timed_out(), "{entered} handlers came, not {handlers}");
    }

    /// How many handlers have come.
    pub fn entered(&self) -> usize {
        self.0 .0.lock().unwrap().entered
    }

    /// As at the beginning: closed, and nobody has come. Whoever waits goes on waiting.
    pub fn close(&self) {
        *self.0 .0.lock().unwrap() = State::default();
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.0 .0.lock().unwrap().open = true;
        self.0 .1.notify_all();
    }

    /// A guard that opens the gate when a test ends, whichever way.
    pub fn opened_at_the_end(&self) -> OpensAtTheEnd {
        OpensAtTheEnd(self.clone())
    }
}

/// See [`Gate::opened_at_the_end`].
#[derive(Debug)]
pub struct OpensAtTheEnd(Gate);

impl Drop for OpensAtTheEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}
