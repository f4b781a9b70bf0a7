//! `zerocopy`: bulk echo with vectored writes from the caller's buffer, and receive buffers that are reused.
//!
//! Blocking sockets and a thread per connection. A message is received whole before its reply starts.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use kit::blocking::BlockingPeer;
use kit::cli::Server;
use kit::data::Msg;
use kit::Bytes;

use crate::frame::{self, Kind, HEADER};
use crate::stream::{connect, listen};

/// Where a body starts in its buffer.
///
/// The kernel's copy of a body starts 8 bytes into a page, since the header comes first; a large `Vec` starts
/// 16 bytes into one. A copy whose destination is a few bytes ahead of its source, modulo the page, makes some
/// processors' string moves crawl: 1 MiB echoes took 3 times as long before bodies were moved out of step.
const LEAD: usize = 2048;

/// Serves until killed.
pub(crate) fn serve(address_file: &Path) {
    for socket in listen(address_file).incoming() {
        let socket = socket.expect("descriptors are left");
        std::thread::spawn(move || serve_one(&socket));
    }
}

/// Ends with the connection, however that ends.
fn serve_one(socket: &TcpStream) {
    socket.set_nodelay(true).expect("a TCP socket");
    let mut body = Vec::new();
    while let Ok(kind) = receive(socket, &mut body) {
        if send(socket, kind, &body[LEAD..]).is_err() {
            return;
        }
    }
}

/// Reads one frame straight into `body`, whose memory stays from message to message; it starts at `LEAD`.
fn receive(mut socket: &TcpStream, body: &mut Vec<u8>) -> io::Result<Kind> {
    let mut head = [0; HEADER];
    socket.read_exact(&mut head)?;
    let (kind, length) = frame::parse_header(&head);
    body.resize(LEAD + length, 0);
    socket.read_exact(&mut body[LEAD..])?;
    Ok(kind)
}

/// Writes one frame without copying its body.
fn send(mut socket: &TcpStream, kind: Kind, body: &[u8]) -> io::Result<()> {
    let head = frame::header(kind, body.len());
    let mut slices = &mut [IoSlice::new(&head), IoSlice::new(body)][..];
    while !slices.is_empty() {
        let written = socket.write_vectored(slices)?;
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}

/// One blocking connection.
pub(crate) struct Client {
    socket: TcpStream,
    body: Vec<u8>,
}

impl Client {
    fn call(&mut self, payload: &[u8]) -> &[u8] {
        send(&self.socket, Kind::Echo, payload).expect("the server reads");
        receive(&self.socket, &mut self.body).expect("the server answers");
        &self.body[LEAD..]
    }
}

impl BlockingPeer for Client {
    fn connect(server: &Server) -> Client {
        Client { socket: connect(server), body: Vec::new() }
    }

    fn echo(&mut self, msg: Msg) -> Msg {
        frame::msg(self.call(&msg.to_bytes()))
    }

    fn bulk(&mut self, payload: &Bytes) -> impl AsRef<[u8]> {
        self.call(payload)
    }
}
