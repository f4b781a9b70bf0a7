//! What a connection runs over, once for each driver.

#[cfg(unix)]
use super::bell::Bell;
use super::{
    pipe::{CallerEnd, LoopEnd},
    polling::Polling,
};
use crate::proto::{Places, Room};
#[cfg(unix)]
use crate::sys::{self, LOOK, NO_SIGNAL};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};
use std::{
    ffi::c_int,
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};
#[cfg(unix)]
use std::{
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

/// How long a blocking read waits before its caller looks at the clock: set once on the socket, so
/// that deadlines cost no system call.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);
/// The same for a write. Shorter, since others wait for the lock meanwhile.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_millis(10);

/// How long a connection may be silent before the system asks whether the other machine is there,
/// how long between two questions, and how many may go unanswered.
const SILENCE: Duration = Duration::from_secs(30);
const BETWEEN_PROBES: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
/// How long the other machine may leave what it was sent unacknowledged.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

#[cfg(not(unix))]
const NO_SIGNAL: i32 = 0;
/// What is read at once where it has to be copied, in bytes.
#[cfg(not(unix))]
const COPIED: usize = 16 * 1024;

/// The stream of an event loop: never blocks.
#[derive(Debug)]
pub(crate) enum LoopStream {
    Tcp(mio::net::TcpStream),
    #[cfg(unix)]
    Unix(mio::net::UnixStream),
    Pipe(LoopEnd),
}

impl LoopStream {
    /// Prepares an accepted socket.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let LoopStream::Tcp(stream) = self else { return Ok(()) };
        // Small replies must not wait for an acknowledgement of the one before.
        stream.set_nodelay(true)?;
        notice_the_end(stream.into())
    }

    /// Tells a loop about it. A pipe calls its loop by itself.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            LoopStream::Tcp(stream) => registry.register(stream, token, interest),
            #[cfg(unix)]
            LoopStream::Unix(stream) => registry.register(stream, token, interest),
            LoopStream::Pipe(_) => Ok(()),
        }
    }

    /// Before it is dropped, or goes on in another loop. Dropping closes it, and the kernel acts on
    /// that in any case.
    pub(super) fn deregister(&mut self, registry: &Registry) {
        match self {
            LoopStream::Tcp(stream) => drop(registry.deregister(stream)),
            #[cfg(unix)]
            LoopStream::Unix(stream) => drop(registry.deregister(stream)),
            LoopStream::Pipe(_) => {}
        }
    }

    #[inline]
    pub(super) fn read(&mut self, room: &mut Room<'_>) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            LoopStream::Tcp(stream) => stream.try_io(|| receive(stream.as_fd(), room, 0)),
            #[cfg(not(unix))]
            LoopStream::Tcp(stream) => read(stream, room),
            #[cfg(unix)]
            LoopStream::Unix(stream) => stream.try_io(|| receive(stream.as_fd(), room, 0)),
            LoopStream::Pipe(pipe) => pipe.read(room),
        }
    }

    /// Reads again and again until there is something, or it is that late.
    pub(super) fn read_busily(
        &mut self,
        room: &mut Room<'_>,
        until: Instant,
        polling: &mut Polling,
    ) -> io::Result<usize> {
        let look = || match self.read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            result => Some(result),
        };
        polling.look(until, look).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    #[inline]
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            LoopStream::Tcp(stream) => stream.try_io(|| send(&(&*stream).into(), slices)),
            #[cfg(unix)]
            LoopStream::Unix(stream) => stream.try_io(|| send(&(&*stream).into(), slices)),
            LoopStream::Pipe(pipe) => pipe.write(slices),
        }
    }

    /// Bytes that were written and have not reached the other side's system. To close a socket that
    /// unread bytes lie in, or come to, would lose them.
    pub(super) fn unsent(&self) -> usize {
        match self {
            #[cfg(unix)]
            LoopStream::Tcp(stream) => crate::sys::unsent(stream.as_fd()),
            #[cfg(not(unix))]
            LoopStream::Tcp(_) => 0,
            // What has been written is at the other end.
            #[cfg(unix)]
            LoopStream::Unix(_) => 0,
            LoopStream::Pipe(_) => 0,
        }
    }

    /// Nothing more will be written; what has been is still delivered.
    pub(super) fn close_write(&self) {
        match self {
            // The peer may have closed already; then there is nothing left to say.
            LoopStream::Tcp(stream) => drop(stream.shutdown(Shutdown::Write)),
            #[cfg(unix)]
            LoopStream::Unix(stream) => drop(stream.shutdown(Shutdown::Write)),
            LoopStream::Pipe(pipe) => pipe.close_write(),
        }
    }
}

/// The stream of blocking callers: waits at most [`PATIENCE`], or [`WRITE_PATIENCE`].
#[derive(Debug)]
pub(crate) enum CallerStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Pipe(CallerEnd),
}

impl CallerStream {
    /// Prepares a connected socket.
    pub(super) fn tcp(stream: TcpStream) -> io::Result<CallerStream> {
        stream.set_nodelay(true)?;
        notice_the_end((&stream).into())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        Ok(CallerStream::Tcp(stream))
    }

    /// The same for a Unix socket.
    #[cfg(unix)]
    pub(super) fn unix(stream: UnixStream) -> io::Result<CallerStream> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        Ok(CallerStream::Unix(stream))
    }

    pub(super) fn read(&self, room: &mut Room<'_>) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            CallerStream::Tcp(stream) => receive(stream.as_fd(), room, 0),
            #[cfg(not(unix))]
            CallerStream::Tcp(stream) => read(&mut &*stream, room),
            #[cfg(unix)]
            CallerStream::Unix(stream) => receive(stream.as_fd(), room, 0),
            CallerStream::Pipe(pipe) => pipe.read(room, PATIENCE),
        }
    }

    /// Reads without sleeping, until it is that late; no longer than any other read. A pipe sleeps:
    /// to look at it takes the lock that its other end needs.
    #[cfg(unix)]
    pub(super) fn read_busily(
        &self,
        room: &mut Room<'_>,
        until: Instant,
        polling: &mut Polling,
    ) -> io::Result<usize> {
        let socket = match self {
            CallerStream::Tcp(stream) => stream.as_fd(),
            CallerStream::Unix(stream) => stream.as_fd(),
            CallerStream::Pipe(_) => return self.read(room),
        };
        let until = until.min(Instant::now() + PATIENCE);
        let look = || match receive(socket, room, sys::NOW) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            result => Some(result),
        };
        polling.look(until, look).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// The same where no read is possible that does not wait, whatever the mode of its socket.
    #[cfg(not(unix))]
    pub(super) fn read_busily(
        &self,
        room: &mut Room<'_>,
        _: Instant,
        _: &mut Polling,
    ) -> io::Result<usize> {
        self.read(room)
    }

    pub(super) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            CallerStream::Tcp(stream) => send(&stream.into(), slices),
            #[cfg(unix)]
            CallerStream::Unix(stream) => send(&stream.into(), slices),
            CallerStream::Pipe(pipe) => pipe.write(slices, WRITE_PATIENCE),
        }
    }

    /// What to wait at for something to read; a pipe has none.
    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            CallerStream::Tcp(stream) => Some(stream.as_fd()),
            CallerStream::Unix(stream) => Some(stream.as_fd()),
            CallerStream::Pipe(_) => None,
        }
    }

    /// Has a pipe ring with the next thing that its other end does; says whether there is something
    /// to read already. A socket does not ring.
    #[cfg(unix)]
    pub(super) fn rings(&self, bell: &Arc<Bell>) -> bool {
        matches!(self, CallerStream::Pipe(pipe) if pipe.rings(bell))
    }

    /// Reads what lies there without waiting. Only while nobody else reads.
    pub(super) fn read_now(&self, room: &mut Room<'_>) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            CallerStream::Tcp(stream) => receive(stream.as_fd(), room, sys::NOW),
            #[cfg(not(unix))]
            CallerStream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let read = read(&mut &*stream, room);
                stream.set_nonblocking(false)?;
                read
            }
            #[cfg(unix)]
            CallerStream::Unix(stream) => receive(stream.as_fd(), room, sys::NOW),
            CallerStream::Pipe(pipe) => pipe.read(room, Duration::ZERO),
        }
    }

    /// Whether something lies in the socket to be read. A pipe's other end is in this process, which
    /// nobody stops without it.
    pub(super) fn has_more(&self) -> bool {
        match self {
            CallerStream::Tcp(stream) => has_more(stream.into()),
            #[cfg(unix)]
            CallerStream::Unix(stream) => has_more(stream.into()),
            CallerStream::Pipe(_) => false,
        }
    }

    /// Writes what fits without waiting.
    pub(super) fn write_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            CallerStream::Tcp(stream) => send_now(&stream.into(), slices),
            #[cfg(unix)]
            CallerStream::Unix(stream) => send_now(&stream.into(), slices),
            CallerStream::Pipe(pipe) => pipe.write(slices, Duration::ZERO),
        }
    }

    /// Writes what fits without waiting. Only for the last words of a connection.
    pub(super) fn write_last(&self, slices: &[IoSlice<'_>]) {
        // Nobody is left who could be told of a failure.
        match self {
            CallerStream::Tcp(stream) => {
                if stream.set_nonblocking(true).is_ok() {
                    drop(send(&stream.into(), slices));
                }
            }
            #[cfg(unix)]
            CallerStream::Unix(stream) => {
                if stream.set_nonblocking(true).is_ok() {
                    drop(send(&stream.into(), slices));
                }
            }
            CallerStream::Pipe(pipe) => drop(pipe.write(slices, Duration::ZERO)),
        }
    }

    /// Ends both directions, and with them a read that waits.
    pub(super) fn close(&self) {
        match self {
            CallerStream::Tcp(stream) => drop(stream.shutdown(Shutdown::Both)),
            #[cfg(unix)]
            CallerStream::Unix(stream) => drop(stream.shutdown(Shutdown::Both)),
            CallerStream::Pipe(pipe) => pipe.close(),
        }
    }
}

/// Reads from a socket: what belongs to a message that is arriving straight into its memory.
#[cfg(unix)]
fn receive(socket: BorrowedFd<'_>, room: &mut Room<'_>, flags: i32) -> io::Result<usize> {
    match room.places() {
        Places { body: None, rest, .. } => sys::receive(socket, rest, flags),
        Places { ahead, body: Some(body), rest } => {
            sys::receive_around(socket, ahead, body, rest, flags)
        }
    }
}

/// The same where memory must be written before it is read into: what comes is copied.
#[cfg(not(unix))]
fn read(mut socket: impl io::Read, room: &mut Room<'_>) -> io::Result<usize> {
    if let Places { body: None, rest, .. } = room.places() {
        return socket.read(rest);
    }
    let mut bytes = [0; COPIED];
    let most = room.size().min(COPIED);
    let n = socket.read(&mut bytes[..most])?;
    Ok(room.put(&bytes[..n]))
}

#[cfg(unix)]
fn has_more(socket: SockRef<'_>) -> bool {
    socket.recv_with_flags(&mut [MaybeUninit::uninit()], LOOK).is_ok_and(|bytes| bytes > 0)
}

/// Other systems cannot look without waiting.
#[cfg(not(unix))]
fn has_more(_: SockRef<'_>) -> bool {
    false
}

/// Has the system find out that the other machine has gone, also where nobody says that it always
/// reads and so nobody is pinged: what it was sent must be acknowledged in time, and where it is sent
/// nothing the system asks. Costs a process nothing while all is well.
fn notice_the_end(socket: SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(SILENCE);
    // Where a system does not have these, it has its own: minutes.
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_vendor = "apple",
        windows
    ))]
    let keepalive = keepalive.with_interval(BETWEEN_PROBES).with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

/// Writes to a socket. A peer that has gone is an error and never a signal: Rust switches SIGPIPE
/// off before `main`, but a library can be part of a program that has another `main`, or has put
/// the signal back.
fn send(socket: &SockRef<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    send_with(socket, slices, NO_SIGNAL)
}

fn send_with(socket: &SockRef<'_>, slices: &[IoSlice<'_>], flags: c_int) -> io::Result<usize> {
    match slices {
        [one] => socket.send_with_flags(one, flags),
        _ => socket.send_vectored_with_flags(slices, flags),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_now(socket: &SockRef<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    send_with(socket, slices, NO_SIGNAL | sys::NOW)
}

/// Where a single write cannot say that it does not wait. A read that begins meanwhile finds nothing, and
/// is tried again.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send_now(socket: &SockRef<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    socket.set_nonblocking(true)?;
    let written = send(socket, slices);
    socket.set_nonblocking(false)?;
    written
}

/// Whether a read or write merely has to be tried again.
pub(super) fn is_retry(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
