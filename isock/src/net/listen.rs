//! Listening sockets.

use crate::address::{Address, Place};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

/// Connections that the kernel holds before they are accepted.
const BACKLOG: i32 = 1024;

/// A bound socket that an event loop can take.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(super) socket: mio::net::TcpListener,
    /// Where it really listens: port 0 has become a number.
    pub(crate) address: Address,
}

/// Binds every address that `address` stands for.
pub(crate) fn bind(address: &Address) -> io::Result<Vec<Listener>> {
    match address.place() {
        Place::Socket(address) => Ok(vec![bind_one(*address)?]),
        Place::Tcp(name) => bind_name(name),
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
    Ok(Listener { socket, address })
}
