//! Time that passes when a model says so, and waits that end by it.

use loom::{sync::MutexGuard, thread};
use std::{
    cell::RefCell,
    ops::{Add, AddAssign, Sub},
    sync::{Arc, LockResult},
    time::Duration,
};

thread_local! {
    /// All threads of a model are one thread of the system.
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock::new()) };
}

struct Clock {
    now: Duration,
    last: u64,
    sleepers: Vec<(u64, Duration, Arc<loom::sync::Condvar>)>,
    /// Waits of at most so long end by themselves, so many times.
    short: (Duration, usize),
    /// Threads that are asked for and cannot be had.
    refused: usize,
    /// Threads that the library has begun and that have not ended.
    running: usize,
}

impl Clock {
    const fn new() -> Clock {
        Clock {
            now: Duration::ZERO,
            last: 0,
            sleepers: Vec::new(),
            short: (Duration::ZERO, 0),
            refused: 0,
            running: 0,
        }
    }
}

/// Begins anew: before each run of a model.
pub(crate) fn reset() {
    CLOCK.set(Clock::new());
}

/// Lets time pass, and waits until everybody has run whose time is over.
pub fn pass(time: Duration) {
    CLOCK.with_borrow_mut(|clock| clock.now += time);
    loop {
        let due = CLOCK.with_borrow(|clock| {
            let due = clock.sleepers.iter().filter(|(_, end, _)| *end <= clock.now);
            due.map(|(.., sleeper)| sleeper.clone()).collect::<Vec<_>>()
        });
        if due.is_empty() {
            return;
        }
        for sleeper in due {
            sleeper.notify_all();
        }
        thread::yield_now();
    }
}

/// Lets time pass until this is so.
pub fn until(step: Duration, is_so: impl Fn() -> bool) {
    while !is_so() {
        pass(step);
        thread::yield_now();
    }
}

/// Lets time pass until the library's own threads have ended.
pub fn until_at_rest() {
    until(Duration::from_secs(1), || CLOCK.with_borrow(|clock| clock.running == 0));
}

/// A thread of the library, while it runs.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn new() -> Running {
        CLOCK.with_borrow_mut(|clock| clock.running += 1);
        Running(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        CLOCK.with_borrow_mut(|clock| clock.running -= 1);
    }
}

/// A wait that ends by the clock until this is dropped.
struct Asleep {
    number: u64,
    end: Duration,
}

impl Asleep {
    fn new(patience: Duration, sleeper: &Arc<loom::sync::Condvar>) -> Asleep {
        CLOCK.with_borrow_mut(|clock| {
            clock.last += 1;
            let end = clock.now.saturating_add(patience);
            clock.sleepers.push((clock.last, end, Arc::clone(sleeper)));
            Asleep { number: clock.last, end }
        })
    }

    fn is_over(&self) -> bool {
        CLOCK.with_borrow(|clock| self.end <= clock.now)
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        CLOCK.with_borrow_mut(|clock| {
            clock.sleepers.retain(|(number, ..)| *number != self.number);
        });
    }
}

/// Waits for a condition of at most so long end by themselves, so many times: a thread that looks again and
/// again needs nobody then who lets time pass.
pub fn let_pass(patience: Duration, times: usize) {
    CLOCK.with_borrow_mut(|clock| clock.short = (patience, times));
}

fn is_short(patience: Duration) -> bool {
    CLOCK.with_borrow_mut(|clock| {
        let (short, times) = &mut clock.short;
        let is_short = patience <= *short && *times > 0;
        *times -= usize::from(is_short);
        is_short
    })
}

/// The next threads that are asked for cannot be had: so many.
pub fn refuse_threads(count: usize) {
    CLOCK.with_borrow_mut(|clock| clock.refused = count);
}

pub(crate) fn is_refused() -> bool {
    CLOCK.with_borrow_mut(|clock| {
        let refused = clock.refused > 0;
        clock.refused -= usize::from(refused);
        refused
    })
}

/// See [`std::sync::Condvar`].
#[derive(Debug, Default)]
pub struct Condvar(Arc<loom::sync::Condvar>);

/// See [`std::sync::WaitTimeoutResult`].
#[derive(Clone, Copy, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time is over.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// One that nobody waits for.
    #[allow(clippy::new_without_default, reason = "derived above")]
    pub fn new() -> Condvar {
        Condvar::default()
    }

    /// See [`std::sync::Condvar::wait`].
    ///
    /// # Errors
    /// Never.
    pub fn wait<'m, T>(&self, guard: MutexGuard<'m, T>) -> LockResult<MutexGuard<'m, T>> {
        self.0.wait(guard)
    }

    /// See [`std::sync::Condvar::wait_timeout`].
    ///
    /// # Errors
    /// Never.
    pub fn wait_timeout<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        patience: Duration,
    ) -> LockResult<(MutexGuard<'m, T>, WaitTimeoutResult)> {
        let asleep = Asleep::new(patience, &self.0);
        if asleep.is_over() {
            return Ok((guard, WaitTimeoutResult(true)));
        }
        if is_short(patience) {
            return Ok((guard, WaitTimeoutResult(true)));
        }
        let Ok(guard) = self.0.wait(guard) else { unreachable!("loom poisons nothing") };
        Ok((guard, WaitTimeoutResult(asleep.is_over())))
    }

    /// See [`std::sync::Condvar::wait_timeout_while`].
    ///
    /// # Errors
    /// Never.
    pub fn wait_timeout_while<'m, T>(
        &self,
        mut guard: MutexGuard<'m, T>,
        patience: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'m, T>, WaitTimeoutResult)> {
        let asleep = Asleep::new(patience, &self.0);
        while condition(&mut guard) {
            if asleep.is_over() {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            guard = self.0.wait(guard).unwrap_or_else(|_| unreachable!("loom poisons nothing"));
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    /// See [`std::sync::Condvar::notify_one`].
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// See [`std::sync::Condvar::notify_all`].
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// See [`std::time::Instant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The time of the model.
    pub fn now() -> Instant {
        Instant(CLOCK.with_borrow(|clock| clock.now))
    }

    /// See [`std::time::Instant::duration_since`].
    pub fn duration_since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// See [`std::time::Instant::saturating_duration_since`].
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }

    /// See [`std::time::Instant::elapsed`].
    pub fn elapsed(self) -> Duration {
        Instant::now().duration_since(self)
    }

    /// See [`std::time::Instant::checked_add`].
    pub fn checked_add(self, time: Duration) -> Option<Instant> {
        self.0.checked_add(time).map(Instant)
    }

    /// See [`std::time::Instant::checked_sub`].
    pub fn checked_sub(self, time: Duration) -> Option<Instant> {
        self.0.checked_sub(time).map(Instant)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, time: Duration) -> Instant {
        Instant(self.0 + time)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, time: Duration) {
        self.0 += time;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, time: Duration) -> Instant {
        Instant(self.0 - time)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}
