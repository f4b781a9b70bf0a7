//! From an address to a connected stream, in bounded time.

use super::stream::CallerStream;
use crate::address::{Address, Place};
use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// One address gets at most this long while others are left to try.
const EACH: Duration = Duration::from_secs(5);

/// A stream, and where it really leads.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: CallerStream,
    pub(crate) address: Address,
}

/// Connects to an address.
pub(crate) fn dial(address: &Address, deadline: Instant) -> io::Result<Dialled> {
    match address.place() {
        Place::Socket(socket) => dial_first(&[*socket], deadline),
        Place::Tcp(name) => dial_first(&resolve(name, deadline)?, deadline),
        #[cfg(unix)]
        Place::Unix(path) => {
            let stream = super::unix::dial(path, deadline)?;
            Ok(Dialled { stream, address: address.clone() })
        }
        Place::Memory => dial_first(&[], deadline),
    }
}

/// Connects to the first of the sockets that answers.
fn dial_first(sockets: &[SocketAddr], deadline: Instant) -> io::Result<Dialled> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (at, &socket) in sockets.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let last = at + 1 == sockets.len();
        let patience = if last { left } else { left.min(EACH) };
        match TcpStream::connect_timeout(&socket, patience).and_then(CallerStream::tcp) {
            Ok(stream) => return Ok(Dialled { stream, address: socket.into() }),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The sockets that a name stands for. It is looked up on a thread of its own, since the system's
/// resolver knows no deadline: the caller leaves at its own.
fn resolve(name: &str, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    let name = name.to_owned();
    let (send, receive) = mpsc::channel();
    thread::Builder::new().name("isock-resolve".into()).spawn(move || {
        let found = name.to_socket_addrs().map(Vec::from_iter);
        // The caller may have left at its deadline.
        let _ = send.send(found);
    })?;
    let left = deadline.saturating_duration_since(Instant::now());
    receive.recv_timeout(left).unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the name was not resolved in time"))
    })
}
