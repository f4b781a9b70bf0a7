//! One-way sends in their order: those to one action on one connection run one after the other.
//!
//! Knows what waits behind what. Does not know threads or connections.

use super::{Task, Way};
use crate::{net::Charge, proto::Answer, sync::Turns, wire::Ran};
use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
};

/// Sends of one connection that may wait before no more are read from it.
const ENTRIES: usize = 1024;
/// The same in bytes.
const BYTES: usize = 1 << 20;
/// Sends of one lane that run before other work has its turn.
const TURN: usize = 64;
/// How many times as much may wait where reading must go on, for the answers of other calls. What
/// comes then is dropped.
const MOST: usize = 8;

/// The sends of one connection.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: HashMap<u32, Arc<Lane>>,
    load: Arc<Load>,
}

/// The sends to one action.
pub(crate) struct Lane {
    sends: Turns<Send>,
    load: Arc<Load>,
}

/// A send that waits, and what it costs a server until it has run.
struct Send {
    task: Task,
    _charge: Option<Charge>,
}

/// What waits on all lanes of a connection.
#[derive(Default)]
struct Load {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Lanes {
    /// Queues a send to the action with this number; gives the lane if somebody must run it.
    pub(crate) fn push(
        &mut self,
        action: u32,
        task: Task,
        charge: Option<Charge>,
    ) -> Option<Arc<Lane>> {
        let load = &self.load;
        if load.is_above(MOST * ENTRIES, MOST * BYTES) {
            task.log("was dropped: too many sends wait");
            return None;
        }
        let lane = self
            .lanes
            .entry(action)
            .or_insert_with(|| Arc::new(Lane { sends: Turns::new(), load: Arc::clone(load) }));
        load.entries.fetch_add(1, Ordering::Relaxed);
        load.bytes.fetch_add(task.size(), Ordering::Relaxed);
        let idle = lane.sends.push(Send { task, _charge: charge });
        idle.then(|| Arc::clone(lane))
    }

    /// Bytes that wait.
    pub(crate) fn held(&self) -> usize {
        self.load.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing waits or runs.
    pub(crate) fn are_idle(&self) -> bool {
        self.load.entries.load(Ordering::Relaxed) == 0
    }

    /// Whether no more should be read from the connection for now.
    pub(crate) fn are_full(&self) -> bool {
        self.load.is_above(ENTRIES, BYTES)
    }
}

impl Load {
    fn is_above(&self, entries: usize, bytes: usize) -> bool {
        self.entries.load(Ordering::Relaxed) >= entries
            || self.bytes.load(Ordering::Relaxed) >= bytes
    }

    fn less(&self, task: &Task) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(task.size(), Ordering::Relaxed);
    }
}

impl Lane {
    /// Runs what waits, for a turn; false if the lane is idle from then on. `relieved` is called
    /// whenever the connection may be read again.
    pub(crate) fn run(&self, relieved: impl Fn()) -> bool {
        (0..TURN).all(|_| self.run_one(&relieved))
    }

    fn run_one(&self, relieved: &impl Fn()) -> bool {
        let Some(Send { mut task, _charge }) = self.sends.next() else { return false };
        // Nobody waits for the answer: what went wrong is the operator's alone.
        task.run(Way::Nowhere);
        match task.take_answer() {
            Some(Answer::Error(_)) => task.log("failed, and nobody waits for its error"),
            Some(Answer::Refusal(refusal)) if refusal.ran == Ran::No => {
                task.log(&format!("was sent what it cannot run with: {}", refusal.text));
            }
            _ => {}
        }
        let was_full = self.load.is_above(ENTRIES, BYTES);
        self.load.less(&task);
        if was_full && !self.load.is_above(ENTRIES, BYTES) {
            relieved();
        }
        true
    }

    /// Drops what waits: the server has no thread for it.
    pub(crate) fn give_up(&self) {
        for Send { task, .. } in &self.sends.give_up() {
            self.load.less(task);
            task.log("was dropped: too many calls wait");
        }
    }
}
