//! A call that somebody waits for: a blocked thread, a future, or nobody yet.

use super::{
    blocking::hook,
    cancel::{run_hooks, Hook},
    crowd::{Caller, Callers, Crowd},
};
use crate::{
    proto::{Body, CallKey, Closed, Outcome},
    sync,
    wire::{Block, Ran, Refusal},
};
use std::{
    fmt, mem,
    ops::Deref,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
    task::Waker,
    thread::{self, Thread},
    time::Instant,
};

/// How a call ended, as far as one connection knows.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// With an encoded value.
    Value(Block),
    /// With one that has a few bytes.
    Small(Small),
    /// With the action's own error, encoded.
    Error(Block),
    /// The server refused it, or it failed there.
    Refused(Refusal),
    /// The connection ended first.
    Lost(Ran, Closed),
}

impl Ended {
    /// What the other side answered.
    #[inline(always)]
    pub(super) fn of(outcome: Outcome<'_>) -> Ended {
        match outcome {
            Outcome::Value(Body::Borrowed(bytes)) if bytes.len() <= SMALL => {
                Ended::Small(Small::of(bytes))
            }
            Outcome::Value(body) => Ended::Value(body.into_block()),
            Outcome::Error(body) => Ended::Error(body.into_block()),
            Outcome::Refused(refusal) => Ended::Refused(refusal),
        }
    }
}

/// Up to here a value lies in the end of its call itself, in bytes: a block of its own would be looked
/// for, and given back.
const SMALL: usize = 46;

/// A value that has a few bytes, encoded.
#[derive(Clone)]
pub(crate) struct Small {
    len: u8,
    bytes: [u8; SMALL],
}

impl Small {
    /// A copy of bytes of which there are no more than that.
    #[inline(always)]
    fn of(value: &[u8]) -> Small {
        let mut bytes = [0; SMALL];
        bytes[..value.len()].copy_from_slice(value);
        Small { len: value.len() as u8, bytes }
    }
}

impl Deref for Small {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl From<Small> for Block {
    fn from(small: Small) -> Block {
        Body::Borrowed(&small).into_block()
    }
}

impl fmt::Debug for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// Where the end of a call is put.
#[derive(Debug)]
pub(crate) struct Pending(sync::Place<Ended, Waiter>);

impl Default for Pending {
    fn default() -> Pending {
        Pending(sync::Place::new())
    }
}

/// Who is told.
pub(super) enum Waiter {
    Thread(Thread),
    /// A caller that sleeps in the crowd of its connection.
    Caller(Arc<Crowd>, Caller),
    Future(Waker),
    /// A handler whose call has been cancelled.
    Hooks(Vec<Hook>),
}

impl Waiter {
    /// Whether it is a thread, which is likely to call again.
    pub(super) fn is_thread(&self) -> bool {
        matches!(self, Waiter::Thread(_) | Waiter::Caller(..))
    }

    /// Wakes. Never while a lock is held: a waker is the user's code, and others wait for the
    /// thread that it runs on.
    pub(super) fn wake(self) {
        match self {
            Waiter::Thread(thread) => thread.unpark(),
            Waiter::Caller(crowd, caller) => crowd.wake(Callers::from(caller)),
            Waiter::Future(waker) => hook(|| waker.wake()),
            Waiter::Hooks(hooks) => run_hooks(hooks),
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waiter::Thread(_) => "Thread",
            Waiter::Caller(..) => "Caller",
            Waiter::Future(_) => "Future",
            Waiter::Hooks(_) => "Hooks",
        })
    }
}

/// Wakes on the thread of a loop, which a waker that panics must not end.
#[inline]
pub(super) fn wake_all(woken: Vec<Waiter>) {
    if woken.is_empty() {
        return;
    }
    for waiter in woken {
        // The panic hook has reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| waiter.wake()));
    }
}

impl Pending {
    /// Puts the end, and returns who is to be woken once all locks are free.
    #[must_use]
    pub(super) fn end(&self, ended: Ended) -> Option<Waiter> {
        self.0.put(ended)
    }

    /// Takes the end, if it is there.
    pub(crate) fn take(&self) -> Option<Ended> {
        self.0.take()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.0.is_filled()
    }

    /// Blocks until the end is there; `None` if the deadline comes first.
    pub(super) fn block(&self, deadline: Instant) -> Option<Ended> {
        loop {
            if let Some(ended) = self.take() {
                return Some(ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if self.wait_as(Waiter::Thread(thread::current())) {
                thread::park_timeout(left);
            }
        }
    }

    /// Says who waits; false if the end is there already.
    pub(super) fn wait_as(&self, waiter: Waiter) -> bool {
        self.0.wait_as(waiter)
    }

    /// The same for a future.
    pub(crate) fn wake_with(&self, waker: &Waker) -> bool {
        self.wait_as(Waiter::Future(waker.clone()))
    }
}

/// Places that are kept for further calls when none is under way.
const SPARE: usize = 512;

/// Places whose ends can be seen without a lock.
const MARKS: usize = 256;

/// A call that its connection was given, and whose end somebody takes there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    place: u32,
    /// Tells it from others that have had its place.
    number: u32,
}

/// The numbers of the calls that have ended, each at its place, for who only looks. Written under the
/// lock of the connection.
#[derive(Debug)]
pub(super) struct Marks([AtomicU32; MARKS]);

impl Default for Marks {
    fn default() -> Marks {
        Marks(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Marks {
    fn set(&self, place: u32, number: u32) {
        if let Some(mark) = self.0.get(place as usize) {
            mark.store(number, Ordering::Release);
        }
    }

    /// Whether the end of a call is there; `None` if its place is not among these.
    pub(super) fn has_ended(&self, call: Awaited) -> Option<bool> {
        let mark = self.0.get(call.place as usize)?;
        Some(mark.load(Ordering::Acquire) == call.number)
    }
}

/// The calls that one connection waits for, and ends that their callers have not taken. All of it
/// lies under the connection's own lock: to put an end there takes no other one.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    places: Vec<Place>,
    /// A free place, which names the next one; where the places end if there is none.
    free: u32,
    /// How many are not.
    taken: u32,
    /// The places of those that have not ended, each where its key says.
    open: Vec<Option<(CallKey, u32)>>,
    /// Calls so far; no call is number 0.
    last: u32,
    marks: Arc<Marks>,
}

#[derive(Debug)]
struct Place {
    /// 0 in a free place.
    number: u32,
    next_free: u32,
    key: CallKey,
    stage: Stage,
}

/// How far a call is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Under way, and who is to be told.
    Open(Option<Waiter>),
    Ended(Ended),
}

impl Waiting {
    /// What shows without the lock which calls have ended.
    pub(super) fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.marks)
    }

    /// Adds a call that has just been started.
    pub(super) fn insert(&mut self, key: CallKey) -> Awaited {
        self.last = self.last.wrapping_add(1).max(1);
        let number = self.last;
        let place = self.free;
        match self.places.get_mut(place as usize) {
            // Its stage has been as that of a new one since it was left.
            Some(free) => {
                self.free = free.next_free;
                (free.number, free.key) = (number, key);
            }
            None => self.widen(Place { number, next_free: 0, key, stage: Stage::Open(None) }),
        }
        self.taken += 1;
        // All numbers have been used before after some billions of calls.
        self.marks.set(place, 0);
        let at = key.index();
        if at >= self.open.len() {
            self.open.resize(at + 1, None);
        }
        self.open[at] = Some((key, place));
        Awaited { place, number }
    }

    #[cold]
    fn widen(&mut self, place: Place) {
        self.places.push(place);
        self.free = self.places.len() as u32;
    }

    /// Ends a call, and returns who is to be woken once all locks are free.
    #[must_use]
    #[inline]
    pub(super) fn end(&mut self, key: CallKey, ended: Ended) -> Option<Waiter> {
        let (_, at) = self.open.get_mut(key.index())?.take_if(|(known, _)| *known == key)?;
        let place = self.places.get_mut(at as usize)?;
        let Stage::Open(waiter) = &mut place.stage else { return None };
        let waiter = waiter.take();
        place.stage = Stage::Ended(ended);
        self.marks.set(at, place.number);
        waiter
    }

    fn get(&self, call: Awaited) -> Option<&Place> {
        self.places.get(call.place as usize).filter(|place| place.number == call.number)
    }

    /// Whether its end is there, or nothing is to come.
    pub(super) fn has_ended(&self, call: Awaited) -> bool {
        !matches!(self.get(call), Some(Place { stage: Stage::Open(_), .. }))
    }

    /// Takes the end, if it is there.
    #[inline]
    pub(super) fn take(&mut self, call: Awaited) -> Option<Ended> {
        if !matches!(self.get(call)?.stage, Stage::Ended(_)) {
            return None;
        }
        match self.leave(call) {
            Stage::Ended(ended) => Some(ended),
            Stage::Open(_) => None,
        }
    }

    /// Forgets a call that nobody waits for any more. Says how far it was, which may hold a waker, and
    /// so is not dropped under a lock; and its key.
    pub(super) fn remove(&mut self, call: Awaited) -> Option<(CallKey, Stage)> {
        let key = self.get(call)?.key;
        if let Some(open) = self.open.get_mut(key.index()) {
            open.take_if(|(known, _)| *known == key);
        }
        Some((key, self.leave(call)))
    }

    /// Frees the place of a call that has it.
    #[inline(always)]
    fn leave(&mut self, call: Awaited) -> Stage {
        let place = &mut self.places[call.place as usize];
        (place.number, place.next_free, self.free) = (0, self.free, call.place);
        let stage = mem::replace(&mut place.stage, Stage::Open(None));
        self.taken -= 1;
        if self.taken == 0 && self.places.capacity() > SPARE {
            self.shrink();
        }
        stage
    }

    #[cold]
    fn shrink(&mut self) {
        (self.places, self.open, self.free) = Default::default();
    }

    /// Says who waits, unless the end is there: then it is given back. Who waited before is not dropped
    /// under a lock either.
    ///
    /// # Errors
    /// With the waiter, if there is no need for it.
    pub(super) fn wait_as(
        &mut self,
        call: Awaited,
        waiter: Waiter,
    ) -> Result<Option<Waiter>, Waiter> {
        match self.places.get_mut(call.place as usize) {
            Some(Place { number, stage: Stage::Open(before), .. }) if *number == call.number => {
                Ok(before.replace(waiter))
            }
            _ => Err(waiter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::Limits,
        proto::{Config, Connection, NewCall, SharedBody},
        wire::{CallHead, InstanceId},
    };
    use std::collections::{BTreeSet, VecDeque};

    /// The keys of so many calls that are under way at once.
    fn keys(count: usize) -> Vec<CallKey> {
        let config = Config::new(Limits::default(), InstanceId([1; 16]));
        let mut connection = Connection::client(config, Instant::now());
        let call = NewCall { head: CallHead::default(), body: SharedBody::default() };
        (0..count).map(|_| connection.call(call.clone()).expect("a call")).collect()
    }

    #[test]
    fn a_value_of_a_few_bytes_takes_no_block_and_is_the_same() {
        for len in [0, 1, SMALL, SMALL + 1] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let block = match Ended::of(Outcome::Value(Body::Borrowed(&bytes))) {
                Ended::Small(small) if len <= SMALL => {
                    assert_eq!(small[..], bytes);
                    Block::from(small)
                }
                Ended::Value(block) if len > SMALL => block,
                ended => panic!("{ended:?} of {len} bytes"),
            };
            assert_eq!(block[..], bytes);
        }
    }

    #[test]
    fn an_end_is_taken_once_and_the_places_of_many_calls_are_not_kept() {
        let mut waiting = Waiting::default();
        let marks = waiting.marks();
        let keys = keys(4 * SPARE);
        let calls: Vec<_> = keys.iter().map(|key| waiting.insert(*key)).collect();
        for (key, call) in keys.into_iter().zip(calls) {
            assert!(waiting.take(call).is_none() && !waiting.has_ended(call));
            assert_ne!(marks.has_ended(call), Some(true));
            assert!(waiting.end(key, Ended::Value(Block::default())).is_none());
            assert_ne!(marks.has_ended(call), Some(false));
            assert!(waiting.has_ended(call) && waiting.take(call).is_some());
            assert!(waiting.take(call).is_none());
        }
        assert!(waiting.places.capacity() <= SPARE);
    }

    #[test]
    fn a_place_that_was_left_is_taken_again_by_one_call_at_a_time() {
        let mut waiting = Waiting::default();
        let keys = keys(100);
        let mut under_way = VecDeque::new();
        for (n, key) in keys.iter().enumerate() {
            under_way.push_back(waiting.insert(*key));
            // In another order than they came.
            if n % 3 > 0 {
                under_way.rotate_left(n % under_way.len());
                let left = under_way.pop_front().expect("one at least");
                assert!(waiting.remove(left).is_some() && waiting.remove(left).is_none());
            }
            let places: BTreeSet<_> = under_way.iter().map(|call| call.place).collect();
            assert_eq!(places.len(), under_way.len());
            assert!(waiting.places.len() <= under_way.len() + 1);
        }
    }

    #[test]
    fn who_waits_is_named_by_the_end_and_by_nothing_later() {
        let mut waiting = Waiting::default();
        let key = keys(1)[0];
        let call = waiting.insert(key);
        let me = || Waiter::Thread(thread::current());
        assert!(matches!(waiting.wait_as(call, me()), Ok(None)));
        assert!(matches!(waiting.wait_as(call, me()), Ok(Some(Waiter::Thread(_)))));
        assert!(waiting.end(key, Ended::Value(Block::default())).is_some());
        assert!(waiting.end(key, Ended::Value(Block::default())).is_none());
        assert!(waiting.wait_as(call, me()).is_err());
    }

    #[test]
    fn a_call_that_was_given_up_leaves_its_place_and_hears_of_no_end() {
        let mut waiting = Waiting::default();
        let keys = keys(2);
        let call = waiting.insert(keys[0]);
        assert!(matches!(waiting.remove(call), Some((_, Stage::Open(None)))));
        let next = waiting.insert(keys[1]);
        assert_eq!(next.place, call.place);
        assert!(waiting.end(keys[0], Ended::Value(Block::default())).is_none());
        assert!(!waiting.has_ended(next) && waiting.remove(call).is_none());
        assert_eq!(waiting.marks().has_ended(next), Some(false));
    }
}
