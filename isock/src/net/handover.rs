//! Quick handlers run on the loop's own thread, and a loop that one of them holds up is taken away.
//!
//! The loop is a value. Before a handler runs, its thread parks the loop where another thread can
//! take it; a watcher looks every few milliseconds, and when one handler has been running since the
//! last look, it takes the loop and goes on with it. The thread that was held up ends with its
//! handler, whose answer goes the way of every answer from another thread. So a handler that blocks
//! by surprise costs the others a few milliseconds, and a quick one costs no change of thread.

use super::{
    blocking::{GiveAway, Standing},
    event_loop::{Done, EventLoop, Job, Pace, Run, Service},
    remote::{Command, Remote, Running},
    timing::{Ticks, Timing},
};
use std::{
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc, Arc, Condvar, Mutex, MutexGuard, PoisonError,
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

/// How often the watcher looks: a handler is found out after one to two of these.
const TICK: Duration = Duration::from_millis(4);
/// The watcher sleeps after this many looks at which nothing had run: a second.
const QUIET: u32 = 250;
/// Handlers run for this long before their replies are written.
const BATCH: Duration = Duration::from_millis(1);

/// How long the other loops of a server finish what they have when one has panicked.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until the loops have been drained, on other threads: this one must return although a
/// handler that held one of them up never does.
pub(crate) fn serve<S: Service>(event_loops: Vec<EventLoop<S>>) {
    let remotes: Vec<_> = event_loops.iter().map(|it| it.remote().clone()).collect();
    // The first one deals out what the others serve, so it begins last.
    let serving = |event_loop| Shared::begin(event_loop, &remotes);
    let all: Vec<_> = event_loops.into_iter().rev().map(serving).collect();
    all.iter().for_each(|shared| shared.wait_until_done());
}

struct Shared<S: Service> {
    /// The loop, while a handler runs on its thread.
    parked: Mutex<Option<Parked<S>>>,
    /// Odd while the loop is parked; another number for each handler.
    beat: AtomicU64,
    /// A watcher exists. Without one, handlers run on workers.
    watched: AtomicBool,
    asleep: AtomicBool,
    watch: Mutex<Watch>,
    changed: Condvar,
    remote: Remote,
    /// All loops of the server.
    all: Vec<Remote>,
    ticks: Ticks,
}

struct Parked<S: Service> {
    event_loop: Box<EventLoop<S>>,
    pace: Arc<dyn Pace>,
    /// Whose handler runs. A thread that was held up may come back, or be about to block once more,
    /// while another one has parked the loop: it must not take that for its own.
    by: ThreadId,
    beat: u64,
}

/// Where it is put and taken from.
type Place<'s, S> = MutexGuard<'s, Option<Parked<S>>>;

#[derive(Default)]
struct Watch {
    done: bool,
    woken: bool,
    /// The handler of this beat is about to block: its loop is to be taken now.
    urgent: Option<u64>,
}

/// What the watcher is to do after a rest.
enum Rested {
    Done,
    Looking { urgent: Option<u64> },
}

impl Watch {
    fn rested(&mut self) -> Rested {
        match self.done {
            true => Rested::Done,
            false => Rested::Looking { urgent: self.urgent.take() },
        }
    }
}

/// A handler on the loop's thread that is about to wait for a connection: the loop may be what
/// carries the answer.
impl<S: Service> GiveAway for Shared<S> {
    fn give_away(&self) {
        let me = thread::current().id();
        let beat = match &*lock(&self.parked) {
            Some(parked) if parked.by == me => parked.beat,
            // It has been taken already.
            _ => return,
        };
        let mut watch = lock(&self.watch);
        (watch.urgent, watch.woken) = (Some(beat), true);
        drop(watch);
        self.changed.notify_all();
    }
}

/// Lets those who wait for the end know of it, also when the loop itself panics. The server ends
/// then: its other loops finish what they have.
struct Leading<'s, S: Service>(&'s Shared<S>);

impl<S: Service> Drop for Leading<'_, S> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
            self.0.end_others();
        }
    }
}

impl<S: Service> Shared<S> {
    fn begin(event_loop: EventLoop<S>, all: &[Remote]) -> Arc<Self> {
        let shared = Arc::new(Shared {
            parked: Mutex::new(None),
            beat: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            watch: Mutex::new(Watch::default()),
            changed: Condvar::new(),
            remote: event_loop.remote().clone(),
            all: all.to_vec(),
            ticks: Ticks::of_the_system(),
        });
        Shared::spawn_watcher(&shared);
        Shared::spawn_leader(&shared, Box::new(event_loop));
        shared
    }

    /// A first thread that leads.
    fn spawn_leader(shared: &Arc<Self>, event_loop: Box<EventLoop<S>>) {
        let leader = Arc::clone(shared);
        // Kept here until the thread has it, since a thread that cannot be had takes it along.
        let (give, take) = mpsc::sync_channel::<Box<EventLoop<S>>>(1);
        let thread = thread::Builder::new().name("isock-loop".into());
        let spawned =
            thread.spawn(move || take.recv().into_iter().for_each(|l| Shared::lead(&leader, l)));
        match spawned {
            // It waits to receive, so it takes it.
            Ok(_) => drop(give.send(event_loop)),
            Err(_) if event_loop.is_first() => Shared::lead(shared, event_loop),
            // Nobody is dealt out to a loop that has ended.
            Err(_) => {
                drop(event_loop);
                shared.end();
            }
        }
    }

    /// Goes round with the loop until it has been drained, or has been taken away.
    fn lead(shared: &Arc<Self>, mut event_loop: Box<EventLoop<S>>) {
        let _leading = Leading(shared);
        let _standing = Standing::holding(Arc::clone(shared) as Arc<dyn GiveAway>);
        let me = thread::current().id();
        let mut last = None;
        while !event_loop.is_done() {
            event_loop.gather();
            match shared.run_jobs(event_loop, &mut last, me) {
                Some(back) => event_loop = back,
                None => return,
            }
            event_loop.scatter();
        }
        drop(event_loop);
        shared.end();
    }

    /// Runs quick calls for a while; `None` if one of them held the loop up and it has been taken. `last`
    /// hears how long they take, if it is of their action: it was that of the last one.
    fn run_jobs(
        &self,
        mut event_loop: Box<EventLoop<S>>,
        last: &mut Option<Arc<dyn Pace>>,
        me: ThreadId,
    ) -> Option<Box<EventLoop<S>>> {
        let Some(mut job) = event_loop.next_job(self.whereabouts(), None) else {
            return Some(event_loop);
        };
        let mut pace = last.take().unwrap_or_else(|| job.pace());
        let mut timing = Timing::begin(self.ticks, BATCH, event_loop.heard());
        // Held from one handler to the next: between them the loop is here, and nobody could take it.
        let mut place = lock(&self.parked);
        loop {
            if !job.is_of(&pace) {
                timing.look(&pace);
                pace = job.pace();
            }
            let at_most = timing.at_most();
            let Some(run) = self.run_one(place, (event_loop, pace, me), &mut job, at_most) else {
                self.answer_late(job.done_late());
                return None;
            };
            let (parked, ran);
            (place, parked, ran) = run;
            (event_loop, pace) = (parked.event_loop, parked.pace);
            event_loop.end_job(&mut job);
            timing.note(ran);
            if event_loop.has_jobs() {
                timing.go_on(&pace);
                if timing.is_over() {
                    event_loop.keep_job(job);
                    *last = Some(pace);
                    return Some(event_loop);
                }
            }
            match event_loop.next_job(self.whereabouts(), Some(job)) {
                Some(next) => job = next,
                None => break,
            }
        }
        drop(place);
        timing.end(&pace);
        *last = Some(pace);
        Some(event_loop)
    }

    /// Runs one call while the loop is where it can be taken, and says whether it ran; `None` if somebody
    /// has taken the loop.
    #[inline]
    fn run_one<'s>(
        &'s self,
        mut place: Place<'s, S>,
        (event_loop, pace, by): (Box<EventLoop<S>>, Arc<dyn Pace>, ThreadId),
        job: &mut S::Job,
        at_most: Instant,
    ) -> Option<(Place<'s, S>, Parked<S>, bool)> {
        let beat = self.park(&mut place, event_loop, pace, by);
        drop(place);
        self.wake_watcher();
        let ran = job.run(at_most);
        let mut place = lock(&self.parked);
        let parked = self.unpark(&mut place, beat)?;
        Some((place, parked, ran))
    }

    /// Where quick calls run now.
    fn whereabouts(&self) -> Run {
        match self.watched.load(Ordering::Acquire) {
            true => Run::Here,
            false => Run::Elsewhere,
        }
    }

    fn park(
        &self,
        place: &mut Option<Parked<S>>,
        event_loop: Box<EventLoop<S>>,
        pace: Arc<dyn Pace>,
        by: ThreadId,
    ) -> u64 {
        // Whoever has the loop changes it, and nobody else.
        let beat = self.beat.load(Ordering::Relaxed) + 1;
        *place = Some(Parked { event_loop, pace, by, beat });
        self.beat.store(beat, Ordering::Release);
        beat
    }

    /// The loop has been parked: whoever fell asleep before hears of that, and whoever is about to
    /// sees it. Not under the lock, which that takes as well.
    #[inline]
    fn wake_watcher(&self) {
        if self.asleep.load(Ordering::Relaxed) {
            self.asleep.store(false, Ordering::Relaxed);
            lock(&self.watch).woken = true;
            self.changed.notify_all();
        }
    }

    /// The loop that was parked at this beat, if it is still there.
    fn unpark(&self, place: &mut Option<Parked<S>>, beat: u64) -> Option<Parked<S>> {
        let parked = place.take_if(|parked| parked.beat == beat)?;
        self.beat.store(beat + 1, Ordering::Release);
        Some(parked)
    }

    fn answer_late(&self, done: Done) {
        let Done { connection, key, answer: Some(answer) } = done else { return };
        // A loop that has returned has no connection left that could carry the answer.
        let _ = self.remote.send(Command::Answer { connection, key, answer, room: 0 });
    }

    /// A thread that watches, and leads when it has taken the loop.
    fn spawn_watcher(shared: &Arc<Self>) {
        let watcher = Arc::clone(shared);
        let thread = thread::Builder::new().name("isock-watcher".into());
        // Without a watcher every handler runs on a worker: slower, and just as correct.
        let _ = thread.spawn(move || {
            if let Some(event_loop) = watcher.watch() {
                Shared::spawn_watcher(&watcher);
                Shared::lead(&watcher, event_loop);
            }
        });
    }

    /// Watches until a handler holds the loop up, and takes the loop; `None` at the end.
    fn watch(&self) -> Option<Box<EventLoop<S>>> {
        self.watched.store(true, Ordering::Release);
        let mut last = self.beat.load(Ordering::Acquire);
        let mut quiet = 0;
        loop {
            let urgent = match self.rest(quiet >= QUIET) {
                Rested::Done => return None,
                Rested::Looking { urgent } => urgent,
            };
            let beat = self.beat.load(Ordering::Acquire);
            quiet = if beat == last { quiet + 1 } else { 0 };
            let running = beat % 2 == 1;
            let urgent = urgent == Some(beat);
            if running && (urgent || beat == last) {
                // Not before the loop is here: its thread may have taken it back just now.
                let parked = lock(&self.parked).take_if(|parked| parked.beat == beat);
                if let Some(parked) = parked {
                    self.watched.store(false, Ordering::Release);
                    self.beat.store(beat + 1, Ordering::Release);
                    match urgent {
                        true => parked.pace.blocks(),
                        false => parked.pace.held_up(),
                    }
                    let mut event_loop = parked.event_loop;
                    event_loop.leave_job();
                    return Some(event_loop);
                }
            }
            last = beat;
        }
    }

    /// Waits for the next look, or for work if it has been quiet.
    fn rest(&self, quiet: bool) -> Rested {
        let mut watch = lock(&self.watch);
        watch.woken = false;
        if !quiet {
            if !watch.done && watch.urgent.is_none() {
                watch = wait(&self.changed, watch, TICK);
            }
            return watch.rested();
        }
        let begun = self.fall_asleep();
        while !begun && !watch.done && !watch.woken {
            watch = self.changed.wait(watch).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.store(false, Ordering::Relaxed);
        watch.rested()
    }

    /// Says so where the loop is parked: a handler that begins later sees it. Whether one has begun
    /// before, which wakes nobody, since it saw no sleeper.
    fn fall_asleep(&self) -> bool {
        let parked = lock(&self.parked);
        self.asleep.store(true, Ordering::Relaxed);
        parked.is_some()
    }

    fn end(&self) {
        lock(&self.watch).done = true;
        self.changed.notify_all();
    }

    fn end_others(&self) {
        let until = Instant::now() + GRACE;
        for remote in &self.all {
            // One that has returned needs no telling.
            let _ = remote.send(Command::Drain { until, running: Running::Finish });
        }
    }

    fn wait_until_done(&self) {
        let mut watch = lock(&self.watch);
        while !watch.done {
            watch = self.changed.wait(watch).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'m, T>(
    changed: &Condvar,
    guard: MutexGuard<'m, T>,
    patience: Duration,
) -> MutexGuard<'m, T> {
    changed.wait_timeout(guard, patience).unwrap_or_else(PoisonError::into_inner).0
}
