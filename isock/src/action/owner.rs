//! Where an owner of bytes is dropped: where the program lets go of the bytes, or on a thread for that.
//!
//! The library lets go of bytes under its locks and on the threads of its loops. What an owner does when
//! it is dropped is the program's: it may call, wait for a lock of its own, or panic. Knows nothing of
//! the bytes.

use crate::process::OfProcess;
use std::{
    cell::Cell,
    mem,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long the thread stays although there is nothing to drop.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    /// What is let go of next on this thread, the program lets go of.
    static BY_PROGRAM: Cell<bool> = const { Cell::new(false) };
}

/// Lets go of bytes for the program: if nobody else keeps them, their owner is dropped here.
pub(super) fn by_program(let_go: impl FnOnce()) {
    BY_PROGRAM.set(true);
    let_go();
    BY_PROGRAM.set(false);
}

/// An owner of bytes that the program has lent.
pub(super) struct Lender<T: Send + 'static>(Option<T>);

impl<T: Send> Lender<T> {
    pub(super) fn new(owner: T) -> Lender<T> {
        Lender(Some(owner))
    }
}

impl<T: AsRef<[u8]> + Send> AsRef<[u8]> for Lender<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], T::as_ref)
    }
}

impl<T: Send> Drop for Lender<T> {
    fn drop(&mut self) {
        let owner = self.0.take();
        // Taken: what the owner lets go of in turn is not let go of by the program.
        if !BY_PROGRAM.take() {
            DROPPER.get().drop_soon(Box::new(owner));
        }
    }
}

static DROPPER: OfProcess<Dropper> = OfProcess::new(Dropper::new(), Dropper::new);

/// Drops owners, on a thread that there is while it has some.
struct Dropper {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    owners: Vec<Box<dyn Send>>,
    has_thread: bool,
}

impl Dropper {
    const fn new() -> Dropper {
        let state = State { owners: Vec::new(), has_thread: false };
        Dropper { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_soon(&self, owner: Box<dyn Send>) {
        let mut state = self.lock();
        state.owners.push(owner);
        if mem::replace(&mut state.has_thread, true) {
            drop(state);
            return self.changed.notify_one();
        }
        drop(state);
        let thread = thread::Builder::new().name("isock-owners".into());
        if thread.spawn(|| DROPPER.get().drop_all()).is_err() {
            // They wait for the next one that is dropped.
            self.lock().has_thread = false;
        }
    }

    fn drop_all(&self) {
        let mut state = self.lock();
        loop {
            let owners = mem::take(&mut state.owners);
            if !owners.is_empty() {
                drop(state);
                owners.into_iter().for_each(drop_contained);
                state = self.lock();
                continue;
            }
            let waited = self.changed.wait_timeout(state, LINGER);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() && state.owners.is_empty() {
                state.has_thread = false;
                return;
            }
        }
    }
}

fn drop_contained(owner: Box<dyn Send>) {
    let contained = |what: Box<dyn Send>| catch_unwind(AssertUnwindSafe(|| drop(what)));
    // What was thrown is the program's as well, and may throw again when it is dropped.
    if let Err(again) = contained(owner).or_else(|panic| contained(Box::new(panic))) {
        mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{channel, Sender};

    /// Tells on which thread it is dropped.
    struct Owner {
        tell: Sender<Option<String>>,
        panics: bool,
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            self.tell.send(thread::current().name().map(str::to_owned)).unwrap();
            assert!(!self.panics, "an owner panics, by intention");
        }
    }

    #[test]
    fn an_owner_of_which_the_library_lets_go_is_dropped_elsewhere_whatever_the_others_do() {
        let (tell, told) = channel();
        for panics in [false, true, false] {
            drop(Lender::new(Owner { tell: tell.clone(), panics }));
            assert_eq!(told.recv().unwrap().as_deref(), Some("isock-owners"));
        }
    }

    #[test]
    fn an_owner_of_which_the_program_lets_go_is_dropped_there() {
        let (tell, told) = channel();
        let lender = Lender::new(Owner { tell: tell.clone(), panics: false });
        by_program(|| drop(lender));
        let here = thread::current().name().map(str::to_owned);
        assert_eq!(told.try_recv(), Ok(here));
        by_program(|| ());
        drop(Lender::new(Owner { tell, panics: false }));
        assert_eq!(told.recv().unwrap().as_deref(), Some("isock-owners"));
    }
}
