//! Sends calls that stayed behind to leave with others, when nobody waits for any of them.
//!
//! A call that is started while others are under way is written by whoever waits next. This is for
//! the caller who goes off to do something else instead: one thread for all connections of the
//! process, that looks every millisecond while calls are being started, sleeps when none are, and
//! ends after a second of that. The memory of long messages goes with it.

use super::link::Link;
use crate::{process::OfProcess, wire::spare};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
    },
    thread,
    time::Duration,
};

/// A call stays behind for at most about this long.
const TICK: Duration = Duration::from_millis(1);
/// A connection is left alone after this many looks that found nothing.
const QUIET: u32 = 20;
/// The thread ends after sleeping for this long.
const IDLE: Duration = Duration::from_secs(1);

static CORKER: OfProcess<Corker> = OfProcess::new(Corker::new(), Corker::new);

struct Corker {
    /// The thread is there, as far as memory of long messages goes.
    attended: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    running: bool,
    watched: Vec<Watched>,
}

struct Watched {
    link: Weak<Link>,
    quiet: u32,
}

/// Whether the thread looks at a connection: within a tick, so that nobody need wake it.
#[derive(Debug, Default)]
pub(super) struct Looking(AtomicBool);

/// Makes sure that what stays behind on this connection is sent.
#[inline]
pub(super) fn watch(link: &Arc<Link>) {
    if !link.looking().0.load(Ordering::Acquire) {
        CORKER.get().watch(link);
    }
}

/// Makes sure that memory which is kept for long messages is released when none come.
#[inline]
pub(super) fn attend() {
    if spare::is_held() {
        CORKER.get().attend();
    }
}

impl Corker {
    const fn new() -> Corker {
        Corker {
            attended: AtomicBool::new(false),
            state: Mutex::new(State { running: false, watched: Vec::new() }),
            changed: Condvar::new(),
        }
    }

    fn spawn(&'static self, state: &mut State) -> bool {
        let thread = thread::Builder::new().name("isock-cork".into());
        state.running = thread.spawn(|| self.work()).is_ok();
        state.running
    }

    fn attend(&'static self) {
        if !self.attended.swap(true, Ordering::SeqCst) {
            let mut state = self.lock();
            if !state.running && !self.spawn(&mut state) {
                spare::release();
            }
        }
    }

    fn watch(&'static self, link: &Arc<Link>) {
        if link.looking().0.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut state = self.lock();
        // With others on the list the thread does not sleep, or has been woken.
        let sleeps = state.watched.is_empty();
        state.watched.push(Watched { link: Arc::downgrade(link), quiet: 0 });
        if state.running {
            drop(state);
            if sleeps {
                self.changed.notify_all();
            }
            return;
        }
        if !self.spawn(&mut state) {
            // No thread to look: nothing stays behind.
            state.watched.clear();
            drop(state);
            link.looking().0.store(false, Ordering::Release);
            link.uncork();
        }
    }

    fn work(&self) {
        while self.wait_for_work() {
            thread::park_timeout(TICK);
            let watched = std::mem::take(&mut self.lock().watched);
            // Not under the lock: a connection that is dropped here says its last words.
            let mut still = watched;
            still.retain_mut(Watched::look);
            self.lock().watched.append(&mut still);
        }
        // In this order: what is kept from now on has its own thread.
        self.attended.store(false, Ordering::SeqCst);
        spare::release();
    }

    /// Sleeps while there is nothing to look at; false if nothing comes.
    fn wait_for_work(&self) -> bool {
        let state = self.lock();
        let idle = |state: &mut State| state.watched.is_empty();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, IDLE, idle)
            .unwrap_or_else(PoisonError::into_inner);
        state.running = !state.watched.is_empty();
        state.running
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Sends what stayed behind; false if the connection is gone, or has been quiet.
    fn look(&mut self) -> bool {
        let Some(link) = self.link.upgrade() else { return false };
        self.quiet = if link.push_on() { 0 } else { self.quiet + 1 };
        if self.quiet < QUIET {
            return true;
        }
        link.looking().0.store(false, Ordering::SeqCst);
        // A call may have stayed behind between the last look and the line above.
        link.push_on();
        false
    }
}
