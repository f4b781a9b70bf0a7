//! Claims about sides that poll before they sleep.

use isock::{CallError, Client, ProblemKind, Server, ServerHandle};
use isock_tests::{
    actions::{Hold, Square},
    gate::Gate,
    process::Process,
    usage::{self, Task},
    waiting::{eventually, in_time, ms, pass},
};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
/// As long as it may be.
const LONG: Duration = Duration::from_secs(1);

/// Squares at once, and holds until its gate is open. Both sides poll for as long as they may.
fn polling(gate: &Gate) -> (ServerHandle, Client) {
    let held = gate.clone();
    let server = Server::builder().busy_poll(LONG).on::<Square>(|n, _| Ok(n * n));
    let server = server.on::<Hold>(move |number, _| {
        held.pass();
        Ok(number)
    });
    let server = server.bind("127.0.0.1:0").and_then(Server::spawn).expect("a server");
    let client = connect(&server, LONG);
    (server, client)
}

fn connect(server: &ServerHandle, window: Duration) -> Client {
    Client::builder().busy_poll(window).connect(server.address()).expect("a client")
}

/// With one processor nobody polls, nor where others need it: then there is nothing to see.
fn may_sleep(task: &Task) -> bool {
    let alone = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    alone || task.waited >= Duration::from_micros(500)
}

#[test]
fn each_of_eight_threads_has_its_own_answers() {
    let (_server, client) = polling(&Gate::new());
    thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for n in (0..300).map(|n| n * 8 + thread) {
                    assert_eq!(client.run::<Square>(n).unwrap(), n * n);
                }
            });
        }
    });
}

#[test]
fn others_call_while_one_polls_for_an_answer_that_does_not_come() {
    let gate = Gate::new();
    let (_server, client) = polling(&gate);
    thread::scope(|scope| {
        let _end = gate.opened_at_the_end();
        let waiting = scope.spawn(|| client.run::<Hold>(7));
        gate.wait_for(1);
        in_time(ms(500), || {
            for n in 0..100 {
                let square = client.request::<Square>(n).timeout(LONG / 2).run();
                assert_eq!(square.unwrap(), n * n);
            }
        });
        gate.open();
        assert_eq!(waiting.join().unwrap().unwrap(), 7);
    });
}

#[test]
fn a_call_returns_by_its_deadline() {
    let gate = Gate::new();
    let (_server, client) = polling(&gate);
    let _end = gate.opened_at_the_end();
    in_time(ms(300), || {
        let began = Instant::now();
        let error = client.request::<Hold>(1).timeout(ms(200)).run().unwrap_err();
        assert_eq!(error.kind(), Some(ProblemKind::Deadline), "{error}");
        assert!(began.elapsed() >= ms(200));
    });
}

#[test]
fn who_waits_polls() {
    let gate = Gate::new();
    let (_server, client) = polling(&gate);
    let _end = gate.opened_at_the_end();
    let me = |tasks: Vec<Task>| tasks.into_iter().find(|it| it.id == usage::thread_id()).unwrap();
    let before = me(usage::own().tasks());
    client.request::<Hold>(1).timeout(ms(300)).run().unwrap_err();
    let after = me(usage::own().tasks());
    assert!(has_polled(&before, &after) || may_sleep(&after), "{before:?}, {after:?}");
}

#[test]
fn an_answer_that_takes_longer_is_slept_for() {
    let gate = Gate::new();
    let (server, _) = polling(&gate);
    let client = connect(&server, ms(5));
    thread::scope(|scope| {
        let _end = gate.opened_at_the_end();
        let waiting = scope.spawn(|| {
            let spent = usage::thread_time();
            assert_eq!(client.run::<Hold>(7).unwrap(), 7);
            usage::thread_time() - spent
        });
        gate.wait_for(1);
        pass(ms(600));
        gate.open();
        let spent = waiting.join().unwrap();
        assert!(spent < ms(50), "{spent:?}");
    });
}

#[test]
fn one_that_has_called_alone_is_heard_after_a_rest() {
    let window = ms(5);
    let server = Server::builder().busy_poll(window).on::<Square>(|n, _| Ok(n * n));
    let server = server.bind("127.0.0.1:0").and_then(Server::spawn).expect("a server");
    let client = connect(&server, window);
    for _ in 0..3 {
        for n in 0..100 {
            let square = client.request::<Square>(n).timeout(10 * LONG).run();
            assert_eq!(square.unwrap(), n * n);
        }
        pass(10 * window);
    }
}

#[test]
fn a_close_ends_whoever_polls() {
    let gate = Gate::new();
    let (server, _) = polling(&gate);
    let _end = gate.opened_at_the_end();
    let mut held = 0;
    // Less than a read takes that finds nothing.
    in_time(ms(40), || {
        let client = connect(&server, LONG);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| client.run::<Hold>(7));
            held += 1;
            gate.wait_for(held);
            client.close();
            let error = waiting.join().unwrap().unwrap_err();
            assert!(matches!(error, CallError::Call(_)), "{error}");
        });
    });
}

#[test]
fn the_end_of_the_server_ends_whoever_polls() {
    let gate = Gate::new();
    let (server, client) = polling(&gate);
    thread::scope(|scope| {
        let _end = gate.opened_at_the_end();
        let waiting = scope.spawn(|| client.run::<Hold>(7));
        gate.wait_for(1);
        server.connections().latest().expect("one").disconnect("closing time");
        let error = waiting.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("closing time"), "{error}");
    });
}

/// Whether a thread did not sleep meanwhile. Who sleeps looks at its deadline every 50 ms at most.
fn has_polled(before: &Task, after: &Task) -> bool {
    after.cpu - before.cpu > ms(20) || after.runs - before.runs > 12
}

/// The loop of a server after the last of its calls, and some time later.
fn after_calls(process: &mut Process) -> [Task; 2] {
    assert_eq!(process.line(), "called");
    let usage = process.usage();
    let the_loop = || usage.tasks().into_iter().find(|it| it.name == "isock-loop").unwrap();
    let before = the_loop();
    pass(ms(800));
    [before, the_loop()]
}

#[test]
fn a_server_polls_for_a_while_and_then_rests() {
    let mut process = Process::start(PEER, &["polling", "1000"]);
    let [before, after] = after_calls(&mut process);
    assert!(has_polled(&before, &after) || may_sleep(&after), "{before:?}, {after:?}");
    let usage = process.usage();
    let woken_within = |time| {
        let before = usage.runs();
        pass(time);
        usage.runs().saturating_sub(before)
    };
    // Its watcher looks on for a second before it sleeps.
    eventually("it sleeps", ms(10_000), || woken_within(ms(500)) == 0);
    let woken = woken_within(ms(2000));
    assert!(woken < 10, "woken {woken} times");
}

#[test]
fn with_one_processor_nothing_is_polled() {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first = allowed.and_then(|list| list.trim().split([',', '-']).next()).expect("a processor");
    let mut process = Process::start("taskset", &["-c", first, PEER, "polling", "1000"]);
    let [before, after] = after_calls(&mut process);
    assert!(!has_polled(&before, &after), "{before:?}, {after:?}");
}
