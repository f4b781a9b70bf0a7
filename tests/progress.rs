//! The example `progress`: a job that tells how far it is, and what becomes of it when somebody
//! loses patience.

use isock_tests::{
    programs::{Ended, Program},
    waiting::eventually,
};
use std::{path::PathBuf, time::Duration};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than anybody waits for.
const FOREVER: &str = "1000000000000";

fn server() -> (Program, String) {
    let mut server = Program::example("progress", &["serve", "127.0.0.1:0"]);
    let address = server.line_after("listening at ");
    (server, address)
}

/// A job that has begun, and the file that it keeps meanwhile.
fn begin(server: &mut Program, address: &str) -> (Program, PathBuf) {
    let client = Program::example("progress", &["count", FOREVER, address]);
    let scratch = server.line_after(&format!("job 1: primes up to {FOREVER}, in "));
    let scratch = PathBuf::from(scratch);
    eventually("it is under way", PATIENCE, || scratch.exists());
    client.complains("0 %, 0 primes");
    (client, scratch)
}

#[test]
fn a_job_shows_its_progress_and_ends_with_its_result() {
    let (mut server, address) = server();
    let ended = Program::example("progress", &["count", "100000", &address]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.output, "9592 primes up to 100000, the largest is 99991\n");
    let percents: Vec<&str> = ended.errors.lines().filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(percents, ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]);
    assert!(ended.errors.contains("\n50 %, 5133 primes\n"), "{}", ended.errors);
    server.line_after("job 1: done, 9592 primes");
}

#[test]
fn the_smallest_jobs_have_results_too() {
    let (_server, address) = server();
    for (to, result) in [("0", "0 primes up to 0\n"), ("2", "1 primes up to 2, the largest is 2\n")]
    {
        let ended = Program::example("progress", &["count", to, &address]).end();
        assert_eq!((ended.code, ended.output.as_str()), (Some(0), result));
    }
}

#[test]
fn an_interrupt_stops_the_job_on_both_sides() {
    let (mut server, address) = server();
    let (client, scratch) = begin(&mut server, &address);
    client.signal("INT");
    let Ended { code, output, errors } = client.wait();
    assert_eq!((code, output.as_str()), (Some(130), ""), "{errors}");
    assert!(errors.starts_with("0 %, 0 primes\n"), "{errors}");
    assert!(errors.ends_with("progress: interrupted: the job has been stopped\n"), "{errors}");
    let why = server.line_after("job 1: stopped and cleaned up: ");
    assert_eq!(why, "nobody waits for it any more");
    assert!(!scratch.exists());
    // And the server goes on.
    let ended = Program::example("progress", &["count", "10", &address]).end();
    assert_eq!(ended.output, "4 primes up to 10, the largest is 7\n");
}

#[test]
fn a_client_that_is_killed_stops_its_job_too() {
    let (mut server, address) = server();
    let (mut client, scratch) = begin(&mut server, &address);
    client.kill();
    server.line_after("job 1: stopped and cleaned up: ");
    assert!(!scratch.exists());
}

#[test]
fn an_interrupted_server_cleans_up_and_its_client_says_what_happened() {
    let (mut server, address) = server();
    let (client, scratch) = begin(&mut server, &address);
    server.signal("INT");
    let ended = client.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let start = format!("progress: `CountPrimes` at {address}: ");
    let last = ended.errors.lines().last().unwrap_or_default();
    assert!(last.starts_with(&start) && last.contains("the connection ended"), "{ended:?}");
    server.line_after("job 1: stopped and cleaned up: ");
    assert_eq!(server.wait().code, Some(0));
    assert!(!scratch.exists());
}

#[test]
fn a_server_that_dies_is_no_interrupt() {
    let (mut server, address) = server();
    let (client, _) = begin(&mut server, &address);
    server.kill();
    let ended = client.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("the connection ended before the answer"), "{ended:?}");
}

#[test]
fn what_it_cannot_do_it_says() {
    for (arguments, code, text) in [
        (&["count", "many"][..], 2, "progress: usage: progress [serve [ADDRESS]"),
        (&["dance"], 2, "progress: usage: "),
        (&["count", "7", "nowhere"], 1, "progress: "),
    ] {
        let ended = Program::example("progress", arguments).end();
        assert_eq!(ended.code, Some(code), "{arguments:?} {ended:?}");
        assert!(ended.errors.starts_with(text), "{arguments:?} {ended:?}");
    }
}
