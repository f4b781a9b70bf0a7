//! What both blocking floors share: connecting, and a receive buffer that gives whole frames.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use kit::cli::Server;

use crate::frame;

/// Binds a free loopback port and announces it.
///
/// The backlog is socket2's to choose: std's 128 makes a burst of connections wait for retransmission.
pub(crate) fn listen(address_file: &Path) -> TcpListener {
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&loopback.into()).expect("a free port");
    socket.listen(4096).expect("a listener");
    let listener = TcpListener::from(socket);
    kit::cli::announce(address_file, listener.local_addr().expect("it is bound"));
    listener
}

/// Connects without Nagle's delay.
pub(crate) fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address).expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    socket
}

/// A receive buffer: bytes read but not yet used lie in `start..end`.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer that reads up to `size` bytes at once. Its pages cost nothing until they are used.
    pub(crate) fn new(size: usize) -> Buffer {
        Buffer { bytes: vec![0; size], start: 0, end: 0 }
    }

    /// What was read and not yet used.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks bytes at the front as used.
    #[inline]
    pub(crate) fn consume(&mut self, used: usize) {
        self.start += used;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads what is there, waiting if nothing is; false at the end of the connection.
    pub(crate) fn fill(&mut self, mut socket: impl Read) -> std::io::Result<bool> {
        self.make_room();
        let read = socket.read(&mut self.bytes[self.end..])?;
        self.end += read;
        Ok(read > 0)
    }

    /// A frame that doesn't fit moves to the front, and the buffer grows to hold all of it.
    fn make_room(&mut self) {
        if self.end < self.bytes.len() {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let head = self.unread().first_chunk();
        let wanted = head.map_or(0, |head| frame::HEADER + frame::parse_header(head).1);
        if wanted > self.bytes.len() {
            self.bytes.resize(wanted.next_power_of_two(), 0);
        }
    }
}

/// Sends a request and hands the body of the one reply to `take`.
pub(crate) fn call<T>(
    mut socket: impl Read + Write,
    input: &mut Buffer,
    request: &[u8],
    take: impl FnOnce(&[u8]) -> T,
) -> T {
    socket.write_all(request).expect("the server reads");
    loop {
        if let Some((_, body, frame)) = frame::first(input.unread()) {
            let taken = take(body);
            input.consume(frame);
            return taken;
        }
        assert!(input.fill(&mut socket).expect("the server answers"), "the server hung up");
    }
}
