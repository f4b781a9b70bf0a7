//! Sends calls that stayed behind to leave with others, when nobody waits for any of them.
//!
//! A call that is started while others are under way is written by whoever waits next. This is for
//! the caller who goes off to do something else instead: a thread that looks every millisecond
//! while calls are being started, sleeps when none are, and ends after ten seconds.

use super::link::Link;
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
/// Sleeps after this many looks that found nothing.
const QUIET: u32 = 20;
/// Ends after sleeping for this long.
const IDLE: Duration = Duration::from_secs(10);

/// The thread of one connection, if it has one.
#[derive(Debug, Default)]
pub(super) struct Corker {
    /// The thread will look within a tick: nobody need wake it.
    looking: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    link: Weak<Link>,
}

impl Corker {
    /// Makes sure that what stays behind on this connection is sent.
    pub(super) fn watch(self: &Arc<Self>, link: &Arc<Link>) {
        if self.looking.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut state = self.lock();
        state.link = Arc::downgrade(link);
        if state.running {
            drop(state);
            return self.changed.notify_all();
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("isock-cork".into());
        state.running = thread.spawn(move || this.work()).is_ok();
        if !state.running {
            // No thread to look: nothing stays behind.
            drop(state);
            self.looking.store(false, Ordering::Release);
            link.uncork();
        }
    }

    /// The connection is gone: the thread, if there is one, has nothing left to wait for.
    pub(super) fn end(&self) {
        let _state = self.lock();
        self.looking.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    fn work(&self) {
        let mut quiet = 0;
        loop {
            thread::park_timeout(TICK);
            let Some(found) = self.look() else { return };
            quiet = if found { 0 } else { quiet + 1 };
            if quiet >= QUIET {
                if !self.sleep() {
                    return;
                }
                quiet = 0;
            }
        }
    }

    /// Sends what stayed behind, and says whether there was anything; `None` if the connection is
    /// gone.
    fn look(&self) -> Option<bool> {
        let link = self.lock().link.upgrade()?;
        Some(link.uncork())
    }

    /// Waits to be needed; false if it is not needed any more.
    fn sleep(&self) -> bool {
        self.looking.store(false, Ordering::SeqCst);
        // A call may have stayed behind between the last look and the line above.
        if self.look().is_none() {
            return false;
        }
        let state = self.lock();
        let idle = |_: &mut State| !self.looking.load(Ordering::Acquire);
        let (mut state, waited) = self
            .changed
            .wait_timeout_while(state, IDLE, idle)
            .unwrap_or_else(PoisonError::into_inner);
        let needed = !waited.timed_out();
        state.running = needed;
        needed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
