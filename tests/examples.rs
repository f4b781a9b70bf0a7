//! The examples, run as a person runs them, and what they print.

use isock_tests::programs::{example, program};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

#[test]
fn hello_prints_its_call_and_what_to_try_next() {
    let out = stdout(run(&example("hello"), &[]));
    let lines: Vec<_> = out.lines().collect();
    let [call, next] = lines[..] else { panic!("{out}") };
    assert!(call.starts_with("Shout(\"hello\") at 127.0.0.1:"), "{out}");
    assert!(call.ends_with("-> \"HELLO!\""), "{out}");
    assert_eq!(next, "next: cargo run --example classic");
}

#[test]
fn classic_prints_four_banners_and_their_results() {
    let out = stdout(run(&example("classic"), &[]));
    let (fixed, time) = out.split_once("== Time\n").expect("a fourth banner");
    assert_eq!(
        fixed,
        "== Echo\n\
         Echo test!\n\
         == Exec\n\
         hi\n\
         no shell: $HOME; exit 3\n\
         == ExecHistory\n\
         [\"echo hi\", \"echo no shell: $HOME; exit 3\"]\n"
    );
    let digits = time.replace(|c: char| c.is_ascii_digit(), "9");
    assert_eq!(digits, "99:99:99 UTC\n");
}

#[test]
fn errors_prints_kind_and_outcome_of_each() {
    let out = stdout(run(&example("errors"), &[]));
    assert!(out.starts_with("12 are too many, ordering 5\nthat is 1750 cents\n"), "{out}");
    for (what, text) in [
        ("own error: kind Action, ran Yes", "at most 5 at a time"),
        ("unknown action: kind UnknownAction, ran No", "`Deposit` at 127.0.0.1:"),
        ("deadline: kind Deadline, ran Unknown", "`Ponder` at 127.0.0.1:"),
        ("panic: kind Panicked, ran Yes", "`Stumble` at 127.0.0.1:"),
        ("dead server: kind NotConnected, ran No", "`Order` at 127.0.0.1:"),
    ] {
        let mut lines = out.lines().skip_while(|line| *line != what);
        assert!(lines.next().is_some(), "no `{what}` in\n{out}");
        assert!(lines.next().is_some_and(|line| line.trim().starts_with(text)), "{text}: {out}");
    }
    assert!(out.contains("no server after 3 attempts"), "{out}");
    // The text of the panic is the operator's: it is not in what the caller got.
    let bug: Vec<_> = out.lines().filter(|line| line.contains("a bug in the handler")).collect();
    assert!(matches!(bug[..], [line] if line.starts_with("log: `Stumble`")), "{out}");
}

#[test]
fn mismatch_says_what_differs_and_goes_on() {
    let out = stdout(run(&example("mismatch"), &[]));
    let lines: Vec<_> = out.lines().collect();
    let [kind, problem, orders] = lines[..] else { panic!("{out}") };
    assert_eq!(kind, "kind Mismatch, ran No");
    assert!(problem.starts_with("`Place` at 127.0.0.1:"), "{out}");
    let (_, words) = problem.split_once(": the two builds disagree").expect(&out);
    assert_eq!(
        words,
        " about its types; rebuild both from the same crate: \
         input: Order.note: missing here, Option<String> there; input: Order.items[].qty: u32 here, String there (it did not run)"
    );
    assert_eq!(orders, "orders: 0");
}

#[test]
fn packets_shows_both_directions_and_its_console() {
    let out = stdout(run(&example("packets"), &[]));
    for line in [
        "echo: from a client",
        "> list\n2 clients",
        "pinged 2",
        "say: hello to all",
        "broadcast `say` to 2 of 2",
        "say: hello to you",
        "says: to myself",
        ": that is all",
        "error: unknown command `nonsense`; `help` lists them",
    ] {
        assert!(out.contains(line), "no `{line}` in\n{out}");
    }
    assert!(out.contains("> stop\n") && out.ends_with("stopped\n"), "{out}");
}

#[test]
fn progress_counts_to_its_end() {
    let out = stdout(run(&example("progress"), &[]));
    assert!(out.contains("job 1: done, 17984 primes\n"), "{out}");
    assert!(out.ends_with("17984 primes up to 200000, the largest is 199999\n"), "{out}");
}

#[test]
fn several_servers_come_and_go_and_no_call_fails() {
    let out = stdout(run(&example("several"), &[]));
    assert_eq!(
        out,
        "at first: left and right\n\
         left is drained: right\n\
         left is back: left and right\n\
         right has ended: left\n\
         calls that failed meanwhile: 0\n\
         left has ended: Some(NotConnected), ran No\n"
    );
}

#[test]
fn tokio_awaits_joins_and_spawns_calls() {
    let out = stdout(run(&example("tokio"), &[]));
    assert_eq!(out, "awaited: 9\njoined: 1 4 81\ntask: 16\ntask: 25\ntask: 36\n");
}

#[test]
fn upload_stores_what_it_sends() {
    let out = stdout(run(&example("upload"), &[]));
    let lines: Vec<_> = out.lines().collect();
    let [announced, stored, done] = lines[..] else { panic!("{out}") };
    assert!(announced.starts_with("\"upload") && announced.ends_with(" bytes announced"), "{out}");
    let checksum = stored.rsplit(' ').next().unwrap_or_default();
    assert!(stored.contains("\": stored, ") && checksum.len() == 8, "{out}");
    assert!(done.ends_with(&format!(" bytes stored, checksum {checksum}")), "{out}");
}

#[test]
fn views_shows_what_was_kept() {
    let out = stdout(run(&example("views"), &[]));
    assert_eq!(
        out,
        "kept 2 of 3 lines\n\
         shop: card refused\n\
         mail: the queue is full\n\
         levels [2, 3]\n"
    );
}

#[cfg(unix)]
#[test]
fn unix_needs_no_port_and_leaves_no_path() {
    let out = stdout(run(&example("unix"), &[]));
    let lines: Vec<_> = out.lines().collect();
    let [answer, second, removed, after] = lines[..] else { panic!("{out}") };
    assert!(answer.starts_with("unix:") && answer.ends_with("-> this very process"), "{out}");
    assert!(second.contains("a server is there already"), "{out}");
    assert_eq!(removed, "removed: true");
    assert!(after.contains("no server after 3 attempts"), "{out}");
}

#[test]
fn shared_is_two_programs_that_talk() {
    let server = Server::start();
    let client = |notes: &[&str]| {
        run(&program("shared-client"), &[&[server.address.as_str()], notes].concat())
    };
    assert_eq!(stdout(client(&[])), "");
    assert_eq!(
        stdout(client(&["Buy milk", "é"])),
        "added note 1\nadded note 2\n1. Buy milk\n2. é\n"
    );
    // What one client left, the next one finds.
    assert_eq!(stdout(client(&[])), "1. Buy milk\n2. é\n");
    assert_eq!(complaint(client(&["  "])), "shared-client: the note is empty\n");
}

#[cfg(unix)]
#[test]
fn shared_server_stops_cleanly_and_its_client_then_says_so() {
    for signal in ["-INT", "-TERM"] {
        let server = Server::start();
        let address = server.address.clone();
        assert_eq!(server.signal(signal), "stopped\n");
        let text = complaint(run(&program("shared-client"), &[&address]));
        let start = format!("shared-client: no server at {address} after 3 attempts: ");
        assert!(text.starts_with(&start), "{text}");
    }
}

#[test]
fn shared_server_says_what_it_cannot_do() {
    let server = Server::start();
    let port = server.address.rsplit(':').next().expect("a port");
    for (arguments, text) in [
        (&["--port", port][..], "cannot listen at 127.0.0.1:"),
        (&["--port", "99999"], "`99999` is no port"),
        (&["--help"], "usage: "),
    ] {
        let said = complaint(run(&program("shared-server"), arguments));
        assert!(said.starts_with(&format!("shared-server: {text}")), "{said}");
    }
}

/// The server of `examples/shared`, as a process that ends with this value.
struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    /// Returns when it has said where it listens.
    fn start() -> Server {
        let mut process = Command::new(program("shared-server"))
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe, as asked"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the server says something");
        let address = line.trim().strip_prefix("listening at ").expect("an address").to_owned();
        Server { process, output, address }
    }

    /// Sends it a signal, and returns what it prints until it has ended well.
    #[cfg(unix)]
    fn signal(mut self, signal: &str) -> String {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("`kill` runs");
        assert!(sent.success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        let status = self.process.wait().expect("it ends");
        assert!(status.success(), "{status}");
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// What a program printed that ended well.
fn stdout(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// What a program said that failed.
fn complaint(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("text")
}
