//! `spin`: both sides read without blocking and never sleep. For one connection on an idle machine.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use kit::blocking::BlockingPeer;
use kit::cli::Server;
use kit::data::Msg;

use crate::frame::{self, Kind};
use crate::stream::{call, connect, listen, Buffer};

/// Serves until killed, one connection after the other.
pub(crate) fn serve(address_file: &Path) {
    for socket in listen(address_file).incoming() {
        serve_one(Spinning::new(socket.expect("descriptors are left")));
    }
}

/// Ends with the connection, however that ends.
fn serve_one(mut socket: Spinning) {
    let mut input = Buffer::new(frame::CHUNK);
    let mut out = Vec::new();
    while let Ok(true) = input.fill(&mut socket) {
        let used =
            frame::answer(input.unread(), &mut out, |kind, _, _| panic!("{kind:?} is not served"));
        input.consume(used);
        if socket.write_all(&out).is_err() {
            return;
        }
        out.clear();
    }
}

/// A socket that asks again until it has an answer.
struct Spinning(TcpStream);

impl Spinning {
    fn new(socket: TcpStream) -> Spinning {
        socket.set_nodelay(true).expect("a TCP socket");
        socket.set_nonblocking(true).expect("a TCP socket");
        Spinning(socket)
    }
}

impl Read for Spinning {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        spin(|| self.0.read(buffer))
    }
}

impl Write for Spinning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        spin(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn spin(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            done => return done,
        }
    }
}

/// One connection.
pub(crate) struct Client {
    socket: Spinning,
    input: Buffer,
    out: Vec<u8>,
}

impl BlockingPeer for Client {
    fn connect(server: &Server) -> Client {
        let socket = Spinning::new(connect(server));
        Client { socket, input: Buffer::new(frame::CHUNK), out: Vec::new() }
    }

    fn echo(&mut self, msg: Msg) -> Msg {
        self.out.clear();
        frame::put(&mut self.out, Kind::Echo, &msg.to_bytes());
        call(&mut self.socket, &mut self.input, &self.out, frame::msg)
    }
}
