//! The driver of blocking callers: a connection whose callers do its reading and writing.
//!
//! No thread stands between a caller and the kernel. Of several callers one reads for all, and
//! hands that role on when it leaves; each finds its own answer among those of the calls that are waited for.
//!
//! Here is what a connection consists of, how it begins and how it ends. The rest is by thought:
//! `calling` is what callers ask of it, `reading` who waits for what comes, `writing` what leaves and
//! when, `state` what an event means to whom, `hosting` what the other side calls, `watching` who reads
//! when no caller does.

mod calling;
mod hosting;
mod reading;
mod state;
mod watching;
mod writing;

pub(crate) use calling::{Refused, Started};
pub(crate) use hosting::{Called, Host};
pub(super) use watching::Turn;

use super::{
    bell::Bell,
    corker::Looking,
    crowd::{Caller, Callers, Crowd},
    flow::{Flow, Flows},
    pending::{Marks, Waiter, Waiting},
    ping::{Pings, Rhythm},
    polling::Polling,
    stream::CallerStream,
};
use crate::{
    address::Address,
    process::Process,
    proto::{Buffer, Closed, Config, Connection},
    wire::{Close, CloseCode, ConnectionToken},
};
use hosting::Hosting;
use state::{Parked, Pattern, Reader};
use std::{
    fmt::Debug,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    thread::ThreadId,
    time::{Duration, Instant},
};
use watching::Awaits;

/// After this long without traffic, look whether the other side has gone before writing.
const IDLE: Duration = Duration::from_millis(10);

/// One connection of a client.
#[derive(Debug)]
pub(crate) struct Link {
    stream: CallerStream,
    address: Address,
    /// What has been read and not understood. Lives here and not on a stack, so that the next
    /// reader goes on where the last one left. Locked by the holder of the role alone.
    input: Mutex<Buffer>,
    state: Mutex<State>,
    /// Where callers sleep.
    crowd: Arc<Crowd>,
    /// Which calls have ended, for who only looks.
    marks: Arc<Marks>,
    /// It takes no new calls: it has ended, or the server drains it.
    over: AtomicBool,
    looking: Looking,
    rhythm: Rhythm,
    /// Whose connection it is. A child of it touches neither the socket nor a lock.
    owner: Process,
}

#[derive(Debug)]
struct State {
    proto: Connection,
    pending: Waiting,
    reader: Reader,
    polling: Polling,
    /// Who waits without reading, and would take the role.
    parked: Vec<Parked>,
    /// Who has been woken for the role, and has not run since.
    nominee: Option<ThreadId>,
    /// How often callers have taken the role, and how often they had when the watcher last looked.
    taken: u64,
    taken_before: u64,
    /// Whom to wake who waits beside the callers, and for what.
    watcher: Option<(Arc<Bell>, Awaits)>,
    /// Callers have been woken that are likely to call again.
    crowd: bool,
    closed: Option<Closed>,
    /// Calls in the output that nobody has tried to write.
    corked: u32,
    start: Pattern,
    /// The most calls that have been under way since somebody last waited, 0 if none were started; and
    /// that were so before.
    deepest: u32,
    depth: u32,
    last_traffic: Instant,
    /// When that is so long ago that the other side may have gone.
    idle_from: Instant,
    /// A write failed: nothing more is written, but what has arrived is still read.
    write_failed: bool,
    /// The socket takes nothing at the moment: the reader writes, and never waits for it.
    full: bool,
    /// What the other side calls, if this side serves anything.
    hosting: Option<Hosting>,
    pings: Pings,
    /// Streams of either side.
    flows: Flows,
    /// Streams whose users have asked for something that is done with the next write.
    unsettled: Vec<Arc<Flow>>,
    /// Who is to be woken once the lock is free.
    woken: Vec<Waiter>,
}

impl Link {
    /// A connection over a connected stream; [`handshake`](Link::handshake) comes next.
    pub(crate) fn new(
        stream: CallerStream,
        address: Address,
        config: Config,
        polling: Polling,
        host: Option<Arc<dyn Host>>,
    ) -> Arc<Link> {
        Arc::new_cyclic(|me| {
            let hosting =
                |host| Hosting { host, me: me.clone(), running: Vec::new(), entered: false };
            Link::with(stream, address, config, polling, host.map(hosting))
        })
    }

    fn with(
        stream: CallerStream,
        address: Address,
        config: Config,
        polling: Polling,
        hosting: Option<Hosting>,
    ) -> Link {
        let now = Instant::now();
        let state = State {
            proto: Connection::client(config, now),
            pending: Waiting::default(),
            reader: Reader::Nobody,
            polling,
            parked: Vec::new(),
            nominee: None,
            taken: 0,
            taken_before: 0,
            watcher: None,
            crowd: false,
            closed: None,
            corked: 0,
            start: Pattern::Single,
            deepest: 0,
            depth: 0,
            last_traffic: now,
            idle_from: now + IDLE,
            write_failed: false,
            full: false,
            hosting,
            pings: Pings::default(),
            flows: Flows::default(),
            unsettled: Vec::new(),
            woken: Vec::new(),
        };
        Link {
            stream,
            address,
            input: Mutex::default(),
            marks: state.pending.marks(),
            state: Mutex::new(state),
            crowd: Arc::default(),
            over: AtomicBool::new(false),
            looking: Looking::default(),
            rhythm: Rhythm::default(),
            owner: Process::this(),
        }
    }

    /// Where the other end is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The name that the server gave the connection.
    pub(crate) fn token(&self) -> Option<ConnectionToken> {
        self.lock().proto.token()
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether new calls can be started.
    pub(crate) fn is_usable(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    /// Whether it has ended, and with it every call on it.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// A server that has gone away or is going has often said so already: reading it now turns
    /// a call that would be lost into one that is sent elsewhere.
    #[inline]
    fn look_around(&self, now: Instant) -> MutexGuard<'_, State> {
        let state = self.lock();
        match now < state.idle_from {
            true => state,
            false => self.look_first(state),
        }
    }

    #[inline(never)]
    fn look_first<'l>(&'l self, state: MutexGuard<'l, State>) -> MutexGuard<'l, State> {
        drop(state);
        self.glance();
        self.lock()
    }

    /// Wakes those who are to be woken. A waker is the user's code, so not before the lock is free.
    fn unlock(&self, mut state: MutexGuard<'_, State>) {
        if state.woken.is_empty() {
            return;
        }
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        self.wake(woken);
    }

    /// Wakes its callers with one call of the system, and then the others: a waker may panic.
    fn wake(&self, woken: Vec<Waiter>) {
        let mut callers = Callers::default();
        // This thread is awake.
        let is_asleep = |caller: &Caller| *caller != Caller::me();
        woken.iter().filter_map(|one| self.caller(one)).filter(is_asleep).for_each(|one| {
            callers.add(one);
        });
        self.crowd.wake(callers);
        let others = woken.into_iter().filter(|one| self.caller(one).is_none());
        others.for_each(Waiter::wake);
    }

    /// Who of its callers this is.
    fn caller(&self, waiter: &Waiter) -> Option<Caller> {
        match waiter {
            Waiter::Caller(crowd, caller) if Arc::ptr_eq(crowd, &self.crowd) => Some(*caller),
            _ => None,
        }
    }

    /// Ends the connection; calls under way end with it.
    pub(crate) fn close(&self) {
        let mut woken = Vec::new();
        let mut state = self.lock();
        state.proto.close(CloseCode::DONE);
        state.understand(Instant::now(), &mut Buffer::new(), &mut woken);
        self.note_end(&state);
        self.say_last(&mut state);
        drop(state);
        self.wake(woken);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if !self.owner.is_this() {
            // The connection is the parent's, and so are those whom its end concerns.
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.proto.close(CloseCode::DONE);
        self.say_last(&mut state);
        // A server that stops is left for another one before it closes.
        let why = match state.proto.is_drained() {
            true => Closed::ByPeer(Close::new(CloseCode::STOPPING)),
            false => Closed::ByUs(Close::new(CloseCode::DONE)),
        };
        let mut woken = Vec::new();
        state.flows.stop_all(&mut woken);
        if let Some(hosting) = &mut state.hosting {
            // Handlers of calls that came over it may still run: nobody waits for them any more.
            let running = hosting.running.drain(..);
            woken.extend(running.map(|(_, cancel)| Waiter::Hooks(cancel.tell())));
            if hosting.entered {
                hosting.host.ended(&why);
            }
        }
        drop(state);
        self.wake(woken);
    }
}
