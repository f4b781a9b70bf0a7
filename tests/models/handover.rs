//! The loop, its watcher, and handlers that hold it up.

use crate::{
    net::{
        blocking::{about_to_block, hook, WouldDeadlock},
        event_loop::{ConnId, Done, EventLoop, Job, Pace, Record, Service},
        handover::serve,
        pending::{wake_all, Ended, Pending},
    },
    pair::served_key,
    proto::{Answer, ServedKey, SharedBody},
    wire::Block,
};
use isock_models::{
    model,
    std::{
        sync::{
            atomic::{AtomicU32, Ordering},
            Arc,
        },
        thread,
        time::{let_pass, Duration, Instant},
    },
};

/// Between two looks of the watcher.
const TICK: Duration = Duration::from_millis(4);

/// More looks than it takes until the watcher sleeps.
const LOOKS: usize = 12;

/// What a call does when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// It returns.
    Returns,
    /// It lasts for a while.
    Lasts,
    /// It does not return before another call has.
    WaitsUnseen,
    /// The same, and it says so before.
    Waits,
    /// It says twice that it waits, and has no need to.
    SaysItWaits,
}

struct Call {
    number: u64,
    does: Does,
    key: ServedKey,
    /// What another call has done.
    other: Arc<Other>,
    seen: Arc<Seen>,
}

/// What one call waits for and another one does.
struct Other {
    /// A place for each call that waits.
    pending: Vec<Pending>,
}

impl Other {
    fn is_done(&self) {
        let ends = self.pending.iter().filter_map(|it| it.end(Ended::Value(Block::default())));
        wake_all(ends.collect());
    }
}

/// What has become known of a call.
#[derive(Default)]
struct Seen {
    runs: AtomicU32,
    held_up: AtomicU32,
    blocks: AtomicU32,
}

struct Calls;

impl Service for Calls {
    type Job = Call;
}

impl Call {
    fn end(&self) -> Done {
        self.seen.runs.fetch_add(1, Ordering::SeqCst);
        let answer = Some(Answer::Value(SharedBody::new(Vec::new())));
        Done { connection: ConnId(self.number), key: self.key, answer }
    }
}

impl Job for Call {
    fn run(&mut self, now: Instant) -> bool {
        match self.does {
            Does::Returns => self.other.is_done(),
            Does::Lasts => (0..2).for_each(|_| thread::yield_now()),
            Does::WaitsUnseen | Does::Waits => {
                if self.does == Does::Waits {
                    about_to_block().unwrap();
                }
                let mine = &self.other.pending[self.number as usize];
                mine.block(now + Duration::from_secs(60)).expect("in time");
            }
            Does::SaysItWaits => {
                about_to_block().unwrap();
                thread::yield_now();
                about_to_block().unwrap();
            }
        }
        true
    }

    fn done(&mut self) -> Done {
        self.end()
    }

    fn done_late(self) -> Done {
        self.end()
    }

    fn pace(&self) -> Arc<dyn Pace> {
        Arc::clone(&self.seen) as Arc<dyn Pace>
    }

    /// Each is an action of its own.
    fn is_of(&self, _: &Arc<dyn Pace>) -> bool {
        false
    }

    fn elsewhere(self) -> Done {
        if self.does == Does::Returns {
            self.other.is_done();
        }
        self.end()
    }
}

impl Pace for Seen {
    fn took(&self, _: Duration, _: u32) {}

    fn held_up(&self) {
        self.held_up.fetch_add(1, Ordering::SeqCst);
    }

    fn blocks(&self) {
        self.blocks.fetch_add(1, Ordering::SeqCst);
    }
}

/// Serves these calls, one batch each, while the watcher looks so many times by itself: every one
/// runs once and is answered once, and no thread has the loop again that has lost it. Says what has
/// become known of each.
fn served(looks: usize, calls: &[Does]) -> Vec<Arc<Seen>> {
    served_in(1, looks, calls)
}

/// The same in batches of so many.
fn served_in(batch: usize, looks: usize, calls: &[Does]) -> Vec<Arc<Seen>> {
    let_pass(TICK, looks);
    let pending = calls.iter().map(|_| Pending::default()).collect();
    let (key, other) = (served_key(), Arc::new(Other { pending }));
    let all: Vec<_> = calls.iter().map(|_| Arc::<Seen>::default()).collect();
    let mut arriving = calls.iter().zip(&all).enumerate().map(|(number, (does, seen))| Call {
        number: number as u64,
        does: *does,
        key,
        other: Arc::clone(&other),
        seen: Arc::clone(seen),
    });
    let batches = (0..calls.len()).step_by(batch).map(|_| arriving.by_ref().take(batch).collect());
    let event_loop = EventLoop::<Calls>::with(batches.collect());
    let record = event_loop.record();
    serve(vec![event_loop]);
    let Record { answered, leaders } = &mut *record.lock().unwrap();
    answered.sort_unstable();
    assert!(answered.iter().copied().eq(0..calls.len() as u64), "{answered:?}");
    assert!(all.iter().all(|seen| seen.runs.load(Ordering::SeqCst) == 1));
    leaders.sort_by_key(|id| format!("{id:?}"));
    let many = leaders.len();
    leaders.dedup();
    assert_eq!(leaders.len(), many, "a thread has the loop back that has lost it");
    all
}

/// A call lasts for two looks, and returns at the moment at which the loop is taken.
#[test]
fn the_loop_has_one_leader_when_a_call_returns_as_it_is_taken() {
    model(2, || {
        served(LOOKS, &[Does::Lasts, Does::Returns]);
    });
}

/// A call waits for what the loop carries, and says so: no time need pass.
#[test]
fn a_call_that_waits_gives_the_loop_away_at_once() {
    model(1, || {
        served(0, &[Does::Waits, Does::Returns]);
    });
}

/// A call that says nothing is found out, also if it begins as the watcher falls asleep.
#[test]
fn a_call_that_never_returns_by_itself_is_found_out() {
    model(1, || {
        served(LOOKS, &[Does::WaitsUnseen, Does::Returns]);
    });
}

/// Only a call that has said that it waits counts as one from then on.
#[test]
fn no_call_is_blamed_for_the_wait_of_another() {
    model(2, || {
        let all = served(0, &[Does::SaysItWaits, Does::Lasts]);
        assert_eq!(all[1].blocks.load(Ordering::SeqCst), 0);
    });
}

/// Two calls of different actions wait for a third at once: the loop is given away twice.
#[test]
fn a_second_call_that_waits_gives_the_loop_away_while_the_first_still_waits() {
    model(1, || {
        served(0, &[Does::Waits, Does::Waits, Does::Returns]);
    });
}

/// What is in a batch with a call that does not return goes on without it.
#[test]
fn a_call_is_run_although_the_one_before_it_in_its_batch_never_returns() {
    model(1, || {
        served_in(2, LOOKS, &[Does::WaitsUnseen, Does::Returns]);
    });
    model(1, || {
        served_in(3, 0, &[Does::Lasts, Does::Waits, Does::Returns]);
    });
}

/// Two that say nothing are found out one after the other.
#[test]
fn a_second_call_that_never_returns_is_found_out_while_the_first_lasts() {
    model(1, || {
        served(LOOKS, &[Does::WaitsUnseen, Does::WaitsUnseen, Does::Returns]);
    });
}
