//! A call returns by its deadline and a tenth of a second, whatever the server does.

use super::{connect, spawn, PEER};
use isock::{Action, Bytes, CallError, Client, Failure, ProblemKind, Ran, Server};
use isock_tests::{
    actions::*,
    gate::Gate,
    process::Process,
    raw,
    waiting::{in_time, ms, pass},
};
use serde::{Deserialize, Serialize, Serializer};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

const TIMEOUT: Duration = ms(200);
/// What the documentation promises beyond the deadline.
const GRACE: Duration = ms(100);

/// Runs a call that gets no answer, and looks at the clock.
fn expires<T: std::fmt::Debug>(call: impl Fn() -> Result<T, CallError<Failure>>) -> Ran {
    in_time(TIMEOUT + GRACE, || {
        let before = Instant::now();
        let error = call().unwrap_err();
        assert!(before.elapsed() >= TIMEOUT, "{:?}: {error}", before.elapsed());
        assert_eq!(error.kind(), Some(ProblemKind::Deadline), "{error}");
        error.ran()
    })
}

#[test]
fn while_a_handler_blocks() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = spawn(Server::builder().on::<Hold>(move |number, _| {
        held.pass();
        Ok(number)
    }));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    assert_eq!(expires(|| client.request::<Hold>(1).timeout(TIMEOUT).run()), Ran::Unknown);
    thread::scope(|scope| {
        for n in 0..8 {
            let client = &client;
            scope.spawn(move || expires(|| client.request::<Hold>(n).timeout(TIMEOUT).run()));
        }
    });
}

/// A server that says hello, and then does with the connection what `then` does.
fn server_that(then: impl FnOnce(TcpStream) + Send + 'static) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(&raw::welcome(1, (1, 1))).unwrap();
        then(stream);
    });
    Client::connect(address).unwrap()
}

/// Reads nothing until the end of the test process.
fn reads_nothing(stream: TcpStream) {
    let _stream = stream;
    loop {
        thread::park();
    }
}

#[test]
fn while_the_server_sends_half_an_answer() {
    let client = server_that(|mut stream| {
        stream.write_all(&[200, 0, 0, 0, 2, 0, 0]).unwrap();
        reads_nothing(stream);
    });
    let ran = expires(|| client.request::<Echo>("small").timeout(TIMEOUT).run());
    assert_eq!(ran, Ran::Unknown);
}

#[test]
fn while_the_server_is_stopped() {
    let mut process = Process::start(PEER, &["server", "/dev/null"]);
    let address = process.line();
    let client = Client::connect(&address).unwrap();
    assert_eq!(client.run::<Echo>("before").unwrap(), "before");
    process.pause();
    let ran = expires(|| client.request::<Echo>("meanwhile").timeout(TIMEOUT).run());
    assert_eq!(ran, Ran::Unknown);
    let stranger = Client::builder().connect_lazy(&address).unwrap();
    let error = in_time(TIMEOUT + GRACE, || {
        stranger.request::<Echo>("meanwhile").timeout(TIMEOUT).run().unwrap_err()
    });
    assert_eq!(error.ran(), Ran::No, "{error}");
    process.resume();
    assert_eq!(client.run::<Echo>("afterwards").unwrap(), "afterwards");
}

/// Has a time of its own.
#[derive(Action)]
#[action(timeout = "300ms")]
struct Hasty;

/// Has the client's.
#[derive(Action)]
struct Patient;

#[test]
fn the_time_of_a_call_is_its_own_or_its_actions_or_the_clients() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let client = Client::builder().timeout(ms(600)).connect_lazy(address).unwrap();
    let hasty = || client.request::<Hasty>(());
    let took = |least, call: &dyn Fn() -> Result<(), CallError<Failure>>| {
        in_time(ms(least) + GRACE, || {
            let before = Instant::now();
            call().unwrap_err();
            assert!(before.elapsed() >= ms(least), "{:?}", before.elapsed());
        });
    };
    took(100, &|| hasty().timeout(ms(100)).run());
    took(300, &|| hasty().run());
    took(300, &|| client.run::<Hasty>(()));
    took(300, &|| client.start::<Hasty>(()).wait());
    took(450, &|| hasty().timeout(ms(450)).run());
    took(600, &|| client.run::<Patient>(()));
}

#[test]
fn a_deadline_that_has_passed_is_over_at_once() {
    let server = spawn(Server::builder().on::<Echo>(|text, _| Ok(text)));
    let client = connect(&server);
    let before = Instant::now();
    let error = client.request::<Echo>("late").timeout(Duration::ZERO).run().unwrap_err();
    assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Deadline), Ran::No));
    assert!(before.elapsed() < ms(100), "{:?}", before.elapsed());
    let call = client.request::<Echo>("late").timeout(Duration::ZERO).start();
    assert_eq!(call.wait().unwrap_err().ran(), Ran::No);
    let error = client.request::<Echo>("late").timeout(Duration::ZERO).send().unwrap_err();
    assert_eq!((error.kind(), error.ran()), (ProblemKind::Deadline, Ran::No));
    assert_eq!(client.run::<Echo>("in time").unwrap(), "in time");
}

#[test]
fn a_deadline_beyond_the_clock_is_no_error() {
    let server = spawn(Server::builder().on::<Echo>(|text, _| Ok(text)));
    let client = connect(&server);
    let text = client.request::<Echo>("for ever").timeout(Duration::MAX).run().unwrap();
    assert_eq!(text, "for ever");
    let patient = Client::builder().timeout(Duration::MAX).connect(server.address()).unwrap();
    assert_eq!(patient.run::<Echo>("for ever").unwrap(), "for ever");
}

#[test]
fn while_the_server_reads_nothing_and_many_call() {
    let client = server_that(reads_nothing);
    // Together less than a client queues, and more than the sockets hold.
    let large = Bytes::from(vec![0; 900_000]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| expires(|| client.request::<Blob>(&large).timeout(TIMEOUT).run()));
        }
    });
}

#[test]
fn while_the_server_reads_very_slowly() {
    let client = server_that(|mut stream| {
        let mut buffer = vec![0; 20_000];
        while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
            pass(ms(5));
        }
    });
    let large = Bytes::from(vec![0; 7_000_000]);
    expires(|| client.request::<Blob>(&large).timeout(TIMEOUT).run());
}

#[test]
fn while_the_server_reads_nothing() {
    let client = server_that(reads_nothing);
    let ran = expires(|| client.request::<Echo>("small").timeout(TIMEOUT).run());
    assert_eq!(ran, Ran::Unknown);
    // More than the sockets hold: the rest of it never leaves.
    let large = Bytes::from(vec![0; 7_000_000]);
    expires(|| client.request::<Blob>(&large).timeout(TIMEOUT).run());
    let ran = expires(|| client.request::<Blob>(&large).timeout(TIMEOUT).run());
    assert_eq!(ran, Ran::No);
}

/// A number that takes its time to be encoded.
#[derive(Deserialize)]
struct Slow(u32);

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        thread::sleep(2 * TIMEOUT);
        serializer.serialize_newtype_struct("Slow", &self.0)
    }
}

#[derive(Action)]
#[action(input = Slow, output = u32, kind = read)]
struct Number;

#[test]
fn what_an_input_takes_to_be_encoded_is_not_taken_from_its_call() {
    let server = spawn(Server::builder().on::<Number>(|number, _| Ok(number.0)));
    let client = Client::builder().timeout(TIMEOUT).connect(server.address()).unwrap();
    assert_eq!(client.run::<Number>(Slow(1)).unwrap(), 1);
    assert_eq!(client.start::<Number>(Slow(2)).wait().unwrap(), 2);
    assert_eq!(client.request::<Number>(Slow(3)).run().unwrap(), 3);
}
