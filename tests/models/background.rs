//! The thread behind futures: it comes when it is needed, hears of everything, and goes.

use crate::{
    link::{connected, late, start},
    net::Link,
    pair::Unpark,
    peer::{
        background::{Background, Timer},
        channel::Channel,
        raw::{Answered, RawCall},
    },
};
use isock_models::{
    model,
    std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            Arc, Weak,
        },
        task::{Wake, Waker},
        thread,
        time::{pass, until, until_at_rest, Duration, Instant},
    },
};

/// Longer than the thread stays without work.
const IDLE: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// A client whose connection nobody has made yet.
fn client() -> Arc<Channel> {
    Channel::new(connected(false).0)
}

/// Counts how often a future is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn is(&self, times: usize) -> bool {
        self.0.load(Ordering::SeqCst) == times
    }
}

/// Sets the timer of a future that waits for no connection.
fn set(client: &Channel, timer: &mut Option<Timer>, after: Duration, woken: &Arc<Woken>) {
    let waker = Waker::from(Arc::clone(woken));
    client.background.wake_at(timer, Instant::now() + after, &waker, Weak::new());
}

/// A future sets its timer as the thread that has kept the time of another one is about to end.
#[test]
fn a_future_is_woken_in_time_although_the_thread_was_about_to_end() {
    model(3, || {
        let (client, woken) = (client(), Arc::<Woken>::default());
        let (mut first, mut second) = (None, None);
        set(&client, &mut first, SECOND, &woken);
        let time = thread::spawn(|| [SECOND, IDLE].map(pass));
        set(&client, &mut second, SECOND, &woken);
        time.join().unwrap();
        until(SECOND, || woken.is(2));
        until_at_rest();
        assert!(woken.is(2));
    });
}

/// A timer is set to an earlier time while the thread looks at it, sleeps, or has let it go off.
#[test]
fn a_time_that_comes_sooner_is_kept() {
    model(4, || {
        let (client, woken) = (client(), Arc::<Woken>::default());
        let mut timer = None;
        set(&client, &mut timer, 9 * SECOND, &woken);
        set(&client, &mut timer, SECOND, &woken);
        pass(SECOND);
        while !woken.is(1) {
            thread::yield_now();
        }
        set(&client, &mut timer, SECOND, &woken);
        until(SECOND, || woken.is(2));
        until_at_rest();
    });
}

/// A future is dropped before its time, or is not polled any more once it has been woken: nobody says
/// so, and the thread ends all the same.
#[test]
fn the_thread_ends_whatever_becomes_of_a_future() {
    for is_dropped in [true, false] {
        model(4, move || {
            let (client, woken) = (client(), Arc::<Woken>::default());
            let mut timer = None;
            set(&client, &mut timer, SECOND, &woken);
            let timer = timer.filter(|_| !is_dropped);
            until_at_rest();
            drop(timer);
        });
    }
}

/// Two calls that nobody waits for have their answers at any time.
#[test]
fn calls_that_nobody_waits_for_come_to_their_end() {
    model(3, || {
        let client = client();
        let calls = [(); 2].map(|()| Answered::new());
        let ends = calls.clone();
        client.background.adopt(RawCall(Arc::clone(&calls[0])));
        let server = thread::spawn(move || ends.iter().for_each(|call| call.end()));
        client.background.adopt(RawCall(Arc::clone(&calls[1])));
        server.join().unwrap();
        until(SECOND, || calls.iter().all(|call| call.is_seen()));
        until_at_rest();
    });
}

/// Two futures want a connection at once: both are woken when there is one.
#[test]
fn who_waits_for_a_connection_is_woken_when_it_is_there() {
    model(3, || {
        let client = client();
        let futures = [(); 2].map(|()| {
            let client = Arc::clone(&client);
            thread::spawn(move || {
                while client.near().is_none() {
                    client.background.dial(late(), &Unpark::here());
                    thread::park();
                }
            })
        });
        futures.into_iter().for_each(|future| future.join().unwrap());
        until_at_rest();
    });
}

/// A future has waited for a connection, and then waits for an answer on it: it is read for.
#[test]
fn a_future_is_read_for_on_the_connection_that_it_goes_to() {
    model(3, || {
        let (link, away) = connected(true);
        let client = Channel::new(Arc::clone(&link));
        let mut timer = None;
        let (deadline, waker) = (late(), Unpark::here());
        client.background.wake_at(&mut timer, deadline, &waker, Weak::new());
        let started = start(&link, 1).unwrap();
        link.uncork();
        let server = thread::spawn(move || away.answer(&[1]));
        while link.wake_with(started.call, &waker) {
            client.background.wake_at(&mut timer, deadline, &waker, Arc::downgrade(&link));
            thread::park();
        }
        server.join().unwrap();
        drop(timer);
        until_at_rest();
    });
}

/// A client that serves actions goes: so does the thread that reads for it.
#[test]
fn the_thread_ends_with_its_client() {
    model(4, || {
        let client = client();
        client.background.attend();
        drop(client);
        until_at_rest();
    });
}
