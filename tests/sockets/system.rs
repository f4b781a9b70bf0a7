//! A system that runs out of descriptors, or interrupts all the time.

use crate::arena::Arena;
use isock::{wire::VERSION, Client};
use isock_tests::{
    process::Process,
    raw::{self, Raw},
    usage::Usage,
    waiting::{eventually, ms, pass},
    witness::{Machine, Witness},
};
use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use std::{
    thread,
    time::{Duration, Instant},
};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

/// Row 65.
pub(crate) fn without_descriptors_the_server_waits_for_some(arena: &Arena) {
    const DESCRIPTORS: u32 = 64;
    let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" hoarder \"$1\"");
    let listen = (arena.transport.listen)();
    let mut process = Process::start("sh", &["-c", &limited, PEER, &listen]);
    let address = process.line();
    let usage = process.usage();
    let old = Client::connect(&address).expect("a client");
    let taken = || usage.descriptors_below(DESCRIPTORS);
    let room = DESCRIPTORS as usize - taken();

    let mut served: Vec<Raw> = (0..room + 30).map(|_| greeting(&address)).collect();
    let mut waiting = served.split_off(room);
    assert_welcome(&mut served);
    assert_eq!(taken(), DESCRIPTORS as usize);

    assert_rests(usage);
    Witness::start_at(old, usage).finish().expect("old clients notice nothing");

    // Descriptors come free with a connection, or in another part of the program.
    let mut later = waiting.split_off(room);
    assert_in_time(usage, || {
        drop(served);
        assert_welcome(&mut waiting);
    });
    assert_rests(usage);
    assert_in_time(usage, || {
        process.say("let go");
        assert_welcome(&mut later);
    });
}

/// It spends little on its tries to accept. It is watched for longer than the longest pause between
/// them, so that the pause has grown to that.
fn assert_rests(server: Usage) {
    let (share, watched) = (0.05, ms(1500));
    let spent = cpu_during(server, watched);
    assert!(spent.as_secs_f64() <= share * watched.as_secs_f64(), "{spent:?} of {watched:?}");
}

fn assert_welcome(raws: &mut [Raw]) {
    for raw in raws {
        assert_eq!(raw.welcome().version, VERSION);
    }
}

/// A peer that says its part and waits.
fn greeting(address: &str) -> Raw {
    let mut raw = Raw::new(raw::connect(address).expect("the backlog has room"));
    raw.send(&raw::hello(VERSION, VERSION));
    raw
}

/// The backlog is served within 1.1 s, but for the time that the machine is busy with others.
fn assert_in_time(server: Usage, work: impl FnOnce()) {
    let machine = Machine::new(server);
    let freed = Instant::now();
    work();
    let took = freed.elapsed().saturating_sub(machine.kept_us_waiting());
    assert!(took <= ms(1100), "the backlog was served after {took:?}");
}

fn cpu_during(process: Usage, watched: Duration) -> Duration {
    let before = process.cpu();
    pass(watched);
    process.cpu().saturating_sub(before)
}

/// Row 66. Every thread is interrupted, on both sides: the waits of this library are such that the
/// system never restarts them by itself.
pub(crate) fn a_thousand_signals_a_second_fail_no_call(arena: &Arena) {
    let listen = (arena.transport.listen)();
    let mut process = Process::start(PEER, &["interrupted", &listen]);
    let address = process.line();
    let witness = Witness::start_at(Client::connect(&address).expect("a client"), process.usage());
    let usage = process.usage();
    thread::scope(|scope| {
        let verdict = scope.spawn(|| process.line());
        let began = Instant::now();
        let mut sent = 0;
        while sent < 1000 || !verdict.is_finished() {
            for task in usage.tasks() {
                // A signal to a thread's number is taken by that thread. It may have ended
                // meanwhile.
                let _ = kill(Pid::from_raw(task.id as i32), Signal::SIGALRM);
            }
            sent += 1;
            pass(ms(sent).saturating_sub(began.elapsed()));
        }
        assert_eq!(verdict.join().expect("a line"), "served");
    });
    witness.finish().expect("the interrupted server serves");
    process.tell();
    eventually("the process has ended", Duration::from_secs(5), || {
        process.usage().descriptors() == 0
    });
}
