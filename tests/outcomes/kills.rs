//! The server process is killed at every step of a call.

use isock::{Client, Ran};
use isock_tests::{
    actions::{Echo, Last, Place, LAST_WORDS},
    process::Process,
    waiting::{eventually, ms},
};
use std::{fs, path::PathBuf, thread};

/// A server in a process of its own, and the file that it writes each run to.
struct Killed {
    process: Process,
    address: String,
    file: PathBuf,
}

impl Killed {
    fn new(name: &str) -> Killed {
        let file = std::env::temp_dir().join(format!("isock-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&file);
        let path = file.to_str().expect("a name");
        let mut process = Process::start(env!("CARGO_BIN_EXE_peer"), &["server", path]);
        let address = process.line();
        Killed { process, address, file }
    }

    fn runs(&self) -> usize {
        fs::read_to_string(&self.file).unwrap_or_default().lines().count()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn order() -> Place {
    Place { sku: "a".to_owned(), qty: 1 }
}

fn lazy(address: &str) -> Client {
    Client::builder().timeout(ms(20_000)).connect_lazy(address).unwrap()
}

#[test]
fn before_the_connection_is_accepted_it_did_not_run() {
    let mut server = Killed::new("unaccepted");
    server.process.pause();
    let client = lazy(&server.address);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.run::<Place>(order()));
        let connected = server.address.clone();
        eventually("the kernel has connected it", ms(10_000), || waits_at(&connected));
        server.process.kill();
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.ran(), Ran::No, "{error}");
    });
    assert_eq!(server.runs(), 0);
}

/// Whether a connection to this address of the kernel is established.
fn waits_at(address: &str) -> bool {
    let port: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let wanted = format!("0100007F:{port:04X} 01 ");
    fs::read_to_string("/proc/net/tcp").is_ok_and(|table| {
        // The column of the other end, then the state: 1 is established.
        table.lines().any(|line| line.contains(&wanted))
    })
}

#[test]
fn before_the_call_is_read_it_is_unknown() {
    let mut server = Killed::new("unread");
    let client = lazy(&server.address);
    assert_eq!(client.run::<Echo>("before").unwrap(), "before");
    server.process.pause();
    // It leaves at once: nothing else is under way.
    let call = client.start::<Place>(order());
    server.process.kill();
    let error = call.wait().unwrap_err();
    assert_eq!(error.ran(), Ran::Unknown, "{error}");
    assert_eq!(server.runs(), 0);
}

#[test]
fn while_the_handler_runs_it_is_unknown() {
    let mut server = Killed::new("halfway");
    let client = lazy(&server.address);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.run::<Place>(order()));
        assert_eq!(server.process.line(), "placed");
        server.process.kill();
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.ran(), Ran::Unknown, "{error}");
    });
    assert_eq!(server.runs(), 1);
}

#[test]
fn after_the_handler_and_before_its_answer_it_is_unknown() {
    let server = Killed::new("unanswered");
    let client = lazy(&server.address);
    // Encoding the answer kills the process.
    let error = client.run::<Last>(LAST_WORDS).unwrap_err();
    assert_eq!(error.ran(), Ran::Unknown, "{error}");
    assert_eq!(server.runs(), 1);
}

#[test]
fn after_the_answer_it_has_run() {
    let mut server = Killed::new("answered");
    let client = lazy(&server.address);
    assert_eq!(client.run::<Last>(7).unwrap().0, 7);
    server.process.kill();
    assert_eq!(server.runs(), 1);
    // The connection has ended by now, which is seen before anything is written to it.
    eventually("the end is seen", ms(10_000), || client.start::<Last>(8).cancel() == Ran::No);
    let error = client.run::<Last>(9).unwrap_err();
    assert_eq!(error.ran(), Ran::No, "{error}");
}
