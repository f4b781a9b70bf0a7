//! Threads that run handlers: as many as are busy, up to a bound.

use super::fair::FairQueue;
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// An idle worker ends after this long.
const IDLE: Duration = Duration::from_secs(10);
/// Jobs that wait at most; past that calls are refused.
const QUEUE: usize = 64 * 1024;

/// Whose job it is: whoever has jobs that wait gets a turn after everybody else's.
pub(crate) type Turn = u64;

/// A call that is to run.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The pool of one server. Dropping the last handle lets its idle threads end.
#[derive(Clone)]
pub(crate) struct Workers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    most: usize,
}

struct State {
    queue: FairQueue<Turn, Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Workers {
    /// A pool of at most `most` threads, none of which exists yet; nobody has more than `share` of
    /// them at once.
    pub(crate) fn new(most: usize, share: usize) -> Workers {
        let state = State { queue: FairQueue::new(share), threads: 0, idle: 0, closed: false };
        Workers(Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), most }))
    }

    /// Queues a job; gives it back if too many wait, or if there is no thread for it.
    pub(crate) fn run(&self, turn: Turn, job: Job) -> Result<(), Job> {
        let mut state = self.0.lock();
        if state.queue.len() >= QUEUE {
            return Err(job);
        }
        if !state.queue.push(turn, job) {
            // Whoever has its share comes to it.
            return Ok(());
        }
        let grow = state.idle < state.queue.len() && state.threads < self.0.most;
        if grow && self.spawn() {
            state.threads += 1;
        } else if state.threads > 0 {
            self.0.work.notify_one();
        } else if let Some((turn, job)) = state.queue.pop() {
            // Nobody would come to it. No other one waits: each has been given back.
            state.queue.done(turn);
            return Err(job);
        }
        Ok(())
    }

    /// A thread that cannot be had is no error while another one will come to the job.
    fn spawn(&self) -> bool {
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("isock-worker".into());
        thread.spawn(move || shared.work()).is_ok()
    }

    /// Lets the threads end once nothing waits.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut last = None;
        while let Some((turn, job)) = self.next(last) {
            job();
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
