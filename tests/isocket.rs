//! The eight scenarios of iSocket, the system that people come from.

use isock::{
    wire::{CloseCode, FrameKind, Header},
    Bytes, CallError, Client, ConnectError, ProblemKind, Ran, Server, ServerBuilder,
};
use isock_tests::{
    actions::*,
    process::Process,
    raw::{self, Raw},
    waiting::{ms, pass},
};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    process::Command,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

/// What iSocket's demo serves; counts the command lines that have been run.
fn demo(runs: &Arc<AtomicUsize>) -> ServerBuilder {
    let history = Arc::new(Mutex::new(Vec::new()));
    let (seen, runs) = (Arc::clone(&history), Arc::clone(runs));
    Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Exec>(move |line, _| {
            runs.fetch_add(1, Ordering::SeqCst);
            history.lock().unwrap().push(line.clone());
            let output = Command::new("sh").arg("-c").arg(&line).output()?;
            match output.status.code() {
                Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                status => Err(ExecError::Status(status.unwrap_or(-1))),
            }
        })
        .on::<ExecHistory>(move |(), _| Ok(seen.lock().unwrap().clone()))
        .on::<Time>(|(), _| Ok(SystemTime::now()))
}

fn echo_server() -> isock::ServerHandle {
    Server::builder().on::<Echo>(|text, _| Ok(text)).bind("127.0.0.1:0").unwrap().spawn().unwrap()
}

#[test]
fn scenario_1_the_demo_gives_its_four_results() {
    let server = demo(&Arc::default()).bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = Client::connect(server.address()).unwrap();
    assert_eq!(client.run::<Echo>("Echo test!").unwrap(), "Echo test!");
    assert_eq!(client.run::<Exec>("echo hi").unwrap(), "hi\n");
    assert_eq!(client.run::<ExecHistory>(()).unwrap(), ["echo hi"]);
    let age = client.run::<Time>(()).unwrap().elapsed().unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
}

#[test]
fn scenario_2_an_error_is_a_value_and_its_command_has_run_once() {
    let runs = Arc::default();
    let server = demo(&runs).bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = Client::connect(server.address()).unwrap();
    match client.run::<Exec>("exit 3") {
        Err(CallError::Action(error)) => assert_eq!(error, ExecError::Status(3)),
        other => panic!("{other:?}"),
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

/// A listener that drops whoever comes, and how many have come.
fn dropping_listener() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connects = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connects);
    thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    (address, connects)
}

#[test]
fn scenario_3_a_missing_server_is_named_with_the_attempts() {
    // No test listens at this host, so nobody takes the port meanwhile.
    let free = TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap().to_string();
    let text = Client::connect(&free).unwrap_err().to_string();
    assert!(text.contains(&format!("no server at {free} after 3 attempts")), "{text}");

    let lazy = Client::builder().connect_lazy(&free).unwrap();
    let error = lazy.run::<Echo>("hi").unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("`Echo` at {free}")), "{text}");
    assert!(text.contains("after 3 attempts"), "{text}");
    let problem = error.problem().unwrap();
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::NotConnected, Ran::No));
    assert_eq!(problem.attempts(), 3);
}

#[test]
fn scenario_3_three_attempts_are_three_connects() {
    let (address, connects) = dropping_listener();
    match Client::connect(&address) {
        Err(ConnectError::Unreachable { address: named, attempts: 3, .. }) => {
            assert_eq!(named, address);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(connects.load(Ordering::SeqCst), 3);

    let (address, connects) = dropping_listener();
    let lazy = Client::builder().attempts(3).connect_lazy(&address).unwrap();
    assert_eq!(lazy.run::<Echo>("hi").unwrap_err().ran(), Ran::No);
    assert_eq!(connects.load(Ordering::SeqCst), 3);
}

#[test]
fn scenario_4_an_action_can_be_added_while_its_caller_is_connected() {
    let server = Server::builder()
        .on::<Who>(|(), cx| Ok(cx.peer().address().to_string()))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let client = Client::connect(server.address()).unwrap();
    let before = client.run::<Who>(()).unwrap();
    let error = client.run::<Echo>("hi").unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::UnknownAction, Ran::No));
    assert!(error.to_string().contains("`Echo`"), "{error}");

    server.on::<Echo>(|text, cx| Ok(format!("{text} from {}", cx.peer().address()))).unwrap();
    assert_eq!(client.run::<Echo>("hi").unwrap(), format!("hi from {before}"));
}

type Nested = BTreeMap<String, (Option<Vec<(u8, char)>>, Result<f64, String>, BTreeMap<i64, ()>)>;

#[test]
fn scenario_5_five_megabytes_and_nested_values_come_back_as_they_were() {
    let server = Server::builder()
        .on::<Blob>(|bytes, _| Ok(bytes))
        .on::<Echo>(|text, _| Ok(text))
        .on::<EchoOf<Nested>>(|value, _| Ok(value))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let client = Client::connect(server.address()).unwrap();
    let bytes: Bytes = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    assert!(client.run::<Blob>(&bytes).unwrap() == bytes);
    let text = "é".repeat(2_500_000);
    assert!(client.run::<Echo>(&text).unwrap() == text);

    let nested = Nested::from([
        ("é".into(), (Some(vec![(1, 'é'), (255, '\u{10ffff}')]), Ok(-0.5), BTreeMap::new())),
        (String::new(), (None, Err("no".into()), BTreeMap::from([(i64::MIN, ()), (7, ())]))),
    ]);
    assert_eq!(client.run::<EchoOf<Nested>>(&nested).unwrap(), nested);
}

/// A frame that says that it is this long, and begins.
fn frame_of_length(len: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header { len, ..Header::new(FrameKind::CALL, Default::default(), 2, 0) }.write(&mut bytes);
    bytes
}

#[test]
fn scenario_6_broken_lengths_end_their_own_connection_only() {
    let server = echo_server();
    for (what, len) in [("too short", 3), ("huge", u32::MAX), ("a gigabyte", 1 << 30)] {
        let mut raw = Raw::new(raw::connect(server.address()).unwrap());
        raw.shake_hands();
        raw.send(&frame_of_length(len));
        assert_eq!(raw.closed(), Ok(CloseCode::BAD_LENGTH), "{what}");
        assert_eq!(server.client().run::<Echo>("next").unwrap(), "next", "after {what}");
    }
}

#[test]
fn scenario_6_a_close_in_the_middle_of_a_body_costs_nothing() {
    let mut process = Process::start(PEER, &["server", "/dev/null"]);
    let address = process.line();
    let whole = raw::call::<Echo>(0, 1, &raw::text(&"x".repeat(100_000)));
    let parts = [&whole[..7], &whole[..20], &whole[..50_000]];
    for part in parts {
        let mut raw = Raw::new(raw::connect(&address).unwrap());
        raw.shake_hands();
        raw.send(part);
        drop(raw);
    }
    assert_eq!(Client::connect(&address).unwrap().run::<Echo>("next").unwrap(), "next");
    assert_idle(&process);
}

#[test]
fn scenario_6_a_peer_that_stays_after_it_was_closed_costs_nothing() {
    let mut process = Process::start(PEER, &["server", "/dev/null"]);
    let address = process.line();
    let mut raw = Raw::new(raw::connect(&address).unwrap());
    raw.shake_hands();
    raw.send(&frame_of_length(u32::MAX));
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_LENGTH));
    assert_idle(&process);
}

/// A server without work spends nothing.
fn assert_idle(process: &Process) {
    let before = process.usage().cpu();
    pass(ms(500));
    let spent = process.usage().cpu().saturating_sub(before);
    assert!(spent < ms(30), "{spent:?} of CPU in half a second without work");
}

#[test]
fn scenario_7_a_panic_is_its_callers_error_only() {
    let server = Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Boom>(|text, _| panic!("{text}"))
        .log(|_| ())
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let client = Client::connect(server.address()).unwrap();
    let other = Client::connect(server.address()).unwrap();
    let error = client.run::<Boom>("a secret of the server").unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::Panicked);
    assert_eq!(error.ran(), Ran::Yes);
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(client.run::<Echo>("same connection").unwrap(), "same connection");
    assert_eq!(other.run::<Echo>("other connection").unwrap(), "other connection");
}

#[test]
fn scenario_8_a_server_that_dies_before_it_replies_has_run_the_call_once() {
    let file = std::env::temp_dir().join(format!("isock-orders-{}", std::process::id()));
    let mut process = Process::start(PEER, &["server", file.to_str().unwrap()]);
    let client = Client::connect(process.line()).unwrap();
    let call = thread::spawn(move || client.call(Place { sku: "drill".into(), qty: 1 }));
    assert_eq!(process.line(), "placed");
    let killed = Instant::now();
    process.kill();
    let error = call.join().unwrap().unwrap_err();
    let told = killed.elapsed();

    let effects = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(effects, "1 drill\n");
    assert_eq!(error.ran(), Ran::Unknown, "{error}");
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::ConnectionLost);
    assert!(error.to_string().contains("it may have run"), "{error}");
    assert!(told < Duration::from_secs(2), "{told:?}");
}
