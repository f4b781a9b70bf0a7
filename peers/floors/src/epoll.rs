//! `epoll`: one thread and one mio loop on each side, batched reads and batched writes.
//!
//! All connections read into one shared buffer, so that an idle one holds none.

use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use kit::blocking::BlockingPeer;
use kit::cli::Server;
use kit::data::Msg;
use kit::Quota;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::frame::{self, Kind, Numbers};
use crate::stream::{connect, listen};

const LISTENER: Token = Token(usize::MAX);

/// Serves until killed.
pub(crate) fn serve(address_file: &Path) {
    let listener = listen(address_file);
    listener.set_nonblocking(true).expect("a TCP socket");
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new().expect("an epoll");
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("a new source");
    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Events::with_capacity(1024);
    let mut scratch = Scratch::default();
    loop {
        wait(&mut poll, &mut events);
        for event in &events {
            match event.token() {
                LISTENER => accept_all(&listener, &poll, &mut connections),
                Token(key) => {
                    if let Err(Closed) = connections[key].serve(&mut scratch) {
                        connections.remove(key);
                    }
                }
            }
        }
    }
}

fn wait(poll: &mut Poll, events: &mut Events) {
    while let Err(error) = poll.poll(events, None) {
        assert!(error.kind() == ErrorKind::Interrupted, "epoll failed: {error}");
    }
}

fn accept_all(listener: &TcpListener, poll: &Poll, connections: &mut Slab<Connection>) {
    while let Ok((mut socket, _)) = listener.accept() {
        socket.set_nodelay(true).expect("a TCP socket");
        let entry = connections.vacant_entry();
        // Writability comes for free: edges are reported once, and a full socket is rare.
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, Token(entry.key()), both).expect("a new source");
        entry.insert(Connection::new(socket));
    }
}

/// What a loop needs once, not once per connection.
struct Scratch {
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { input: vec![0; frame::CHUNK], out: Vec::new() }
    }
}

/// The connection is over.
struct Closed;

/// A socket with what is left over: the start of a frame, and bytes it didn't take. Usually both are empty.
struct Connection {
    socket: TcpStream,
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

impl Connection {
    fn new(socket: TcpStream) -> Connection {
        Connection { socket, partial: Vec::new(), unsent: Vec::new() }
    }

    /// Answers all that has arrived. Doesn't read on while the client leaves its replies lying.
    fn serve(&mut self, scratch: &mut Scratch) -> Result<(), Closed> {
        let Scratch { input, out } = scratch;
        loop {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(&unsent)?;
            if !self.unsent.is_empty() {
                return Ok(());
            }
            let drained = self.receive(input, |input| {
                frame::answer(input, out, |kind, _, _| panic!("{kind:?} is not served"))
            })?;
            self.send(out)?;
            out.clear();
            if drained && self.unsent.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads once and lets `take` have the whole frames; true if the socket has no more.
    fn receive(
        &mut self,
        input: &mut Vec<u8>,
        take: impl FnOnce(&[u8]) -> usize,
    ) -> Result<bool, Closed> {
        let kept = self.partial.len();
        if kept + frame::CHUNK > input.len() {
            input.resize(kept + frame::CHUNK, 0);
        }
        input[..kept].copy_from_slice(&self.partial);
        let read = match self.socket.read(&mut input[kept..]) {
            Ok(0) => return Err(Closed),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(_) => return Err(Closed),
        };
        let end = kept + read;
        let used = take(&input[..end]);
        self.keep(&input[used..end]);
        // A short read has emptied the socket, and the next byte makes an edge.
        Ok(end < input.len())
    }

    /// Keeps the start of a frame; without one, no memory.
    fn keep(&mut self, partial: &[u8]) {
        if partial.is_empty() && self.partial.capacity() > 0 {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(partial);
        }
    }

    /// Writes what the socket takes and keeps the rest.
    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => break,
                Err(_) => return Err(Closed),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// One connection of a client whose loop is `in_flight`.
pub(crate) struct Client {
    connection: Connection,
    numbers: Numbers,
    /// The loop of a single connection; with several, `in_flight` makes one for all.
    own: Option<(Poll, Events)>,
    scratch: Scratch,
}

impl BlockingPeer for Client {
    fn connect(server: &Server) -> Client {
        let socket = connect(server);
        socket.set_nonblocking(true).expect("a TCP socket");
        let connection = Connection::new(TcpStream::from_std(socket));
        Client { connection, numbers: Numbers::default(), own: None, scratch: Scratch::default() }
    }

    fn echo(&mut self, msg: Msg) -> Msg {
        let (poll, events) = self.own.get_or_insert_with(|| {
            let poll = Poll::new().expect("an epoll");
            register(&poll, Token(0), &mut self.connection);
            (poll, Events::with_capacity(4))
        });
        self.scratch.out.clear();
        frame::put(&mut self.scratch.out, Kind::Echo, &msg.to_bytes());
        let alive = self.connection.send(&self.scratch.out);
        alive.unwrap_or_else(|Closed| panic!("the server hung up"));
        let mut reply = None;
        while reply.is_none() {
            wait(poll, events);
            let read = self.connection.receive(&mut self.scratch.input, |input| {
                let Some((_, body, frame)) = frame::first(input) else { return 0 };
                reply = Some(frame::msg(body));
                frame
            });
            read.unwrap_or_else(|Closed| panic!("the server hung up"));
        }
        reply.expect("the loop ends with a reply")
    }

    fn in_flight(connections: &mut [Client], depth: usize, quota: &mut Quota) {
        let mut poll = Poll::new().expect("an epoll");
        for (key, client) in connections.iter_mut().enumerate() {
            register(&poll, Token(key), &mut client.connection);
        }
        let mut events = Events::with_capacity(1024);
        let mut scratch = Scratch::default();
        connections.iter_mut().for_each(|client| client.send(depth as u64, &mut scratch.out));
        let mut in_flight = depth * connections.len();
        let mut more = true;
        while in_flight > 0 {
            wait(&mut poll, &mut events);
            for event in &events {
                let client = &mut connections[event.token().0];
                let replies = client.replies(&mut scratch.input);
                more &= quota.spend(replies);
                if more {
                    client.send(replies, &mut scratch.out);
                } else {
                    in_flight -= replies as usize;
                }
            }
        }
        for client in connections {
            poll.registry().deregister(&mut client.connection.socket).expect("it was registered");
        }
    }
}

fn register(poll: &Poll, token: Token, connection: &mut Connection) {
    poll.registry()
        .register(&mut connection.socket, token, Interest::READABLE)
        .expect("a new source");
}

impl Client {
    /// Sends the next echo requests in one write. 256 of them fit any socket buffer.
    fn send(&mut self, count: u64, out: &mut Vec<u8>) {
        out.clear();
        self.numbers.put(count, out);
        let sent = self.connection.send(out);
        assert!(sent.is_ok() && self.connection.unsent.is_empty(), "the server reads");
    }

    /// Checks all replies that have arrived.
    fn replies(&mut self, input: &mut Vec<u8>) -> u64 {
        let before = self.numbers.due();
        let numbers = &mut self.numbers;
        while !self
            .connection
            .receive(input, |input| numbers.check(input).1)
            .unwrap_or_else(|Closed| panic!("the server hung up"))
        {}
        before - self.numbers.due()
    }
}
