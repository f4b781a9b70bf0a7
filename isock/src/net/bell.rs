//! Wakes a thread that waits: for word of other threads alone, or for sockets as well.
//!
//! Knows descriptors. Does not know what is read from them, nor why somebody rings.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
#[cfg(unix)]
use {
    crate::sys::{self, Wish},
    std::{
        io::{self, Read, Write},
        os::{
            fd::{AsFd, BorrowedFd},
            unix::net::UnixStream,
        },
        sync::Arc,
    },
};

/// How long to wait when the system does not let us wait for sockets.
const TICK: Duration = Duration::from_millis(50);

/// Rung by any thread, heard by one. A ring that nobody waits for is kept for the next wait, so
/// that nothing is lost between a look and the wait after it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    /// Who is to hear it waits for sockets.
    #[cfg(unix)]
    polling: bool,
    /// Made with the first wait for sockets: most bells are rung without.
    #[cfg(unix)]
    wire: Option<Arc<Wire>>,
}

/// A byte in it is a ring. There is one at most: only while its reader polls, and with the first
/// ring alone.
#[cfg(unix)]
#[derive(Debug)]
struct Wire {
    ring: UnixStream,
    hear: UnixStream,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the wait of the moment, or else the next one.
    pub(crate) fn ring(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.rung, true) {
            return;
        }
        #[cfg(unix)]
        if let Some(wire) = state.wire.as_ref().filter(|_| state.polling) {
            // It is empty, so there is room; and its other end is open.
            let _ = (&wire.ring).write(&[1]);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for a ring, or until then.
    pub(crate) fn wait(&self, until: Option<Instant>) {
        let mut state = self.lock();
        while !std::mem::take(&mut state.rung) {
            let Some(until) = until else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same, and for sockets; says which of them are ready.
    ///
    /// # Errors
    /// If the system has no room for it: nothing has been waited for.
    #[cfg(unix)]
    pub(super) fn wait_with(
        &self,
        sockets: &[(BorrowedFd<'_>, Wish)],
        until: Option<Instant>,
    ) -> io::Result<Vec<bool>> {
        let mut state = self.lock();
        if std::mem::take(&mut state.rung) {
            return Ok(vec![false; sockets.len()]);
        }
        let wire = state.wire()?;
        state.polling = true;
        drop(state);
        let all: Vec<_> =
            sockets.iter().copied().chain([(wire.hear.as_fd(), Wish::Read)]).collect();
        let patience = until.map(|until| until.saturating_duration_since(Instant::now()));
        let ready = sys::wait_for_any(&all, patience);
        let mut state = self.lock();
        state.polling = false;
        if std::mem::take(&mut state.rung) {
            // It lies there: it was written before the lock was free.
            let _ = (&wire.hear).read(&mut [0]);
        }
        drop(state);
        match ready {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Ok(vec![false; sockets.len()])
            }
            Err(error) => Err(error),
            Ok(mut ready) => {
                ready.truncate(sockets.len());
                Ok(ready)
            }
        }
    }

    /// Nobody waits for sockets any more for now: gives their descriptors back.
    pub(crate) fn rest(&self) {
        #[cfg(unix)]
        drop(self.lock().wire.take());
    }

    /// When to look at sockets that cannot be waited for.
    pub(super) fn tick() -> Instant {
        Instant::now() + TICK
    }
}

#[cfg(unix)]
impl State {
    fn wire(&mut self) -> io::Result<Arc<Wire>> {
        if let Some(wire) = &self.wire {
            return Ok(Arc::clone(wire));
        }
        let (ring, hear) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        hear.set_nonblocking(true)?;
        Ok(Arc::clone(self.wire.insert(Arc::new(Wire { ring, hear }))))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(20);

    fn soon() -> Option<Instant> {
        Some(Instant::now() + LONG)
    }

    #[test]
    fn a_ring_before_the_wait_ends_it_at_once_and_only_one() {
        let bell = Bell::default();
        let began = Instant::now();
        bell.ring();
        bell.ring();
        bell.wait(None);
        bell.ring();
        assert_eq!(bell.wait_with(&[], None).unwrap(), []);
        assert!(began.elapsed() < LONG);
        bell.wait(Some(Instant::now()));
        bell.wait_with(&[], Some(Instant::now())).unwrap();
    }

    #[test]
    fn a_ring_ends_each_kind_of_wait() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let bell = Bell::default();
        let began = Instant::now();
        for _ in 0..100 {
            thread::scope(|scope| {
                scope.spawn(|| bell.ring());
                bell.wait(soon());
            });
            thread::scope(|scope| {
                scope.spawn(|| bell.ring());
                let ready = bell.wait_with(&[(ours.as_fd(), Wish::Read)], soon()).unwrap();
                assert_eq!(ready, [false]);
            });
        }
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_socket_is_ready_when_it_can_be_read_or_written_as_wished() {
        let bell = Bell::default();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let look =
            |wish| bell.wait_with(&[(ours.as_fd(), wish)], Some(Instant::now())).unwrap() == [true];
        assert!(!look(Wish::Read) && look(Wish::ReadOrWrite));
        theirs.write_all(&[1]).unwrap();
        assert!(look(Wish::Read));
        (&ours).read_exact(&mut [0]).unwrap();
        assert!(!look(Wish::Read));
        drop(theirs);
        assert!(look(Wish::Read), "its end can be read");
    }
}
