//! Waiting for descriptors.

use isock_models::std::{
    io,
    os::fd::BorrowedFd,
    ptr,
    sync::{
        atomic::{AtomicU32, Ordering},
        Mutex,
    },
    thread::{self, Thread},
    time::Duration,
};

/// Who sleeps, at which word and by which bits.
struct Sleeper(usize, u32, Thread);

loom::lazy_static! {
    static ref SLEEPERS: Mutex<Vec<Sleeper>> = Mutex::new(Vec::new());
}

fn place(word: &AtomicU32) -> usize {
    ptr::from_ref(word).addr()
}

/// Sleeps until one of these bits is named, unless the word has another value by now.
pub(crate) fn sleep_at(word: &AtomicU32, value: u32, bits: u32, patience: Duration) {
    let mut sleepers = SLEEPERS.lock().unwrap();
    if word.load(Ordering::Relaxed) != value {
        return;
    }
    let me = thread::current();
    let id = me.id();
    sleepers.push(Sleeper(place(word), bits, me));
    drop(sleepers);
    thread::park_timeout(patience);
    SLEEPERS.lock().unwrap().retain(|Sleeper(.., thread)| thread.id() != id);
}

/// Wakes who sleeps at the word with one of these bits.
pub(crate) fn wake_at(word: &AtomicU32, bits: u32) {
    let is_named = |at: usize, by: u32| at == place(word) && by & bits != 0;
    let sleepers = SLEEPERS.lock().unwrap();
    let named = sleepers.iter().filter(|Sleeper(at, by, _)| is_named(*at, *by));
    named.for_each(|Sleeper(.., thread)| thread.unpark());
}

/// No model has a clock that is cheaper than another.
pub(crate) fn tick() -> Option<u64> {
    None
}

/// Nor ticks.
pub(crate) fn between_ticks() -> Option<u64> {
    None
}

/// What a thread waits for at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Something to read, or the end.
    Read,
    /// That, or room to write.
    ReadOrWrite,
}

/// Waits until one of these is ready, but no longer than `patience`, and says which are.
pub(crate) fn wait_for_any(
    all: &[(BorrowedFd<'_>, Wish)],
    patience: Option<Duration>,
) -> io::Result<Vec<bool>> {
    let all: Vec<_> = all.iter().map(|(descriptor, _)| *descriptor).collect();
    Ok(isock_models::ready::wait_for_any(&all, patience))
}
