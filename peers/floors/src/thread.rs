//! `thread`: blocking sockets and a thread per connection; what one read brought is answered in one write.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use kit::blocking::BlockingPeer;
use kit::cli::Server;
use kit::data::{Msg, Record};
use kit::{Bytes, Quota};

use crate::frame::{self, Kind, Numbers};
use crate::stream::{call, connect, listen, Buffer};

/// Serves until killed.
pub(crate) fn serve(address_file: &Path) {
    for socket in listen(address_file).incoming() {
        let socket = socket.expect("descriptors are left");
        // 64 KiB of stack is plenty for this loop; postcard doesn't recurse on records.
        let builder = std::thread::Builder::new().stack_size(64 * 1024);
        builder.spawn(move || serve_one(&socket)).expect("threads are left");
    }
}

/// Ends with the connection, however that ends.
fn serve_one(mut socket: &TcpStream) {
    socket.set_nodelay(true).expect("a TCP socket");
    let mut input = Buffer::new(frame::CHUNK);
    let mut out = Vec::new();
    while let Ok(true) = input.fill(socket) {
        let used = frame::answer(input.unread(), &mut out, |kind, n, out| match kind {
            Kind::Nap => {
                std::thread::sleep(Duration::from_millis(n));
                frame::put(out, kind, &n.to_le_bytes());
            }
            _ => stream_out(socket, n, out),
        });
        input.consume(used);
        if socket.write_all(&out).is_err() {
            return;
        }
        out.clear();
    }
}

/// Sends the items of a stream in writes of about a chunk; what is left over stays in `out`.
fn stream_out(mut socket: &TcpStream, items: u64, out: &mut Vec<u8>) {
    for n in 0..items {
        frame::put(out, Kind::Stream, &Msg::new(n).to_bytes());
        if out.len() >= frame::CHUNK / 2 {
            socket.write_all(out).expect("the client reads");
            out.clear();
        }
    }
}

/// One blocking connection.
pub(crate) struct Client {
    socket: TcpStream,
    input: Buffer,
    out: Vec<u8>,
    numbers: Numbers,
}

impl BlockingPeer for Client {
    fn connect(server: &Server) -> Client {
        Client {
            socket: connect(server),
            input: Buffer::new(frame::CHUNK),
            out: Vec::new(),
            numbers: Numbers::default(),
        }
    }

    fn echo(&mut self, msg: Msg) -> Msg {
        self.call(|out| frame::put(out, Kind::Echo, &msg.to_bytes()), frame::msg)
    }

    fn bulk(&mut self, payload: &Bytes) -> impl AsRef<[u8]> {
        self.call(|out| frame::put(out, Kind::Echo, payload), <[u8]>::to_vec)
    }

    fn records(&mut self, records: Vec<Record>, expected: &[Record]) -> Vec<Record> {
        let reply = self.call(|out| frame::put_records(out, &records), frame::decode_records);
        assert!(reply == expected, "the reply has other records");
        reply
    }

    fn nap(&mut self, millis: u32) {
        self.call(|out| frame::put(out, Kind::Nap, &u64::from(millis).to_le_bytes()), |_| ());
    }

    fn stream(&mut self, items: u64, mut each: impl FnMut(Msg)) {
        self.out.clear();
        frame::put(&mut self.out, Kind::Stream, &items.to_le_bytes());
        self.socket.write_all(&self.out).expect("the server reads");
        let mut left = items;
        while left > 0 {
            assert!(
                self.input.fill(&self.socket).expect("the server answers"),
                "the stream was cut"
            );
            let replies = self.input.unread().chunks_exact(frame::MSG_FRAME);
            let count = replies.len();
            replies.for_each(|reply| each(frame::msg(&reply[frame::HEADER..])));
            self.input.consume(count * frame::MSG_FRAME);
            left -= count as u64;
        }
    }

    /// One thread goes round the connections: by the time it is back, the replies are there.
    fn in_flight(connections: &mut [Client], depth: usize, quota: &mut Quota) {
        connections.iter_mut().for_each(|client| client.send(depth as u64));
        let mut more = true;
        while more {
            for client in &mut *connections {
                let replies = client.receive();
                more &= quota.spend(replies);
                client.send(replies);
            }
        }
        for client in connections {
            while client.numbers.due() > 0 {
                quota.spend(client.receive());
            }
        }
    }
}

impl Client {
    /// Sends one request, written by `put`, and takes its reply.
    fn call<T>(&mut self, put: impl FnOnce(&mut Vec<u8>), take: impl FnOnce(&[u8]) -> T) -> T {
        self.out.clear();
        put(&mut self.out);
        call(&self.socket, &mut self.input, &self.out, take)
    }

    /// Sends the next echo requests in one write.
    fn send(&mut self, count: u64) {
        self.out.clear();
        self.numbers.put(count, &mut self.out);
        self.socket.write_all(&self.out).expect("the server reads");
    }

    /// Waits for replies and checks what one read brought.
    fn receive(&mut self) -> u64 {
        assert!(self.input.fill(&self.socket).expect("the server answers"), "the server hung up");
        let (count, used) = self.numbers.check(self.input.unread());
        self.input.consume(used);
        count
    }
}
