//! A socket with an echo at its other end.

use super::bell::Bell;
use isock_models::std::{
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    sync::Arc,
    time::Duration,
};

/// How long a write waits.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_millis(10);

/// The stream of blocking callers.
#[derive(Debug)]
pub(crate) struct CallerStream;

impl CallerStream {
    pub(crate) fn read(&self, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    pub(crate) fn write_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(slices)
    }

    pub(crate) fn write_last(&self, _slices: &[IoSlice<'_>]) {}

    pub(crate) fn close(&self) {}

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    pub(crate) fn rings(&self, _bell: &Arc<Bell>) -> bool {
        false
    }
}

/// Whether a read or write merely has to be tried again.
pub(crate) fn is_retry(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
