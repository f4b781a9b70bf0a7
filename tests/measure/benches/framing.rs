//! The protocol alone: headers, and calls between two connections without a socket or a thread.

use criterion::{BatchSize, Criterion, Throughput};
use isock::{
    proto::{Answer, Body, Buffer, Config, Connection, Event, NewCall, SharedBody},
    wire::{name_hash, CallHead, Flags, FrameKind, Header, InstanceId, HEADER_LEN},
    Limits,
};
use std::{hint::black_box, io::IoSlice, time::Instant};

/// A connection, and what has come for it.
struct End {
    connection: Connection,
    input: Buffer,
}

impl End {
    fn new(connection: Connection) -> End {
        End { connection, input: Buffer::new() }
    }

    /// Moves what this side has to say to the other one; says whether there was anything.
    fn tell(&mut self, now: Instant, other: &mut End) -> bool {
        let mut told = false;
        loop {
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = self.connection.slices(&mut slices);
            let len = slices[..filled].iter().map(|slice| slice.len()).sum();
            slices[..filled].iter().for_each(|slice| other.input.push(slice));
            if len == 0 {
                return told;
            }
            self.connection.written(now, len);
            told = true;
        }
    }

    /// Answers each call with its own input; returns how many answers have come.
    fn understand(&mut self, now: Instant) -> usize {
        let mut answers = 0;
        while let Some(event) = self.connection.read(now, &mut self.input) {
            match event {
                Event::Call { key, body, .. } => {
                    let value = Answer::Value(SharedBody::new(Body::into_vec(body)));
                    self.connection.answer(key, value);
                }
                Event::Reply { outcome, .. } => {
                    black_box(outcome);
                    answers += 1;
                }
                _ => (),
            }
        }
        answers
    }
}

fn pair(now: Instant) -> [End; 2] {
    let config = |id| Config::new(Limits::default(), InstanceId([id; 16]));
    let mut client = End::new(Connection::client(config(1), now));
    let mut server = End::new(Connection::server(config(2), now));
    exchange(now, &mut client, &mut server);
    [client, server]
}

fn exchange(now: Instant, client: &mut End, server: &mut End) -> usize {
    let mut answers = 0;
    while client.tell(now, server) | server.tell(now, client) {
        server.understand(now);
        answers += client.understand(now);
    }
    answers
}

fn calls(criterion: &mut Criterion, calls: usize, len: usize) {
    let now = Instant::now();
    let [mut client, mut server] = pair(now);
    let call = || {
        let head = CallHead { name: name_hash("echo"), ..CallHead::default() };
        NewCall { head, body: SharedBody::new(vec![7; len]) }
    };
    let mut group = criterion.benchmark_group("calls");
    group.throughput(Throughput::Elements(calls as u64));
    group.bench_function(format!("{calls} of {len} bytes"), |bench| {
        let batch = || (0..calls).map(|_| call()).collect::<Vec<_>>();
        bench.iter_batched(
            batch,
            |batch| {
                for call in batch {
                    client.connection.call(call).unwrap();
                }
                assert_eq!(exchange(now, &mut client, &mut server), calls);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn framing(criterion: &mut Criterion) {
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    criterion.bench_function("a header, there and back", |bench| {
        bench.iter(|| {
            bytes.clear();
            let header = Header::new(FrameKind::CALL, Flags::default(), 2, black_box(40));
            header.of_call(3, 70).write(&mut bytes);
            Header::parse(bytes.first_chunk().unwrap()).unwrap()
        });
    });
    calls(criterion, 1, 8);
    calls(criterion, 64, 8);
    calls(criterion, 1, 64 << 10);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    framing(&mut criterion);
    criterion.final_summary();
}
