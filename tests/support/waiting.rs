//! Waiting in tests: always for something, always with a bound.

use std::{
    future::Future,
    pin::{pin, Pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// Milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Looks until `done` says so: for what nobody tells, such as a table of the kernel.
///
/// # Panics
/// If it does not come about in time.
pub fn eventually(what: &str, patience: Duration, done: impl FnMut() -> bool) {
    assert!(within(patience, done), "after {patience:?} still not: {what}");
}

/// The same for who wants to say more than that it did not come about.
pub fn within(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !done() {
        if deadline <= Instant::now() {
            return false;
        }
        thread::park_timeout(ms(2));
    }
    true
}

/// Runs a claim about time. A busy machine may hold a thread up at any place, so one of three runs
/// must be in time: a bound that is really missed is missed three times.
///
/// # Panics
/// If none is.
pub fn in_time<T>(bound: Duration, mut run: impl FnMut() -> T) -> T {
    let mut late = Vec::new();
    for _ in 0..3 {
        let before = Instant::now();
        let result = run();
        late.push(before.elapsed());
        if before.elapsed() < bound {
            return result;
        }
    }
    panic!("not within {bound:?} but {late:?}");
}

/// Lets this much time pass, for measurements of what happens meanwhile.
pub fn pass(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Polls a future once.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// All results, in the order of the futures.
pub async fn join_all<F: Future + Unpin>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<(F, Option<F::Output>)> =
        futures.into_iter().map(|future| (future, None)).collect();
    std::future::poll_fn(|cx| {
        for (future, value) in futures.iter_mut().filter(|(_, value)| value.is_none()) {
            if let Poll::Ready(ready) = Pin::new(future).poll(cx) {
                *value = Some(ready);
            }
        }
        if futures.iter().all(|(_, value)| value.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, value)| value).collect()
}
