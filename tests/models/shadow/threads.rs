//! Threads that are parked and woken. Those of `loom` forget a wake-up that comes while the thread
//! waits for a lock, so each has a token of its own here.

use crate::clock::Condvar;
use loom::sync::Mutex;
use std::{fmt, io, sync::Arc, time::Duration};

pub use loom::thread::{panicking, yield_now, JoinHandle, ThreadId};
pub use std::thread::available_parallelism;

/// See [`std::thread::Thread`].
#[derive(Clone)]
pub struct Thread {
    id: ThreadId,
    token: Arc<Token>,
}

#[derive(Default)]
struct Token {
    there: Mutex<bool>,
    changed: Condvar,
}

loom::thread_local! {
    static CURRENT: Thread = Thread { id: loom::thread::current().id(), token: Arc::default() };
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl Thread {
    /// See [`std::thread::Thread::id`].
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// See [`std::thread::Thread::unpark`].
    pub fn unpark(&self) {
        *self.token.there.lock().unwrap() = true;
        self.token.changed.notify_one();
    }
}

/// See [`std::thread::current`].
pub fn current() -> Thread {
    CURRENT.with(Clone::clone)
}

/// See [`std::thread::park`].
pub fn park() {
    let me = current();
    let mut there = me.token.there.lock().unwrap();
    while !std::mem::take(&mut *there) {
        there = me.token.changed.wait(there).unwrap();
    }
}

/// See [`std::thread::park_timeout`].
pub fn park_timeout(patience: Duration) {
    let me = current();
    let there = me.token.there.lock().unwrap();
    let waited = me.token.changed.wait_timeout_while(there, patience, |there| !*there);
    *waited.unwrap().0 = false;
}

/// See [`std::thread::sleep`].
pub fn sleep(patience: Duration) {
    let nobody = Token::default();
    let there = nobody.there.lock().unwrap();
    drop(nobody.changed.wait_timeout_while(there, patience, |_| true));
}

/// See [`std::thread::spawn`].
pub fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    loom::thread::spawn(run)
}

/// See [`std::thread::Builder`].
#[derive(Debug)]
pub struct Builder(loom::thread::Builder);

impl Builder {
    /// See [`std::thread::Builder::new`].
    #[allow(clippy::new_without_default, reason = "that of the standard library has none")]
    pub fn new() -> Builder {
        Builder(loom::thread::Builder::new())
    }

    /// See [`std::thread::Builder::name`].
    #[must_use]
    pub fn name(self, name: String) -> Builder {
        Builder(self.0.name(name))
    }

    /// See [`std::thread::Builder::spawn`].
    ///
    /// # Errors
    /// As often as the model [says](crate::refuse_threads).
    pub fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        if crate::clock::is_refused() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let running = crate::clock::Running::new();
        self.0.spawn(move || {
            let _running = running;
            run()
        })
    }
}
