//! SIGTERM, told to whoever wants to end in good order.
//!
//! Knows who listens. Does not know what they do then, nor how a signal is caught.

use crate::{process::OfProcess, sys};
use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// The how manieth it is for who hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Termination {
    /// It is time to end.
    First,
    /// It takes too long: end now. Nobody is told of a third one, which ends the process.
    Again,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening(u64);

type Hear = Arc<dyn Fn(Termination) + Send + Sync>;

struct Listener {
    number: u64,
    heard: u32,
    hear: Hear,
}

struct Listeners {
    /// The signal is caught, and a thread waits for it.
    caught: bool,
    next: u64,
    all: Vec<Listener>,
}

static LISTENERS: OfProcess<Mutex<Listeners>> = OfProcess::new(Listeners::new(), Listeners::new);

/// Has this called on a thread of its own when the process is told to end.
///
/// # Errors
/// If the system has no room for what that takes.
pub(crate) fn on_sigterm(
    hear: impl Fn(Termination) + Send + Sync + 'static,
) -> Result<Listening, io::Error> {
    let mut listeners = lock();
    if !listeners.caught {
        catch()?;
        listeners.caught = true;
    }
    let number = listeners.next;
    listeners.next += 1;
    listeners.all.push(Listener { number, heard: 0, hear: Arc::new(hear) });
    listeners.note_need();
    Ok(Listening(number))
}

fn catch() -> io::Result<()> {
    let (mut waiting, bell) = UnixStream::pair()?;
    let thread = thread::Builder::new().name("isock-signal".into());
    thread.spawn(move || {
        let mut byte = [0];
        // Only a failure of the system ends it: the other end is never closed.
        while waiting.read_exact(&mut byte).is_ok() {
            // Not under the lock: who hears it may end a listener.
            let told = lock().told(sys::take_sigterms());
            told.into_iter().for_each(|(hear, termination)| hear(termination));
        }
    })?;
    sys::catch_sigterm(bell)
}

impl Listeners {
    const fn new() -> Mutex<Listeners> {
        Mutex::new(Listeners { caught: false, next: 0, all: Vec::new() })
    }

    /// Counts; says whom to tell what.
    fn told(&mut self, times: u32) -> Vec<(Hear, Termination)> {
        let mut told = Vec::new();
        for listener in self.all.iter_mut().filter(|_| times > 0) {
            let before = listener.heard;
            listener.heard = before.saturating_add(times);
            let first = (before == 0).then_some(Termination::First);
            let again = (before < 2 && listener.heard >= 2).then_some(Termination::Again);
            let news = first.into_iter().chain(again);
            told.extend(news.map(|termination| (Arc::clone(&listener.hear), termination)));
        }
        self.note_need();
        told
    }

    /// Once nobody can do more about it, the signal does what it did before.
    fn note_need(&self) {
        sys::await_sigterm(self.all.iter().any(|listener| listener.heard < 2));
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = lock();
        let gone = listeners.all.iter().position(|listener| listener.number == self.0);
        let gone = gone.map(|at| listeners.all.swap_remove(at));
        listeners.note_need();
        // Not under the lock: it may hold the last of something.
        drop(listeners);
        drop(gone);
    }
}

fn lock() -> MutexGuard<'static, Listeners> {
    LISTENERS.get().lock().unwrap_or_else(PoisonError::into_inner)
}
