//! Descriptors, and waiting for any of them.

use crate::std::{
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};
use std::{
    fmt,
    io::{self, Read, Write},
};

loom::lazy_static! {
    /// Told whenever a descriptor becomes ready.
    static ref CHANGED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
}

/// Something that can be waited for.
#[derive(Clone)]
pub struct Ready(Arc<crate::atomic::AtomicBool>);

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

impl Ready {
    /// One that is not ready.
    #[allow(clippy::new_without_default, reason = "it is an object of one run of a model")]
    pub fn new() -> Ready {
        Ready(Arc::new(crate::atomic::AtomicBool::new(false)))
    }

    /// Whether it is, from now on.
    pub fn set(&self, ready: bool) {
        let _guard = CHANGED.0.lock().unwrap();
        self.0.store(ready, crate::atomic::Ordering::SeqCst);
        if ready {
            CHANGED.1.notify_all();
        }
    }

    fn is_set(&self) -> bool {
        self.0.load(crate::atomic::Ordering::SeqCst)
    }
}

impl AsFd for Ready {
    fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd(self)
    }
}

/// Waits until one of these is ready, but no longer than `patience`, and says which are.
pub fn wait_for_any(all: &[BorrowedFd<'_>], patience: Option<Duration>) -> Vec<bool> {
    let mut guard = CHANGED.0.lock().unwrap();
    loop {
        let ready: Vec<_> = all.iter().map(|it| it.0.is_set()).collect();
        if ready.contains(&true) {
            return ready;
        }
        guard = match patience {
            None => CHANGED.1.wait(guard).unwrap(),
            Some(patience) => {
                let (guard, waited) = CHANGED.1.wait_timeout(guard, patience).unwrap();
                if waited.timed_out() {
                    return all.iter().map(|it| it.0.is_set()).collect();
                }
                guard
            }
        };
    }
}

/// One end of a pair; as much of it as a bell needs: a byte makes the other end ready, and reading it
/// makes it not.
#[derive(Debug)]
pub struct UnixStream {
    mine: Ready,
    other: Ready,
}

impl UnixStream {
    /// Two that are connected.
    ///
    /// # Errors
    /// Never.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = (Ready::new(), Ready::new());
        let second = UnixStream { mine: other.clone(), other: one.clone() };
        Ok((UnixStream { mine: one, other }, second))
    }

    /// It never blocks.
    ///
    /// # Errors
    /// Never.
    pub fn set_nonblocking(&self, _nonblocking: bool) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &UnixStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.other.is_set(), "there is one byte at most");
        self.other.set(true);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &UnixStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        assert!(self.mine.is_set(), "it lies there");
        self.mine.set(false);
        Ok(bytes.len())
    }
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mine.as_fd()
    }
}
