//! Calls that handlers make end with the call that they are made for.

use crate::PATIENCE;
use isock::{Action, Client, Context, Failure, Handle, ProblemKind, Ran, Server, ServerHandle};
use isock_tests::{
    gate::Gate,
    waiting::{in_time, ms},
};
use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How many milliseconds each handler of a chain was given, the last one first.
#[derive(Action)]
#[action(input = u32, output = Vec<u64>, kind = read)]
pub struct Left;

/// Calls another server without an end, and says how that ended.
#[derive(Action)]
#[action(input = Option<Duration>, output = (), kind = read)]
pub struct Relay;

/// Never answers.
#[derive(Action)]
#[action(kind = read)]
pub struct Hang;

struct Chain;

impl Handle<Left> for Chain {
    fn handle(&self, links: u32, cx: &Context<Left>) -> Result<Vec<u64>, Failure> {
        let mut left = match links {
            0 => Vec::new(),
            links => cx.peer().run::<Left>(links - 1)?,
        };
        left.push(cx.remaining().as_millis().min(u128::from(u64::MAX)) as u64);
        Ok(left)
    }
}

#[test]
fn what_is_left_shrinks_along_a_chain_in_both_directions() {
    for server in [Server::builder().listen("127.0.0.1:0"), Server::in_memory()] {
        let server = server.handler::<Left>(Chain).spawn().unwrap();
        let client = server.client_with(|client| client.handler::<Left>(Chain)).unwrap();
        let request = client.request::<Left>(7).timeout(Duration::from_secs(10));
        let left = request.run().unwrap();
        assert_eq!(left.len(), 8);
        // Each looks after those behind it have ended: the first one has the least by then.
        assert!(left.iter().all(|left| *left <= 10_000), "{left:?}");
        assert!(left.windows(2).all(|pair| pair[0] >= pair[1]), "{left:?}");
        // Nothing of it is left on the threads that served it: what they call has its own 30 s.
        let request = client.request::<Left>(1).timeout(Duration::from_secs(100));
        assert!(request.run().unwrap().iter().all(|left| *left > 20_000));
    }
}

/// What a handler has seen of its own call, and when.
struct Seen {
    ended: Result<(), (Option<ProblemKind>, Ran, String)>,
    after: Duration,
}

/// A server whose handlers wait at a gate.
fn hanging(gate: &Gate) -> ServerHandle {
    let gate = gate.clone();
    let server = Server::builder().on::<Hang>(move |(), _| {
        gate.pass();
        Ok(())
    });
    server.bind("127.0.0.1:0").unwrap().spawn().unwrap()
}

/// A server that calls another one, and what it has seen.
fn relaying(behind: &ServerHandle) -> (ServerHandle, mpsc::Receiver<Seen>) {
    let next = Client::connect(behind.address()).unwrap();
    let (tell, seen) = mpsc::channel();
    let front = Server::builder().on::<Relay>(move |own, _| {
        let began = Instant::now();
        let request = next.request::<Hang>(());
        let result = match own {
            Some(own) => request.timeout(own).run(),
            None => request.run(),
        };
        let ended = result.map_err(|error| (error.kind(), error.ran(), error.to_string()));
        Ok(tell.send(Seen { ended, after: began.elapsed() })?)
    });
    (front.bind("127.0.0.1:0").unwrap().spawn().unwrap(), seen)
}

#[test]
fn the_smaller_of_both_deadlines_wins() {
    const SHORT: Duration = ms(150);
    const LONG: Duration = Duration::from_secs(20);
    let gate = Gate::new();
    let behind = hanging(&gate);
    let _end = gate.opened_at_the_end();
    let (front, seen) = relaying(&behind);
    let client = Client::connect(front.address()).unwrap();
    for (outer, own) in [(SHORT, None), (SHORT, Some(LONG)), (LONG, Some(SHORT))] {
        let seen = in_time(SHORT + ms(100), || {
            let _ = client.request::<Relay>(own).timeout(outer).run();
            seen.recv_timeout(PATIENCE).unwrap()
        });
        let (kind, ran, text) = seen.ended.unwrap_err();
        assert_eq!((kind, ran), (Some(ProblemKind::Deadline), Ran::Unknown), "{text}");
        assert_eq!(text.contains("waits no longer"), outer == SHORT, "{text}");
        assert!(seen.after <= SHORT + ms(1000), "{:?}", seen.after);
    }
}

/// Waits until its caller has given up, and calls then.
#[derive(Action)]
#[action(kind = read)]
pub struct TooLate;

#[test]
fn a_call_without_time_left_never_starts() {
    let gate = Gate::new();
    let behind = hanging(&gate);
    let _end = gate.opened_at_the_end();
    let next = Client::connect(behind.address()).unwrap();
    let (tell, told) = mpsc::channel();
    let address = behind.address();
    let server = Server::in_memory().on::<TooLate>(move |(), cx| {
        // Its caller gives up a little before that.
        while cx.deadline().is_some_and(|deadline| Instant::now() < deadline) {
            thread::park_timeout(ms(1));
        }
        let blocked = next.run::<Hang>(()).unwrap_err();
        let started = next.start::<Hang>(()).wait().unwrap_err();
        let sent = next.send::<Hang>(()).unwrap_err();
        let connected = Client::connect(&address).is_err();
        let ends = [(blocked.kind(), blocked.ran()), (started.kind(), started.ran())];
        tell.send((ends, (sent.kind(), sent.ran()), connected))?;
        Ok(())
    });
    let server = server.spawn().unwrap();
    let _ = server.client().request::<TooLate>(()).timeout(ms(50)).run();
    let (ends, sent, refused) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(ends, [(Some(ProblemKind::Deadline), Ran::No); 2]);
    assert_eq!(sent, (ProblemKind::Deadline, Ran::No));
    assert!(refused, "a connection is a call too");
    assert_eq!(gate.entered(), 0);
}

/// Calls from a thread of its own, with what is left or without.
#[derive(Action)]
#[action(input = bool, output = Vec<u64>, kind = read)]
pub struct Elsewhere;

#[test]
fn other_threads_inherit_what_they_are_told() {
    let behind = Server::in_memory().handler::<Left>(Chain).spawn().unwrap();
    let next = behind.client();
    let server = Server::in_memory().on::<Elsewhere>(move |told, cx| {
        let remaining = cx.remaining();
        thread::scope(|scope| {
            let call = scope.spawn(|| match told {
                true => next.request::<Left>(0).timeout(remaining).run(),
                false => next.run::<Left>(0),
            });
            Ok(call.join().expect("no panic")?)
        })
    });
    let server = server.spawn().unwrap();
    let client = server.client();
    let within = |told| client.request::<Elsewhere>(told).timeout(Duration::from_secs(5)).run();
    assert!(within(true).unwrap()[0] <= 5_000);
    assert!(within(false).unwrap()[0] > 5_000);
}
