//! Builds that agree: what a call states of its types, and that agreeing costs nothing.

use isock::{
    shape::{Shape, ShapeError},
    wire::FrameKind,
    Action, Client, Server, ServerBuilder, ServerHandle,
};
use isock_tests::{memory, tap::Tap};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;

/// Memory is counted for the whole program, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// States the hash of its types.
#[derive(Action)]
#[action(input = Text, output = Text, error = Refused, kind = read)]
struct Stated;

/// The same bytes, without a hash: its type does not bear made-up values.
#[derive(Action)]
#[action(input = Unlearnt, output = Text, error = Refused, kind = read)]
struct Silent;

#[derive(Clone, Serialize, Deserialize)]
struct Text(String);

#[derive(Clone, Serialize)]
struct Unlearnt(String);

impl<'de> Deserialize<'de> for Unlearnt {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Unlearnt, D::Error> {
        let text = String::deserialize(from)?;
        assert!(text.starts_with("sent"), "a value that nobody sent");
        Ok(Unlearnt(text))
    }
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum Refused {
    #[error("no")]
    No,
}

fn actions(server: ServerBuilder) -> ServerBuilder {
    server.on::<Stated>(|text, _| Ok(text)).on::<Silent>(|text, _| Ok(Text(text.0)))
}

/// A server, a client of it, and the wire between them.
fn tapped() -> (ServerHandle, Client, Tap) {
    let server = actions(Server::builder()).bind("127.0.0.1:0").and_then(Server::spawn);
    let server = server.expect("a server");
    let tap = Tap::before(server.address());
    let client = Client::connect(tap.address()).expect("a client");
    (server, client, tap)
}

fn text() -> String {
    "sent by a caller".to_owned()
}

/// What a CALL frame states of its types.
fn stated_in(frame: &[u8]) -> u64 {
    assert_eq!(frame[4], FrameKind::CALL.0);
    u64::from_le_bytes(frame[24..32].try_into().expect("eight bytes"))
}

#[test]
fn p128_a_call_states_one_hash_of_its_five_parts() {
    let _turn = turn();
    let (_server, client, tap) = tapped();
    client.run::<Stated>(Text(text())).expect("an answer");
    client.run::<Silent>(Unlearnt(text())).expect("an answer");

    let hash = |shape: Result<Shape, ShapeError>| shape.expect("a shape").hash();
    let (text, refused) = (hash(Shape::of::<Text>()), hash(Shape::of::<Refused>()));
    let parts = [text, text, refused, 0, 0].map(u64::to_le_bytes).concat();
    let fnv = parts.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let stated: Vec<u64> = tap.sent().iter().map(|frame| stated_in(frame)).collect();
    assert_eq!(stated, [fnv, 0]);
}

const CALLS: usize = 100;

/// Kinds and lengths of the frames that travel in both directions while `call` is called.
fn frames_of(tap: &Tap, call: impl Fn()) -> [Vec<(FrameKind, usize)>; 2] {
    let count = || [tap.sent().len(), tap.answered().len()];
    let before = count();
    (0..CALLS).for_each(|_| call());
    let new = |frames: Vec<Vec<u8>>, before| {
        let new = frames.into_iter().skip(before);
        new.map(|frame| (FrameKind(frame[4]), frame.len())).collect()
    };
    [new(tap.sent(), before[0]), new(tap.answered(), before[1])]
}

#[test]
fn agreeing_costs_no_frame_and_no_byte() {
    let _turn = turn();
    let (_server, client, tap) = tapped();
    let stated = frames_of(&tap, || drop(client.run::<Stated>(Text(text())).expect("an answer")));
    let silent =
        frames_of(&tap, || drop(client.run::<Silent>(Unlearnt(text())).expect("an answer")));
    let (call, reply) = (16 + 16 + 1 + text().len(), 16 + 1 + text().len());
    assert_eq!(
        stated,
        [vec![(FrameKind::CALL, call); CALLS], vec![(FrameKind::REPLY, reply); CALLS]]
    );
    assert_eq!(stated, silent);
}

/// The requests for memory of one call.
fn requests_a_call(call: impl Fn()) -> usize {
    let before = memory::requests();
    (0..CALLS).for_each(|_| call());
    (memory::requests() - before) / CALLS
}

/// By the best of many rounds that take turns: a handler that was late once runs on a worker for a
/// while, which asks for more, and so may other threads of the program.
#[test]
fn agreeing_costs_no_allocation() {
    let _turn = turn();
    let server = actions(Server::in_memory()).spawn().expect("a server");
    let client = server.client();
    let silent = || drop(client.run::<Silent>(Unlearnt(text())).expect("an answer"));
    let stated = || drop(client.run::<Stated>(Text(text())).expect("an answer"));
    let best = (0..100).fold((usize::MAX, usize::MAX), |best, _| {
        (best.0.min(requests_a_call(stated)), best.1.min(requests_a_call(silent)))
    });
    assert_eq!(best.0, best.1);
}
