//! That nobody waits for a call any more, and what its handler wants done then.
//!
//! Knows one call. Does not know who cancels, nor on which thread a handler runs.

use super::{
    blocking::hook,
    expiry::{self, Alarm},
};
use std::{
    fmt, mem,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    time::Instant,
};

/// What is done once, when a call is cancelled.
pub(crate) type Hook = Box<dyn FnOnce() + Send>;

/// What a handler knows of its caller's patience.
#[derive(Default)]
pub(crate) struct Cancel {
    told: AtomicBool,
    /// Something may wait to be told. Without it a handler's end takes no lock.
    asked: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    hooks: Vec<Hook>,
    /// Goes off at the deadline; set with the first hook.
    alarm: Option<Alarm>,
}

impl Cancel {
    /// Whether nobody waits any more.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// Nobody waits any more. What is to be done is the user's code: see [`run_hooks`].
    #[must_use]
    pub(crate) fn tell(&self) -> Vec<Hook> {
        self.told.store(true, Ordering::Relaxed);
        self.take().hooks
    }

    /// Has this done when nobody waits any more, which is at the deadline at the latest: now, if
    /// that is so already.
    pub(crate) fn call(self: &Arc<Self>, deadline: Option<Instant>, run: Hook) {
        let mut waiting = self.lock();
        // Whoever tells sets the flag before it takes the hooks: one of the two sees the other.
        if self.is_told() {
            drop(waiting);
            return hook(run);
        }
        // Whoever asks is heard of before the handler ends: see `over`.
        self.asked.store(true, Ordering::Release);
        waiting.hooks.push(run);
        if waiting.alarm.is_none() {
            waiting.alarm = deadline.map(|at| expiry::watch(at, Arc::downgrade(self)));
        }
    }

    /// The handler has returned: nothing is left to be done.
    #[inline]
    pub(crate) fn over(&self) {
        if self.asked.load(Ordering::Acquire) {
            // Not under the lock: hooks are the user's, also when they are dropped.
            drop(self.take());
        }
    }

    /// Whether something has become of it: it was told, or asked to tell.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.is_told() || self.asked.load(Ordering::Relaxed)
    }

    /// Serves another call, as if it were new.
    pub(crate) fn renew(&mut self) {
        *self.told.get_mut() = false;
        // Hooks of somebody who asked when the handler had ended are not for this call.
        self.over();
        self.asked.store(false, Ordering::Relaxed);
    }

    fn take(&self) -> Waiting {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs hooks on a thread that others wait for. Not under a lock.
pub(crate) fn run_hooks(hooks: Vec<Hook>) {
    for run in hooks {
        // The panic hook has reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| hook(run)));
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_told()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

    fn telling(tell: &mpsc::Sender<u32>, number: u32) -> Hook {
        let tell = tell.clone();
        Box::new(move || {
            let _ = tell.send(number);
        })
    }

    #[test]
    fn hooks_run_once_in_their_order_and_at_once_when_it_is_late() {
        let (tell, told) = mpsc::channel();
        let cancel = Arc::new(Cancel::default());
        cancel.call(None, telling(&tell, 1));
        cancel.call(None, telling(&tell, 2));
        assert!(told.try_recv().is_err());
        run_hooks(cancel.tell());
        assert!(cancel.is_told() && cancel.tell().is_empty());
        cancel.call(None, telling(&tell, 3));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_hook_is_dropped_with_its_handler() {
        let (tell, told) = mpsc::channel();
        let cancel = Arc::new(Cancel::default());
        cancel.call(None, telling(&tell, 1));
        drop(tell);
        cancel.over();
        run_hooks(cancel.tell());
        assert_eq!(told.recv(), Err(mpsc::RecvError));
    }

    #[test]
    fn a_deadline_runs_them_in_the_order_of_the_deadlines() {
        let (tell, told) = mpsc::channel();
        let now = Instant::now();
        let calls: Vec<_> = [40, 10, 30, 20].map(|ms| (ms, Arc::new(Cancel::default()))).into();
        for (ms, cancel) in &calls {
            let at = now + Duration::from_millis(u64::from(*ms));
            cancel.call(Some(at), telling(&tell, *ms));
        }
        // One handler returns in time.
        calls[2].1.over();
        drop(tell);
        assert_eq!(told.iter().collect::<Vec<_>>(), [10, 20, 40]);
        assert!(calls[0].1.is_told() && !calls[2].1.is_told());
        assert!(now.elapsed() >= Duration::from_millis(40));
    }
}
