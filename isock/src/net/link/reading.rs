//! Whoever waits on a connection: one of them reads for all, the others sleep.
//!
//! Knows who has the right to read and who comes next. Does not know what the bytes mean, nor who
//! waits without reading: that is `watching`.

use super::{
    state::{Parked, Reader, Wanted},
    watching::Awaits,
    Link, State,
};
use crate::{
    net::{
        behind,
        blocking::{about_to_block, WouldDeadlock},
        crowd::Caller,
        pending::{Awaited, Ended, Pending, Waiter},
        polling::Polling,
        stream::{is_retry, CallerStream, PATIENCE},
    },
    proto::{Closed, Room},
};
use std::{
    io,
    sync::{atomic::Ordering, Arc, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long to wait between two looks at a socket that takes nothing.
pub(super) const FULL: Duration = Duration::from_millis(2);
/// A thread that comes this late was stopped, or kept from running as long as if it had been.
const STOPPED: Duration = Duration::from_millis(20);

/// The right to read. Dropping it, for whatever reason, hands it on.
pub(super) struct Role<'l>(pub(super) &'l Link);

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reader = Reader::Nobody;
        let next = state.next_reader();
        state.nominee = next.map(|(thread, _)| thread);
        let watcher = if next.is_none() { state.watcher_of(Awaits::Role) } else { None };
        drop(state);
        if let Some((_, caller)) = next {
            self.0.crowd.wake(caller.into());
        }
        if let Some(bell) = watcher {
            bell.ring();
        }
    }
}

/// What who waits finds.
enum Found<'l> {
    /// The end of what it waits for.
    End(Ended),
    /// Nobody reads: that is for the finder to do.
    Role(Role<'l>),
    /// Others read, or have until now.
    Others,
}

/// What a read has come to.
pub(super) struct Pumped {
    /// Bytes have moved.
    moved: bool,
    at: Instant,
    /// The end of what its reader waits for.
    ended: Option<Ended>,
}

impl Link {
    /// Exchanges prefaces.
    ///
    /// # Errors
    /// How the connection ended instead; `None` if the deadline came first.
    pub(crate) fn handshake(&self, deadline: Instant) -> Result<(), Option<Closed>> {
        self.flush(&mut self.lock());
        let _role = self.take_role();
        loop {
            let state = self.lock();
            if let Some(closed) = &state.closed {
                return Err(Some(closed.clone()));
            }
            if state.proto.is_open() {
                return Ok(());
            }
            if deadline <= Instant::now() {
                return Err(None);
            }
            self.pump_or_wait(state, None);
        }
    }

    /// Waits until the call has ended; `None` if the deadline comes first, or in a child of the process.
    ///
    /// # Errors
    /// If it has not ended, where nothing may block.
    #[inline(always)]
    pub(crate) fn wait(
        &self,
        call: Awaited,
        deadline: Instant,
    ) -> Result<Option<Ended>, WouldDeadlock> {
        if !self.owner.is_this() {
            return Ok(None);
        }
        let mut state = self.lock();
        if let Some(ended) = state.pending.take(call) {
            return Ok(Some(ended));
        }
        self.wait_longer(state, call, deadline)
    }

    /// Goes on where the end is not there.
    // Apart: of calls that overlap most find theirs.
    #[inline(never)]
    fn wait_longer(
        &self,
        mut state: MutexGuard<'_, State>,
        call: Awaited,
        deadline: Instant,
    ) -> Result<Option<Ended>, WouldDeadlock> {
        let role = state.lead().then(|| Role(self));
        drop(state);
        let found = role.map_or(Found::Others, Found::Role);
        self.wait_for(&Wanted::Call(call), found, deadline)
    }

    /// The same for what is no call, and whose user has asked already whether it may block.
    pub(in crate::net) fn wait_for_signal(
        &self,
        signal: &Arc<Pending>,
        deadline: Instant,
    ) -> Option<Ended> {
        if !self.owner.is_this() {
            return None;
        }
        let wanted = Wanted::Signal(Arc::clone(signal));
        let found = self.look(&wanted);
        self.wait_for(&wanted, found, deadline).ok().flatten()
    }

    /// Goes on after the first look.
    fn wait_for<'l>(
        &'l self,
        wanted: &Wanted,
        mut found: Found<'l>,
        deadline: Instant,
    ) -> Result<Option<Ended>, WouldDeadlock> {
        if !matches!(found, Found::End(_)) {
            about_to_block()?;
            behind::leave_all_but(self);
        }
        let mut late = None;
        loop {
            let role = match found {
                Found::End(ended) => return Ok(Some(ended)),
                Found::Role(role) => Some(role),
                Found::Others => None,
            };
            let now = Instant::now();
            found = match role {
                role if deadline <= now => {
                    drop(role);
                    self.uncork();
                    if !self.may_have_come(now, *late.get_or_insert(now), deadline) {
                        return Ok(self.lock().take(wanted));
                    }
                    self.doze(wanted);
                    self.lock().take(wanted).map_or(Found::Others, Found::End)
                }
                Some(role) => match self.read_until(wanted, deadline) {
                    Some(ended) => Found::End(ended),
                    None => Found::Role(role),
                },
                None => self.park(wanted, deadline),
            };
        }
    }

    /// Sleeps for a moment, or until the end is there.
    fn doze(&self, wanted: &Wanted) {
        let before = self.lock().wait_as(wanted, Waiter::Thread(thread::current()));
        if before.is_some() {
            thread::park_timeout(FULL);
        }
    }

    /// Looks for the end, and else whether nobody reads.
    fn look(&self, wanted: &Wanted) -> Found<'_> {
        let mut state = self.lock();
        match state.take(wanted) {
            Some(ended) => Found::End(ended),
            None if state.lead() => Found::Role(Role(self)),
            None => Found::Others,
        }
    }

    /// Understands what lies there already: an answer that has come in time is no late one because
    /// nobody read it. False if somebody else reads.
    pub(crate) fn glance(&self) -> bool {
        let role = if self.owner.is_this() { self.take_role() } else { None };
        if role.is_some() {
            self.pump(CallerStream::read_now, None);
        }
        role.is_some()
    }

    /// Reads what has come, for who has been `late` since then. Says whether more may be on its way
    /// from the socket: somebody else reads, and bytes lie there, or may just have been taken. Where
    /// all threads were stopped, one of them looks at its clock before another one has read what
    /// came meanwhile. Who looks long after its deadline was stopped itself, and gives the other one
    /// the time of a whole read.
    pub(crate) fn may_have_come(&self, now: Instant, late: Instant, deadline: Instant) -> bool {
        if !self.owner.is_this() || self.glance() {
            return false;
        }
        let since = now.saturating_duration_since(late);
        let was_stopped = late.saturating_duration_since(deadline) >= STOPPED;
        since < 2 * FULL || (since < PATIENCE && (was_stopped || self.stream.has_more()))
    }

    /// Reads for all until the end of this is there. Only with the role, and only for what had not
    /// ended when that was taken: nothing else need come.
    fn read_until(&self, wanted: &Wanted, deadline: Instant) -> Option<Ended> {
        loop {
            let (now, ended) = self.pump_or_wait(self.lock(), Some(wanted));
            if ended.is_some() || deadline <= now {
                return ended;
            }
        }
    }

    pub(super) fn take_role(&self) -> Option<Role<'_>> {
        self.lock().lead().then(|| Role(self))
    }

    /// Waits to be woken, for the end or for the role, unless nobody reads. Whoever has been woken
    /// for the role has it, to hand it on if for nothing else.
    fn park(&self, wanted: &Wanted, deadline: Instant) -> Found<'_> {
        let (me, id) = (Caller::me(), thread::current().id());
        let mut state = self.lock_uncorked();
        let heard = self.crowd.heard();
        // From here on the end and the role come to who is on the list: the sleep ends with either.
        let waiter = Waiter::Caller(Arc::clone(&self.crowd), me);
        let free = state.reader == Reader::Nobody;
        let before = if free { None } else { state.wait_as(wanted, waiter) };
        if before.is_none() {
            drop(state);
            return self.look(wanted);
        }
        state.parked.push(Parked { thread: id, caller: me, wants: wanted.clone() });
        drop(state);
        let patience = deadline.saturating_duration_since(Instant::now());
        self.crowd.sleep(heard, me, patience);
        let mut state = self.lock();
        let ended = state.take(wanted);
        let leads = match state.nominee == Some(id) {
            true => {
                state.nominee = None;
                state.lead()
            }
            false => {
                state.parked.retain(|parked| parked.thread != id);
                false
            }
        };
        drop(state);
        let role = leads.then(|| Role(self));
        match (ended, role) {
            (Some(ended), _) => Found::End(ended),
            (None, Some(role)) => Found::Role(role),
            (None, None) => self.look(wanted),
        }
    }

    /// Moves bytes, or waits for a moment if there are none; says when it was done, and the end of
    /// what is wanted. Only with the role.
    fn pump_or_wait<'l>(
        &'l self,
        mut state: MutexGuard<'l, State>,
        wanted: Option<&Wanted>,
    ) -> (Instant, Option<Ended>) {
        if std::mem::take(&mut state.crowd) {
            drop(state);
            // Those who have just had their answers call again: their calls leave together.
            thread::yield_now();
            state = self.lock();
        }
        if state.corked > 0 {
            state.note_pattern();
            self.flush(&mut state);
        }
        if state.is_fed() {
            // What the other side sends is not even run as fast as it comes.
            drop(state);
            return self.rest(wanted);
        }
        if !state.full {
            // Who polls is asleep to the others: it holds no lock, and they write for themselves.
            state.reader = Reader::Asleep;
            let (polling, last) = (state.polling, state.last_traffic);
            drop(state);
            let pumped = match polling.until(last) {
                None => self.pump(CallerStream::read, wanted),
                Some(until) => self.pump_busily(until, polling, wanted),
            };
            return (pumped.at, pumped.ended);
        }
        drop(state);
        let pumped = self.pump(CallerStream::read_now, wanted);
        if pumped.moved || pumped.ended.is_some() {
            return (pumped.at, pumped.ended);
        }
        // The other side reads slowly, or not at all. Waiting in a write would keep the lock
        // from callers whose deadline comes first, waiting in a read would keep the socket
        // from being filled.
        self.rest(wanted)
    }

    /// Leaves the socket alone for a moment.
    fn rest(&self, wanted: Option<&Wanted>) -> (Instant, Option<Ended>) {
        thread::sleep(FULL);
        let ended = wanted.and_then(|wanted| self.lock().take(wanted));
        (Instant::now(), ended)
    }

    /// Pumps without sleeping, until it is that late.
    fn pump_busily(&self, until: Instant, before: Polling, wanted: Option<&Wanted>) -> Pumped {
        let mut polling = before;
        let read = |stream: &CallerStream, room: &mut Room<'_>| {
            stream.read_busily(room, until, &mut polling)
        };
        let pumped = self.pump(read, wanted);
        if polling != before {
            self.lock().polling = polling;
        }
        pumped
    }

    /// Reads once with `read`, understands it, and writes what has become due. Only with the role.
    pub(super) fn pump(
        &self,
        read: impl FnOnce(&CallerStream, &mut Room<'_>) -> io::Result<usize>,
        wanted: Option<&Wanted>,
    ) -> Pumped {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let result = input.fill(|room| read(&self.stream, room));
        let now = Instant::now();
        let mut woken = Vec::new();
        let mut state = self.lock();
        state.reader = Reader::Awake;
        if state.deepest > 0 {
            state.depth = std::mem::take(&mut state.deepest);
        }
        let waiting = state.proto.output_len();
        let has_read = result.is_ok();
        // A program that was stopped looks at what has come meanwhile before it looks at its clock.
        let looked = !matches!(&result, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        match result {
            Ok(0) => state.proto.handle_eof(),
            Ok(_) => state.note_traffic(now),
            Err(error) if is_retry(&error) => {}
            Err(_) => state.proto.handle_eof(),
        }
        state.understand(now, &mut input, &mut woken);
        if looked && state.proto.poll_timeout().is_some_and(|due| due <= now) {
            state.proto.handle_timeout(now);
            state.understand(now, &mut input, &mut woken);
        }
        self.note_end(&state);
        self.flush(&mut state);
        let has_written = state.proto.output_len() < waiting;
        woken.append(&mut state.woken);
        state.crowd |= woken.iter().any(Waiter::is_thread);
        let ended = wanted.and_then(|wanted| state.take(wanted));
        drop(state);
        drop(input);
        if !woken.is_empty() {
            self.wake(woken);
        }
        Pumped { moved: has_read || has_written, at: now, ended }
    }

    /// Lets those know who look for a connection.
    pub(super) fn note_end(&self, state: &State) {
        if state.closed.is_some() || state.proto.is_drained() {
            self.over.store(true, Ordering::Release);
        }
    }
}
