//! What workers do for a loop: a call that may take long, and one-way sends in their order.
//!
//! Knows where an answer goes. Does not know why a call is not quick.

use super::stopping;
use crate::{
    net::{self, Charge, Command, ConnId, Remote},
    pace::Pace,
    proto::{Answer, ServedKey},
    serving::{Lane, Task, Way, Work, Workers},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) fn run_lane(workers: &Workers, remote: &Remote, connection: ConnId, lane: Arc<Lane>) {
    let work = LaneTurn { workers: workers.clone(), remote: remote.clone(), connection, lane };
    if let Err(work) = workers.run(connection.number(), Box::new(work)) {
        work.give_up();
    }
}

/// A call that waits for a worker.
pub(super) struct Queued {
    pub(super) task: Task,
    pub(super) connection: ConnId,
    pub(super) key: ServedKey,
    /// What the input costs until it is gone.
    pub(super) charge: Option<Charge>,
}

impl Work for Queued {
    fn run(mut self: Box<Self>) {
        let (far, key) = (self.task.peer().far(), self.key);
        let later = self.task.run(Way::Far(key));
        if let (Some(deferred), Some(charge)) = (&later, self.charge.take()) {
            deferred.keep(charge);
        }
        let answer = self.task.take_answer();
        // What it holds goes before its caller has the answer.
        drop(self);
        if let (Some(far), Some(answer)) = (far, answer) {
            far.answer(key, answer);
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        self.task.patience(now) == Some(Duration::ZERO)
    }

    fn give_up(self: Box<Self>) {
        let (far, key) = (self.task.peer().far(), self.key);
        drop(self);
        if let Some(far) = far {
            far.answer_at_once(key, Answer::Refusal(stopping()));
        }
    }
}

/// One-way sends that wait for a worker.
struct LaneTurn {
    workers: Workers,
    remote: Remote,
    connection: ConnId,
    lane: Arc<Lane>,
}

impl Work for LaneTurn {
    fn run(self: Box<Self>) {
        let LaneTurn { workers, remote, connection, lane } = *self;
        let relieved = || drop(remote.send(Command::Look(connection)));
        if lane.run(relieved) {
            run_lane(&workers, &remote, connection, lane);
        }
    }

    fn give_up(self: Box<Self>) {
        self.lane.give_up();
    }
}

impl net::Pace for Pace {
    fn took(&self, took: Duration, runs: u32) {
        Pace::note_runs(self, took, runs);
    }

    fn held_up(&self) {
        Pace::held_up(self);
    }

    fn blocks(&self) {
        Pace::blocks(self);
    }
}
