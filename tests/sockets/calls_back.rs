//! Handlers and hooks that call back: where they may not, themselves, or without end.

use crate::arena::{Arena, Runs};
use isock::{
    proto::FRAGMENT,
    wire::{FrameKind, Settings},
    Action, Client, Connection, Failure, Limits, Peer, Problem, ProblemKind, Ran, ServerBuilder,
};
use isock_tests::{
    actions::{Echo, Hold},
    memory, raw,
    waiting::{eventually, ms},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{mpsc, Arc, Mutex, PoisonError},
    task::{Context as Polled, Wake, Waker},
    time::{Duration, Instant},
};

/// Calls [`Back`] of its caller.
#[derive(Action)]
#[action(input = u32, output = String)]
struct Again;

/// Calls [`Again`] of its caller, which calls it.
#[derive(Action)]
#[action(input = u32, output = String)]
struct Back;

/// Sends a million notes to its caller.
#[derive(Action)]
#[action()]
struct Push;

/// The same with calls.
#[derive(Action)]
#[action()]
struct PushCalls;

/// Takes a note.
#[derive(Action)]
#[action(input = u32)]
struct Note;

/// How long something may take that is refused at once.
const AT_ONCE: Duration = ms(50);
/// How long the inner call of a cycle waits.
const INNER: Duration = ms(100);

/// Where a row hears of what the server does for it, and nobody else.
pub(crate) struct Ear<T>(Arc<Mutex<Option<mpsc::Sender<T>>>>);

impl<T> Clone for Ear<T> {
    fn clone(&self) -> Ear<T> {
        Ear(Arc::clone(&self.0))
    }
}

impl<T> Default for Ear<T> {
    fn default() -> Ear<T> {
        Ear(Arc::default())
    }
}

impl<T> Ear<T> {
    pub(crate) fn listen(&self) -> mpsc::Receiver<T> {
        let (tell, told) = mpsc::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tell);
        told
    }

    /// Tells, if somebody listens.
    pub(crate) fn tell(&self, what: impl FnOnce() -> Option<T>) {
        let listening = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((listening, what)) = listening.and_then(|tell| Some((tell, what()?))) {
            // Who has heard enough is gone.
            let _ = listening.send(what);
        }
    }

    pub(crate) fn rest(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Blocking calls in a hook: what each was refused with, and how long that took.
pub(crate) type Tried = Vec<(&'static str, Option<Problem>, Duration)>;

fn try_all(connection: &Connection) -> Tried {
    let calls: [(_, &dyn Fn() -> Option<Problem>); 3] = [
        ("run", &|| connection.run::<Hold>(1).err()?.problem().cloned()),
        ("ping", &|| connection.ping().err()),
        ("wait", &|| connection.start::<Hold>(1).wait().err()?.problem().cloned()),
    ];
    let tried = calls.iter().map(|(what, call)| {
        let began = Instant::now();
        (*what, call(), began.elapsed())
    });
    tried.collect()
}

/// How many pushes were taken, and what became of the last that was not.
pub(crate) type Pushed = (u32, String);

pub(crate) fn serve(
    server: ServerBuilder,
    runs: &Runs,
    hooked: &Ear<Tried>,
    pushed: &Ear<Pushed>,
) -> ServerBuilder {
    let (runs, hooked) = (runs.clone(), hooked.clone());
    let (sent, called) = (pushed.clone(), pushed.clone());
    server
        .on_connect(move |connection| hooked.tell(|| Some(try_all(connection))))
        .on::<Again>(move |number, cx| {
            runs.add();
            Ok(cx.peer().run::<Back>(number)?)
        })
        .on::<Push>(move |(), cx| {
            sent.tell(|| Some(push(|n| cx.peer().send::<Note>(n))));
            Ok(())
        })
        .on::<PushCalls>(move |(), cx| {
            called.tell(|| Some(push(|n| called_back(cx.peer(), n))));
            Ok(())
        })
}

/// A call that nobody waits for. What is not taken has ended at once.
fn called_back(peer: &Peer, n: u32) -> Result<(), Problem> {
    let call = peer.start::<Note>(n);
    if call.is_finished() {
        return call.wait().map_err(|error| error.problem().cloned().expect("no error of its own"));
    }
    call.detach();
    Ok(())
}

fn push(one: impl Fn(u32) -> Result<(), Problem>) -> Pushed {
    let (mut taken, mut refused) = (0, String::new());
    for n in 0..MANY {
        match one(n) {
            Ok(()) => taken += 1,
            Err(problem) => refused = format!("{:?} {:?}", problem.kind(), problem.ran()),
        }
    }
    (taken, refused)
}

/// Row 62.
pub(crate) fn a_blocking_call_in_a_hook_is_refused_at_once(arena: &Arena) {
    let told = arena.hooked.listen();
    let serving = || arena.server.client_with(|client| client.on::<Hold>(|n, _| Ok(n)));
    let clients: Vec<Client> = (0..20).map(|_| serving().expect("a client")).collect();
    let tried = told.iter().take(clients.len()).flatten();
    for (what, problem, took) in tried {
        let problem = problem.expect("it would deadlock");
        assert_eq!(problem.kind(), ProblemKind::WouldDeadlock, "{what}");
        assert_ne!(problem.ran(), Ran::Yes, "{what}");
        assert!(took < AT_ONCE, "{what} took {took:?}");
    }
    arena.hooked.rest();

    let (sent, seen) = mpsc::channel();
    for client in clients {
        let calls = Waker::from(Arc::new(Calls(Mutex::new(Some(client.clone())), sent.clone())));
        let mut call = client.start::<Echo>("a future");
        if Pin::new(&mut call).poll(&mut Polled::from_waker(&calls)).is_pending() {
            let (kind, took) = seen.recv().expect("the waker is woken");
            assert_eq!(kind, Some(ProblemKind::WouldDeadlock));
            assert!(took < AT_ONCE, "{took:?}");
        }
    }
}

/// A waker that makes a blocking call.
struct Calls(Mutex<Option<Client>>, mpsc::Sender<(Option<ProblemKind>, Duration)>);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        let client = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = client {
            let began = Instant::now();
            let error = client.run::<Echo>("in a waker").err();
            let kind = error.and_then(|error| error.problem().map(Problem::kind));
            let _ = self.1.send((kind, began.elapsed()));
        }
    }
}

/// Row 63, on a server with one worker.
pub(crate) fn a_cycle_of_calls_is_refused_or_ends_at_its_deadline(arena: &Arena) {
    let client = arena.server.client_with(|client| {
        client.on::<Back>(|way, cx| {
            let (began, again) = (Instant::now(), cx.peer().request::<Again>(way).timeout(INNER));
            let again = match way {
                SHOWN => again.run(),
                _ => again.start().wait(),
            };
            let error = again.err().ok_or_else(|| Failure::new("the only worker was free"))?;
            let kind = error.problem().map(Problem::kind);
            let took = if began.elapsed() < INNER { "at once" } else { "in time" };
            Ok(format!("{kind:?} {:?} {took}", error.ran()))
        })
    });
    let client = client.expect("a client");
    for (way, expected) in [
        (SHOWN, "Some(Cycle) No at once"),
        // What is started can be waited for, or not: such a call does not say that it is.
        (NOT_SHOWN, "Some(Deadline)"),
        (SHOWN, "Some(Cycle) No at once"),
    ] {
        let began = Instant::now();
        let told = client.run::<Again>(way).expect("the outer call ends well");
        assert!(told.starts_with(expected), "{told}");
        assert!(began.elapsed() < INNER + ms(250), "{:?}", began.elapsed());
        assert_eq!(arena.runs.take(), 1, "the inner one must not run");
    }
}

/// How the inner call of a cycle is made.
const SHOWN: u32 = 1;
const NOT_SHOWN: u32 = 2;

/// The limits of row 64: a million pushes take as long as they do, on a machine that is busy with others
/// longer than a connection may otherwise go unread or be silent.
pub(crate) fn unread() -> Limits {
    Limits::default().output_stall(UNREAD).ping_after(UNREAD)
}

/// Row 64. The caller reads nothing of it.
pub(crate) fn a_handler_that_pushes_without_end_is_told(arena: &Arena) {
    for push in [raw::call::<Push> as Call, raw::call::<PushCalls>] {
        let told = arena.pushed.listen();
        let mut raw = arena.peer();
        let before = memory::watch();
        raw.send(&raw::settings(Settings { attended: true }));
        raw.send(&push(0, 1, &[]));
        let mut held = 0;
        let (taken, refused) = loop {
            held = held.max(arena.server.held_bytes());
            match told.recv_timeout(ms(1)) {
                Ok(pushed) => break pushed,
                Err(waiting) => assert_eq!(waiting, mpsc::RecvTimeoutError::Timeout, "it ends"),
            }
        };
        let grown = memory::peak().saturating_sub(before);
        assert!(grown <= MOST, "{grown} bytes of memory for a million pushes");
        assert!(held <= BACKLOG + FRAGMENT, "{held} bytes on the account");
        assert!(taken < MANY, "all of them were taken");
        assert!(refused.starts_with("Busy No"), "{refused}");
        // What was taken is not lost while the caller is there: it has a slot for each of sixteen.
        let came = (0..16).map(|_| raw.answer().header.kind);
        assert_eq!(came.filter(|kind| *kind == FrameKind::CALL).count(), 16);
        drop(raw);
        // What one of them holds is not to count for the next one.
        eventually("nothing is held", UNREAD, || arena.server.held_bytes() == 0);
    }
}

const MANY: u32 = 1_000_000;
const UNREAD: Duration = Duration::from_secs(600);
/// Bytes that may wait to be handed to the connection, and in it.
const BACKLOG: usize = 8 << 20;
/// What that takes in memory: tables double as they grow.
const MOST: usize = 3 * BACKLOG;

/// Encodes a call.
type Call = fn(u16, u32, &[u8]) -> Vec<u8>;
