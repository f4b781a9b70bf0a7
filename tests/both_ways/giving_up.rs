//! Calls of every pattern that are given up in every way, in both directions: their handlers hear of
//! it, and keep their slots until they have ended.

use crate::PATIENCE;
use isock::{
    Action, Call, Client, Context, Failure, Limits, Peer, ProblemKind, Ran, Server, ServerHandle,
    Stream,
};
use isock_tests::{
    gate::Gate,
    waiting::{eventually, ms},
};
use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc, Arc,
    },
    time::Duration,
};

/// Goes on until it is cancelled.
#[derive(Action)]
struct One;

/// The same with items of the answer.
#[derive(Action)]
#[action(stream = u32)]
struct Many;

/// The same with items of the caller.
#[derive(Action)]
#[action(upload = u32)]
struct Up;

/// Ends at once.
#[derive(Action)]
#[action(kind = read)]
struct Next;

/// A call of some pattern that is under way.
enum Under {
    One(Call<One>),
    Many(Stream<Many>),
    Up(Stream<Up>),
}

impl Under {
    fn start(pattern: &str, peer: &Peer) -> Under {
        match pattern {
            "one" => Under::One(peer.start::<One>(())),
            "many" => Under::Many(peer.open::<Many>(()).unwrap()),
            _ => Under::Up(peer.open::<Up>(()).unwrap()),
        }
    }

    fn cancel(self) -> Ran {
        match self {
            Under::One(call) => call.cancel(),
            Under::Many(stream) => stream.cancel(),
            Under::Up(stream) => stream.cancel(),
        }
    }
}

/// What handlers do: say that they began, hear that nobody waits, and end when the gate is open.
#[derive(Clone)]
struct Ends {
    began: mpsc::Sender<()>,
    told: mpsc::Sender<()>,
    cancelled: Arc<AtomicUsize>,
    gate: Gate,
}

impl Ends {
    fn wait<A: Action>(&self, cx: &Context<A>) -> Result<(), Failure> {
        let told = self.told.clone();
        cx.on_cancel(move || {
            let _ = told.send(());
        });
        self.began.send(())?;
        self.gate.pass();
        eventually("it knows by itself", PATIENCE, || cx.cancelled());
        self.cancelled.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Pair {
    server: Option<ServerHandle>,
    client: Client,
    ends: Ends,
    began: mpsc::Receiver<()>,
    told: mpsc::Receiver<()>,
}

/// Calls that may be in flight.
const SLOTS: u16 = 16;

impl Pair {
    fn new() -> Pair {
        let (began, has_begun) = mpsc::channel();
        let (told, was_told) = mpsc::channel();
        let ends = Ends { began, told, cancelled: Arc::default(), gate: Gate::new() };
        let limits = Limits::default().in_flight(SLOTS);
        let of = |ends: &Ends| (ends.clone(), ends.clone(), ends.clone());
        let (one, many, up) = of(&ends);
        let server = Server::builder()
            .limits(limits.clone())
            .on::<Next>(|(), _| Ok(()))
            .on::<One>(move |(), cx| one.wait(cx))
            .on::<Many>(move |(), cx| many.wait(cx))
            .on::<Up>(move |(), cx| up.wait(cx));
        let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
        let (one, many, up) = of(&ends);
        let client = server.client_with(|client| {
            client
                .limits(limits)
                .attempts(1)
                .on::<Next>(|(), _| Ok(()))
                .on::<One>(move |(), cx| one.wait(cx))
                .on::<Many>(move |(), cx| many.wait(cx))
                .on::<Up>(move |(), cx| up.wait(cx))
        });
        let client = client.unwrap();
        client.run::<Next>(()).unwrap();
        Pair { server: Some(server), client, ends, began: has_begun, told: was_told }
    }

    fn peer(&self, to_client: bool) -> Peer {
        match (to_client, &self.server) {
            (true, Some(server)) => Peer::clone(&server.connections().latest().unwrap()),
            _ => Peer::clone(&self.client),
        }
    }

    /// Handlers have begun, or been told.
    fn wait(heard: &mpsc::Receiver<()>, times: usize, what: &str) {
        for _ in 0..times {
            heard.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}"));
        }
    }
}

/// How a call can be given up; what is left of it is kept until its handler has been told.
type Way = fn(&mut Pair, Under) -> Option<Under>;

const WAYS: [(&str, Way); 5] = [
    ("cancel", |_, call| {
        assert_eq!(call.cancel(), Ran::Unknown);
        None
    }),
    ("drop", |_, call| {
        drop(call);
        None
    }),
    ("the client closes", |pair, call| {
        pair.client.close();
        Some(call)
    }),
    ("the server ends", |pair, call| {
        pair.server.take().unwrap().drain(Duration::ZERO);
        Some(call)
    }),
    ("the server is dropped", |pair, call| {
        drop(pair.server.take());
        Some(call)
    }),
];

const PATTERNS: [&str; 3] = ["one", "many", "up"];

#[test]
fn handlers_of_every_pattern_hear_that_nobody_waits() {
    for pattern in PATTERNS {
        for (name, way) in WAYS {
            for to_client in [false, true] {
                let what = format!("{pattern}, {name}, to the client: {to_client}");
                let mut pair = Pair::new();
                let _end = pair.ends.gate.opened_at_the_end();
                let call = Under::start(pattern, &pair.peer(to_client));
                Pair::wait(&pair.began, 1, &what);
                // A server that is dropped waits for handlers that have been told, for a while.
                let kept = way(&mut pair, call);
                Pair::wait(&pair.told, 1, &what);
                pair.ends.gate.open();
                eventually(&what, PATIENCE, || pair.ends.cancelled.load(Ordering::SeqCst) == 1);
                assert!(pair.told.try_recv().is_err(), "{what}: told twice");
                drop(kept);
            }
        }
    }
}

/// A further call does not leave. A server hands its calls to its loop, and does not ask it again
/// when the deadline comes.
fn no_slot_is_free(peer: &Peer, to_client: bool, what: &str) {
    let error = peer.request::<Next>(()).timeout(ms(100)).run().unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::Deadline), "{what}: {error}");
    let sure = if to_client { Ran::Unknown } else { Ran::No };
    assert_eq!(error.ran(), sure, "{what}: {error}");
}

#[test]
fn cancelled_calls_of_every_pattern_keep_their_slots_until_they_have_ended() {
    for pattern in PATTERNS {
        for to_client in [false, true] {
            let what = format!("{pattern}, to the client: {to_client}");
            let pair = Pair::new();
            let _end = pair.ends.gate.opened_at_the_end();
            let peer = pair.peer(to_client);
            let slots = usize::from(SLOTS);
            let calls: Vec<_> = (0..slots).map(|_| Under::start(pattern, &peer)).collect();
            // Some of them wait until somebody writes.
            no_slot_is_free(&peer, to_client, &what);
            Pair::wait(&pair.began, slots, &what);
            for call in calls {
                assert_eq!(call.cancel(), Ran::Unknown, "{what}");
            }
            Pair::wait(&pair.told, slots, &what);
            no_slot_is_free(&peer, to_client, &what);
            pair.ends.gate.open();
            peer.run::<Next>(()).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
}
