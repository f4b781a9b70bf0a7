use crate::PEER;
use isock::Server;
use isock_tests::{
    actions::Echo,
    process::Process,
    usage::Task,
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

/// Two processes, with no action that the client would serve: nobody asks whether the other one is there.
/// Threads that end meanwhile, as nobody has needed them, do not count.
#[test]
fn neither_a_server_nor_its_client_wakes_up_in_ten_seconds() {
    let orders = std::env::temp_dir().join(format!("isock-rest-{}", std::process::id()));
    let mut server = Process::start(PEER, &["server", orders.to_str().unwrap()]);
    let mut client = Process::start(PEER, &["client", &server.line()]);
    assert_eq!(client.line(), "idle");
    let tasks = || [server.usage().tasks(), client.usage().tasks()].concat();
    let woken_within = |time| {
        let before = tasks();
        pass(time);
        let runs =
            |task: &Task| before.iter().find(|old| old.id == task.id).map_or(0, |old| old.runs);
        tasks().into_iter().filter(|task| task.runs > runs(task)).collect::<Vec<_>>()
    };
    // It tells the server when it ends.
    let reads = || client.usage().tasks().iter().any(|task| task.name == "isock-client");
    eventually("the thread for futures has ended", ms(20_000), || !reads());
    eventually("they sleep", ms(10_000), || woken_within(ms(500)).is_empty());
    let woken = woken_within(ms(10_000));
    assert!(woken.is_empty(), "woken: {woken:#?}");
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
