//! The server under attack, and what must be as before when an attack is over.

use crate::{
    calls_back::{self, Ear, Pushed, Tried},
    consumers, control, handlers, payloads,
    responders::{self, Deferred},
    slots::{self, Crowd},
    streams,
};
use isock::{wire::spare, Address, Client, Limits, Responder, Server, ServerHandle};
use isock_tests::{
    actions::{Echo, Hold},
    gate::{Gate, OpensAtTheEnd},
    memory,
    raw::{self, Host, Raw, Then},
    usage,
    waiting::{eventually, ms, pass, within},
    witness::Witness,
};
use std::{
    collections::BTreeMap,
    env, fs,
    panic::{catch_unwind, AssertUnwindSafe},
    path::PathBuf,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::Duration,
};

/// A kind of socket.
pub(crate) struct Transport {
    pub(crate) name: &'static str,
    /// Where a server can listen.
    pub(crate) listen: fn() -> String,
    /// The address of a listener that answers one client with these bytes, and then stays or leaves.
    pub(crate) answering: fn(Vec<u8>, Then) -> String,
    /// A listener whose clients the test serves by hand.
    pub(crate) hosting: fn() -> Host,
}

pub(crate) const TRANSPORTS: &[Transport] = &[
    Transport {
        name: "tcp",
        listen: || "127.0.0.1:0".to_owned(),
        answering: raw::answering,
        hosting: Host::tcp,
    },
    Transport {
        name: "unix",
        listen: || format!("unix:{}", path().display()),
        answering: |bytes, then| raw::answering_at(&path(), bytes, then),
        hosting: || Host::unix(&path()),
    },
];

/// A fresh path, in a folder that [`forget_paths`] removes.
fn path() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    fs::create_dir_all(folder()).expect("a folder for sockets");
    folder().join(COUNT.fetch_add(1, Ordering::Relaxed).to_string())
}

fn folder() -> PathBuf {
    env::temp_dir().join(format!("isock-sockets-{}", std::process::id()))
}

/// Removes the folder of the sockets.
pub(crate) fn forget_paths() {
    // What is left in it was left by a test that failed, which has been told already.
    let _ = fs::remove_dir_all(folder());
}

/// All is as before by then.
const SETTLED: Duration = Duration::from_secs(5);
/// What may stay, in bytes: tables of the loop, which grow with the calls in flight.
const STAYS: usize = 512 * 1024;
/// How long a server is watched that has nothing to do, with so many looks at its threads, and how often
/// these may be woken meanwhile: those that watch a loop look every few milliseconds.
const WATCHED: Duration = ms(50);
const LOOKS: u32 = 10;
const WAKES: u64 = 120;

/// How often handlers have run that an attack must not reach, or not more often than it says.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Runs since this was asked last. What is left at the end is an error.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// The server under attack.
pub(crate) struct Arena {
    pub(crate) transport: &'static Transport,
    /// Before the server, which waits for its handlers.
    _opens: OpensAtTheEnd,
    pub(crate) server: ServerHandle,
    pub(crate) runs: Runs,
    /// The handlers of `Inside`.
    pub(crate) crowd: Crowd,
    /// Holds the handler of `Peek`.
    pub(crate) gate: Gate,
    /// Lines that the operator got.
    pub(crate) logged: Arc<AtomicUsize>,
    /// Hears of blocking calls in the server's hook, which makes them for who listens.
    pub(crate) hooked: Ear<Tried>,
    /// Gets the responders of calls that are answered later.
    pub(crate) deferred: Ear<Responder<Deferred>>,
    /// Hears of handlers that push.
    pub(crate) pushed: Ear<Pushed>,
}

/// Handlers run on so many threads: few, so that they all exist soon.
pub(crate) const WORKERS: usize = 8;
/// More than one, since each of several is what a single one would be.
pub(crate) const LOOPS: usize = 2;

impl Arena {
    pub(crate) fn new(transport: &'static Transport, limits: Limits, workers: usize) -> Arena {
        let (runs, gate, logged) = (Runs::default(), Gate::new(), Arc::<AtomicUsize>::default());
        let (hooked, pushed, crowd) = (Ear::default(), Ear::default(), Crowd::default());
        let deferred = Ear::default();
        let slots = limits.in_flight;
        let (held, lines) = (runs.clone(), Arc::clone(&logged));
        let server = Server::builder()
            .limits(limits)
            .workers(workers)
            .event_loops(LOOPS)
            .log(move |_| {
                lines.fetch_add(1, Ordering::Relaxed);
            })
            .on::<Echo>(|text, _| Ok(text))
            .on::<Hold>(move |number, _| {
                held.add();
                Ok(number)
            });
        let server = handlers::serve(payloads::serve(server, &runs), &runs, &gate);
        let server = streams::serve(control::serve(server), &runs, &gate);
        let server = slots::serve(consumers::serve(server), &runs, &gate, &crowd);
        let server = calls_back::serve(server, &runs, &hooked, &pushed);
        let server = responders::serve(server, &runs, &deferred);
        let server = server.bind((transport.listen)()).and_then(Server::spawn).expect("a server");
        let _opens = gate.opened_at_the_end();
        let arena = Arena {
            transport,
            server,
            runs,
            crowd,
            gate,
            logged,
            hooked,
            deferred,
            pushed,
            _opens,
        };
        arena.warm_up(slots);
        arena
    }

    /// Has the server take what it keeps: its buffer for the longest frame, and tables that grow
    /// with the calls in flight.
    fn warm_up(&self, slots: u16) {
        let client = self.client();
        for text in ["x".repeat(200_000), "x".repeat(600_000)] {
            client.run::<Echo>(&text).expect("an echo");
        }
        let mut raw = self.peer();
        for seq in 1..=10 {
            let call = |slot| raw::call::<Echo>(slot, seq, &raw::text("x"));
            raw.send(&(0..slots).flat_map(call).collect::<Vec<u8>>());
            (0..slots).for_each(|_| drop(raw.answer()));
        }
    }

    pub(crate) fn address(&self) -> Address {
        self.server.address()
    }

    /// A peer that has said nothing yet.
    pub(crate) fn stranger(&self) -> Raw {
        Raw::new(raw::connect(self.address()).expect("a connection"))
    }

    /// A peer that has exchanged prefaces.
    pub(crate) fn peer(&self) -> Raw {
        let mut raw = self.stranger();
        raw.shake_hands();
        raw
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address()).expect("a client")
    }

    /// Runs an attack, with the witness beside it: again and again, if it is over before the
    /// witness has made its calls.
    pub(crate) fn withstands(&self, attack: fn(&Arena)) -> Result<(), String> {
        let before = Before::now();
        let witness = Witness::start(self.client());
        let attacked = survives(|| loop {
            self.begin_anew();
            attack(self);
            assert_eq!(self.runs.take(), 0, "an attack reached a handler once more");
            if witness.has_seen_enough() {
                break;
            }
        });
        let missed = !witness.has_seen_enough();
        witness.finish()?;
        attacked?;
        survives(|| {
            assert!(!missed, "the attack was over before the witness had made its calls");
            before.is_back();
            self.holds_nothing();
            is_idle();
        })
    }

    fn begin_anew(&self) {
        self.gate.close();
        self.logged.store(0, Ordering::Relaxed);
    }

    fn holds_nothing(&self) {
        let held = || self.server.held_bytes();
        assert!(within(SETTLED, || held() == 0), "{} bytes have stayed on the account", held());
    }
}

/// What a server and its clients used before an attack.
struct Before {
    descriptors: usize,
    memory: usize,
}

impl Before {
    /// What the process keeps of the memory of long messages counts as what stays.
    fn now() -> Before {
        spare::release();
        Before { descriptors: usage::own().descriptors(), memory: memory::held() }
    }

    fn is_back(&self) {
        let more = || usage::own().descriptors().saturating_sub(self.descriptors);
        assert!(within(SETTLED, || more() == 0), "{} descriptors have stayed", more());
        let more = || memory::held().saturating_sub(self.memory);
        assert!(within(SETTLED, || more() <= STAYS), "{} bytes of memory have stayed", more());
    }
}

/// A server without calls sleeps: at most looks a thread of it waits for something, and none is woken
/// all the time. The processor's time would not tell, where other programs have the processors.
fn is_idle() {
    let own = usage::own();
    eventually("the server rests", SETTLED, || {
        let (before, mut ready) = (own.runs(), BTreeMap::<u64, u32>::new());
        for _ in 0..LOOKS {
            pass(WATCHED / LOOKS);
            own.ready().into_iter().for_each(|thread| *ready.entry(thread).or_default() += 1);
        }
        let sleep = ready.into_values().all(|looks| looks <= LOOKS / 2);
        sleep && own.runs().saturating_sub(before) <= WAKES
    });
}

/// What a failed assertion said.
pub(crate) fn survives(claim: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(claim)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}
