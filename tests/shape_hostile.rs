//! Shapes that a peer made to hurt: refused, or used at a cost in proportion to their bytes.

use isock::{
    shape::{diff, Shape, MAX_ENCODED, MAX_NODES},
    wire::{
        name_hash, CallHead, Flags, FrameKind, Header, Ran, Refusal, RefusalCode, HEADER_LEN,
        HELLO_LEN, VERSION,
    },
    Action, CallError, Client, ProblemKind,
};
use isock_tests::{actions::Echo, memory, raw, usage};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;

/// Memory and time are counted, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of memory for each byte of a shape, beside 64 KiB.
const MEMORY_A_BYTE: usize = 100;
/// Beside that, two shapes are compared in as many pairs of places as a limit allows.
const MEMORY_OF_PAIRS: usize = 12 << 20;
/// What one shape may cost on a processor, unless the build is slow by itself.
const TIME: Duration = Duration::from_millis(if cfg!(debug_assertions) { 400 } else { 20 });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    Used,
}
use Fate::{Refused, Used};

/// A shape as it is written, without a look at what it means.
struct Text(Vec<u8>);

impl Text {
    fn of(nodes: usize) -> Text {
        Text(vec![1]).number(nodes)
    }

    fn tag(mut self, tag: u8) -> Text {
        self.0.push(tag);
        self
    }

    fn number(mut self, mut value: usize) -> Text {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn name(mut self, name: &str) -> Text {
        self = self.number(name.len());
        self.0.extend(name.as_bytes());
        self
    }

    fn each(self, count: usize, part: impl Fn(Text, usize) -> Text) -> Text {
        (0..count).fold(self, part)
    }
}

const U8: u8 = 7;

/// What each of them is, its bytes, and what becomes of it.
fn hostile() -> Vec<(&'static str, Vec<u8>, Fate)> {
    let last = MAX_NODES - 1;
    let option = |text: Text, next: usize| text.tag(32).number(next);
    let chain = |nodes| Text::of(nodes).each(nodes - 1, |text, at| option(text, at + 1)).tag(U8);
    let claimed = |tag, count| Text::of(1).tag(tag).number(0).number(count);
    let fields = |count: usize, name: fn(usize) -> String| {
        let fields = Text::of(2).tag(40).name("").number(count);
        fields.each(count, |text, at| text.name(&name(at)).number(1)).tag(U8)
    };
    let variants = |count: usize, name: fn(usize) -> String| {
        let variants = Text::of(1).tag(41).name("").number(count);
        variants.each(count, |text, at| text.name(&name(at)).tag(0))
    };
    let short = |at: usize| format!("{at:x}");
    // Each holds the next one twice: as a tree it has 2^4095 leaves.
    let ladder = Text::of(MAX_NODES)
        .each(last, |text, at| text.tag(34).number(at + 1).number(at + 1))
        .tag(U8);
    let knot = Text::of(MAX_NODES)
        .each(last, |text, at| text.tag(34).number(at + 1).number(at / 2))
        .tag(U8);
    // Equal up to the last link: nothing is merged, and that is found out late.
    let almost = Text::of(MAX_NODES)
        .each(last, |text, at| option(text, if at % 2 == 0 { at + 1 } else { (at + 3).min(last) }))
        .tag(U8);
    // Met from its end, one link after the other parts from those before it.
    let behind = Text::of(MAX_NODES).tag(35).number(2).number(1).number(2).tag(U8);
    let behind =
        behind.each(last - 1, |text, at| option(text, if at + 3 < MAX_NODES { at + 3 } else { 1 }));
    let wide =
        |count: usize| Text::of(2).tag(35).number(count).each(count, |text, _| text.number(1));
    vec![
        ("no bytes", Vec::new(), Refused),
        ("a value in itself", Text::of(1).tag(38).name("A").number(0).0, Refused),
        (
            "a value in itself, far around",
            {
                let around = |text: Text, at| text.tag(38).name("").number((at + 1) % MAX_NODES);
                Text::of(MAX_NODES).each(MAX_NODES, around).0
            },
            Refused,
        ),
        (
            "a chain that closes",
            {
                Text::of(MAX_NODES).each(MAX_NODES, |text, at| option(text, (at + 1) % MAX_NODES)).0
            },
            Refused,
        ),
        ("a million fields, announced", claimed(40, 1_000_000).0, Refused),
        ("2^62 fields, announced", claimed(40, 1 << 62).0, Refused),
        ("a million variants, announced", claimed(41, 1_000_000).0, Refused),
        ("a million nodes, announced", Text::of(1_000_000).tag(U8).0, Refused),
        ("a million names", variants(1_000_000, |at| format!("{at:x}")).0, Refused),
        ("as many fields as fit, all of no name", fields(20_000, |_| String::new()).0, Refused),
        ("as many variants as fit, all of no name", variants(30_000, |_| String::new()).0, Refused),
        ("as many fields as fit", fields(10_000, short).0, Used),
        ("as many variants as fit", variants(10_000, short).0, Used),
        ("a name of 2^40 bytes, announced", Text::of(1).tag(37).number(1 << 40).0, Refused),
        ("a name of 60 KiB", Text::of(1).tag(37).name(&"n".repeat(60 << 10)).0, Refused),
        ("60,000 parts", wide(60_000).tag(U8).0, Refused),
        ("an array of 2^63 parts", Text::of(2).tag(36).number(1).number(1 << 63).tag(U8).0, Used),
        ("one node more than may be", chain(MAX_NODES + 1).0, Refused),
        ("as deep as may be", chain(MAX_NODES).0, Used),
        ("a chain behind its end", behind.0, Used),
        ("a ladder", ladder.0, Used),
        ("a knot", knot.0, Used),
        ("almost alike", almost.0, Refused),
        ("a byte more than may be", vec![1; MAX_ENCODED + 1], Refused),
        ("zeros", vec![0; MAX_ENCODED], Refused),
        ("a million ones", vec![1; 1_000_000], Refused),
    ]
}

/// What `work` returns, and what it took: memory at most, and time on a processor.
fn cost<T>(work: impl FnOnce() -> T) -> (T, usize, Duration) {
    let before = usage::thread_time();
    let (value, memory) = memory::of_thread(work);
    (value, memory, usage::thread_time() - before)
}

fn is_in_proportion(what: &str, bytes: usize, memory: usize, time: Duration) {
    let most = bytes.min(MAX_ENCODED) * MEMORY_A_BYTE + (64 << 10);
    assert!(memory <= most, "{what}: {memory} bytes of memory for {bytes}, at most {most}");
    assert!(time <= TIME, "{what}: {time:?} for {bytes} bytes");
}

#[test]
fn hostile_shapes_are_read_at_a_cost_in_proportion() {
    let _turn = turn();
    for (what, bytes, fate) in hostile() {
        let (shape, memory, time) = cost(|| Shape::decode(&bytes));
        is_in_proportion(what, bytes.len(), memory, time);
        assert_eq!(if shape.is_ok() { Used } else { Refused }, fate, "{what}: {:?}", shape.err());
    }
}

#[test]
fn hostile_shapes_are_used_at_a_cost_in_proportion() {
    let _turn = turn();
    let shapes: Vec<_> = hostile()
        .into_iter()
        .filter_map(|(what, bytes, _)| Some((what, Shape::decode(&bytes).ok()?, bytes.len())))
        .collect();
    for (what, shape, len) in &shapes {
        let (_, memory, time) = cost(|| shape.hash());
        is_in_proportion(&format!("{what}, hashed"), *len, memory, time);
        let (text, memory, time) = cost(|| shape.to_string());
        is_in_proportion(&format!("{what}, printed"), *len, memory, time);
        assert!(text.len() <= 5 * MAX_ENCODED, "{what}: {} bytes of text", text.len());
        for (other, there, other_len) in &shapes {
            let (found, memory, time) = cost(|| diff(shape, there));
            let memory = memory.saturating_sub(MEMORY_OF_PAIRS);
            is_in_proportion(&format!("{what} and {other}"), len + other_len, memory, time);
            assert!(found.len() <= 65, "{what}, {other}");
        }
    }
}

/// A server that refuses each call for its types, tells these bytes as what they are, and answers
/// [`Echo`] as if nothing had been.
fn teller(told: Vec<u8>) -> (String, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let teller = thread::spawn(move || {
        let mut stream = listener.accept().expect("a client").0;
        stream.write_all(&raw::welcome(VERSION, (VERSION, VERSION))).expect("a client");
        stream.read_exact(&mut [0; HELLO_LEN]).expect("its hello");
        let mut questions = 0;
        while let Some((header, name, input)) = next_call(&mut stream) {
            let answer = if name == name_hash("isock.shapes") {
                questions += 1;
                answer(FrameKind::REPLY, header, &[], &told)
            } else if name == name_hash(Echo::INFO.name) {
                answer(FrameKind::REPLY, header, &[], &input)
            } else {
                let mut words = Vec::new();
                let hash = format!("{questions:016x}");
                Refusal::new(RefusalCode::MISMATCH, Ran::No, "").write_words(&mut words);
                answer(FrameKind::REFUSAL, header, &words, hash.as_bytes())
            };
            stream.write_all(&answer).expect("the client reads");
        }
        questions
    });
    (address, teller)
}

/// The next call: its header, the hash of its name and its input. Others are no matter here.
fn next_call(stream: &mut TcpStream) -> Option<(Header, u32, Vec<u8>)> {
    loop {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).ok()?;
        let header = Header::parse(&header).expect("a frame");
        let mut rest = vec![0; header.len as usize - HEADER_LEN];
        stream.read_exact(&mut rest).ok()?;
        if header.kind == FrameKind::CALL {
            let (words, input) = rest.split_at(usize::from(header.words) * 8);
            let (head, _) = CallHead::parse(words).expect("a call");
            return Some((header, head.name, input.to_vec()));
        }
    }
}

fn answer(kind: FrameKind, call: Header, words: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = Header::new(kind, Flags::default(), words.len() as u8 / 8, payload.len());
    let mut bytes = Vec::new();
    header.of_call(call.slot, call.seq).write(&mut bytes);
    [&bytes, words, payload].concat()
}

/// Its types are not those of any server.
#[derive(Action)]
#[action(input = u64)]
struct Asks;

/// The parts of an action, as `isock.shapes` tells them.
fn parts(parts: &[Option<&[u8]>]) -> Vec<u8> {
    let mut told = Text(Vec::new()).number(parts.len());
    for part in parts {
        told = match part {
            Some(bytes) => {
                let mut told = told.tag(1).number(bytes.len());
                told.0.extend(*bytes);
                told
            }
            None => told.tag(0),
        };
    }
    told.0
}

#[test]
fn hostile_answers_about_types_cost_the_caller_little() {
    let _turn = turn();
    let mut told = vec![
        ("no parts", parts(&[])),
        ("a part too few", parts(&[None; 4])),
        ("200,000 parts", parts(&vec![None; 200_000])),
        ("200,000 parts of no bytes", parts(&vec![Some(&[][..]); 100_000])),
        ("no list", vec![0xff; 200_000]),
        ("a million parts, announced", Text(Vec::new()).number(1_000_000).0),
    ];
    for (what, bytes, _) in hostile() {
        // What comes in fragments is another test's matter.
        if bytes.len() <= MAX_ENCODED {
            let most = bytes.len().min(50_000);
            told.push((
                what,
                parts(&[Some(&bytes), Some(&bytes[..most]), Some(&bytes), None, None]),
            ));
        }
    }
    for (what, bytes) in told {
        let len = bytes.len();
        let (address, teller) = teller(bytes);
        let client = Client::connect(address).expect("a client");
        let (result, memory, time) = cost(|| client.run::<Asks>(1));
        match result {
            Err(CallError::Call(problem)) => {
                assert_eq!((problem.kind(), problem.ran()), (ProblemKind::Mismatch, Ran::No));
                let words = problem.to_string();
                assert!(words.len() < 100 << 10, "{what}: {} bytes of words", words.len());
            }
            other => panic!("{what}: {other:?}"),
        }
        assert!(memory <= len * MEMORY_A_BYTE + (2 << 20), "{what}: {memory} bytes for {len}");
        assert!(time <= 6 * TIME, "{what}: {time:?} for {len} bytes");
        assert_eq!(client.run::<Echo>("on the same connection").expect("an echo").len(), 22);
        drop(client);
        assert_eq!(teller.join().expect("no panic"), 1, "{what}");
    }
}
