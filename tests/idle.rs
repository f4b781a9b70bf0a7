//! What a server holds in memory for a connection that has nothing to say, as an allocator counts it.
//!
//! Its clients are sockets that hold nothing, so all that comes with them is the server's.
#![cfg(unix)]

use isock::{
    wire::{
        Credit, Flags, FrameKind, Header, Metadata, Welcome, HEADER_LEN, MAX_OWN_METADATA, VERSION,
    },
    Action, Client, IntoAddresses, Server, ServerHandle,
};
use isock_tests::{
    memory::{self, Blocks, Counting},
    raw,
    waiting::{ms, within},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[global_allocator]
static MEMORY: Counting = Counting;

/// Sends a number back.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct Echo;

/// Counts up to a number.
#[derive(Action)]
#[action(input = u64, stream = u64)]
struct Count;

/// What is promised is a kilobyte. What is known is less, so that what stays behind is noticed.
const MOST: usize = 960;

/// Calls that each makes before it rests.
const LIFE: u32 = 3;

/// Both ends of each are in this process, which may have a thousand descriptors.
const CONNECTIONS: usize = 400;

/// What is held at a moment.
struct Held {
    bytes: usize,
    blocks: Blocks,
}

impl Held {
    fn now() -> Held {
        Held { bytes: memory::held(), blocks: memory::blocks() }
    }

    /// What each connection takes of what has come since then: its blocks, each as large as the C library
    /// of Linux makes it, and its share of what all of them lie in.
    fn for_each(&self) -> usize {
        let now = Held::now();
        let rounding = |(count, size): (isize, usize)| count * (block(size) - size) as isize;
        let added: isize = now.blocks.since(&self.blocks).into_iter().map(rounding).sum();
        (now.bytes as isize - self.bytes as isize + added) as usize / CONNECTIONS
    }

    /// In the end each connection takes at most so many bytes.
    fn check(&self, most: usize) {
        let small = within(ms(5_000), || self.for_each() <= most);
        let (bytes, blocks) = (self.for_each(), self.blocks_of_each());
        assert!(small, "{bytes} bytes for each connection: {blocks:#?}");
        println!("{bytes} bytes for each connection: {blocks:?}");
    }

    /// The blocks that each connection has.
    fn blocks_of_each(&self) -> Vec<String> {
        let new = memory::blocks().since(&self.blocks);
        let of_all = new.into_iter().filter(|(count, _)| *count >= CONNECTIONS as isize / 16);
        let words = |(count, size)| format!("{:.2} of {size}", count as f64 / CONNECTIONS as f64);
        of_all.map(words).collect()
    }
}

/// A length before it, and a multiple of sixteen.
fn block(size: usize) -> usize {
    (size + size_of::<usize>()).next_multiple_of(16).max(32)
}

/// Nothing else of the program may ask for memory meanwhile.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn server(place: impl IntoAddresses) -> ServerHandle {
    Server::builder()
        .on::<Echo>(|number, _| Ok(number))
        .on::<Count>(|count, cx| Ok((0..count).try_for_each(|n| cx.send(n))?))
        .bind(place)
        .and_then(|server| server.spawn())
        .unwrap()
}

/// A client that holds nothing.
struct Bare<S>(S);

impl<S: Read + Write> Bare<S> {
    /// Says hello.
    fn greeting(stream: S) -> Bare<S> {
        let mut bare = Bare(stream);
        bare.0.write_all(&raw::hello(VERSION, VERSION)).unwrap();
        let mut welcome = [0; 256];
        let mut len = 0;
        while Welcome::parse(&welcome[..len]).unwrap().is_none() {
            bare.0.read_exact(&mut welcome[len..=len]).unwrap();
            len += 1;
        }
        bare
    }

    /// Says this, and reads until a call is answered.
    fn ask(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
        let mut kind = FrameKind::PING;
        while kind != FrameKind::REPLY {
            let mut header = [0; HEADER_LEN];
            self.0.read_exact(&mut header).unwrap();
            let header = Header::parse(&header).unwrap();
            let rest = header.len as usize - HEADER_LEN;
            self.0.read_exact(&mut [0; 256][..rest]).unwrap();
            kind = header.kind;
        }
    }

    /// Makes a call with this number.
    fn call(&mut self, seq: u32) {
        self.ask(&raw::call::<Echo>(0, seq, &[7]));
    }

    /// Makes as many as a [busy life](Bare::live) has.
    fn calls(&mut self, seq: u32) {
        (seq..seq + LIFE).for_each(|seq| self.call(seq));
    }

    /// Makes use of what a call does not need, from this number on.
    fn live(&mut self, seq: u32) {
        self.call(seq);
        self.0.write_all(&raw::frame(FrameKind::PING, Flags::default(), &[1; 8])).unwrap();
        // A frame that comes in parts.
        let call = raw::call::<Echo>(0, seq + 1, &[7]);
        call.iter().for_each(|byte| self.0.write_all(&[*byte]).unwrap());
        self.ask(&[]);
        let credit = Credit { bytes: 1 << 16, items: 100 };
        self.ask(&raw::stream_call::<Count>(0, seq + 2, &[3], credit, false));
    }
}

/// Each of many connections takes little after it has lived like this.
fn check<S: Read + Write>(connect: impl Fn() -> S, live: impl Fn(&mut Bare<S>, u32)) {
    // Actions are known as quick or slow from then on, and what all connections share is there: the
    // blocks of short messages that each thread keeps, above all.
    let mut first = Bare::greeting(connect());
    (0..300).for_each(|n| first.live(LIFE * n + 1));
    let mut all = Vec::with_capacity(CONNECTIONS);
    let before = Held::now();
    for _ in 0..CONNECTIONS {
        let mut bare = Bare::greeting(connect());
        live(&mut bare, 1);
        all.push(bare);
    }
    before.check(MOST);
    // One that has been closed would take nothing.
    all.iter_mut().for_each(|bare| bare.call(1 + LIFE));
}

fn tcp(server: &ServerHandle) -> TcpStream {
    let stream = TcpStream::connect(server.address().socket().unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

#[test]
fn a_connection_that_has_made_a_call_takes_a_kilobyte() {
    let _turn = turn();
    let server = server("127.0.0.1:0");
    check(|| tcp(&server), Bare::calls);
}

#[test]
fn so_does_one_over_a_unix_socket() {
    let _turn = turn();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("idle.sock");
    let _server = server(&path);
    check(|| UnixStream::connect(&path).unwrap(), Bare::calls);
}

/// What serves the calls on the loop's thread serves one after the other, and stays.
#[test]
fn a_call_takes_its_metadata_along_when_it_has_been_served() {
    let _turn = turn();
    let server = server("127.0.0.1:0");
    let mut bare = Bare::greeting(tcp(&server));
    let mut metadata = Vec::new();
    Metadata { own: vec![1; MAX_OWN_METADATA], ..Metadata::default() }.write(&mut metadata);
    let laden = |seq| raw::call_with_metadata::<Echo>(0, seq, &metadata, &[7]);
    for seq in (1..600).step_by(2) {
        bare.ask(&laden(seq));
        bare.call(seq + 1);
    }
    let before = memory::held();
    bare.ask(&laden(601));
    let more = || memory::held().saturating_sub(before);
    assert!(within(ms(5_000), || more() < MAX_OWN_METADATA / 2), "{} bytes have stayed", more());
}

#[test]
fn so_does_one_that_has_been_busy_in_other_ways() {
    let _turn = turn();
    let server = server("127.0.0.1:0");
    check(|| tcp(&server), Bare::live);
}

/// With both ends of its connection, and what it has read its last answer with.
#[test]
fn a_client_that_has_made_a_call_takes_twelve_kilobytes() {
    let _turn = turn();
    let server = server("127.0.0.1:0");
    let called = || {
        let client = Client::connect(server.address()).unwrap();
        assert_eq!(client.run::<Echo>(7).unwrap(), 7);
        client
    };
    let first = called();
    (0..300).for_each(|n| assert_eq!(first.run::<Echo>(n).unwrap(), n));
    let mut all = Vec::with_capacity(CONNECTIONS);
    let before = Held::now();
    all.extend((0..CONNECTIONS).map(|_| called()));
    before.check(12 * 1024);
}
