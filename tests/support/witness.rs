//! A well-behaved client that calls while others misbehave.

use crate::{
    actions::Echo,
    usage::{self, Usage, Waits},
};
use isock::Client;
use std::{
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// It makes at least this many calls.
pub const CALLS: usize = 200;
/// None of them may take longer.
pub const STALL: Duration = Duration::from_millis(250);

/// Calls [`Echo`] on a thread of its own, one call after the other.
#[derive(Debug)]
pub struct Witness {
    enough: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    thread: JoinHandle<Seen>,
}

/// What the witness saw.
#[derive(Debug, Default)]
pub struct Seen {
    calls: usize,
    /// Calls that took longer than [`STALL`]. Not how long each took: that is memory, which attacks are
    /// judged by.
    stalled: usize,
    worst: Duration,
    error: Option<String>,
}

impl Witness {
    /// Begins to call a server in this process.
    pub fn start(client: Client) -> Witness {
        Witness::start_at(client, usage::own())
    }

    /// Begins to call a server in that process.
    pub fn start_at(client: Client, server: Usage) -> Witness {
        let (enough, made) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (until, count) = (Arc::clone(&enough), Arc::clone(&made));
        let thread = thread::spawn(move || watch(&client, server, &until, &count));
        Witness { enough, made, thread }
    }

    /// Whether it has made all its calls already, or one of them has failed.
    pub fn has_seen_enough(&self) -> bool {
        CALLS <= self.made.load(Ordering::Relaxed) || self.thread.is_finished()
    }

    /// Makes the rest of its calls, and says whether it was served well all the time.
    ///
    /// # Errors
    /// What it saw instead.
    pub fn finish(self) -> Result<(), String> {
        self.judge(0)
    }

    /// The same where the attack is meant to use up the machine: one call in twenty may stall for
    /// want of a processor. A server that starves its clients stalls all of them.
    ///
    /// # Errors
    /// What it saw instead.
    pub fn finish_on_a_full_machine(self) -> Result<(), String> {
        self.judge(20)
    }

    /// One call in `spare` may stall; none if it is 0.
    fn judge(self, spare: usize) -> Result<(), String> {
        self.enough.store(true, Ordering::Relaxed);
        let seen = self.thread.join().map_err(|_| "the witness panicked".to_owned())?;
        let spared = seen.calls.checked_div(spare).unwrap_or(0);
        match seen {
            Seen { error: Some(error), .. } => Err(format!("the witness was refused: {error}")),
            Seen { stalled, worst, .. } if stalled > spared => Err(format!(
                "the witness waited {worst:?}, more than {STALL:?}, at {stalled} calls"
            )),
            Seen { calls, .. } if calls < CALLS => Err(format!("the witness made {calls} calls")),
            _ => Ok(()),
        }
    }
}

fn watch(client: &Client, server: Usage, enough: &AtomicBool, made: &AtomicUsize) -> Seen {
    let mut seen = Seen::default();
    let mut machine = Machine::new(server);
    while seen.calls < CALLS || !enough.load(Ordering::Relaxed) {
        machine.look_again();
        let before = Instant::now();
        let text = format!("call {}", seen.calls);
        match client.run::<Echo>(&text) {
            Ok(echo) if echo == text => {}
            Ok(echo) => seen.error = Some(format!("{echo:?} for {text:?}")),
            Err(error) => seen.error = Some(error.to_string()),
        }
        let mut waited = before.elapsed();
        if waited > STALL {
            waited = waited.saturating_sub(machine.kept_us_waiting());
        }
        seen.stalled += usize::from(waited > STALL);
        seen.worst = seen.worst.max(waited);
        seen.calls += 1;
        made.store(seen.calls, Ordering::Relaxed);
        if seen.error.is_some() {
            break;
        }
    }
    seen
}

/// A machine that is busy with other programs lets threads wait for a processor. That is not the
/// server's doing, and the kernel tells it apart.
#[derive(Debug)]
pub struct Machine {
    server: Usage,
    caller: u64,
    seen: (Instant, Waits),
}

/// The machine is looked at this often: it costs as much as a few calls.
const LOOK: Duration = Duration::from_millis(20);

impl Machine {
    /// Looks at this thread and at a server.
    pub fn new(server: Usage) -> Machine {
        let caller = usage::thread_id();
        Machine { server, caller, seen: (Instant::now(), Machine::look(server, caller)) }
    }

    fn look(server: Usage, caller: u64) -> Waits {
        let mut waits = usage::own().kept_waiting(caller);
        if server != usage::own() {
            waits.add(server.kept_waiting(caller));
        }
        waits
    }

    fn look_again(&mut self) {
        if self.seen.0.elapsed() >= LOOK {
            self.seen = (Instant::now(), Machine::look(self.server, self.caller));
        }
    }

    /// How long it was busy with others since the last look, while we were ready to run.
    pub fn kept_us_waiting(&self) -> Duration {
        Machine::look(self.server, self.caller).since(&self.seen.1)
    }
}
