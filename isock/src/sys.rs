//! What only the system can tell, and no dependency asks without `unsafe`.
//!
//! The one place with unsafe code; each use has its proof beside it.
#![allow(unsafe_code)]

use crate::credentials::Credentials;
use std::{
    ffi::c_int,
    fs::File,
    io,
    mem::{offset_of, size_of},
    os::fd::{AsRawFd, BorrowedFd},
    sync::{
        atomic::{AtomicU32, Ordering},
        Once,
    },
    time::Duration,
};

/// Bytes that the path of a Unix socket may have: its field holds one more, a zero.
pub(crate) const SOCKET_PATH: usize =
    size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

/// Makes a write to a peer that has gone an error and never a signal.
///
/// Apple's systems set that on the socket instead, which mio and socket2 do.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: c_int = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: c_int = 0;

/// Makes a read a look at what lies in a socket, which stays there, without waiting.
pub(crate) const LOOK: c_int = libc::MSG_PEEK | libc::MSG_DONTWAIT;

/// Locks an open file or folder against others who do the same, until it is closed.
///
/// # Errors
/// `WouldBlock` if another has it locked.
// `File::try_lock` is younger than the compiler that this crate promises to work with.
pub(crate) fn try_lock(file: &File) -> io::Result<()> {
    // SAFETY: flock takes no pointers, and the borrow keeps the descriptor open during the call.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many forks lie between this process and the one in which it was first asked.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Sees to it that forks are counted from now on.
pub(crate) fn count_forks() {
    static COUNTS: Once = Once::new();
    COUNTS.call_once(|| {
        // SAFETY: the handler is a function of this program, which the system forgets should it be
        // unloaded. It runs in the child, where it does nothing but to change an atomic number:
        // that takes no lock and no memory, whatever the parent's other threads held.
        //
        // Without memory for that the system refuses, and then forks go unnoticed.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
}

extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Differs between a process and those that it has forked since [`count_forks`].
// Relaxed will do: the child begins with one thread, which has run the handler itself.
#[inline]
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// What a thread waits for at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Something to read, or the end.
    Read,
    /// That, or room to write.
    ReadOrWrite,
}

/// Waits until one of these is ready, or has failed, but no longer than `patience`; for ever if that
/// is `None`. Says which are.
///
/// # Errors
/// `Interrupted` by a signal; or if the system has no room for the wait.
pub(crate) fn wait_for_any(
    descriptors: &[(BorrowedFd<'_>, Wish)],
    patience: Option<Duration>,
) -> io::Result<Vec<bool>> {
    let polled = descriptors.iter().map(|(descriptor, wish)| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: match wish {
            Wish::Read => libc::POLLIN,
            Wish::ReadOrWrite => libc::POLLIN | libc::POLLOUT,
        },
        revents: 0,
    });
    let mut polled: Vec<libc::pollfd> = polled.collect();
    // Rounded up: who wakes too early has nothing to do but to wait again.
    let milliseconds = patience.map_or(-1, |patience| {
        c_int::try_from(patience.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
    });
    // SAFETY: pointer and length are those of a live vector that nothing else uses. The kernel reads
    // that many entries and writes their `revents`, for which any bits are valid. The borrows keep
    // the descriptors open during the call.
    let ready =
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) };
    if ready < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.iter().map(|one| one.revents != 0).collect())
}

/// Reads what lies in a socket, without waiting whatever its mode.
///
/// # Errors
/// `WouldBlock` if there is nothing; or whatever ended the connection.
pub(crate) fn receive_now(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of a live slice that nothing else uses; the kernel writes
    // no more than that, and any bytes are valid there. The borrow keeps the descriptor open during
    // the call.
    let received = unsafe {
        libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Bytes that were written to a TCP socket and that the other side's system does not have yet; 0 if
/// the system does not tell.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn unsent(socket: BorrowedFd<'_>) -> usize {
    let mut bytes: c_int = 0;
    // SAFETY: the request writes one `int` through the pointer, which is to a live local of that
    // type that nothing else uses. The borrow keeps the descriptor open during the call.
    let code = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if code == 0 {
        usize::try_from(bytes).unwrap_or(0)
    } else {
        0
    }
}

/// Other systems are not asked.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn unsent(_: BorrowedFd<'_>) -> usize {
    0
}

/// Who connected this Unix socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> Option<Credentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: both pointers are to live locals that nothing else uses; `len` is the size of what
    // `found` has room for, and the kernel writes no more than that. Any bytes are a valid
    // `ucred`. The borrow keeps the descriptor open during the call.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut len,
        )
    };
    if code != 0 || len as usize != size_of::<libc::ucred>() {
        return None;
    }
    // A process in a namespace that this one cannot see into has the id 0 here.
    let pid = u32::try_from(found.pid).ok().filter(|pid| *pid != 0);
    Some(Credentials { pid, uid: found.uid, gid: found.gid })
}

/// Who connected this Unix socket; these systems do not tell the process.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd",
    target_os = "dragonfly"
))]
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> Option<Credentials> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both pointers are to live locals of the types that getpeereid fills, and nothing
    // else uses them. The borrow keeps the descriptor open during the call.
    let code = unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) };
    (code == 0).then_some(Credentials { pid: None, uid, gid })
}

/// Other systems are not asked.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd",
    target_os = "dragonfly"
)))]
pub(crate) fn peer_credentials(_: BorrowedFd<'_>) -> Option<Credentials> {
    None
}
