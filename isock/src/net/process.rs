//! Which process this is: a child of `fork` has the memory and the descriptors of its parent, and
//! none of its threads.
//!
//! What is written to a connection from there would end up between the parent's own bytes, and a
//! lock that another thread held is held for ever. So a connection belongs to the process that has
//! made it.

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
