//! Where callers sleep that wait for one connection, and are woken together.
//!
//! Woken one by one, each caller would run at once, ahead of the thread that wakes the next one: two
//! changes of thread for each of them. So all whose answers came with one read are woken with one
//! call of the system, where it has one that names them. Does not know what they wait for.

#[cfg(all(any(target_os = "linux", target_os = "android"), target_pointer_width = "64"))]
use crate::sys::{sleep_at, wake_at};
#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    target_pointer_width = "64"
)))]
use std::sync::{Condvar, Mutex, PoisonError};
use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// The callers of one connection.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// How often any of them have been woken.
    calls: AtomicU32,
    #[cfg(not(all(
        any(target_os = "linux", target_os = "android"),
        target_pointer_width = "64"
    )))]
    asleep: (Mutex<()>, Condvar),
}

/// The number of a thread that has called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller(u32);

/// Some of them, a bit for each. Those that share a bit are woken together, and look for themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Callers(u32);

/// What has been called out so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard(u32);

thread_local! {
    static ME: Cell<Option<Caller>> = const { Cell::new(None) };
}

impl Caller {
    /// This thread.
    pub(super) fn me() -> Caller {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let me = ME.get().unwrap_or_else(|| Caller(NEXT.fetch_add(1, Ordering::Relaxed)));
        ME.set(Some(me));
        me
    }

    /// Those that begin one after the other have different ones.
    fn bit(self) -> u32 {
        1 << (self.0 % u32::BITS)
    }
}

impl Callers {
    pub(super) fn add(&mut self, caller: Caller) {
        self.0 |= caller.bit();
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<Caller> for Callers {
    fn from(caller: Caller) -> Callers {
        Callers(caller.bit())
    }
}

impl Crowd {
    /// To be asked before the last look at what is waited for: what happens later ends the
    /// [sleep](Crowd::sleep).
    pub(super) fn heard(&self) -> Heard {
        // Who hears of a call sees what it is about.
        Heard(self.calls.load(Ordering::Acquire))
    }
}

#[cfg(all(any(target_os = "linux", target_os = "android"), target_pointer_width = "64"))]
impl Crowd {
    /// Sleeps until this thread is woken, unless somebody was since then. May end for no reason.
    pub(super) fn sleep(&self, heard: Heard, me: Caller, patience: Duration) {
        sleep_at(&self.calls, heard.0, me.bit(), patience);
    }

    /// Wakes these, once what they wait for has happened.
    pub(super) fn wake(&self, whom: Callers) {
        if !whom.is_empty() {
            self.calls.fetch_add(1, Ordering::Release);
            wake_at(&self.calls, whom.0);
        }
    }
}

/// Where nobody can be named all are woken.
#[cfg(not(all(any(target_os = "linux", target_os = "android"), target_pointer_width = "64")))]
impl Crowd {
    pub(super) fn sleep(&self, heard: Heard, _: Caller, patience: Duration) {
        let (lock, woken) = &self.asleep;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody_called = |(): &mut ()| self.calls.load(Ordering::Relaxed) == heard.0;
        drop(woken.wait_timeout_while(guard, patience, nobody_called));
    }

    pub(super) fn wake(&self, whom: Callers) {
        if !whom.is_empty() {
            let (lock, woken) = &self.asleep;
            let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.calls.fetch_add(1, Ordering::Release);
            drop(guard);
            woken.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread, time::Instant};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn who_was_called_before_it_sleeps_does_not() {
        let crowd = Crowd::default();
        let heard = crowd.heard();
        crowd.wake(Caller::me().into());
        let began = Instant::now();
        crowd.sleep(heard, Caller::me(), LONG);
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_sleep_ends_with_its_patience() {
        let crowd = Crowd::default();
        let (began, patience) = (Instant::now(), Duration::from_millis(5));
        while began.elapsed() < patience {
            crowd.sleep(crowd.heard(), Caller::me(), patience.saturating_sub(began.elapsed()));
        }
    }

    #[test]
    fn one_call_wakes_all_that_it_names() {
        let crowd = Arc::new(Crowd::default());
        let (named, there) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let sleepers: Vec<_> = (0..3)
            .map(|_| {
                let (crowd, named, there) = (crowd.clone(), named.clone(), there.clone());
                thread::spawn(move || {
                    let heard = crowd.heard();
                    named.fetch_or(Caller::me().bit(), Ordering::Relaxed);
                    there.fetch_add(1, Ordering::Release);
                    while crowd.heard().0 == heard.0 {
                        crowd.sleep(heard, Caller::me(), LONG);
                    }
                })
            })
            .collect();
        while there.load(Ordering::Acquire) < 3 {
            thread::yield_now();
        }
        crowd.wake(Callers(named.load(Ordering::Relaxed)));
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    }
}
