//! The thread behind futures, detached calls and what a client serves. It exists only while somebody
//! needs it.
//!
//! Blocking callers read their connection themselves; a future cannot, a detached call has nobody,
//! and the other side calls when it likes. This thread reads for them, makes connections, keeps their
//! time, and ends after ten seconds without work. It sleeps until there is something to do: a client
//! at rest wakes nobody.

use super::{backoff, channel::Channel, connector::NoLink, raw::RawCall};
use crate::net::{self, Bell, Link, Purpose, Watched};
use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

/// Ends after this long without work.
const IDLE: Duration = Duration::from_secs(10);
/// Timers whose memory is kept while there are none.
const TIMERS: usize = 256;

/// The work of one client, and the thread for it.
pub(super) struct Background {
    channel: Weak<Channel>,
    state: Mutex<State>,
    /// Rung when there is something new to look at.
    bell: Arc<Bell>,
}

#[derive(Default)]
struct State {
    running: bool,
    timers: Vec<Weak<Mutex<Alarm>>>,
    /// Futures that wait for a connection, and until when.
    dial: Vec<(Instant, Waker)>,
    /// Why the last connection could not be made; forgotten with the next attempt.
    failed: Option<NoLink>,
    detached: Vec<RawCall>,
    /// Detached calls have something to do.
    woken: bool,
    /// The other side may call at any time.
    attending: bool,
}

/// Keeps the time of one future. While it lives, the thread reads for it.
#[derive(Debug)]
pub(super) struct Timer(Arc<Mutex<Alarm>>);

#[derive(Debug)]
struct Alarm {
    /// `None` once it has gone off.
    at: Option<(Instant, Waker)>,
    /// Where the answer will come: not always on the connection of the moment.
    link: Weak<Link>,
}

impl Timer {
    /// Wakes `waker` then, and reads from `link` until then; leaves the link there that was set
    /// before, and says whether the thread has to look at it again. `None` once it has gone off: the
    /// thread has forgotten it, or it would wait for a future that may never be polled again.
    fn set(&self, at: Instant, waker: &Waker, link: &mut Weak<Link>) -> Option<bool> {
        let mut alarm = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, _) = alarm.at.as_ref()?;
        let again = at < *before || !Weak::ptr_eq(&alarm.link, link);
        alarm.at = Some((at, waker.clone()));
        mem::swap(&mut alarm.link, link);
        Some(again)
    }
}

impl Background {
    pub(super) fn new(channel: Weak<Channel>) -> Arc<Background> {
        Arc::new(Background { channel, state: Mutex::default(), bell: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `waker` woken then, and `link` read until then, by the timer that a future has: a new one,
    /// unless there is one that has not gone off.
    pub(super) fn wake_at(
        self: &Arc<Self>,
        timer: &mut Option<Timer>,
        at: Instant,
        waker: &Waker,
        mut link: Weak<Link>,
    ) {
        match timer.as_ref().and_then(|timer| timer.set(at, waker, &mut link)) {
            Some(true) => self.look_again(),
            Some(false) => {}
            None => *timer = Some(self.timer(at, waker, link)),
        }
    }

    fn timer(self: &Arc<Self>, at: Instant, waker: &Waker, link: Weak<Link>) -> Timer {
        let timer = Timer(Arc::new(Mutex::new(Alarm { at: Some((at, waker.clone())), link })));
        let mut state = self.lock();
        state.timers.push(Arc::downgrade(&timer.0));
        self.need(state);
        timer
    }

    /// Makes a connection, and wakes `waker` when there is one or cannot be.
    pub(super) fn dial(self: &Arc<Self>, deadline: Instant, waker: &Waker) {
        let mut state = self.lock();
        state.failed = None;
        state.dial.push((deadline, waker.clone()));
        self.need(state);
    }

    /// Why the last connection could not be made.
    pub(super) fn dialled(&self) -> Option<NoLink> {
        self.lock().failed.clone()
    }

    /// Brings a call to its end although nobody waits for it.
    pub(super) fn adopt(self: &Arc<Self>, call: RawCall) {
        let mut state = self.lock();
        state.detached.push(call);
        state.woken = true;
        self.need(state);
    }

    /// Keeps a connection and reads it, for as long as there is a client.
    pub(super) fn attend(self: &Arc<Self>) {
        let mut state = self.lock();
        state.attending = true;
        self.need(state);
    }

    /// Makes sure that a thread sees what has been added.
    fn need(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.running {
            drop(state);
            return self.bell.ring();
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("isock-client".into());
        // Without a thread, deadlines of futures are not kept; there is nobody to tell but them.
        state.running = thread.spawn(move || this.work()).is_ok();
    }

    /// Something has changed that the thread, if there is one, goes by: an alarm, or the client is
    /// gone.
    pub(super) fn look_again(&self) {
        self.bell.ring();
    }

    fn work(self: Arc<Self>) {
        let mut idle_since = Instant::now();
        let mut keeping = Keeping::default();
        while let Some(work) = self.look(idle_since) {
            match work {
                Work::Rest(until) => {
                    self.bell.wait(until);
                    continue;
                }
                Work::Wake(wakers) => wakers.into_iter().for_each(Waker::wake),
                Work::Dial(deadline) => self.make_connection(deadline),
                Work::Detached(calls) => self.poll_detached(calls),
                Work::Attend(until) => self.keep(&mut keeping, until),
                Work::Read(until) => self.read(Some(until), Vec::new()),
            }
            idle_since = Instant::now();
        }
    }

    /// What to do next; `None` if the thread is to end.
    fn look(&self, idle_since: Instant) -> Option<Work> {
        let now = Instant::now();
        let mut state = self.lock();
        let due = state.take_due(now);
        if !due.is_empty() {
            return Some(Work::Wake(due));
        }
        if mem::take(&mut state.woken) {
            return Some(Work::Detached(mem::take(&mut state.detached)));
        }
        if let Some((deadline, _)) = state.dial.first() {
            return Some(Work::Dial(*deadline));
        }
        let alarm = state.first_alarm();
        if state.attending && self.channel.strong_count() > 0 {
            return Some(Work::Attend(alarm));
        }
        if let Some(until) = alarm {
            return Some(Work::Read(until));
        }
        if !state.detached.is_empty() {
            return Some(Work::Rest(None));
        }
        // As many as there were futures at once.
        state.timers.shrink_to(TIMERS);
        self.bell.rest();
        let end = idle_since + IDLE;
        if end <= now || self.channel.strong_count() == 0 {
            state.running = false;
            return None;
        }
        Some(Work::Rest(Some(end)))
    }

    fn make_connection(&self, deadline: Instant) {
        let result = match self.channel.upgrade() {
            Some(channel) => channel.reach(deadline),
            None => Err(NoLink::Closed),
        };
        let mut state = self.lock();
        state.failed = result.err();
        let waiting = mem::take(&mut state.dial);
        drop(state);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn poll_detached(self: &Arc<Self>, calls: Vec<RawCall>) {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        let mut pending = calls;
        pending.retain_mut(|call| call.poll(&mut cx).is_pending());
        self.lock().detached.append(&mut pending);
    }

    /// Reads the connection of the moment, and makes one if there is none.
    fn keep(&self, keeping: &mut Keeping, until: Option<Instant>) {
        let Some(channel) = self.channel.upgrade() else { return };
        let link = channel.near();
        if link.is_some() || channel.is_closed() {
            let attended = channel.left().into_iter().chain(link).collect();
            drop(channel);
            *keeping = Keeping::default();
            return self.read(until, attended);
        }
        let now = Instant::now();
        if keeping.next.is_none_or(|next| next <= now) {
            let patience = now + channel.options.limits.handshake;
            let failed = channel.link(patience).is_err();
            keeping.failures = if failed { keeping.failures + 1 } else { 0 };
            keeping.next = failed.then(|| Instant::now() + backoff::reconnect(keeping.failures));
        }
        drop(channel);
        if let Some(next) = keeping.next {
            self.bell.wait(Some(until.map_or(next, |until| until.min(next))));
        }
    }

    /// Reads for the futures, and for the other side if it may call. A server that is going answers
    /// on the old connection while a new one is in use: both are watched.
    fn read(&self, until: Option<Instant>, attended: Vec<Arc<Link>>) {
        let links = self.lock().links();
        let known = |link: &Arc<Link>| links.iter().any(|known| Arc::ptr_eq(known, link));
        let called = attended.into_iter().filter(|link| !link.is_closed() && !known(link));
        let called: Vec<_> = called.collect();
        let watched = |purpose| move |link| Watched { link, purpose };
        let called = called.into_iter().map(watched(Purpose::Calls));
        let futures = links.into_iter().map(watched(Purpose::Futures));
        net::watch(&self.bell, &futures.chain(called).collect::<Vec<_>>(), until);
    }
}

/// How keeping a connection goes.
#[derive(Default)]
struct Keeping {
    failures: u32,
    /// When to try again.
    next: Option<Instant>,
}

enum Work {
    /// Wait for word, or until then.
    Rest(Option<Instant>),
    /// Until then at the latest.
    Attend(Option<Instant>),
    Wake(Vec<Waker>),
    Dial(Instant),
    Detached(Vec<RawCall>),
    Read(Instant),
}

impl State {
    /// Takes the wakers of alarms that are due, and forgets these and the timers that are gone.
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        self.timers.retain(|timer| {
            let Some(alarm) = timer.upgrade() else { return false };
            let mut alarm = alarm.lock().unwrap_or_else(PoisonError::into_inner);
            due.extend(alarm.at.take_if(|(at, _)| *at <= now).map(|(_, waker)| waker));
            alarm.at.is_some()
        });
        due
    }

    fn first_alarm(&self) -> Option<Instant> {
        self.alarms(|alarm| alarm.at.as_ref().map(|(at, _)| *at)).min()
    }

    /// The connections that futures wait at.
    fn links(&self) -> Vec<Arc<Link>> {
        let mut links: Vec<Arc<Link>> = Vec::new();
        for link in self.alarms(|alarm| alarm.link.upgrade()) {
            if !link.is_closed() && links.iter().all(|known| !Arc::ptr_eq(known, &link)) {
                links.push(link);
            }
        }
        links
    }

    fn alarms<'s, T: 's>(
        &'s self,
        look: impl Fn(&Alarm) -> Option<T> + 's,
    ) -> impl Iterator<Item = T> + 's {
        let alarms = self.timers.iter().filter_map(Weak::upgrade);
        alarms.filter_map(move |alarm| look(&alarm.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Wakes the detached calls.
impl Wake for Background {
    fn wake(self: Arc<Self>) {
        self.lock().woken = true;
        self.bell.ring();
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}
