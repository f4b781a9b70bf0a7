//! Threads that run handlers.

use crate::serving::workers::{Work, Workers};
use isock_models::{
    model, refuse_threads,
    std::{
        sync::{
            atomic::{AtomicBool, Ordering},
            Arc, Condvar, Mutex,
        },
        thread,
        time::{pass, until_at_rest, Duration},
    },
};

/// Longer than an idle worker waits.
const IDLE: Duration = Duration::from_secs(10);

/// Jobs that count how often they have run.
struct Jobs {
    workers: Workers,
    runs: Arc<(Mutex<usize>, Condvar)>,
}

impl Jobs {
    fn new(most: usize, share: usize) -> Jobs {
        Jobs { workers: Workers::new(most, share), runs: Arc::default() }
    }

    fn run(&self, turn: u64) -> bool {
        let runs = Arc::clone(&self.runs);
        let job = Box::new(move || {
            *runs.0.lock().unwrap() += 1;
            runs.1.notify_all();
        });
        self.workers.run(turn, job).is_ok()
    }

    /// All of them run without any time passing, and none of them again.
    fn end(self, count: usize) {
        let mut runs = self.runs.0.lock().unwrap();
        while *runs < count {
            runs = self.runs.1.wait(runs).unwrap();
        }
        drop(runs);
        self.workers.close();
        until_at_rest();
        assert_eq!(*self.runs.0.lock().unwrap(), count);
    }
}

/// Jobs come from two threads, to one worker or two.
#[test]
fn each_job_runs_once() {
    for most in [1, 2] {
        model(2, move || {
            let jobs = Jobs::new(most, 2);
            let workers = jobs.workers.clone();
            let others = Jobs { workers, runs: Arc::clone(&jobs.runs) };
            let sender = thread::spawn(move || assert!(others.run(1)));
            assert!(jobs.run(2) && jobs.run(2));
            sender.join().unwrap();
            jobs.end(3);
        });
    }
}

/// Whose share is under way comes to what waits behind it.
#[test]
fn what_waits_behind_a_share_is_run() {
    model(2, || {
        let jobs = Jobs::new(2, 1);
        assert!(jobs.run(1) && jobs.run(1) && jobs.run(2));
        jobs.end(3);
    });
}

/// A worker ends for want of work as a job comes: it runs it, or another one does.
#[test]
fn a_job_that_comes_as_a_worker_ends_is_run() {
    model(2, || {
        let jobs = Jobs::new(1, 1);
        assert!(jobs.run(1));
        let time = thread::spawn(|| pass(IDLE));
        assert!(jobs.run(1));
        time.join().unwrap();
        jobs.end(2);
    });
}

/// The first thread cannot be had: a job is given back, and not left behind.
#[test]
fn a_job_that_nobody_would_come_to_is_given_back() {
    model(2, || {
        refuse_threads(1);
        let jobs = Jobs::new(2, 2);
        assert!(!jobs.run(1));
        assert!(jobs.run(1));
        jobs.end(1);
        // Where another one comes to it, nothing is given back.
        let jobs = Jobs::new(2, 2);
        assert!(jobs.run(1));
        refuse_threads(1);
        assert!(jobs.run(1));
        refuse_threads(0);
        jobs.end(2);
    });
}

/// A job that says that it has been given up.
struct Given(Arc<AtomicBool>);

impl Work for Given {
    fn run(self: Box<Self>) {
        panic!("it waits behind another one");
    }

    fn give_up(self: Box<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Two loops of a server give up what waits: when either goes on, all that waited has been told.
#[test]
fn nothing_waits_any_more_when_what_waits_has_been_given_up() {
    model(2, || {
        let (workers, given) = (Workers::new(1, 1), Arc::<AtomicBool>::default());
        let open = Arc::<(Mutex<bool>, Condvar)>::default();
        let opened = Arc::clone(&open);
        let first = Box::new(move || {
            let mut open = opened.0.lock().unwrap();
            while !*open {
                open = opened.1.wait(open).unwrap();
            }
        });
        assert!(workers.run(1, first).is_ok());
        assert!(workers.run(1, Box::new(Given(Arc::clone(&given)))).is_ok());
        let (others, told) = (workers.clone(), Arc::clone(&given));
        let give_up = move |workers: &Workers, told: &AtomicBool| {
            workers.give_up();
            assert!(told.load(Ordering::SeqCst));
        };
        let other = thread::spawn(move || give_up(&others, &told));
        give_up(&workers, &given);
        other.join().unwrap();
        *open.0.lock().unwrap() = true;
        open.1.notify_all();
        workers.close();
    });
}
