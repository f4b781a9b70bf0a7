//! What clients cost a server, and what they cannot take from each other.

use super::{connect, spawn};
use isock::{
    wire::{Flags, FrameKind},
    Client, Limits, Server,
};
use isock_tests::{
    actions::*,
    gate::Gate,
    process::Process,
    raw::{self, Raw},
    waiting::{eventually, ms, pass, within},
    witness::Witness,
};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc, Mutex,
    },
    thread,
    time::Duration,
};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

#[test]
fn an_idle_server_and_an_idle_client_use_no_cpu() {
    let mut server = Process::start(PEER, &["server", "/dev/null"]);
    let address = server.line();
    let mut client = Process::start(PEER, &["client", &address]);
    assert_eq!(client.line(), "idle");
    let silent = Raw::new(raw::connect(&address).unwrap());
    // A watcher looks around for a second after the last work, and strangers go after three.
    pass(ms(3500));
    let before = (server.usage().cpu(), client.usage().cpu());
    pass(ms(2000));
    let spent = [server.usage().cpu() - before.0, client.usage().cpu() - before.1];
    assert!(spent.iter().all(|spent| *spent < ms(5)), "{spent:?} in two seconds");
    drop(silent);
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let mut server = Process::start(PEER, &["server", "/dev/null"]);
    let address = server.line();
    let usage = server.usage();
    let unused = usage.descriptors();
    let hundreds = |hundreds: usize| {
        for _ in 0..hundreds * 100 {
            let mut raw = Raw::new(raw::connect(&address).unwrap());
            raw.shake_hands();
            raw.send(&raw::call::<Echo>(0, 1, &raw::text("a")));
            raw.answer();
        }
    };
    hundreds(10);
    let settled = || usage.descriptors() <= unused;
    eventually("the connections are gone", ms(5000), settled);
    let (threads, memory) = (usage.threads(), usage.memory());
    hundreds(90);
    eventually("the connections are gone", ms(5000), settled);
    let grown = usage.memory().saturating_sub(memory);
    assert!(grown < 512 * 1024, "{grown} bytes more after 9000 connections");
    // A worker that has nothing to do stays for some seconds.
    let ended = within(ms(20_000), || usage.threads() <= threads);
    assert!(ended, "{} threads, not {threads}", usage.threads());
}

/// Sends `bytes` again and again until it is told to stop, and reads nothing.
fn flood(server: &isock::ServerHandle, bytes: &[u8], until: &AtomicBool) {
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    while !until.load(Ordering::SeqCst) {
        raw.send(bytes);
    }
}

#[test]
fn a_server_survives_clients_that_are_killed() {
    let server =
        spawn(Server::builder().on::<Echo>(|text, _| Ok(text)).on::<Square>(|n, _| Ok(n * n)));
    let address = server.address().to_string();
    for _ in 0..10 {
        let mut client = Process::start(PEER, &["client", &address]);
        assert_eq!(client.line(), "idle");
        client.kill();
    }
    assert_eq!(Client::connect(&address).unwrap().run::<Echo>("alive").unwrap(), "alive");
}

#[test]
fn calls_that_had_to_wait_for_room_in_the_output_are_answered() {
    let server = spawn(
        Server::builder().limits(Limits::default().output_soft(1)).on::<Echo>(|text, _| Ok(text)),
    );
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    let calls: Vec<u8> =
        (0..100).flat_map(|slot| raw::named_call("nobody knows it", slot, 1, &[])).collect();
    raw.send(&calls);
    let mut slots: Vec<u16> = (0..100).map(|_| raw.answer().header.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_handler_learns_that_its_callers_connection_was_reset() {
    let (saw, seen) = mpsc::channel();
    let saw = Mutex::new(saw);
    let came = Gate::new();
    came.open();
    let entered = came.clone();
    let server = spawn(Server::builder().on::<Hold>(move |number, cx| {
        entered.pass();
        eventually("the call is cancelled", ms(10_000), || cx.cancelled());
        saw.lock().unwrap().send(number).unwrap();
        Ok(number)
    }));
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    raw.send(&raw::call::<Hold>(0, 1, &[7]));
    came.wait_for(1);
    // What lies unread when a socket is closed makes the kernel reset it.
    raw.send(&raw::frame(FrameKind::PING, Flags::default(), &[0; 8]));
    eventually("a pong lies there", ms(5000), || raw.has_more());
    drop(raw);
    assert_eq!(seen.recv_timeout(Duration::from_secs(5)), Ok(7));
}

#[test]
fn a_peer_that_never_stops_sending_gets_its_turn_and_no_more() {
    let server = spawn(Server::builder().on::<Echo>(|text, _| Ok(text)));
    let ignored = raw::frame(FrameKind(0x70), Flags::IGNORABLE, &[0; 8]).repeat(8192);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| flood(&server, &ignored, &enough));
        }
        let witness = Witness::start(connect(&server));
        pass(ms(1500));
        let seen = witness.finish_on_a_full_machine();
        enough.store(true, Ordering::SeqCst);
        seen.unwrap();
    });
}

#[test]
fn a_flood_of_connections_delays_no_connected_client() {
    let server = spawn(Server::builder().on::<Echo>(|text, _| Ok(text)));
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !enough.load(Ordering::SeqCst) {
                    // One that is refused was one too many; that is what this is about.
                    drop(raw::connect(server.address()));
                }
            });
        }
        let witness = Witness::start(connect(&server));
        pass(ms(1000));
        let seen = witness.finish_on_a_full_machine();
        enough.store(true, Ordering::SeqCst);
        seen.unwrap();
    });
}
