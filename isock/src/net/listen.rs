//! Listening sockets.

use super::{
    origin::{Origin, Source},
    stream::LoopStream,
};
use crate::address::{Address, Place};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

/// Connections that the kernel holds before they are accepted.
pub(super) const BACKLOG: i32 = 1024;

/// A bound socket that an event loop can take.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Listening,
    /// Where it really listens: port 0 has become a number.
    pub(crate) address: Address,
}

#[derive(Debug)]
enum Listening {
    Tcp(mio::net::TcpListener),
    #[cfg(unix)]
    Unix(super::unix::UnixListener),
}

impl Listener {
    /// The next connection, and who made it.
    pub(super) fn accept(&self) -> io::Result<(LoopStream, Origin, Source)> {
        match &self.socket {
            Listening::Tcp(socket) => {
                let (stream, address) = socket.accept()?;
                let (origin, source) = Origin::tcp(address);
                Ok((LoopStream::Tcp(stream), origin, source))
            }
            #[cfg(unix)]
            Listening::Unix(listener) => {
                let (stream, credentials) = listener.accept()?;
                let (origin, source) = Origin::unix(&self.address, credentials);
                Ok((LoopStream::Unix(stream), origin, source))
            }
        }
    }

    /// Lets nobody else connect, as far as that can be had while it is open: a path goes.
    pub(super) fn hide(&mut self) {
        #[cfg(unix)]
        if let Listening::Unix(listener) = &mut self.socket {
            listener.remove_path();
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // Closing it is what counts; the kernel forgets a closed socket by itself.
        let _ = registry.deregister(self.source());
    }

    fn source(&mut self) -> &mut dyn mio::event::Source {
        match &mut self.socket {
            Listening::Tcp(socket) => socket,
            #[cfg(unix)]
            Listening::Unix(listener) => listener.source(),
        }
    }
}

/// Binds every address that `address` stands for.
pub(crate) fn bind(address: &Address) -> io::Result<Vec<Listener>> {
    match address.place() {
        Place::Socket(address) => Ok(vec![bind_one(*address)?]),
        Place::Tcp(name) => bind_name(name),
        #[cfg(unix)]
        Place::Unix(path) => {
            let listener = super::unix::UnixListener::bind(path, BACKLOG)?;
            let address = Address::unix(listener.address(path));
            Ok(vec![Listener { socket: Listening::Unix(listener), address }])
        }
        Place::Memory => Ok(Vec::new()),
    }
}

/// A name can stand for several addresses (`localhost` for 127.0.0.1 and ::1): one that works is
/// enough, since a machine without IPv6 still lists ::1.
fn bind_name(name: &str) -> io::Result<Vec<Listener>> {
    let mut bound = Vec::new();
    let mut failed = None;
    for address in name.to_socket_addrs()? {
        // With port 0 a second family would get another port: one listener says one port.
        if address.port() == 0 && !bound.is_empty() {
            break;
        }
        match bind_one(address) {
            Ok(listener) => bound.push(listener),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        _ if !bound.is_empty() => Ok(bound),
        Some(error) => Err(error),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
    }
}

fn bind_one(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Unix this only skips the wait for old connections of a restarted server; on Windows it
    // would let two servers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = mio::net::TcpListener::from_std(socket.into());
    let address = socket.local_addr()?.into();
    Ok(Listener { socket: Listening::Tcp(socket), address })
}
