//! Threads that run handlers: as many as are busy, up to a bound.

use super::{backlog::Backlog, fair::FairQueue};
use crate::net::{work_at, Place};
use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
    },
    thread,
    time::{Duration, Instant},
};

/// An idle worker ends after this long.
const IDLE: Duration = Duration::from_secs(10);
/// A job with more patience than this is refused only for a wait that has been foreseen for a part of
/// the rest, and not for what a moment of a busy machine looks like.
const HASTY: Duration = Duration::from_secs(2);
const SEEN: u32 = 32;
/// Jobs that wait at most; past that calls are refused.
const QUEUE: usize = 64 * 1024;

/// Whose job it is: whoever has jobs that wait gets a turn after everybody else's.
pub(crate) type Turn = u64;

/// A call that is to run.
pub(crate) type Job = Box<dyn Work>;

/// What a worker does.
pub(crate) trait Work: Send {
    /// Runs it.
    fn run(self: Box<Self>);

    /// Whether it comes too late: it ends at once, and says nothing about how fast the queue moves.
    fn is_late(&self, _now: Instant) -> bool {
        false
    }

    /// It will not run, whatever is waited for.
    fn give_up(self: Box<Self>) {}
}

impl<F: FnOnce() + Send> Work for F {
    fn run(self: Box<Self>) {
        self();
    }
}

/// The pool of one server. Dropping the last handle lets its idle threads end.
#[derive(Clone)]
pub(crate) struct Workers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// Held while what waits is given up.
    giving_up: Mutex<()>,
    most: usize,
    /// Tells the pools of a program apart.
    number: u64,
}

/// A job that was not taken.
pub(crate) struct Full {
    pub(crate) job: Job,
    /// How long it would have waited, as far as that is known.
    pub(crate) wait: Duration,
}

struct State {
    queue: FairQueue<Turn, Job>,
    backlog: Backlog,
    threads: usize,
    idle: usize,
    closed: bool,
    given_up: bool,
}

impl Workers {
    /// A pool of at most `most` threads, none of which exists yet; nobody has more than `share` of
    /// them at once.
    pub(crate) fn new(most: usize, share: usize) -> Workers {
        let state = State {
            queue: FairQueue::new(share),
            backlog: Backlog::default(),
            threads: 0,
            idle: 0,
            closed: false,
            given_up: false,
        };
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (state, giving_up) = (Mutex::new(state), Mutex::new(()));
        Workers(Arc::new(Shared { state, work: Condvar::new(), giving_up, most, number }))
    }

    /// Whether all threads that could run a job of this turn are among those that wait for it.
    pub(crate) fn all_wait(&self, turn: Turn, waiters: &[Place]) -> bool {
        let ours = || waiters.iter().filter(|place| place.pool == self.0.number);
        let of_turn = ours().filter(|place| place.turn == turn).count();
        if ours().next().is_none() {
            return false;
        }
        let state = self.0.lock();
        let share = state.queue.share();
        let has_its_share = state.queue.under_way(turn) >= share && of_turn >= share;
        has_its_share || (state.threads >= self.0.most && ours().count() >= state.threads)
    }

    /// Queues a job; gives it back if too many wait, or if there is no thread for it.
    pub(crate) fn run(&self, turn: Turn, job: Job) -> Result<(), Job> {
        self.run_within(None, turn, job).map_err(|full| full.job)
    }

    /// The same for a job that is of no use any more after so long a wait. It is not taken if it
    /// would wait for more than half of that: in a queue that is as long as its patience, jobs begin
    /// when their callers are about to give up, and all work is in vain.
    pub(crate) fn run_within(
        &self,
        patience: Option<Duration>,
        turn: Turn,
        job: Job,
    ) -> Result<(), Full> {
        let mut state = self.0.lock();
        let pause = patience.unwrap_or_default().saturating_sub(HASTY) / SEEN;
        let wait = state.wait(turn, self.0.most, pause);
        let too_long = patience.is_some_and(|patience| wait > patience / 2);
        if too_long || state.queue.len() >= QUEUE || state.given_up {
            return Err(Full { job, wait });
        }
        if !state.queue.push(turn, job) {
            state.backlog.begin(Instant::now());
            // Whoever has its share comes to it.
            return Ok(());
        }
        let grow = state.idle < state.queue.len() && state.threads < self.0.most;
        if grow && self.spawn() {
            state.threads += 1;
        } else if state.threads > 0 {
            if state.idle < state.queue.len() {
                state.backlog.begin(Instant::now());
            }
            self.0.work.notify_one();
        } else if let Some((turn, job)) = state.queue.pop() {
            // Nobody would come to it. No other one waits: each has been given back.
            state.queue.done(turn);
            return Err(Full { job, wait });
        }
        Ok(())
    }

    /// A thread that cannot be had is no error while another one will come to the job.
    fn spawn(&self) -> bool {
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("isock-worker".into());
        thread.spawn(move || shared.work()).is_ok()
    }

    /// Gives up what waits, and takes nothing more. Nothing waits when this returns, whoever has
    /// given it up.
    pub(crate) fn give_up(&self) {
        let _until_all_know = self.0.giving_up.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.0.lock();
        state.given_up = true;
        let waiting = state.queue.take_all();
        state.backlog = Backlog::default();
        // Not under the lock: some of it is the user's when it is dropped.
        drop(state);
        waiting.into_iter().for_each(|job| job.give_up());
    }

    /// Threads that there may be.
    pub(crate) fn most(&self) -> usize {
        self.0.most
    }

    /// How much there is to do: threads that run a job, and jobs that wait for one.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.threads - state.idle, state.queue.len())
    }

    /// Lets the threads end once nothing waits.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
    }
}

impl State {
    /// How long a job would wait that comes now, as far as has been seen for longer than `pause`.
    fn wait(&self, turn: Turn, most: usize, pause: Duration) -> Duration {
        if !self.backlog.is_waiting() {
            return Duration::ZERO;
        }
        let free = self.idle + most.saturating_sub(self.threads);
        self.backlog.wait(Instant::now(), self.queue.ahead(turn, free), self.threads, pause)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut last = None;
        while let Some((turn, job)) = self.next(last) {
            work_at(Place { pool: self.number, turn });
            job.run();
            last = Some(turn);
        }
    }

    /// The next job, after one of `last`; `None` if this thread is no longer needed.
    fn next(&self, last: Option<Turn>) -> Option<(Turn, Job)> {
        let mut state = self.lock();
        if let Some(last) = last {
            state.queue.done(last);
        }
        loop {
            if let Some(next) = state.queue.pop() {
                let more = state.queue.len() > 0;
                if state.backlog.is_waiting() {
                    let now = Instant::now();
                    if !more || !next.1.is_late(now) {
                        state.backlog.took(now, more);
                    }
                }
                return Some(next);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (again, waited) =
                self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.idle -= 1;
            if waited.timed_out() && !state.queue.has_next() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_that_block_do_not_hold_up_others_while_threads_are_left() {
        let workers = Workers::new(3, 3);
        let (send, receive) = mpsc::channel();
        let gate = Arc::new(std::sync::Barrier::new(3));
        for n in 0..3 {
            let (send, gate) = (send.clone(), Arc::clone(&gate));
            let job: Job = Box::new(move || {
                gate.wait();
                send.send(n).unwrap();
            });
            assert!(workers.run(n, job).is_ok());
        }
        let mut done: Vec<_> = receive.iter().take(3).collect();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2]);
        workers.close();
    }
}
