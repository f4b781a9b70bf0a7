//! Server processes are told to end by their system, under load and in the middle of calls.

use isock::{Client, ProblemKind, Ran};
use isock_tests::{
    actions::Hold,
    process::Process,
    waiting::{eventually, ms, within},
};
use std::{
    collections::HashMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

const CLIENTS: u32 = 50;
const RESTARTS: usize = 6;
/// The number whose run goes on until it is let go, also when it is cancelled: an answer that it gave
/// then might still be sent.
const HELD: u32 = 0;

/// The file to which processes write each run.
struct Runs(PathBuf);

impl Runs {
    fn new(name: &str) -> Runs {
        let file = std::env::temp_dir().join(format!("isock-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&file);
        Runs(file)
    }

    fn counts(&self) -> HashMap<u32, u32> {
        let mut counts = HashMap::new();
        for line in fs::read_to_string(&self.0).unwrap_or_default().lines() {
            *counts.entry(line.parse().expect("a number")).or_default() += 1;
        }
        counts
    }

    /// A server that drains on SIGTERM, and its address.
    fn serve(&self, address: &str) -> (Process, String) {
        let file = self.0.to_str().expect("a name");
        let mut process = Process::start(env!("CARGO_BIN_EXE_peer"), &["drained", address, file]);
        let address = process.line();
        (process, address)
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a process says that drains because of one signal.
const ONCE: [&str; 2] = ["SIGTERM: calls in flight have 30s to finish", "drained"];

fn ends_in_order(process: &mut Process) {
    assert_eq!([process.line(), process.line()], ONCE);
    assert!(process.ended().success());
}

#[test]
fn servers_that_get_sigterm_one_after_the_other_lose_and_double_nothing() {
    let runs = Runs::new("sigterm-load");
    let mut servers = [runs.serve("127.0.0.1:0"), runs.serve("127.0.0.1:0")];
    let addresses: Vec<_> = servers.iter().map(|(_, address)| address.clone()).collect();
    let (done, numbers) = (AtomicBool::new(false), AtomicU32::new(HELD + 1));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let client = Client::connect(&*addresses).unwrap();
            let (done, numbers) = (&done, &numbers);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    let number = numbers.fetch_add(1, Ordering::SeqCst);
                    if let Err(error) = client.run::<Hold>(number) {
                        done.store(true, Ordering::SeqCst);
                        panic!("call {number}: {error}");
                    }
                }
            });
        }
        for turn in 0..RESTARTS {
            let before = numbers.load(Ordering::SeqCst);
            let goes_on = within(ms(20_000), || {
                done.load(Ordering::SeqCst) || numbers.load(Ordering::SeqCst) >= before + 1000
            });
            assert!(goes_on, "calls stand still");
            if done.load(Ordering::SeqCst) {
                break;
            }
            let (process, address) = &mut servers[turn % 2];
            process.terminate();
            ends_in_order(process);
            *process = runs.serve(address).0;
        }
        done.store(true, Ordering::SeqCst);
    });
    let (counts, calls) = (runs.counts(), numbers.into_inner());
    let lost: Vec<_> = (HELD + 1..calls).filter(|number| !counts.contains_key(number)).collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?}, doubled {doubled:?}");
}

#[test]
fn a_call_in_flight_is_answered_after_sigterm_and_the_process_ends() {
    let runs = Runs::new("sigterm-one");
    let (mut process, address) = runs.serve("127.0.0.1:0");
    let client = Client::connect(&address).unwrap();
    thread::scope(|scope| {
        let call = scope.spawn(|| client.run::<Hold>(HELD));
        assert_eq!(process.line(), "holding");
        process.terminate();
        assert_eq!(process.line(), ONCE[0]);
        let refused = || Client::builder().attempts(1).connect(&address).is_err();
        eventually("it accepts nobody more", ms(10_000), refused);
        process.say("go on");
        assert_eq!(call.join().unwrap().unwrap(), HELD);
    });
    assert_eq!([process.line(), process.line()], ["let go", "drained"]);
    assert!(process.ended().success());
}

#[test]
fn a_second_sigterm_ends_at_once_and_tells_everybody() {
    let runs = Runs::new("sigterm-two");
    let (mut process, address) = runs.serve("127.0.0.1:0");
    let client = Client::connect(&address).unwrap();
    thread::scope(|scope| {
        let call = scope.spawn(|| client.run::<Hold>(HELD));
        assert_eq!(process.line(), "holding");
        process.terminate();
        assert_eq!(process.line(), ONCE[0]);
        process.terminate();
        assert_eq!(process.line(), "SIGTERM again: calls in flight are given up");
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.ran(), Ran::Unknown, "{error}");
        assert_eq!(error.kind(), Some(ProblemKind::ConnectionLost), "{error}");
        assert!(error.to_string().contains("the server closed it"), "{error}");
    });
    assert_eq!([process.line(), process.line()], ["cancelled", "drained"]);
    assert!(process.ended().success());
}

#[test]
fn sigterm_is_the_programs_own_again_once_no_server_waits_for_it() {
    for (when, heard) in [("never", false), ("before", true), ("after", true)] {
        let mut process = Process::start(env!("CARGO_BIN_EXE_peer"), &["signalled", when]);
        // What a child gets is the child's, as the program would have it, and not the server's.
        let ended = if heard { "None" } else { "Some(15)" };
        assert_eq!(process.line(), format!("child: {ended}"), "{when}");
        assert_eq!(process.line(), "serving");
        process.terminate();
        assert_eq!(process.line(), format!("drained, heard: {heard}"), "{when}");
        process.terminate();
        if heard {
            process.tell();
            assert_eq!(process.line(), "heard again: true", "{when}");
            assert!(process.ended().success(), "{when}");
        } else {
            assert_eq!(process.ended().signal(), Some(15));
        }
    }
}
