//! Networks that break, in every way and at every byte.

use crate::arena::Arena;
use isock::{Address, Client, Ran, Server};
use isock_tests::{
    actions::Hold,
    cut::{Break, Cut, End},
    process::Process,
    waiting::{eventually, ms},
};
use nix::unistd::Uid;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

pub(crate) const TROUBLE: &str = env!("CARGO_BIN_EXE_trouble");

/// Calls are numbered from here: each has as many bytes as any other.
const FIRST: u32 = 100_000;

/// Row 68.
pub(crate) fn a_reset_at_any_byte_is_told_as_it_was(arena: &Arena) {
    let runs = Arc::<Mutex<HashMap<u32, u32>>>::default();
    let count = Arc::clone(&runs);
    let server = Server::builder().on::<Hold>(move |number, _| {
        *count.lock().unwrap().entry(number).or_default() += 1;
        Ok(number)
    });
    let server = server.bind((arena.transport.listen)()).and_then(Server::spawn).expect("a server");
    let cut = |at| Cut::between(&(arena.transport.listen)(), server.address(), at);
    let call = |address: Address, number| {
        let client = Client::builder().attempts(1).timeout(ms(10_000)).connect_lazy(address);
        client.expect("an address").run::<Hold>(number)
    };

    let whole = cut(None);
    assert_eq!(call(whole.address(), FIRST).expect("nothing breaks"), FIRST);
    let lengths = [End::Client, End::Server].map(|end| (end, whole.passed(end)));
    let places = lengths.into_iter().flat_map(|(from, len)| (0..=len).map(move |at| (from, at)));
    let mut said = Vec::new();
    for (number, (from, after)) in (FIRST + 1..).zip(places) {
        let at = Break { from, after, reset: true };
        let ran = match call(cut(Some(at)).address(), number) {
            Ok(_) => Ran::Yes,
            Err(error) => error.ran(),
        };
        said.push((number, at, ran));
    }
    // Only then, since a handler may begin after its caller has given up.
    eventually("every connection ends", ms(10_000), || server.connections().len() <= 1);
    drop(whole);
    server.stop();
    let runs = runs.lock().unwrap();
    for (number, at, ran) in &said {
        match (ran, runs.get(number).copied().unwrap_or(0)) {
            (Ran::No, 0) | (Ran::Unknown, 0 | 1) | (Ran::Yes, 1) => {}
            (ran, count) => panic!("{at:?}: said {ran:?}, and it ran {count} times"),
        }
        assert!(*ran == Ran::No || at.after >= PREFACE, "before the call: {at:?}, {ran:?}");
    }
    let of = |ran| said.iter().filter(|(.., it)| *it == ran).count();
    assert!(of(Ran::No) >= 2 * PREFACE && of(Ran::Unknown) > 10, "{} are open", of(Ran::Unknown));
}

/// Bytes of either preface.
const PREFACE: usize = 48;

/// A process in a network of its own, where nobody else's packets are dropped.
fn alone(args: &[&str]) -> Process {
    let unshare = if Uid::effective().is_root() { "-n" } else { "-rn" };
    Process::start("unshare", &[&[unshare, TROUBLE], args].concat())
}

/// Row 71. Over Unix sockets nothing is lost, and a relay that stands still is the partition.
pub(crate) fn a_network_that_breaks_and_heals_costs_calls_and_doubles_none(arena: &Arena) {
    if arena.transport.name == "unix" {
        let mut process = Process::start(TROUBLE, &["partition", &(arena.transport.listen)()]);
        assert_eq!(process.line(), "healed");
        return;
    }
    let mut broken = alone(&["partition", "127.0.0.1:0"]);
    let mut lossy = alone(&["loss", "127.0.0.1:0"]);
    assert_eq!(broken.line(), "healed");
    assert_eq!(lossy.line(), "no call lost");
}

/// Row 72. Unix sockets have no ports.
pub(crate) fn without_ports_or_room_a_call_has_not_run(arena: &Arena) {
    if arena.transport.name == "unix" {
        let mut process = Process::start(TROUBLE, &["backlog", &(arena.transport.listen)()]);
        assert_eq!(process.line(), "not connected, in time");
        return;
    }
    let mut ports = alone(&["ports", "127.0.0.1:5000"]);
    let mut backlog = alone(&["backlog", "127.0.0.1:0"]);
    assert_eq!(ports.line(), "ports come free");
    assert_eq!(backlog.line(), "not connected, in time");
}
