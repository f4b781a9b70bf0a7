//! The loop that holds the connections, as far as threads see it: calls that arrive one batch after
//! the other, and answers.

use super::remote::{Command, Remote};
use crate::proto::{Answer, ServedKey};
use isock_models::{
    mio::Waker,
    std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
        thread::{self, ThreadId},
        time::{Duration, Instant},
    },
};

/// Names a connection; here the call that an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnId(pub(crate) u64);

impl ConnId {
    /// A number of its own.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Whoever knows what calls mean.
pub(crate) trait Service: Send + 'static {
    type Job: Job;
}

/// A call with all that it needs to run on any thread.
pub(crate) trait Job: Send {
    fn run(&mut self, at_most: Instant) -> bool;
    fn done(&mut self) -> Done;
    fn done_late(self) -> Done;
    fn pace(&self) -> Arc<dyn Pace>;
    fn is_of(&self, pace: &Arc<dyn Pace>) -> bool;
    /// Its answer from a worker.
    fn elsewhere(self) -> Done;
}

/// Where quick calls run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Here,
    Elsewhere,
}

/// Hears whether an action is quick.
pub(crate) trait Pace: Send + Sync {
    fn took(&self, took: Duration, runs: u32);
    fn held_up(&self);
    fn blocks(&self);
}

/// An answer, and where it goes.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) connection: ConnId,
    pub(crate) key: ServedKey,
    /// None yet, if the handler answers later.
    pub(crate) answer: Option<Answer>,
}

/// What a loop has done.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Calls that have been answered.
    pub(crate) answered: Vec<u64>,
    /// Who has led it, one after the other.
    pub(crate) leaders: Vec<ThreadId>,
}

pub(crate) struct EventLoop<S: Service> {
    remote: Remote,
    waker: Waker,
    arriving: VecDeque<Vec<S::Job>>,
    jobs: VecDeque<S::Job>,
    /// One has begun and not ended.
    begun: bool,
    left: usize,
    record: Arc<Mutex<Record>>,
}

impl<S: Service> EventLoop<S> {
    /// One on which these batches of calls arrive.
    pub(crate) fn with(arriving: Vec<Vec<S::Job>>) -> EventLoop<S> {
        let waker = Waker::default();
        EventLoop {
            remote: Remote::new(waker.clone()),
            waker,
            left: arriving.iter().map(Vec::len).sum(),
            arriving: arriving.into(),
            jobs: VecDeque::new(),
            begun: false,
            record: Arc::default(),
        }
    }

    pub(crate) fn record(&self) -> Arc<Mutex<Record>> {
        Arc::clone(&self.record)
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    pub(crate) fn is_first(&self) -> bool {
        true
    }

    pub(crate) fn gather(&mut self) {
        let me = thread::current().id();
        let mut record = self.record.lock().unwrap();
        if record.leaders.last() != Some(&me) {
            record.leaders.push(me);
        }
        drop(record);
        match self.arriving.pop_front() {
            Some(batch) => self.jobs.extend(batch),
            None if self.jobs.is_empty() => self.waker.poll(),
            None => {}
        }
        let mut commands = Vec::new();
        self.remote.take(&mut commands);
        for command in commands {
            let Command::Answer { connection, key, answer, .. } = command else {
                panic!("nobody asks for {command:?}");
            };
            self.finish(Done { connection, key, answer: Some(answer) });
        }
    }

    pub(crate) fn heard(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn next_job(&mut self, run: Run, _: Option<S::Job>) -> Option<S::Job> {
        while let Some(job) = self.jobs.pop_front() {
            match run {
                Run::Here => {
                    assert!(!std::mem::replace(&mut self.begun, true), "the one before has not ended");
                    return Some(job);
                }
                Run::Elsewhere => self.finish(job.elsewhere()),
            }
        }
        None
    }

    pub(crate) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    pub(crate) fn keep_job(&mut self, _: S::Job) {}

    pub(crate) fn end_job(&mut self, job: &mut S::Job) {
        assert!(std::mem::take(&mut self.begun), "it was left behind");
        self.finish(job.done());
    }

    pub(crate) fn leave_job(&mut self) {
        assert!(std::mem::take(&mut self.begun), "nothing runs");
    }

    fn finish(&mut self, done: Done) {
        self.left -= 1;
        self.record.lock().unwrap().answered.push(done.connection.0);
    }

    pub(crate) fn scatter(&mut self) {}

    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }
}
