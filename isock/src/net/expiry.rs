//! Cancels calls at their deadlines, for handlers that want to hear of it.
//!
//! A caller that gives up says so, but for one that is stopped or cut off. One thread for all calls
//! of the process: it exists while there are alarms, and ends after a second without.

use super::cancel::{run_hooks, Cancel};
use crate::process::OfProcess;
use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// The thread ends after this long without an alarm.
const IDLE: Duration = Duration::from_secs(1);

static EXPIRY: OfProcess<Expiry> = OfProcess::new(Expiry::new(), Expiry::new);

struct Expiry {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    running: bool,
    /// Alarms that have been set so far: tells those of one moment apart.
    count: u64,
    alarms: BTreeMap<Key, Weak<Cancel>>,
}

type Key = (Instant, u64);

/// A deadline that is watched until this is dropped.
pub(super) struct Alarm(Key);

impl Drop for Alarm {
    fn drop(&mut self) {
        EXPIRY.get().lock().alarms.remove(&self.0);
    }
}

/// Cancels a call then.
pub(super) fn watch(at: Instant, cancel: Weak<Cancel>) -> Alarm {
    let expiry = EXPIRY.get();
    let mut state = expiry.lock();
    state.count += 1;
    let key = (at, state.count);
    state.alarms.insert(key, cancel);
    let is_first = state.alarms.first_key_value().is_some_and(|(first, _)| *first == key);
    if !state.running {
        let thread = thread::Builder::new().name("isock-expiry".into());
        // Without a thread the next alarm tries again; the handler sees its deadline all the same.
        state.running = thread.spawn(|| expiry.work()).is_ok();
    } else if is_first {
        expiry.changed.notify_all();
    }
    Alarm(key)
}

impl Expiry {
    const fn new() -> Expiry {
        let state = State { running: false, count: 0, alarms: BTreeMap::new() };
        Expiry { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn work(&self) {
        while let Some(due) = self.wait() {
            if let Some(cancel) = due.upgrade() {
                run_hooks(cancel.tell());
            }
        }
    }

    /// Sleeps until an alarm goes off; `None` if none comes.
    fn wait(&self) -> Option<Weak<Cancel>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let patience = match state.alarms.first_key_value() {
                Some(((at, _), _)) if *at <= now => {
                    return state.alarms.pop_first().map(|(_, cancel)| cancel);
                }
                Some(((at, _), _)) => *at - now,
                None => IDLE,
            };
            let (next, waited) =
                self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() && state.alarms.is_empty() {
                state.running = false;
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
