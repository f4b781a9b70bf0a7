use crate::PEER;
use isock::Server;
use isock_tests::{
    actions::Echo,
    process::Process,
    waiting::{eventually, ms, pass},
};

/// Servers and clients with all that they have: calls back, futures, connections that are kept.
#[test]
fn a_process_at_rest_is_not_woken() {
    let mut process = Process::start(PEER, &["resting"]);
    assert_eq!(process.line(), "resting");
    let usage = process.usage();
    let woken_within = |time| {
        let before = usage.runs();
        pass(time);
        usage.runs().saturating_sub(before)
    };
    // The watchers and the corker look on for a second before they sleep.
    eventually("it sleeps", ms(10_000), || woken_within(ms(500)) == 0);
    let woken = woken_within(ms(4000));
    println!("woken {woken} times in 4 s");
    // Threads that nobody has needed for ten seconds wake once more, to end.
    assert!(woken < 10, "woken {woken} times");
}

/// It stands back while callers read for themselves.
#[test]
fn the_thread_of_a_client_that_serves_does_not_wake_with_each_of_its_calls() {
    let server = Server::builder().on::<Echo>(|text, _| Ok(text));
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let mut process = Process::start(PEER, &["sequential", &server.address().to_string()]);
    let woken: u64 = process.line().parse().unwrap();
    println!("3000 calls woke it {woken} times");
    assert!(woken < 1500, "3000 calls woke it {woken} times");
}
