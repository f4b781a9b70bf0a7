//! One stream between its driver and its user's thread: items that have come, items that are to
//! leave, and who waits for either.
//!
//! Knows batches and credit. Does not know sockets, or what an item means.

use super::{
    account::Charge,
    blocking::about_to_block,
    far::Far,
    link::Link,
    pending::{Ended, Pending, Waiter},
};
use crate::{
    proto::{Balance, Body, CallKey, Connection, NotSent, ServedKey, StreamKey},
    wire::{spare, Block, Credit, EncodeError, ItemBatch, Ran, INITIAL_MESSAGE, ITEM_LEN},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
    time::{Duration, Instant},
};

/// Bytes of items that wait for their driver before their sender does: enough for a sender to go on
/// while its driver wakes up.
const AHEAD: usize = 192 * 1024;
/// Bytes of items for which a driver is woken that would look by itself within a tick.
const ENOUGH: usize = 64 * 1024;
/// A sender of so many items between two looks of its driver sends a burst.
const BURST: u32 = 8;

/// What a message of items takes up beside its memory, in a queue that has as much room again.
const ENTRY: usize = 2 * size_of::<(Block, u32)>();
/// Items that wait to leave are counted when they have become this much more, in bytes.
const STEP: usize = 4096;

/// How long a look at what waits to leave may take.
const DRAIN: Duration = Duration::from_secs(60);

/// What both sides of the stream's user share.
#[derive(Debug)]
pub(crate) struct Flow(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Known from the moment at which the call is under way.
    key: Option<StreamKey>,
    /// Messages of items, and how many items each has.
    received: VecDeque<(Block, u32)>,
    /// No further items come.
    complete: bool,
    /// How a call of this side ended.
    ended: Option<Ended>,
    /// Bytes and items that have been consumed, and that the other side does not know of.
    consumed: (usize, u32),
    /// Items of the other side may come from now on.
    welcome: bool,
    /// Items that wait for the driver.
    out: ItemBatch,
    /// What may be sent beyond those.
    left: Balance,
    /// The longest message of items that the other side accepts.
    limit: usize,
    /// The last item is in `out`, or has been sent.
    last: bool,
    last_sent: bool,
    told: Told,
    /// The driver has it among those at which it looks by itself.
    listed: bool,
    /// Nobody takes items any more.
    stopped: bool,
    signals: Vec<Arc<Pending>>,
    /// Bytes of memory of what has come and has not been consumed.
    held: usize,
    /// Bytes of `out`, when they were counted last.
    counted: usize,
    /// Where a server counts both.
    charge: Option<Charge>,
}

/// When the driver looks at what a stream's user has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// Once it is told.
    #[default]
    No,
    /// By itself, within a tick.
    Soon,
    /// It has been told.
    Now,
}

/// Why the driver looks at a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It has been asked to.
    Asked,
    /// The same, and it can look again within a tick without being asked.
    Patient,
    /// A tick is over.
    Again,
}

/// What has come for who consumes a stream.
#[derive(Debug)]
pub(crate) enum Received {
    /// A message of items: [`wire::items`](crate::wire::items) takes it apart.
    Items(Block, u32),
    /// There are no further ones.
    End,
}

/// Why an item was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Nobody takes items any more.
    Stopped,
    /// Nothing was taken in time.
    Late,
    /// The other side accepts items of at most this many bytes.
    TooLarge { limit: usize },
    /// It cannot be encoded.
    Unsendable(EncodeError),
}

/// Whether all that was to leave has been handed to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    All,
    /// The same, and more is to be expected: look again within a tick, nobody asks for it.
    Burst,
    /// The other side leaves too much unread: try again later.
    Full,
}

impl Flow {
    /// A stream that may send as much as `credit` says. What waits in it is charged.
    pub(super) fn new(
        key: Option<StreamKey>,
        (credit, limit): (Credit, usize),
        charge: Option<Charge>,
    ) -> Arc<Flow> {
        let left = Balance { bytes: credit.bytes.into(), items: credit.items };
        Arc::new(Flow(Mutex::new(State { key, left, limit, charge, ..State::default() })))
    }

    /// A stream of this side, which is not under way yet.
    pub(crate) fn of_call() -> Arc<Flow> {
        Flow::new(None, (Credit::default(), INITIAL_MESSAGE), None)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call is under way by this name.
    pub(super) fn begun(&self, key: CallKey, limit: usize) {
        let mut state = self.lock();
        (state.key, state.limit) = (Some(key.into()), limit);
    }

    // What the driver does. Everybody who is to be woken is added to `woken`, for when all locks
    // are free.

    /// Items have come.
    pub(super) fn deliver(&self, body: Body<'_>, items: u32, woken: &mut Vec<Waiter>) {
        let mut state = self.lock();
        let body = body.into_block();
        state.held += memory(body.len());
        state.received.push_back((body, items));
        state.count();
        state.fire(woken);
    }

    /// No further items come.
    pub(super) fn complete(&self, woken: &mut Vec<Waiter>) {
        let mut state = self.lock();
        state.complete = true;
        state.fire(woken);
    }

    /// The other side takes so much more.
    pub(super) fn credit(&self, left: Balance, woken: &mut Vec<Waiter>) {
        let mut state = self.lock();
        let waiting = (state.out.as_bytes().len() as i64, state.out.items());
        let items = left.items.saturating_sub(waiting.1);
        state.left = Balance { bytes: left.bytes - waiting.0, items };
        state.fire(woken);
    }

    /// The call has ended; what has come stays.
    pub(super) fn end(&self, ended: Ended, woken: &mut Vec<Waiter>) {
        let mut state = self.lock();
        state.ended.get_or_insert(ended);
        (state.complete, state.stopped) = (true, true);
        state.fire(woken);
    }

    /// Nobody takes or sends items any more.
    pub(super) fn stop(&self, woken: &mut Vec<Waiter>) {
        let mut state = self.lock();
        (state.complete, state.stopped) = (true, true);
        state.out.clear();
        state.received.clear();
        state.held = 0;
        state.count();
        state.fire(woken);
    }

    /// Bytes that wait in it.
    fn held(&self) -> usize {
        let state = self.lock();
        state.held + state.out.as_bytes().len()
    }

    /// Does what the user has asked for since the last time.
    pub(super) fn settle(
        &self,
        look: Look,
        proto: &mut Connection,
        woken: &mut Vec<Waiter>,
    ) -> Settled {
        let mut state = self.lock();
        let state = &mut *state;
        state.told = Told::No;
        state.listed &= look != Look::Again;
        let Some(key) = state.key else { return Settled::All };
        if let (true, StreamKey::Served(served)) = (std::mem::take(&mut state.welcome), key) {
            proto.take_items(served);
        }
        let (bytes, items) = std::mem::take(&mut state.consumed);
        if items > 0 {
            proto.consumed(key, bytes, items, state.received.is_empty());
        }
        let last = state.last && !state.last_sent;
        if state.out.is_empty() && !last {
            return Settled::All;
        }
        let burst = look != Look::Asked && state.out.items() >= BURST && !last;
        match proto.send_items(key, &mut state.out, last) {
            Ok(()) => {
                state.last_sent = state.last;
                state.count();
                state.fire(woken);
                match burst {
                    true => state.listed(),
                    false => Settled::All,
                }
            }
            // Credit is spent as items come in here, so there always is enough.
            Err(NotSent::Full | NotSent::NoCredit) => {
                state.told = Told::Now;
                Settled::Full
            }
            Err(NotSent::Ended | NotSent::TooLarge { .. }) => {
                state.out.clear();
                state.stopped = true;
                state.count();
                state.fire(woken);
                Settled::All
            }
        }
    }
}

impl State {
    fn fire(&mut self, woken: &mut Vec<Waiter>) {
        for signal in self.signals.drain(..) {
            woken.extend(signal.end(Ended::Value(Block::default())));
        }
    }

    /// The driver looks again by itself.
    fn listed(&mut self) -> Settled {
        self.told = Told::Soon;
        match std::mem::replace(&mut self.listed, true) {
            true => Settled::All,
            false => Settled::Burst,
        }
    }

    /// Whether the driver has to be told now: of the first thing, or of much.
    fn is_news(&self) -> bool {
        match self.told {
            Told::No => true,
            Told::Soon => self.out.as_bytes().len() >= ENOUGH || self.last,
            Told::Now => false,
        }
    }

    /// Whether the driver has to be told now since somebody is about to wait.
    fn is_urgent(&self) -> bool {
        self.told == Told::Soon && (!self.out.is_empty() || self.consumed.1 > 0)
    }

    /// Puts on the account what waits.
    fn count(&mut self) {
        self.counted = self.out.as_bytes().len();
        if let Some(charge) = &mut self.charge {
            charge.set(self.held + self.counted);
        }
    }

    /// Whether an item that costs so much goes into the message that waits.
    fn has_room(&self, cost: usize) -> bool {
        self.out.is_empty() || self.out.as_bytes().len() + cost <= AHEAD.min(self.limit)
    }

    fn signal(&mut self) -> Arc<Pending> {
        let signal = Arc::new(Pending::default());
        self.signals.push(Arc::clone(&signal));
        signal
    }

    fn take(&mut self) -> Option<Received> {
        match self.received.pop_front() {
            Some((bytes, items)) => Some(Received::Items(bytes, items)),
            None => self.complete.then_some(Received::End),
        }
    }
}

/// What a message of items of this length takes up. A short one holds all of its block, so a peer that
/// sends its items one by one pays for more than their bytes; what a long block has beyond its message
/// counts for those that are kept for long messages.
fn memory(len: usize) -> usize {
    ENTRY + len.max(spare::SHORT)
}

/// Who moves the bytes of a stream.
#[derive(Clone, Debug)]
pub(crate) enum Driver {
    Near(Arc<Link>),
    Far(Arc<Far>),
}

/// One stream, as its user holds it.
#[derive(Clone, Debug)]
pub(crate) struct Conduit {
    driver: Driver,
    flow: Arc<Flow>,
}

impl Conduit {
    pub(crate) fn new(driver: Driver, flow: Arc<Flow>) -> Conduit {
        Conduit { driver, flow }
    }

    /// The next items, or that there are none; `None` if the deadline comes first.
    pub(crate) fn receive(&self, deadline: Instant) -> Option<Received> {
        loop {
            let mut state = self.flow.lock();
            if let Some(received) = state.take() {
                return Some(received);
            }
            self.wait(state, deadline)?;
        }
    }

    /// The same without blocking: the waker is woken when it is worth another try.
    pub(crate) fn poll_receive(&self, waker: &Waker) -> Option<Received> {
        let mut state = self.flow.lock();
        let received = state.take();
        if received.is_none() {
            // Nobody has it yet, so it has not ended.
            let _ = state.signal().wake_with(waker);
            self.urge(state);
        }
        received
    }

    /// Whether something has come after all, for who is about to call it late: what lies there unread
    /// has come in time.
    pub(crate) fn has_come(&self) -> bool {
        if let Driver::Near(link) = &self.driver {
            link.glance();
        }
        let state = self.flow.lock();
        !state.received.is_empty() || state.complete
    }

    /// Tells the other side, in its time, that items have been consumed.
    pub(crate) fn consumed(&self, bytes: usize, items: u32) {
        let mut state = self.flow.lock();
        state.consumed.0 += bytes;
        state.consumed.1 += items;
        state.held = state.held.saturating_sub(memory(bytes));
        state.count();
        self.tell(state);
    }

    /// Lets the items of a call of the other side come.
    pub(crate) fn welcome(&self) {
        let mut state = self.flow.lock();
        state.welcome = true;
        self.tell(state);
    }

    /// Sends an encoded item; waits while the other side takes none.
    ///
    /// # Errors
    /// If nobody takes items any more, or none was taken by the deadline.
    pub(crate) fn send(
        &self,
        item: &[u8],
        deadline: impl FnOnce() -> Instant,
    ) -> Result<(), Unsent> {
        let cost = ITEM_LEN + item.len();
        let mut state = self.flow.lock();
        let mut deadline = Err(deadline);
        loop {
            if state.stopped || state.last {
                return Err(Unsent::Stopped);
            }
            if state.key.is_some() && cost > state.limit {
                return Err(Unsent::TooLarge { limit: state.limit - ITEM_LEN });
            }
            if state.left.allows_one() && state.has_room(cost) {
                break;
            }
            let until = match deadline {
                Ok(until) => until,
                Err(deadline) => deadline(),
            };
            deadline = Ok(until);
            self.wait(state, until).ok_or(Unsent::Late)?;
            state = self.flow.lock();
        }
        // Nothing in it can fail.
        let pushed: Result<(), std::convert::Infallible> = state.out.push(|out| {
            out.extend_from_slice(item);
            Ok(())
        });
        let Ok(()) = pushed;
        state.left.items -= 1;
        state.left.bytes -= cost as i64;
        if state.out.as_bytes().len() >= state.counted + STEP {
            state.count();
        }
        self.tell(state);
        Ok(())
    }

    /// Says that no further item follows.
    pub(crate) fn finish(&self) {
        let mut state = self.flow.lock();
        if !state.last {
            state.last = true;
            self.tell(state);
        }
    }

    /// Waits until what was sent is with the protocol, so that what follows comes after it.
    pub(crate) fn drain(&self) {
        loop {
            let state = self.flow.lock();
            if state.stopped || state.out.is_empty() {
                return;
            }
            // The driver ends every stream some time.
            let _ = self.wait(state, Instant::now() + DRAIN);
        }
    }

    /// Whether this side has said that no further item follows.
    pub(crate) fn is_finished(&self) -> bool {
        self.flow.lock().last
    }

    /// How the call ended, if it has; what came before may not have been looked at.
    pub(crate) fn peek_end(&self) -> Option<Ended> {
        self.flow.lock().ended.clone()
    }

    /// How the call ended, once it has.
    pub(crate) fn take_end(&self) -> Option<Ended> {
        self.flow.lock().ended.take()
    }

    /// Gives a call of this side up, and says whether its handler can have run.
    pub(crate) fn cancel(&self) -> Ran {
        let mut woken = Vec::new();
        self.flow.stop(&mut woken);
        let key = self.flow.lock().key;
        let ran = match (&self.driver, key) {
            (Driver::Near(link), Some(StreamKey::Own(key))) => link.cancel_stream(key),
            (Driver::Far(far), _) => {
                far.cancel_stream(&self.flow);
                Ran::Unknown
            }
            _ => Ran::No,
        };
        woken.into_iter().for_each(Waiter::wake);
        ran
    }

    /// What has to be read for the stream to go on, if nobody else reads it.
    pub(crate) fn to_read(&self) -> Weak<Link> {
        match &self.driver {
            Driver::Near(link) => Arc::downgrade(link),
            Driver::Far(_) => Weak::new(),
        }
    }

    /// Tells the driver, unless it knows or will look in time.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if state.is_news() {
            state.told = Told::Now;
            drop(state);
            self.drive();
        }
    }

    /// Tells the driver of what could wait if nobody waited for it.
    fn urge(&self, mut state: MutexGuard<'_, State>) {
        if state.is_urgent() {
            state.told = Told::Now;
            drop(state);
            self.drive();
        }
    }

    fn drive(&self) {
        match &self.driver {
            Driver::Near(link) => link.settle(&self.flow),
            Driver::Far(far) => far.settle(&self.flow),
        }
    }

    /// Waits for a change; `None` if the deadline comes first.
    fn wait(&self, mut state: MutexGuard<'_, State>, deadline: Instant) -> Option<Ended> {
        let signal = state.signal();
        self.urge(state);
        // In a hook nothing comes in time.
        about_to_block().ok()?;
        match &self.driver {
            Driver::Near(link) => link.wait_for_signal(&signal, deadline),
            Driver::Far(_) => signal.block(deadline),
        }
    }
}

/// The streams of one connection. Most connections have none.
#[derive(Debug, Default)]
pub(super) struct Flows {
    all: HashMap<StreamKey, Arc<Flow>>,
    /// Those that wait for the other side to read.
    full: Vec<Arc<Flow>>,
}

impl Flows {
    pub(super) fn insert(&mut self, key: StreamKey, flow: Arc<Flow>) {
        self.all.insert(key, flow);
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Arc<Flow>> {
        self.all.get(&key)
    }

    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Arc<Flow>> {
        // Asked for each call that ends, whatever it carries.
        if self.all.is_empty() {
            return None;
        }
        self.all.remove(&key)
    }

    /// Whether there are none.
    pub(super) fn are_none(&self) -> bool {
        self.all.is_empty() && self.full.is_empty()
    }

    /// Bytes that wait in them.
    pub(super) fn held(&self) -> usize {
        self.all.values().map(|flow| flow.held()).sum()
    }

    /// Which of them this is.
    pub(super) fn key_of(&self, flow: &Arc<Flow>) -> Option<StreamKey> {
        let key = flow.lock().key?;
        self.all.get(&key).filter(|known| Arc::ptr_eq(known, flow)).map(|_| key)
    }

    /// Does what a stream's user has asked for; says whether to look again within a tick.
    pub(super) fn settle(
        &mut self,
        flow: &Arc<Flow>,
        look: Look,
        proto: &mut Connection,
        woken: &mut Vec<Waiter>,
    ) -> bool {
        let settled = flow.settle(look, proto, woken);
        if settled == Settled::Full {
            self.full.push(Arc::clone(flow));
        }
        settled == Settled::Burst
    }

    /// Goes on with those that had to wait, once there is room again.
    pub(super) fn go_on(&mut self, proto: &mut Connection, woken: &mut Vec<Waiter>) {
        if !self.full.is_empty() && proto.wants_input() {
            for flow in std::mem::take(&mut self.full) {
                self.settle(&flow, Look::Asked, proto, woken);
            }
        }
    }

    /// The other side does not want a stream that this side serves any more.
    pub(super) fn cancelled(&self, key: ServedKey, woken: &mut Vec<Waiter>) {
        if let Some(flow) = self.all.get(&key.into()) {
            flow.stop(woken);
        }
    }

    /// The connection has ended.
    pub(super) fn stop_all(&mut self, woken: &mut Vec<Waiter>) {
        self.full.clear();
        self.all.drain().for_each(|(_, flow)| flow.stop(woken));
    }
}
