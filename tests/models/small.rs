//! The small pieces of state that others stand on.

use crate::sync::{Place, Progress, Turns};
use isock_models::{
    model,
    std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            Arc,
        },
        thread::{self, Thread},
    },
};

/// A call is handed to a loop while its caller gives it up: it is sent or dropped, never both, and
/// never neither.
#[test]
fn a_call_that_is_given_up_is_sent_or_dropped() {
    model(4, || {
        let progress = Arc::new(Progress::new());
        let kept = Arc::clone(&progress);
        let taken = thread::spawn(move || kept.take());
        let dropped = progress.give_up();
        let taken = taken.join().unwrap();
        assert_ne!(taken, dropped);
        assert!(!progress.take() && !progress.give_up(), "it has been decided");
    });
}

/// Two threads send while those that were told to come do what waits.
#[test]
fn no_send_is_left_behind_and_no_two_run_at_once() {
    model(4, || {
        let lane = Arc::new((Turns::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let send = |items: &'static [usize]| {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                for item in items {
                    if lane.0.push(*item) {
                        run(&lane);
                    }
                }
            })
        };
        let threads = [send(&[1, 10]), send(&[100])];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(lane.1.load(Ordering::SeqCst), 111);
        assert!(lane.0.next().is_none());
    });
}

fn run((turns, sum, running): &(Turns<usize>, AtomicUsize, AtomicUsize)) {
    while let Some(item) = turns.next() {
        assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two run at once");
        sum.fetch_add(item, Ordering::SeqCst);
        running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server without a thread for them drops the sends that wait; those that follow are run.
#[test]
fn sends_that_are_given_up_do_not_stop_those_that_follow() {
    model(4, || {
        let turns = Arc::new(Turns::new());
        let other = Arc::clone(&turns);
        assert!(turns.push(1));
        let sender = thread::spawn(move || other.push(2));
        let dropped = turns.give_up().len();
        let must_come = sender.join().unwrap();
        assert_eq!((dropped, must_come), if must_come { (1, true) } else { (2, false) });
        assert_eq!(turns.next(), must_come.then_some(2));
    });
}

/// An answer or an item comes while its receiver goes to sleep.
#[test]
fn no_wake_up_is_lost() {
    model(4, || {
        let place = Arc::new(Place::<u32, Thread>::new());
        let filled = Arc::clone(&place);
        let put = thread::spawn(move || filled.put(7).into_iter().for_each(|waits| waits.unpark()));
        let came = loop {
            if let Some(came) = place.take() {
                break came;
            }
            if place.wait_as(thread::current()) {
                thread::park();
            }
        };
        assert_eq!(came, 7);
        put.join().unwrap();
        assert!(!place.is_filled());
    });
}
