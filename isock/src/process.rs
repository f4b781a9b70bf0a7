//! Which process this is: a child of `fork` has the memory and the descriptors of its parent, and
//! none of its threads.
//!
//! What is written to a connection from there would end up between the parent's own bytes, and a
//! lock that another thread held is held for ever. So a connection belongs to the process that has
//! made it, and what all connections of a program share is there once for each process.

use std::sync::{
    atomic::{AtomicU64, Ordering},
    OnceLock,
};

/// A process, told from those that it forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The one that this runs in.
    pub(crate) fn this() -> Process {
        #[cfg(unix)]
        crate::sys::count_forks();
        Process(forks())
    }

    /// Whether this still runs in it. Costs no system call.
    #[inline]
    pub(crate) fn is_this(self) -> bool {
        self.0 == forks()
    }
}

#[inline]
fn forks() -> u32 {
    #[cfg(unix)]
    return crate::sys::forks();
    #[cfg(not(unix))]
    return 0;
}

/// What a program has one of, made anew in a process that has been forked: the lock in it may be held
/// there by a thread that is not.
///
/// What the parent's has is left alone, as memory that the child does not use.
pub(crate) struct OfProcess<T: 'static> {
    /// Whose this is: [`UNUSED`] until somebody asks for it.
    owner: AtomicU64,
    value: T,
    make: fn() -> T,
    of_child: OnceLock<Box<OfProcess<T>>>,
}

const UNUSED: u64 = u64::MAX;

impl<T> OfProcess<T> {
    /// `value` is what `make` returns: a constant, for a `static`.
    pub(crate) const fn new(value: T, make: fn() -> T) -> OfProcess<T> {
        OfProcess { owner: AtomicU64::new(UNUSED), value, make, of_child: OnceLock::new() }
    }

    /// That of the process that this runs in. Costs no system call.
    #[inline]
    pub(crate) fn get(&self) -> &T {
        // Relaxed will do: the number says nothing of the value, which is there from the start.
        if self.owner.load(Ordering::Relaxed) == u64::from(forks()) {
            return &self.value;
        }
        self.find()
    }

    #[cold]
    fn find(&self) -> &T {
        let this = u64::from(Process::this().0);
        let mut at = self;
        loop {
            let (relaxed, owner) = (Ordering::Relaxed, &at.owner);
            match owner.compare_exchange(UNUSED, this, relaxed, relaxed) {
                Ok(_) => return &at.value,
                Err(owner) if owner == this => return &at.value,
                Err(_) => {
                    let anew = || Box::new(OfProcess::new((at.make)(), at.make));
                    at = at.of_child.get_or_init(anew);
                }
            }
        }
    }
}
