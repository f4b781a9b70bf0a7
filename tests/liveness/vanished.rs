use crate::PEER;
use isock::{
    wire::{Flags, FrameKind},
    CallError, Client, Limits, ProblemKind, Ran, Server, ServerHandle,
};
use isock_tests::{
    actions::{Echo, Place, PlaceError, Receipt, Square},
    process::Process,
    raw::{self, Raw, Then},
    usage,
    waiting::{eventually, ms, pass},
};
use std::{sync::mpsc, time::Instant};

/// A peer is found out a second after it has gone.
fn limits() -> Limits {
    Limits::default().ping_after(ms(400)).ping_patience(ms(600))
}

/// What a busy machine may add to that.
const SOON: std::time::Duration = ms(8000);

fn server() -> (ServerHandle, mpsc::Receiver<String>) {
    let (told, ends) = mpsc::channel();
    let server = Server::builder()
        .limits(limits())
        .on::<Echo>(|text, _| Ok(text))
        .on_disconnect(move |_, why| drop(told.send(why.to_owned())))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    (server, ends)
}

fn attended(server: &ServerHandle) -> Process {
    let mut process = Process::start(PEER, &["attended", &server.address().to_string()]);
    assert_eq!(process.line(), "attended");
    eventually("its server lists it", SOON, || server.connections().len() == 1);
    process
}

#[test]
fn a_client_that_has_been_stopped_is_found_out_and_comes_back() {
    let (server, ends) = server();
    let process = attended(&server);
    let there = server.connections().latest().unwrap();
    process.pause();
    let call = there.start::<Square>(3);
    assert!(ends.recv_timeout(SOON).unwrap().contains("silent"));
    assert!(server.connections().is_empty() && !there.is_connected());
    assert_eq!(call.wait().unwrap_err().ran(), Ran::Unknown);
    process.resume();
    eventually("it connects again", SOON, || server.connections().len() == 1);
    let again = server.connections().latest().unwrap();
    eventually("it serves", SOON, || again.run::<Square>(3).ok() == Some(9));
}

#[test]
fn a_client_that_has_been_killed_is_dropped_at_once() {
    let (server, ends) = server();
    let mut process = attended(&server);
    process.kill();
    ends.recv_timeout(SOON).unwrap();
    eventually("nothing is left of it", SOON, || {
        server.connections().is_empty() && server.held_bytes() == 0
    });
}

/// What lies there is read before the clock is looked at.
#[test]
fn a_process_that_was_stopped_itself_blames_nobody() {
    let mut process = Process::start(PEER, &["impatient"]);
    let mut raw = Raw::new(raw::connect(process.line().as_str()).unwrap());
    raw.shake_hands();
    raw.send(&raw::attended());
    for _ in 0..5 {
        let ping = raw.answer();
        assert_eq!(ping.header.kind, FrameKind::PING);
        process.pause();
        raw.send(&raw::frame(FrameKind::PONG, Flags::default(), &ping.payload));
        pass(ms(900));
        process.resume();
    }
    assert_eq!(raw.answer().header.kind, FrameKind::PING);
}

fn assert_lost(result: Result<Receipt, CallError<PlaceError>>, began: Instant) {
    let Err(CallError::Call(problem)) = result else { panic!("{result:?}") };
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::ConnectionLost, Ran::Unknown));
    assert!(problem.to_string().contains("silent"), "{problem}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_call_to_a_server_that_has_been_stopped_ends_long_before_its_deadline() {
    let mut process = Process::start(PEER, &["server", "/dev/null"]);
    let address = process.line();
    let client = Client::builder().limits(limits()).connect(address.as_str()).unwrap();
    let call = client.start::<Place>(Place { sku: "late".into(), qty: 1 });
    let began = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| call.wait());
        assert_eq!(process.line(), "placed");
        // It answers pings meanwhile, as stuck as its handler is.
        assert!(!isock_tests::waiting::within(ms(2500), || waiting.is_finished()));
        process.pause();
        assert_lost(waiting.join().unwrap(), began);
    });
}

#[test]
fn a_server_that_reads_and_never_answers_is_left() {
    let hello = [raw::welcome(1, (1, 1)), raw::attended()].concat();
    let address = raw::answering(hello, Then::Stay);
    let client = Client::builder().limits(limits()).connect(address.as_str()).unwrap();
    let began = Instant::now();
    assert_lost(client.run::<Place>(Place { sku: "mute".into(), qty: 1 }), began);
}

/// Also while nobody calls.
#[test]
fn a_client_that_serves_leaves_a_server_that_has_been_stopped() {
    let descriptors = usage::own().descriptors();
    let hello = [raw::welcome(1, (1, 1)), raw::attended()].concat();
    let address = raw::answering(hello, Then::Stay);
    let client = Client::builder().limits(limits()).on::<Square>(|n, _| Ok(n));
    let client = client.connect(address.as_str()).unwrap();
    assert!(client.id().is_none() && usage::own().descriptors() > descriptors);
    // Nobody listens there any more, so it stays without a connection.
    eventually(
        "it has left",
        SOON,
        || matches!(client.run::<Echo>("x"), Err(CallError::Call(p)) if p.kind() == ProblemKind::NotConnected),
    );
}
