//! Every limit, passed by one and not passed, over real sockets.
//!
//! The test of a limit has its name. Limits of time are passed by a peer that never does what it
//! should, and kept by one that does it in half the time; to the millisecond they are kept where
//! the clock is a value (`isock/src/proto/tests/clock.rs`).

#[path = "limits/calls.rs"]
mod calls;
#[path = "limits/decoding.rs"]
mod decoding;
#[path = "limits/held.rs"]
mod held;
#[path = "limits/messages.rs"]
mod messages;
#[path = "limits/output.rs"]
mod output;
#[path = "limits/ranges.rs"]
mod ranges;
#[path = "limits/strangers.rs"]
mod strangers;
#[path = "limits/streams.rs"]
mod streams;

use isock::{Action, Bytes, Limits, ProblemKind, Ran, Server, ServerHandle};
use isock_tests::{
    gate::Gate,
    raw::{self, Frame, Raw},
    waiting::{eventually, ms},
};
use std::{fs, path::Path};

type Any = Box<dyn std::error::Error>;

/// Bytes, back.
#[derive(Action)]
#[action(input = Bytes, output = Bytes, kind = read)]
struct Echo;

/// So many bytes.
#[derive(Action)]
#[action(input = u32, output = Bytes, kind = read)]
struct Make;

/// Takes at most sixteen bytes, encoded.
#[derive(Action)]
#[action(input = Bytes, kind = read, max_input = 16)]
struct Small;

/// Gives at most sixteen bytes, encoded.
#[derive(Action)]
#[action(input = u32, output = Bytes, kind = read, max_output = 16)]
struct Brief;

/// Decodes at most a hundred bytes on the heap.
#[derive(Action)]
#[action(input = Vec<u64>, kind = read, decode_budget = 100)]
struct Frugal;

/// Takes numbers.
#[derive(Action)]
#[action(input = Vec<u64>, kind = read)]
struct Numbers;

/// Lists inside lists.
#[derive(Action)]
#[action(input = Vec<Vec<Vec<u8>>>, kind = read)]
struct Deep;

/// Bytes that wait at the gate of the server; as many come back as they say.
#[derive(Action)]
#[action(input = (u32, Bytes), output = Bytes, kind = read)]
struct Late;

/// Passes the gate once its caller has gone.
#[derive(Action)]
#[action(kind = read)]
struct Abandoned;

fn server(limits: Limits) -> Result<ServerHandle, Any> {
    server_at("127.0.0.1:0", limits, &Gate::new())
}

fn server_at(address: &str, limits: Limits, gate: &Gate) -> Result<ServerHandle, Any> {
    let (gate, exit) = (gate.clone(), gate.clone());
    Ok(Server::builder()
        .limits(limits)
        .on::<Echo>(|bytes, _| Ok(bytes))
        .on::<Make>(|len, _| Ok(Bytes::from(vec![7; len as usize])))
        .on::<Small>(|_, _| Ok(()))
        .on::<Brief>(|len, _| Ok(Bytes::from(vec![7; len as usize])))
        .on::<Frugal>(|_, _| Ok(()))
        .on::<Numbers>(|_, _| Ok(()))
        .on::<Deep>(|_, _| Ok(()))
        .on::<Late>(move |(len, _), _| {
            gate.pass();
            Ok(Bytes::from(vec![7; len as usize]))
        })
        .on::<Abandoned>(move |(), cx| {
            eventually("its caller has gone", ms(20_000), || cx.cancelled());
            exit.pass();
            Ok(())
        })
        .bind(address)?
        .spawn()?)
}

/// A peer that has said nothing yet.
fn stranger(server: &ServerHandle) -> Raw {
    Raw::new(raw::connect(server.address()).expect("a connection"))
}

/// A peer that has exchanged prefaces.
fn peer(server: &ServerHandle) -> Raw {
    let mut raw = stranger(server);
    raw.shake_hands();
    raw
}

/// Calls for one byte, and says what comes back.
fn answer_to_an_echo(raw: &mut Raw, slot: u16, seq: u32) -> Frame {
    raw.send(&raw::call::<Echo>(slot, seq, &raw::bytes(&[42])));
    raw.answer()
}

#[track_caller]
fn assert_served(raw: &mut Raw, slot: u16, seq: u32) {
    let answer = answer_to_an_echo(raw, slot, seq);
    assert_eq!(answer.payload, raw::bytes(&[42]), "{answer:?}");
}

#[track_caller]
fn refused<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, isock::CallError<E>>,
    kind: ProblemKind,
    ran: Ran,
) {
    match result {
        Err(isock::CallError::Call(problem)) => {
            assert_eq!((problem.kind(), problem.ran()), (kind, ran), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_limit_has_its_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("limits");
    let files = fs::read_dir(folder).expect("a folder").flatten();
    let tests: String = files.map(|file| fs::read_to_string(file.path()).unwrap()).collect();
    let limits = format!("{:#?}", Limits::default());
    let fields = limits.lines().filter_map(|line| line.strip_prefix("    ")?.split(':').next());
    let untested: Vec<_> =
        fields.filter(|name| !tests.contains(&format!("#[test]\nfn {name}() "))).collect();
    assert_eq!(untested, [""; 0]);
}
