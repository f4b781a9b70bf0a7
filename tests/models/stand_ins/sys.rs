//! Waiting for descriptors.

use isock_models::std::{io, os::fd::BorrowedFd, time::Duration};

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
