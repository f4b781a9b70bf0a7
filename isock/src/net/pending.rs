//! A call that somebody waits for: a blocked thread, a future, or nobody yet.

use super::{
    blocking::hook,
    cancel::{run_hooks, Hook},
    crowd::{Caller, Callers, Crowd},
};
use crate::{
    proto::{CallKey, Closed, Outcome},
    sync::Place,
    wire::{Block, Ran, Refusal},
};
use std::{
    collections::VecDeque,
    fmt,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::Arc,
    task::Waker,
    thread::{self, Thread},
    time::Instant,
};

/// How a call ended, as far as one connection knows.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// With an encoded value.
    Value(Block),
    /// With the action's own error, encoded.
    Error(Block),
    /// The server refused it, or it failed there.
    Refused(Refusal),
    /// The connection ended first.
    Lost(Ran, Closed),
}

impl Ended {
    /// What the other side answered.
    #[inline]
    pub(super) fn of(outcome: Outcome<'_>) -> Ended {
        match outcome {
            Outcome::Value(body) => Ended::Value(body.into_block()),
            Outcome::Error(body) => Ended::Error(body.into_block()),
            Outcome::Refused(refusal) => Ended::Refused(refusal),
        }
    }
}

/// Where the end of a call is put.
#[derive(Debug)]
pub(crate) struct Pending(Place<Ended, Waiter>);

impl Default for Pending {
    fn default() -> Pending {
        Pending(Place::new())
    }
}

/// Who is told.
pub(super) enum Waiter {
    Thread(Thread),
    /// A caller that sleeps in the crowd of its connection.
    Caller(Arc<Crowd>, Caller),
    Future(Waker),
    /// A handler whose call has been cancelled.
    Hooks(Vec<Hook>),
}

impl Waiter {
    /// Whether it is a thread, which is likely to call again.
    pub(super) fn is_thread(&self) -> bool {
        matches!(self, Waiter::Thread(_) | Waiter::Caller(..))
    }

    /// Wakes. Never while a lock is held: a waker is the user's code, and others wait for the
    /// thread that it runs on.
    pub(super) fn wake(self) {
        match self {
            Waiter::Thread(thread) => thread.unpark(),
            Waiter::Caller(crowd, caller) => crowd.wake(Callers::from(caller)),
            Waiter::Future(waker) => hook(|| waker.wake()),
            Waiter::Hooks(hooks) => run_hooks(hooks),
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waiter::Thread(_) => "Thread",
            Waiter::Caller(..) => "Caller",
            Waiter::Future(_) => "Future",
            Waiter::Hooks(_) => "Hooks",
        })
    }
}

/// Wakes on the thread of a loop, which a waker that panics must not end.
#[inline]
pub(super) fn wake_all(woken: Vec<Waiter>) {
    if woken.is_empty() {
        return;
    }
    for waiter in woken {
        // The panic hook has reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| waiter.wake()));
    }
}

impl Pending {
    /// Puts the end, and returns who is to be woken once all locks are free.
    #[must_use]
    pub(super) fn end(&self, ended: Ended) -> Option<Waiter> {
        self.0.put(ended)
    }

    /// Takes the end, if it is there.
    pub(crate) fn take(&self) -> Option<Ended> {
        self.0.take()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.0.is_filled()
    }

    /// Blocks until the end is there; `None` if the deadline comes first.
    pub(super) fn block(&self, deadline: Instant) -> Option<Ended> {
        loop {
            if let Some(ended) = self.take() {
                return Some(ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if self.wait_as(Waiter::Thread(thread::current())) {
                thread::park_timeout(left);
            }
        }
    }

    /// Says who waits; false if the end is there already.
    pub(super) fn wait_as(&self, waiter: Waiter) -> bool {
        self.0.wait_as(waiter)
    }

    /// The same for a future.
    pub(crate) fn wake_with(&self, waker: &Waker) -> bool {
        self.wait_as(Waiter::Future(waker.clone()))
    }
}

/// Endings whose memory is kept for further calls.
const SPENT: usize = 512;

/// The calls that one connection waits for, each at the place that its key names.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    calls: Vec<Option<(CallKey, Arc<Pending>)>>,
    /// Where ends have been put, the oldest first: used again once their callers have them.
    spent: VecDeque<Arc<Pending>>,
}

impl Waiting {
    /// Adds a call that has just been started.
    pub(super) fn insert(&mut self, key: CallKey) -> Arc<Pending> {
        let pending = self.fresh();
        let at = key.index();
        if at >= self.calls.len() {
            self.calls.resize_with(at + 1, || None);
        }
        self.calls[at] = Some((key, Arc::clone(&pending)));
        pending
    }

    fn fresh(&mut self) -> Arc<Pending> {
        let Some(mut spent) = self.spent.pop_front() else { return Arc::default() };
        match Arc::get_mut(&mut spent) {
            Some(pending) => pending.0.renew(),
            // Its caller has not looked yet. It keeps it, and the next ones are younger still.
            None => return Arc::default(),
        }
        spent
    }

    /// Forgets a call that nobody waits for any more; false if it has ended.
    pub(super) fn remove(&mut self, key: CallKey) -> bool {
        self.take(key).is_some()
    }

    /// Ends a call, and returns who is to be woken once all locks are free.
    #[must_use]
    pub(super) fn end(&mut self, key: CallKey, ended: Ended) -> Option<Waiter> {
        let pending = self.take(key)?;
        let waiter = pending.end(ended);
        if self.spent.len() < SPENT {
            self.spent.push_back(pending);
        }
        waiter
    }

    fn take(&mut self, key: CallKey) -> Option<Arc<Pending>> {
        let place = self.calls.get_mut(key.index())?;
        place.take_if(|(known, _)| *known == key).map(|(_, pending)| pending)
    }
}
