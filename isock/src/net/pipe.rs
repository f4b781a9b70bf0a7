//! A connection without a socket: two bounded queues in memory.
//!
//! One end belongs to an event loop and never blocks, the other to blocking callers.

use super::bell::Bell;
use crate::proto::Room;
use std::{
    collections::VecDeque,
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

/// Bytes that wait in one direction at most.
const CAPACITY: usize = 256 * 1024;

/// The end of an event loop.
#[derive(Debug)]
pub(crate) struct LoopEnd(Arc<Shared>);

/// The end of blocking callers.
#[derive(Debug)]
pub(crate) struct CallerEnd(Arc<Shared>);

struct Shared {
    halves: Mutex<Halves>,
    /// Tells callers that there is something to read, or room to write.
    changed: Condvar,
    /// Tells the event loop the same.
    notify: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Halves {
    to_loop: Half,
    to_caller: Half,
    /// Rung when the loop next does something.
    bell: Option<Arc<Bell>>,
}

#[derive(Default)]
struct Half {
    bytes: VecDeque<u8>,
    closed: bool,
}

/// A new connection.
pub(crate) fn pipe() -> (LoopEnd, CallerEnd) {
    let halves = Mutex::new(Halves::default());
    let shared = Arc::new(Shared { halves, changed: Condvar::new(), notify: OnceLock::new() });
    (LoopEnd(Arc::clone(&shared)), CallerEnd(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells callers what the loop has done.
    fn tell_callers(&self, mut halves: MutexGuard<'_, Halves>) {
        let bell = halves.bell.take();
        drop(halves);
        self.changed.notify_all();
        if let Some(bell) = bell {
            bell.ring();
        }
    }

    fn tell_loop(&self) {
        if let Some(notify) = self.notify.get() {
            notify();
        }
    }
}

impl Half {
    /// `None` if it must wait.
    fn read(&mut self, room: &mut Room<'_>) -> Option<usize> {
        if self.bytes.is_empty() {
            return self.closed.then_some(0);
        }
        let (front, back) = self.bytes.as_slices();
        let n = room.put(front) + room.put(back);
        self.bytes.drain(..n);
        Some(n)
    }

    /// `None` if it must wait.
    fn write(&mut self, slices: &[io::IoSlice<'_>]) -> Option<io::Result<usize>> {
        if self.closed {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = CAPACITY - self.bytes.len();
        if room == 0 {
            return None;
        }
        let mut written = 0;
        for slice in slices {
            let n = slice.len().min(room);
            self.bytes.extend(&slice[..n]);
            written += n;
            room -= n;
        }
        Some(Ok(written))
    }
}

impl LoopEnd {
    /// Calls `notify` whenever the other end reads, writes or closes.
    pub(crate) fn on_change(&self, notify: impl Fn() + Send + Sync + 'static) {
        // A second registration would be a second loop: there is none.
        let _ = self.0.notify.set(Box::new(notify));
    }

    pub(crate) fn read(&self, room: &mut Room<'_>) -> io::Result<usize> {
        let mut halves = self.0.lock();
        let read = halves.to_loop.read(room);
        self.0.tell_callers(halves);
        read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    pub(crate) fn write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut halves = self.0.lock();
        let written = halves.to_caller.write(slices);
        self.0.tell_callers(halves);
        written.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    pub(crate) fn close_write(&self) {
        let mut halves = self.0.lock();
        halves.to_caller.closed = true;
        self.0.tell_callers(halves);
    }
}

impl Drop for LoopEnd {
    fn drop(&mut self) {
        let mut halves = self.0.lock();
        halves.to_caller.closed = true;
        halves.to_loop.closed = true;
        self.0.tell_callers(halves);
    }
}

impl CallerEnd {
    /// Has the bell rung once, when the loop next does something; says whether there is something
    /// to read already.
    pub(crate) fn rings(&self, bell: &Arc<Bell>) -> bool {
        let mut halves = self.0.lock();
        halves.bell = Some(Arc::clone(bell));
        !halves.to_caller.bytes.is_empty() || halves.to_caller.closed
    }

    /// Waits at most `patience` for something to read.
    pub(crate) fn read(&self, room: &mut Room<'_>, patience: Duration) -> io::Result<usize> {
        let halves = self.0.lock();
        let (mut halves, _) = self
            .0
            .changed
            .wait_timeout_while(halves, patience, |halves| {
                halves.to_caller.bytes.is_empty() && !halves.to_caller.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        let read = halves.to_caller.read(room);
        drop(halves);
        self.0.tell_loop();
        read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Waits at most `patience` for room.
    pub(crate) fn write(
        &self,
        slices: &[io::IoSlice<'_>],
        patience: Duration,
    ) -> io::Result<usize> {
        let halves = self.0.lock();
        let (mut halves, _) = self
            .0
            .changed
            .wait_timeout_while(halves, patience, |halves| {
                halves.to_loop.bytes.len() == CAPACITY && !halves.to_loop.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        let written = halves.to_loop.write(slices);
        drop(halves);
        self.0.tell_loop();
        written.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    pub(crate) fn close(&self) {
        let mut halves = self.0.lock();
        halves.to_loop.closed = true;
        halves.to_caller.closed = true;
        self.0.tell_callers(halves);
        self.0.tell_loop();
    }
}

impl Drop for CallerEnd {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pipe")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn bytes_come_out_in_order_and_then_the_end() {
        let (server, client) = pipe();
        client.write(&[IoSlice::new(b"ab"), IoSlice::new(b"c")], NOW).unwrap();
        drop(client);
        let mut buffer = [0; 8];
        assert_eq!(server.read(&mut Room::plain(&mut buffer)).unwrap(), 3);
        assert_eq!(&buffer[..3], b"abc");
        assert_eq!(server.read(&mut Room::plain(&mut buffer)).unwrap(), 0);
        let error = server.write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_full_pipe_takes_no_more() {
        let (server, client) = pipe();
        let bytes = vec![0; CAPACITY + 1];
        assert_eq!(server.write(&[IoSlice::new(&bytes)]).unwrap(), CAPACITY);
        let error = server.write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        client.read(&mut Room::plain(&mut [0; 10]), NOW).unwrap();
        assert_eq!(server.write(&[IoSlice::new(&bytes)]).unwrap(), 10);
    }
}
