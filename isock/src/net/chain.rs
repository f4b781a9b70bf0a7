//! Which handlers wait for which calls, so that a call can be told that its own callers keep it
//! from running.
//!
//! A handler that blocks in a call is a *step*: this program's random number and the call's own. The
//! call carries the steps that wait for it, one of each program, since a program remembers which
//! of its steps waits for which. Knows threads and numbers. Does not know connections or actions.

use crate::{process::OfProcess, wire::ChainStep};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex, MutexGuard, OnceLock, PoisonError,
    },
};

/// The thread of a pool that a handler runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pool: u64,
    /// Whose job it is there.
    pub(crate) turn: u64,
}

/// A handler that blocks in a call.
struct Step {
    /// The step of this program that waits for this handler, if there is one.
    before: Option<u64>,
    place: Option<Place>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stand {
    #[default]
    Elsewhere,
    Handler,
    /// In a call already: what runs now is code of a value that is being decoded.
    Waiting,
}

thread_local! {
    static STAND: Cell<Stand> = const { Cell::new(Stand::Elsewhere) };
    /// The calls that wait for this thread's handler; empty unless it has some.
    static CHAIN: RefCell<Vec<ChainStep>> = const { RefCell::new(Vec::new()) };
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
}

type Steps = OnceLock<Mutex<HashMap<u64, Step>>>;

static STEPS: OfProcess<Steps> = OfProcess::new(OnceLock::new(), OnceLock::new);

fn steps() -> MutexGuard<'static, HashMap<u64, Step>> {
    STEPS.get().get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// This program's number; `None` if the system has no random one. A child after a fork has its own.
fn process() -> Option<u64> {
    static RANDOM: OnceLock<Option<u64>> = OnceLock::new();
    let random = RANDOM.get_or_init(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).ok().map(|()| u64::from_le_bytes(bytes))
    });
    random.map(|random| random.wrapping_add(u64::from(std::process::id())))
}

/// Says what jobs of a pool this thread runs from now on.
pub(crate) fn work_at(place: Place) {
    PLACE.set(Some(place));
}

/// Brings back what held before, whichever way the handler ends.
struct Before(Stand, bool);

impl Drop for Before {
    fn drop(&mut self) {
        STAND.set(self.0);
        if self.1 {
            forget_chain();
        }
    }
}

/// Runs the handler of a call that others may wait for.
#[inline]
pub(crate) fn handling<T>(chain: Vec<ChainStep>, run: impl FnOnce() -> T) -> T {
    let _before = Before(STAND.replace(Stand::Handler), !chain.is_empty());
    if !chain.is_empty() {
        CHAIN.set(chain);
    }
    run()
}

/// Whether this thread runs such a handler, and does not wait for a call of its own.
#[inline]
pub(crate) fn is_handling() -> bool {
    STAND.get() == Stand::Handler
}

/// Nobody waits any more for this thread's handler to return.
pub(crate) fn forget_chain() {
    drop(CHAIN.take());
}

/// A handler that blocks in a call, until this is dropped on the same thread.
pub(crate) struct Waiting {
    call: u64,
    chain: Vec<ChainStep>,
}

impl Waiting {
    /// What the call is to carry.
    pub(crate) fn chain(&self) -> Vec<ChainStep> {
        self.chain.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        STAND.set(Stand::Handler);
        steps().remove(&self.call);
    }
}

/// Said before a call is sent that this thread will block in until it ends; `None` unless a handler
/// runs on it.
pub(crate) fn begin_to_wait() -> Option<Waiting> {
    if !is_handling() {
        return None;
    }
    let process = process()?;
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let call = NEXT.fetch_add(1, Ordering::Relaxed);
    let (own, mut chain): (Vec<_>, Vec<_>) =
        CHAIN.with_borrow(|chain| chain.iter().partition(|step| step.process == process));
    chain.push(ChainStep { process, call });
    let before = own.last().map(|step| step.call);
    steps().insert(call, Step { before, place: PLACE.get() });
    STAND.set(Stand::Waiting);
    Some(Waiting { call, chain })
}

/// The threads of this program that wait until a call with this chain ends.
pub(crate) fn waiters(chain: &[ChainStep]) -> Vec<Place> {
    if chain.is_empty() {
        return Vec::new();
    }
    let process = process();
    let own = chain.iter().rev().find(|step| Some(step.process) == process);
    let (mut next, mut places) = (own.map(|step| step.call), Vec::new());
    let steps = steps();
    // A step that is not there has ended, and whoever waited for it does not wait for this call.
    while let Some((call, step)) = next.and_then(|call| Some((call, steps.get(&call)?))) {
        places.extend(step.place);
        // Numbers grow, so that what a peer makes up cannot lead in a circle.
        next = step.before.filter(|before| *before < call);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// On a thread of a pool of its own, a handler of a call with this chain, which calls in turn.
    fn handled(pool: u64, chain: Vec<ChainStep>, called: impl FnOnce(Vec<ChainStep>) + Send) {
        let run = || {
            work_at(Place { pool, turn: pool });
            handling(chain, || {
                let waiting = begin_to_wait().expect("a handler");
                assert!(begin_to_wait().is_none(), "it waits already");
                called(waiting.chain());
            });
        };
        thread::scope(|scope| scope.spawn(run).join().expect("it holds"));
    }

    fn pools(chain: &[ChainStep]) -> Vec<u64> {
        waiters(chain).iter().map(|place| place.pool).collect()
    }

    #[test]
    fn handlers_that_wait_for_each_other_are_found_by_one_step() {
        let stranger = ChainStep { process: !process().unwrap_or(0), call: 1 };
        handled(1, vec![], |first| {
            handled(2, [first, vec![stranger]].concat(), |second| {
                assert_eq!(second.len(), 2, "one step for each program");
                assert_eq!(pools(&second), [2, 1]);
            });
        });
    }

    #[test]
    fn whoever_has_gone_on_does_not_wait() {
        let mut old = Vec::new();
        handled(1, vec![], |chain| old = chain);
        assert_eq!(pools(&old), []);
        handled(2, old.clone(), |chain| assert_eq!(pools(&chain), [2]));
    }

    #[test]
    fn a_chain_that_a_peer_makes_up_leads_nowhere() {
        let process = process().unwrap_or(0);
        handled(1, vec![ChainStep { process, call: u64::MAX }], |chain| {
            assert_eq!(pools(&chain), [1]);
        });
        let made_up: Vec<_> = (0..16).map(|call| ChainStep { process, call }).collect();
        assert_eq!(pools(&made_up), []);
    }

    #[test]
    fn a_thread_without_a_handler_is_no_step() {
        assert!(begin_to_wait().is_none());
        handling(vec![], || drop(begin_to_wait().expect("a handler")));
        assert!(begin_to_wait().is_none());
    }

    #[test]
    fn a_handler_that_nobody_waits_for_begins_a_chain_of_its_own() {
        handled(1, vec![], |first| {
            let deferred = || {
                handling(first, || {
                    forget_chain();
                    begin_to_wait().expect("a handler").chain()
                })
            };
            let chain = thread::scope(|scope| scope.spawn(deferred).join().expect("it holds"));
            assert_eq!(chain.len(), 1);
            assert_eq!(pools(&chain), []);
        });
    }
}
