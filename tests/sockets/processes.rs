//! Processes that die, stand still or fork, and a clock that jumps.

use crate::{arena::Arena, networks::TROUBLE};
use isock::{
    wire::{Flags, FrameKind, Header, RefusalCode},
    CallError, Client, ProblemKind, Ran, ServeError, Server,
};
use isock_tests::{
    actions::{Boom, Echo, Place},
    process::Process,
    raw::{self, Raw},
    waiting::{eventually, in_time, ms, pass, within},
};
use std::{
    env, fs,
    os::unix::fs::{symlink, FileTypeExt, PermissionsExt},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// What must not take long, on a machine that is busy with others.
const SOON: Duration = ms(2000);

/// A server of another process, which comes and goes at one address.
struct Fragile {
    process: Process,
    address: String,
}

impl Fragile {
    fn start(listen: &str) -> Fragile {
        let mut process = Process::start_unheard(TROUBLE, &["fragile", listen]);
        let address = process.line();
        Fragile { process, address }
    }

    /// Another process at the same address, which one that has died left as it was.
    fn starts_again(&mut self) {
        self.process = Process::start_unheard(TROUBLE, &["fragile", &self.address]);
        assert_eq!(self.process.line(), self.address);
    }

    fn has_ended(&self) {
        let usage = self.process.usage();
        eventually("the process has ended", ms(5000), || usage.descriptors() == 0);
    }
}

/// Row 58. What ends the process ends its calls, with the outcome that nobody knows; the server that
/// is started in its place serves the same clients.
pub(crate) fn a_handler_that_ends_its_process_ends_its_calls(arena: &Arena) {
    let mut server = Fragile::start(&(arena.transport.listen)());
    let client = Client::builder().attempts(1).connect(&*server.address).expect("a client");
    let other = Client::builder().attempts(1).connect(&*server.address).expect("a client");
    for why in ["overflow", "a panic that aborts"] {
        thread::scope(|scope| {
            let beside = scope.spawn(|| other.run::<Place>(order()).map(drop));
            assert_eq!(server.process.line(), "placed");
            let began = Instant::now();
            let error = client.run::<Boom>(why).expect_err("it has not come back");
            assert_lost(&error, began);
            let error = beside.join().expect("no panic").expect_err("nobody answers it");
            assert_lost(&error, began);
        });
        server.has_ended();
        server.starts_again();
        assert_eq!(client.run::<Echo>("after it").expect("an echo"), "after it");
        assert_eq!(other.run::<Echo>("after it").expect("an echo"), "after it");
    }
}

fn order() -> Place {
    Place { sku: "a".to_owned(), qty: 1 }
}

fn assert_lost<E>(error: &CallError<E>, began: Instant) {
    let problem = error.problem().expect("no error of the action's own");
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::ConnectionLost, Ran::Unknown));
    assert!(began.elapsed() < SOON, "told after {:?}", began.elapsed());
}

/// Row 69, of the time of day. Compiled here: no crate stands between a program and its clock.
pub(crate) fn the_time_of_day_does_not_matter(arena: &Arena) {
    let (source, library) = (concat!(env!("CARGO_MANIFEST_DIR"), "/trouble/clock.c"), clock());
    let cc = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let built = Command::new(cc).args(["-shared", "-fPIC", "-O1", "-o", &library, source]).status();
    assert!(built.is_ok_and(|status| status.success()), "no C compiler, which Rust links with too");
    let preload = format!("LD_PRELOAD={library}");
    let listen = (arena.transport.listen)();
    let mut process = Process::start("env", &[&preload, TROUBLE, "clock", &listen]);
    let said = process.line();
    fs::remove_file(&library).expect("it was built");
    assert_eq!(said, "on time");
}

fn clock() -> String {
    let name = format!("isock-clock-{}.so", std::process::id());
    env::temp_dir().join(name).to_str().expect("a name").to_owned()
}

/// Row 69. Longer than everything that a process waits for, unless `NETWORK_LONG` is set.
fn stopped() -> Duration {
    match env::var_os("NETWORK_LONG") {
        Some(_) => ms(30_000),
        None => ms(3000),
    }
}

/// Row 69. What comes while a process is stopped has come in time, whatever its clock says.
pub(crate) fn who_was_stopped_reads_before_it_looks_at_its_clock(arena: &Arena) {
    the_time_of_day_does_not_matter(arena);

    let mut server = Process::start(TROUBLE, &["brief", &(arena.transport.listen)()]);
    let address = server.line();
    let stranger = || Raw::new(raw::connect(&*address).expect("a connection"));
    let mut half = stranger();
    half.shake_hands();
    let call = raw::call::<Echo>(0, 1, &raw::text("in two parts"));
    half.send(&call[..20]);
    let mut asked = stranger();
    asked.shake_hands();
    asked.send(&raw::attended());
    let mut silent = stranger();
    let ping = asked.answer();
    assert_eq!(ping.header.kind, FrameKind::PING);

    let mut client = Process::start(TROUBLE, &["patient", &arena.address().to_string()]);
    arena.gate.wait_for(4);
    client.pause();
    server.pause();
    arena.gate.open();
    half.send(&call[20..]);
    asked.send(&raw::frame(FrameKind::PONG, Flags::default(), &ping.payload));
    silent.send(&raw::hello(1, 1));
    pass(stopped());
    server.resume();
    client.resume();

    let answers = [(); 4].map(|()| client.line());
    assert_eq!(answers, ["1", "2", "3", "4"], "they had come in time");
    assert_eq!(arena.runs.take(), 4);
    assert_eq!(half.answer().header.kind, FrameKind::REPLY);
    assert_eq!(silent.welcome().version, 1);
    let next = asked.answer();
    assert_eq!(next.header.kind, FrameKind::PING, "it is asked again, and not closed");
}

/// Row 70.
pub(crate) fn the_child_of_a_fork_never_uses_its_parents_connection(arena: &Arena) {
    let mut process = Process::start(TROUBLE, &["fork", &arena.address().to_string()]);
    assert_eq!(process.line(), "calling");
    arena.gate.wait_for(3);
    let connections = arena.server.connections().len();
    process.say("fork");
    for _ in 0..100 {
        assert_eq!(process.line(), "a child ended with 0");
    }
    assert_eq!(process.line(), "calls on");
    let none_has_ended = || arena.server.connections().len() == connections;
    eventually("its connections, and no child's", ms(5000), none_has_ended);
    arena.gate.open();
    assert_eq!(process.line(), "[Ok(1), Ok(2), Ok(3)]");
    assert_eq!(arena.runs.take(), 3);
}

/// Row 73.
pub(crate) fn a_server_that_is_killed_leaves_a_place_that_can_be_taken(arena: &Arena) {
    let listen = (arena.transport.listen)();
    let mut server = Fragile::start(&listen);
    let client = Client::builder().attempts(1).connect(&*server.address).expect("a client");
    for _ in 0..3 {
        thread::scope(|scope| {
            let call = scope.spawn(|| client.run::<Place>(order()).map(drop));
            assert_eq!(server.process.line(), "placed");
            let began = Instant::now();
            server.process.kill();
            assert_lost(&call.join().expect("no panic").expect_err("nobody answers it"), began);
        });
        in_time(SOON, || {
            let error = client.run::<Echo>("x").expect_err("nobody is there");
            let problem = error.problem().expect("no error of the action's own");
            assert_eq!((problem.kind(), problem.ran()), (ProblemKind::NotConnected, Ran::No));
        });
        server.starts_again();
        assert_eq!(client.run::<Echo>("after it").expect("an echo"), "after it");
        // One who listens is not displaced.
        let second = Server::builder().bind(&*server.address);
        assert!(matches!(second, Err(ServeError::InUse { .. })), "{second:?}");
        assert_eq!(client.run::<Echo>("still").expect("an echo"), "still");
    }
    if let Some(path) = listen.strip_prefix("unix:") {
        server.process.kill();
        let path = Path::new(path);
        is_never_open_to_others(path);
        symlinks_are_not_followed(path);
    }
}

/// A process that would let everybody in: its path is its user's alone as soon as it is there.
fn is_never_open_to_others(path: &Path) {
    let listen = format!("unix:{}", path.display());
    let mode = || {
        let there = fs::symlink_metadata(path).ok()?;
        there.file_type().is_socket().then(|| there.permissions().mode() & 0o7777)
    };
    for _ in 0..5 {
        let _ = fs::remove_file(path);
        let careless = "umask 0; exec \"$0\" fragile \"$1\"";
        let mut process = Process::start_unheard("sh", &["-c", careless, TROUBLE, &listen]);
        let mut seen = None;
        // Without a pause between two looks.
        let deadline = Instant::now() + ms(5000);
        while seen.is_none() && Instant::now() < deadline {
            seen = mode();
        }
        assert_eq!(seen, Some(0o600), "the mode when it was first there");
        assert_eq!(process.line(), listen);
        assert_eq!(mode(), Some(0o600));
        process.kill();
    }
}

fn symlinks_are_not_followed(path: &Path) {
    let link = path.with_extension("link");
    for target in [path.to_owned(), path.with_extension("nowhere")] {
        symlink(&target, &link).expect("a link");
        let refused = Server::builder().bind(&link).map(drop).expect_err("a link is no place");
        assert!(refused.to_string().contains("symbolic link"), "{refused}");
        assert!(fs::symlink_metadata(&link).is_ok_and(|there| there.is_symlink()), "it has gone");
        fs::remove_file(&link).expect("the link");
    }
}

/// Row 59. On a server of its own: whatever blocks all handlers blocks the witness's too.
pub(crate) fn with_every_handler_stuck_pings_are_answered_and_calls_refused(arena: &Arena) {
    let gate = arena.gate.clone();
    let server = Server::builder().workers(WORKERS).log(|_| {}).on::<Stuck>(move |number, _| {
        gate.pass();
        Ok(number)
    });
    let server = server.bind((arena.transport.listen)()).and_then(Server::spawn).expect("a server");
    let client = server.client();
    let slots = isock::Limits::default().in_flight;
    let calls: Vec<u8> = (0..slots).flat_map(|slot| raw::call::<Stuck>(slot, 1, &[1])).collect();
    let (mut peers, mut refusal) = (Vec::new(), None);
    // Each brings as many calls as it may.
    while refusal.is_none() && peers.len() < 1000 {
        let mut raw = Raw::new(raw::connect(server.address()).expect("a connection"));
        raw.shake_hands();
        raw.send(&calls);
        raw.send(&raw::frame(FrameKind::PING, Flags::default(), &[1; 8]));
        loop {
            let frame = raw.answer();
            match frame.header.kind {
                FrameKind::PONG => break,
                _ => refusal = Some(frame.refusal()),
            }
        }
        peers.push(raw);
    }
    arena.gate.wait_for(WORKERS);
    let refusal = refusal.expect("calls wait without a bound");
    assert_eq!((refusal.code, refusal.ran), (RefusalCode::OVERLOADED, Ran::No));
    assert!(refusal.retry_after > Duration::ZERO, "it says when to come back");

    for _ in 0..20 {
        assert!(client.ping().expect("a pong") < SOON);
    }
    let hasty = server.client_with(|client| client.attempts(1)).expect("a client");
    let began = Instant::now();
    let problem = hasty.run::<Stuck>(1).expect_err("there is no room");
    assert_eq!((problem.kind(), problem.ran()), (Some(ProblemKind::Overloaded), Ran::No));
    assert!(began.elapsed() < SOON, "refused after {:?}", began.elapsed());
    let load = server.load();
    assert_eq!((load.workers, load.busy), (WORKERS, WORKERS));
    assert!(load.waiting > usize::from(slots), "{load:?}");

    // Who has gone is not run; the others are, once a handler comes back.
    drop(peers.split_off(1));
    arena.gate.open();
    let left = peers[0].answer();
    let Header { kind, .. } = left.header;
    assert_eq!(kind, FrameKind::REPLY);
    assert!(within(ms(20_000), || server.load().waiting == 0), "{:?}", server.load());
    assert!(hasty.run::<Stuck>(1).is_ok());
}

const WORKERS: usize = 4;

/// Waits at the gate, on a server that has nothing else.
#[derive(isock::Action)]
#[action(input = u32, output = u32)]
struct Stuck;
