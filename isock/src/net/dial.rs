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

/// Connects to the first of the sockets that answers.
pub(crate) fn dial(sockets: &[SocketAddr], deadline: Instant) -> io::Result<Dialled> {
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

/// The sockets that an address stands for. A name is looked up on a thread of its own, since the
/// system's resolver knows no deadline: the caller leaves at its own.
pub(crate) fn resolve(address: &Address, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    let name = match address.place() {
        Place::Socket(socket) => return Ok(vec![*socket]),
        Place::Memory => return Ok(Vec::new()),
        Place::Tcp(name) => name.clone(),
    };
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
