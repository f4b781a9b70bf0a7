//! How often a call asks the system for something, as `strace` counts it.

use isock_tests::process::Process;
use std::{collections::BTreeMap, fs, path::PathBuf, process};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
/// Calls of the short run; the long one makes three times as many.
const CALLS: u32 = 500;
/// What may come on top of each: some threads take their turns otherwise, now and then.
const SLACK: f64 = 0.05;
/// Threads that watch sleep on a futex and look every 4 ms: the slower the machine, the more often in a
/// call. A call that had to wake another thread would ask for one or more.
const WATCHERS: f64 = 0.5;
/// How often each is counted: the best count is believed.
const ROUNDS: usize = 10;

/// System calls by name.
type Counts = BTreeMap<String, f64>;

/// A program under `strace`, which writes its counts when that ends.
struct Traced {
    process: Process,
    counts: PathBuf,
}

impl Traced {
    fn start(name: &str, args: &[&str]) -> Traced {
        assert!(
            process::Command::new("strace").arg("-V").output().is_ok(),
            "strace is not there to count with: install it, as .ci/run does"
        );
        let counts = folder().join(name);
        let path = counts.to_str().expect("a path in UTF-8");
        let options = ["-f", "-c", "-U", "calls,name", "-o", path, PEER];
        Traced { process: Process::start("strace", &[&options, args].concat()), counts }
    }

    fn ended(mut self) -> Counts {
        assert!(self.process.ended().success());
        let table = fs::read_to_string(&self.counts).expect("strace has written it");
        let rows = table.lines().filter_map(|line| {
            let (count, name) = line.trim().split_once(' ')?;
            Some((name.trim().to_owned(), count.parse().ok()?))
        });
        rows.filter(|(name, _)| name != "total").collect()
    }
}

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("system-calls");
    fs::create_dir_all(&folder).expect("a place for files");
    folder
}

/// What a client and its server ask for while so many calls are made with a text of this length.
fn both(calls: u32, len: usize) -> [Counts; 2] {
    let orders = folder().join("orders");
    let orders = orders.to_str().expect("a path in UTF-8");
    let mut server = Traced::start("server", &["server", orders]);
    let address = server.process.line();
    let client =
        Traced::start("client", &["calls", &address, &calls.to_string(), &len.to_string()]);
    let client = client.ended();
    server.process.tell();
    [client, server.ended()]
}

/// By the difference between many calls and few, so that start and end don't count.
fn of_a_call(len: usize) -> [Counts; 2] {
    let (few, mut many) = (both(CALLS, len), both(3 * CALLS, len));
    for (many, few) in many.iter_mut().zip(&few) {
        for (name, count) in many.iter_mut() {
            *count = (*count - few.get(name).unwrap_or(&0.0)) / f64::from(2 * CALLS);
        }
        // What not even one call in a hundred asks for is not what calls do.
        many.retain(|_, count| *count >= 0.01);
    }
    many
}

/// What calls themselves may ask for, and what their watchers may.
fn are_few(counts: &Counts, most: f64) -> bool {
    let of_watchers = counts.get("futex").unwrap_or(&0.0);
    let all: f64 = counts.values().sum();
    all - of_watchers <= most + SLACK && *of_watchers <= WATCHERS
}

#[test]
fn a_sequential_call_asks_the_system_twice_at_the_client_and_three_times_at_the_server() {
    // The long one is read where it stays, like those before it.
    for len in [8, 100_000] {
        let mut rounds = Vec::new();
        let are_met = (0..ROUNDS).any(|_| {
            let [client, server] = of_a_call(len);
            let are_met = are_few(&client, 2.0) && are_few(&server, 3.0);
            rounds.push([client, server]);
            are_met
        });
        assert!(are_met, "2 of the client and 3 of the server are allowed, not {rounds:#?}");
    }
}
