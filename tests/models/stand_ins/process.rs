//! The one process there is: no model forks.

/// What a program has one of.
pub(crate) struct OfProcess<T>(T);

impl<T> OfProcess<T> {
    /// As the library's own.
    pub(crate) const fn new(value: T, _make: fn() -> T) -> OfProcess<T> {
        OfProcess(value)
    }

    /// It.
    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

/// A process, told from those that it forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process;

impl Process {
    /// The one that this runs in.
    pub(crate) fn this() -> Process {
        Process
    }

    /// Whether this still runs in it.
    pub(crate) fn is_this(self) -> bool {
        true
    }
}
