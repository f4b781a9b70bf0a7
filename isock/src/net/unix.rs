//! Unix sockets: a path that only one user can open, taken over only from the dead.
//!
//! A socket comes to its path complete: bound, closed to other users, and listening. Binding at
//! the path itself would leave it open to everybody until its mode is changed, and refusing
//! connections, as a dead one does, until it listens.

use super::stream::CallerStream;
use crate::{
    credentials::Credentials,
    sys::{self, SOCKET_PATH},
};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io::{self, ErrorKind},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::{self, Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long another server's start is waited for.
const OTHERS: Duration = Duration::from_secs(1);

/// A listening socket at a path, which goes when the socket does.
#[derive(Debug)]
pub(super) struct UnixListener {
    socket: mio::net::UnixListener,
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from another one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(file: &Metadata) -> Identity {
        Identity { device: file.dev(), inode: file.ino() }
    }
}

impl UnixListener {
    /// Listens at `path`, where others can connect as this user alone.
    pub(super) fn bind(path: &Path, backlog: i32) -> io::Result<UnixListener> {
        check_length(path)?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(error(ErrorKind::InvalidInput, "the path names no file"));
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let nest = Nest::new(folder)?;
        let (socket, hatched) = nest.bind(name, backlog)?;
        let identity = Identity::of(&fs::symlink_metadata(&hatched)?);
        // The program may change its folder before it removes the path.
        let absolute = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let _alone = lock(folder);
        make_way(path)?;
        fs::rename(&hatched, path).map_err(|why| {
            error(why.kind(), format!("what lies there cannot be replaced: {why}; remove it"))
        })?;
        let socket = mio::net::UnixListener::from_std(socket.into());
        Ok(UnixListener { socket, path: absolute, identity })
    }

    /// The next connection, and who made it.
    pub(super) fn accept(&self) -> io::Result<(mio::net::UnixStream, Option<Credentials>)> {
        let (stream, _) = self.socket.accept()?;
        let credentials = sys::peer_credentials(stream.as_fd());
        Ok((stream, credentials))
    }

    /// Takes the path away, if it is still this socket's.
    pub(super) fn remove_path(&mut self) {
        // The socket still listens here, so nobody takes the path over between these two lines;
        // and it holds its inode, so no other file can have the number.
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|there| Identity::of(&there) == self.identity) {
            // A path that cannot be removed any more is taken over by the next server.
            let _ = fs::remove_file(&self.path);
        }
    }

    pub(super) fn source(&mut self) -> &mut dyn mio::event::Source {
        &mut self.socket
    }

    /// Where it is, as independent of this program's folder as a socket's path can be.
    pub(super) fn address<'p>(&'p self, given: &'p Path) -> &'p Path {
        let fits = self.path.as_os_str().len() <= SOCKET_PATH;
        if fits {
            &self.path
        } else {
            given
        }
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        self.remove_path();
    }
}

/// A fresh folder beside the path that nobody else can look into; goes with what is left in it.
#[derive(Debug)]
struct Nest {
    folder: PathBuf,
}

impl Nest {
    fn new(parent: &Path) -> io::Result<Nest> {
        loop {
            let mut random = [0; 4];
            getrandom::fill(&mut random)?;
            let folder = parent.join(format!(".isock-{:08x}", u32::from_ne_bytes(random)));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Nest { folder }),
                // Never somebody else's: it would not be closed to them.
                Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
                Err(why) => return Err(no_nest(parent, &why)),
            }
        }
    }

    /// A listening socket of mode 0600 in it, and its path.
    fn bind(&self, name: &OsStr, backlog: i32) -> io::Result<(Socket, PathBuf)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Its own name where there is room, since that is what `ss` will show for ever.
        let mut path = self.folder.join(name);
        if path.as_os_str().len() <= SOCKET_PATH {
            socket.bind(&SockAddr::unix(&path)?)?;
        } else {
            path = self.folder.join("s");
            self.bind_short(&socket, &path)?;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Ok((socket, path))
    }

    /// Binds at a path that may be too long to be written down, though the one that it is for is
    /// not: through the folder's descriptor.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn bind_short(&self, socket: &Socket, path: &Path) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        if path.as_os_str().len() <= SOCKET_PATH {
            return socket.bind(&SockAddr::unix(path)?);
        }
        let folder = File::open(&self.folder)?;
        let path = format!("/proc/self/fd/{}/s", folder.as_raw_fd());
        socket.bind(&SockAddr::unix(path)?).map_err(|why| {
            error(
                why.kind(),
                format!("a path of this length needs /proc ({why}); use a shorter one"),
            )
        })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn bind_short(&self, socket: &Socket, path: &Path) -> io::Result<()> {
        let over = path.as_os_str().len().saturating_sub(SOCKET_PATH);
        if over == 0 {
            return socket.bind(&SockAddr::unix(path)?);
        }
        let text = format!("the path's folder is {over} bytes too long to be bound in safely here");
        Err(error(ErrorKind::InvalidInput, text + "; use a shorter one"))
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        // Empty unless something failed; nobody could be told of a second failure.
        if fs::remove_dir(&self.folder).is_err() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Keeps servers that start at the same time from taking each other for dead: each looks and moves
/// in while the others wait. Goes when the file is closed.
fn lock(folder: &Path) -> Option<File> {
    // A folder that cannot be read cannot be locked; then the order of things has to do.
    let folder = File::open(folder).ok()?;
    let until = Instant::now() + OTHERS;
    loop {
        match sys::try_lock(&folder) {
            Ok(()) => return Some(folder),
            // A start takes far less than this: whoever holds it for longer is no server.
            Err(_) if until <= Instant::now() => return None,
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(_) => return None,
        }
    }
}

/// Makes sure that whatever is at the path may be replaced: nothing, or a socket of the dead.
fn make_way(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there.file_type(),
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(why),
    };
    let what = match () {
        () if there.is_socket() => return make_way_of_socket(path),
        () if there.is_symlink() => "a symbolic link is there, which is never followed",
        () if there.is_dir() => "a folder is there",
        () => "a file is there that is no socket",
    };
    Err(error(ErrorKind::AlreadyExists, format!("{what}; remove it, or use another path")))
}

fn make_way_of_socket(path: &Path) -> io::Result<()> {
    let why = match knock(path) {
        Ok(()) => return Err(ErrorKind::AddrInUse.into()),
        Err(why) => why,
    };
    match why.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => Ok(()),
        // Somebody listens who does not get to accepting.
        ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
        kind => {
            let text = format!("a socket is there that may be in use ({why}); remove it if not");
            Err(error(kind, text))
        }
    }
}

/// Connects without waiting.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// Connects to the server at `path`.
pub(super) fn dial(path: &Path, deadline: Instant) -> io::Result<CallerStream> {
    check_length(path)?;
    let address = SockAddr::unix(path)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(no_answer());
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // How long it waits while the server's backlog is full.
        socket.set_write_timeout(Some(left.max(Duration::from_millis(1))))?;
        match socket.connect(&address) {
            Ok(()) => return CallerStream::unix(UnixStream::from(socket)),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(explain(path, why)),
        }
    }
}

/// What a failed connect means, and what to do.
fn explain(path: &Path, why: io::Error) -> io::Error {
    let kind = why.kind();
    let is_socket = || fs::metadata(path).is_ok_and(|there| there.file_type().is_socket());
    let text = match kind {
        ErrorKind::NotFound => "nothing is there; start the server, or check the path",
        ErrorKind::ConnectionRefused if is_socket() => {
            "its server has ended without removing it; start the server again"
        }
        ErrorKind::ConnectionRefused => "what is there is no socket; check the path",
        ErrorKind::PermissionDenied => {
            "permission denied; run this program as the server's user, or let it in by the mode \
             of the socket and its folders"
        }
        ErrorKind::WouldBlock => return no_answer(),
        _ => return why,
    };
    error(kind, text)
}

fn no_answer() -> io::Error {
    error(ErrorKind::TimedOut, "the server does not accept connections; is it stuck?")
}

fn no_nest(parent: &Path, why: &io::Error) -> io::Error {
    let parent = parent.display();
    let text = match why.kind() {
        ErrorKind::NotFound => format!("the folder {parent} does not exist; create it first"),
        ErrorKind::PermissionDenied => {
            format!("this user may not create files in {parent}; use a folder of its own")
        }
        _ => format!("cannot create a folder in {parent}: {why}"),
    };
    error(why.kind(), text)
}

fn check_length(path: &Path) -> io::Result<()> {
    let len = path.as_os_str().as_bytes().len();
    if len <= SOCKET_PATH {
        return Ok(());
    }
    let text = format!(
        "the path has {len} bytes, and that of a socket at most {SOCKET_PATH} here; use a shorter \
         one, or a relative one"
    );
    Err(error(ErrorKind::InvalidInput, text))
}

fn error(kind: ErrorKind, text: impl Into<String>) -> io::Error {
    io::Error::new(kind, text.into())
}
