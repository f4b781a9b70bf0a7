//! Calls through a loop, and what is done when nobody waits any more.

use crate::{
    net::{
        cancel::{run_hooks, Cancel, Hook},
        event_loop::ConnId,
        far::Far,
        pending::Ended,
        remote::{Command, Remote},
    },
    pair::call,
    proto::Closed,
    wire::{CallHead, ConnectionToken, Ran},
};
use isock_models::{
    mio::Waker,
    model,
    std::{
        sync::{
            atomic::{AtomicU32, Ordering},
            Arc,
        },
        thread,
        time::{pass, until_at_rest, Duration, Instant},
    },
};

/// A queue towards a loop, and its waker.
fn queue() -> (Arc<Far>, Remote, Waker) {
    let waker = Waker::default();
    let remote = Remote::new(waker.clone());
    let far = Far::new(ConnId(1), ConnectionToken([1; 16]), remote.clone(), 1 << 20);
    far.set_attended(true);
    (Arc::new(far), remote, waker)
}

/// Two threads make a call each while the loop takes what there is and sleeps: none is left behind.
#[test]
fn a_call_always_wakes_the_loop() {
    model(3, || {
        let (far, remote, waker) = queue();
        let other = Arc::clone(&far);
        let caller = thread::spawn(move || drop(other.start(call(CallHead::default()))));
        let looping = thread::spawn(move || {
            let mut all = Vec::new();
            while all.len() < 2 {
                waker.poll();
                let mut commands = Vec::new();
                remote.take(&mut commands);
                all.append(&mut commands);
            }
        });
        far.start(call(CallHead::default())).unwrap();
        caller.join().unwrap();
        looping.join().unwrap();
    });
}

/// A call comes as the loop returns: it is refused, or it ends.
#[test]
fn a_call_ends_although_the_loop_returns() {
    model(3, || {
        let (far, remote, _waker) = queue();
        let looping = thread::spawn(move || remote.close());
        if let Ok(ticket) = far.start(call(CallHead::default())) {
            let ended = ticket.wait(Instant::now() + Duration::from_secs(60));
            assert!(matches!(ended, Some(Ended::Lost(Ran::No, Closed::Eof))));
        }
        looping.join().unwrap();
    });
}

/// What counts how often somebody is told.
fn telling(told: &Arc<AtomicU32>) -> Hook {
    let told = Arc::clone(told);
    Box::new(move || {
        told.fetch_add(1, Ordering::SeqCst);
    })
}

/// A handler asks to be told as its call is cancelled.
#[test]
fn who_asks_to_be_told_is_told_once() {
    model(3, || {
        let told = Arc::<AtomicU32>::default();
        let cancel = Arc::<Cancel>::default();
        let tell = Arc::clone(&cancel);
        let teller = thread::spawn(move || run_hooks(tell.tell()));
        cancel.call(None, telling(&told));
        teller.join().unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 1);
    });
}

/// The same as its deadline passes.
#[test]
fn who_is_told_by_the_caller_is_not_told_by_the_deadline() {
    model(2, || {
        let told = Arc::<AtomicU32>::default();
        let cancel = Arc::<Cancel>::default();
        let tell = Arc::clone(&cancel);
        let teller = thread::spawn(move || run_hooks(tell.tell()));
        let deadline = Instant::now() + Duration::from_secs(1);
        let time = thread::spawn(|| pass(Duration::from_secs(1)));
        cancel.call(Some(deadline), telling(&told));
        teller.join().unwrap();
        time.join().unwrap();
        until_at_rest();
        assert_eq!(told.load(Ordering::SeqCst), 1);
        drop(cancel);
    });
}

/// Its deadline alone tells it, also if the thread that sees to that has just gone.
#[test]
fn a_deadline_tells_although_its_thread_was_about_to_end() {
    model(2, || {
        let told = Arc::<AtomicU32>::default();
        let ask = || {
            let cancel = Arc::<Cancel>::default();
            cancel.call(Some(Instant::now() + Duration::from_millis(1)), telling(&told));
            cancel
        };
        let first = ask();
        // It goes off, and then there is nothing to wait for.
        let time = thread::spawn(|| (0..2).for_each(|_| pass(Duration::from_secs(1))));
        let second = ask();
        time.join().unwrap();
        until_at_rest();
        assert_eq!(told.load(Ordering::SeqCst), 2);
        drop((first, second));
    });
}
