//! What only the system can tell, and no dependency asks without `unsafe`.
//!
//! The one place with unsafe code; each use has its proof beside it.
#![allow(unsafe_code)]

use crate::credentials::Credentials;
use std::{
    ffi::{c_int, c_void},
    fs::File,
    io,
    mem::{self, offset_of, size_of, MaybeUninit},
    os::{
        fd::{AsRawFd, BorrowedFd, IntoRawFd},
        unix::net::UnixStream,
    },
    panic::RefUnwindSafe,
    ptr::{self, NonNull},
    sync::{
        atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering},
        Arc, Once, OnceLock,
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

/// The time of the system's last tick, in nanoseconds from a moment that never changes: some
/// milliseconds behind, and several times cheaper than an exact look.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn tick() -> Option<u64> {
    ticks(libc::clock_gettime)
}

/// How far ticks are apart, in nanoseconds.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn between_ticks() -> Option<u64> {
    ticks(libc::clock_getres)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn ticks(ask: unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int) -> Option<u64> {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: both of the functions that come here write one `timespec`, to a place that is one.
    let result = unsafe { ask(libc::CLOCK_MONOTONIC_COARSE, time.as_mut_ptr()) };
    // SAFETY: it is made of numbers, of which zero is one.
    let time = unsafe { time.assume_init() };
    (result == 0).then_some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Sleeps until [`wake_at`] names one of `bits`, unless `word` has another value by now, for no longer
/// than `patience`. May end for no reason.
#[cfg(all(any(target_os = "linux", target_os = "android"), target_pointer_width = "64"))]
pub(crate) fn sleep_at(word: &AtomicU32, value: u32, bits: u32, patience: Duration) {
    let mut until = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: it writes one `timespec`, to a place that is one.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, until.as_mut_ptr()) };
    // SAFETY: it is made of numbers, of which zero is one.
    let mut until = unsafe { until.assume_init() };
    let nanos = until.tv_nsec + i64::from(patience.subsec_nanos());
    let secs = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
    until.tv_sec = until.tv_sec.saturating_add(secs).saturating_add(nanos / 1_000_000_000);
    until.tv_nsec = nanos % 1_000_000_000;
    let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time outlive the call. The kernel reads the four bytes of the word, as
    // atomically as every other access to it, and the time, which has the layout that this call asks for
    // where pointers have 64 bits. The second word is not used.
    unsafe {
        let (until, second) = (&raw const until, ptr::null::<u32>());
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, until, second, bits)
    };
}

/// Wakes those who [sleep](sleep_at) at the word with one of `bits`.
#[cfg(all(any(target_os = "linux", target_os = "android"), target_pointer_width = "64"))]
pub(crate) fn wake_at(word: &AtomicU32, bits: u32) {
    let operation = libc::FUTEX_WAKE_BITSET | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the address only names those who sleep: the kernel does not read it. Time and second word
    // are not used.
    unsafe {
        let (until, second) = (ptr::null::<libc::timespec>(), ptr::null::<u32>());
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, c_int::MAX, until, second, bits)
    };
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

/// Makes a read or a write one that does not wait, whatever the mode of its socket. Only Linux heeds it at
/// writes.
pub(crate) const NOW: c_int = libc::MSG_DONTWAIT;

/// Reads from a socket.
///
/// # Errors
/// `WouldBlock` if there is nothing; or whatever ended the connection.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: pointer and length are those of a live slice that nothing else uses; the kernel writes
    // no more than that, and any bytes are valid there. The borrow keeps the descriptor open during
    // the call.
    let received =
        unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Reads from a socket into `ahead`, then behind what is in `body`, at most `most` bytes and no more than it
/// has room for, and what follows them into `rest`. The room need not have been written before.
///
/// # Errors
/// As [`receive`].
pub(crate) fn receive_around(
    socket: BorrowedFd<'_>,
    ahead: &mut [u8],
    (body, most): (&mut Vec<u8>, usize),
    rest: &mut [u8],
    flags: c_int,
) -> io::Result<usize> {
    let room = body.spare_capacity_mut();
    let most = most.min(room.len());
    let mut places = [
        libc::iovec { iov_base: ahead.as_mut_ptr().cast(), iov_len: ahead.len() },
        libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: most },
        libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() },
    ];
    // SAFETY: all-zero bytes are a valid `msghdr`: numbers, and pointers to nothing, of no length.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    let places = &mut places[usize::from(ahead.is_empty())..];
    message.msg_iov = places.as_mut_ptr();
    message.msg_iovlen = places.len() as _;
    // SAFETY: the message names two or three places, each by the pointer and at most the length of live
    // memory that nothing else uses; the kernel writes no more than that, and any bytes are valid there. It
    // and the places live until the call returns. The borrow keeps the descriptor open during it.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let len = body.len() + received.saturating_sub(ahead.len()).min(most);
    // SAFETY: the kernel fills the places in their order, so these bytes have been written; and `most`
    // is within the capacity.
    unsafe { body.set_len(len) };
    Ok(received)
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

/// Bytes that somebody owns, looked up once: whatever the owner says later, they are the same.
pub(crate) struct Owned<T> {
    owner: T,
    /// Bytes that `owner` has lent, for as long as it is lent itself. Set once, as soon as it lies where
    /// it stays.
    bytes: OnceLock<NonNull<[u8]>>,
}

// SAFETY: the bytes are only read, through a shared reference to the owner: that may be in several
// threads, and dropped in any.
unsafe impl<T: Send + Sync> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Owned<T> {}
/// The owner is not asked again, so nobody sees it after a panic.
impl<T> RefUnwindSafe for Owned<T> {}

impl<T: AsRef<[u8]>> Owned<T> {
    /// Asks `owner` for its bytes, once.
    pub(crate) fn new(owner: T) -> Arc<Owned<T>> {
        let owned = Arc::new(Owned { owner, bytes: OnceLock::new() });
        let bytes = NonNull::from(owned.owner.as_ref());
        owned.bytes.get_or_init(|| bytes);
        owned
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.bytes.get() {
            // SAFETY: the owner has lent these bytes for as long as a shared reference to it lives, and
            // there is nothing else: it lies in its `Arc`, from which nobody moves it, and nobody has a
            // unique reference before it is dropped. `self` is such a reference.
            Some(bytes) => unsafe { bytes.as_ref() },
            None => &[],
        }
    }
}

/// How often SIGTERM has come since it was asked last.
static TERMINATIONS: AtomicU32 = AtomicU32::new(0);
/// Somebody wants to hear of it; else it does what it did before.
static AWAITED: AtomicBool = AtomicBool::new(false);
/// A byte lies in the bell, and nobody has read it yet.
static RUNG: AtomicBool = AtomicBool::new(false);
/// Where that byte is written to, and in which process. Never closed.
static BELL: AtomicI32 = AtomicI32::new(-1);
static OWNER: AtomicI32 = AtomicI32::new(0);
/// What SIGTERM did before. Never freed.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// What the system calls when a signal comes.
type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// Has SIGTERM put a byte into `bell` from now on, while it is [awaited](await_sigterm). To be called
/// once in a process, under a lock; there is no way back that would be safe beside other handlers,
/// and none is needed: what is not awaited does what it did before.
///
/// # Errors
/// If the system refuses.
pub(crate) fn catch_sigterm(bell: UnixStream) -> io::Result<()> {
    if !BEFORE.load(Ordering::SeqCst).is_null() {
        // The process that has forked this one caught it: the handler is there, for another bell.
        own_bell(bell);
        return Ok(());
    }
    let mut before = Box::new(MaybeUninit::<libc::sigaction>::uninit());
    // SAFETY: no action is given, and the old one is written to memory of its size that nothing else
    // uses.
    if unsafe { libc::sigaction(libc::SIGTERM, ptr::null(), before.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    own_bell(bell);
    // The handler reads it from its first run on, so it is there before the handler is.
    BEFORE.store(Box::into_raw(before).cast(), Ordering::SeqCst);
    // SAFETY: all-zero bytes are a valid `sigaction`: integers, a set of no signals, and no restorer.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_sigterm as Handler as libc::sighandler_t;
    // The program's own system calls go on, and its threads may have small stacks.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `action` is a whole action whose handler has the type that SA_SIGINFO asks for. What
    // the handler does is allowed at any point of any thread: see there.
    match unsafe { libc::sigaction(libc::SIGTERM, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn own_bell(bell: UnixStream) {
    AWAITED.store(false, Ordering::SeqCst);
    TERMINATIONS.store(0, Ordering::SeqCst);
    RUNG.store(false, Ordering::SeqCst);
    BELL.store(bell.into_raw_fd(), Ordering::SeqCst);
    // Last: until then a signal does here what it did before.
    // SAFETY: getpid has no conditions.
    OWNER.store(unsafe { libc::getpid() }, Ordering::SeqCst);
}

/// Whether somebody waits for SIGTERM.
pub(crate) fn await_sigterm(awaited: bool) {
    AWAITED.store(awaited, Ordering::SeqCst);
}

/// How often SIGTERM has come since the last time; to be asked after each byte from the bell.
pub(crate) fn take_sigterms() -> u32 {
    // In this order: what comes between the two rings again.
    RUNG.store(false, Ordering::SeqCst);
    TERMINATIONS.swap(0, Ordering::SeqCst)
}

/// Runs between any two instructions of any thread. It takes no lock and no memory, calls only what
/// POSIX allows in a handler, and leaves `errno` alone: the one write cannot fail, since at most one
/// byte lies in the bell and the bell is never closed.
extern "C" fn on_sigterm(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: getpid has no conditions.
    let here = unsafe { libc::getpid() } == OWNER.load(Ordering::SeqCst);
    // A child that was forked has the parent's bell, and must not ring it.
    let awaited = here && AWAITED.load(Ordering::SeqCst);
    if awaited {
        TERMINATIONS.fetch_add(1, Ordering::SeqCst);
        if !RUNG.swap(true, Ordering::SeqCst) {
            let bell = BELL.load(Ordering::SeqCst);
            // SAFETY: pointer and length are those of a live constant.
            unsafe { libc::write(bell, b"t".as_ptr().cast(), 1) };
        }
    }
    // SAFETY: it is null, or a whole action that is never freed nor written again.
    let Some(before) = (unsafe { BEFORE.load(Ordering::SeqCst).as_ref() }) else { return };
    match before.sa_sigaction {
        libc::SIG_IGN => {}
        libc::SIG_DFL if awaited => {}
        libc::SIG_DFL => end_by(signal),
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: whoever installed it said that it has this type, and is called as the system
            // would have called it.
            let handler = unsafe { mem::transmute::<libc::sighandler_t, Handler>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: as above, and without SA_SIGINFO it has this type.
            let handler =
                unsafe { mem::transmute::<libc::sighandler_t, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}

/// Ends the process as the signal would have, once its handler has returned; unless another handler
/// is installed by now, which has called this one in turn and knows better.
fn end_by(signal: c_int) {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no action is given, and the present one is written to memory of its size. If the call
    // succeeds, all of it has been written.
    let now = unsafe {
        match libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) {
            0 => now.assume_init(),
            _ => return,
        }
    };
    if now.sa_sigaction == on_sigterm as Handler as libc::sighandler_t {
        // SAFETY: the system's own action is put back, and neither call takes pointers.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::fd::AsFd};

    #[test]
    fn what_is_read_goes_behind_a_message_and_then_elsewhere() {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        let cases = [
            (0, 3, "-abc", "defg"),
            (0, 0, "-", "abcd"),
            (0, 9, "-abcdefg", ""),
            (2, 3, "-cde", "fg"),
            (7, 3, "-", ""),
            (9, 3, "-", ""),
        ];
        for (front, most, in_body, in_rest) in cases {
            writer.write_all(b"abcdefg").unwrap();
            let mut body = Vec::with_capacity(10);
            body.push(b'-');
            let (mut ahead, mut rest) = (vec![0; front], [0; 4]);
            let place = (&mut body, most);
            let n = receive_around(reader.as_fd(), &mut ahead, place, &mut rest, NOW).unwrap();
            let in_front = n.min(front);
            assert_eq!(&ahead[..in_front], &b"abcdefg"[..in_front]);
            let behind = n - in_front - (body.len() - 1);
            assert_eq!((&body[..], &rest[..behind]), (in_body.as_bytes(), in_rest.as_bytes()));
            receive(reader.as_fd(), &mut [0; 9], NOW).ok();
        }
    }

    #[test]
    fn an_owner_is_asked_once_and_its_bytes_lie_where_it_does() {
        struct Fickle([u8; 4], AtomicU32);
        impl AsRef<[u8]> for Fickle {
            fn as_ref(&self) -> &[u8] {
                &self.0[self.1.fetch_add(1, Ordering::Relaxed) as usize..]
            }
        }
        let owned = Owned::new(Fickle([1, 2, 3, 4], AtomicU32::new(1)));
        assert_eq!((owned.bytes(), owned.bytes()), (&[2, 3, 4][..], &[2, 3, 4][..]));
        assert_eq!(owned.bytes().as_ptr(), owned.owner.0[1..].as_ptr());
    }

    #[test]
    fn no_more_is_read_than_a_message_has_room_for() {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        writer.write_all(&[7; 1000]).unwrap();
        let mut body = Vec::with_capacity(100);
        let room = body.capacity();
        let n =
            receive_around(reader.as_fd(), &mut [], (&mut body, usize::MAX), &mut [], 0).unwrap();
        assert_eq!((n, body.len(), body.capacity()), (room, room, room));
        assert_eq!(body, vec![7; room]);
    }
}
