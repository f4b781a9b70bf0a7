//! How a connection is read, and what becomes of what its protocol has understood.
//!
//! Knows when to read no more. Does not know what calls mean: the service does.

use super::{ending::Linger, Allowance, Conn, Preface};
use crate::{
    net::{
        event_loop::{Incoming, Service},
        flow::{Conduit, Driver, Flow},
        pending::{wake_all, Ended},
    },
    proto::{Buffer, Event},
    seldom::Seldom,
};
use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a connection is read in one turn: many small frames are more work than their bytes say.
const TURN_TIME: Duration = Duration::from_millis(1);
/// What is read without a look at the clock, in bytes.
const SHORT: usize = 512;

impl<S: Service> Conn<S> {
    /// Reads for a turn, or about [`TURN_TIME`], and hands the calls over; says when it last read
    /// something, as far as it has looked at the clock. `spare` is memory for input, lent for as long as it takes: an idle connection holds
    /// none, and a slow one what it has sent.
    #[inline]
    pub(in crate::net) fn read(
        &mut self,
        service: &mut S,
        jobs: &mut VecDeque<S::Quick>,
        spare: &mut Buffer,
        allowance: Allowance<'_>,
    ) -> Option<Instant> {
        if self.linger.get().is_some() {
            self.read_away();
            return None;
        }
        self.input.grow_into(spare);
        let Allowance { bytes, mut now, mut busily } = allowance;
        let (mut taken, mut last, began) = (0, None, now);
        self.readable |= busily.is_some();
        while taken < bytes && self.readable && self.wants_input(service) {
            let mut size = 0;
            let looks = busily.is_some();
            let read = self.input.fill(|room| {
                size = room.size();
                match busily.take() {
                    None => self.stream.read(room),
                    Some((until, polling)) => self.stream.read_busily(room, until, polling),
                }
            });
            match read {
                Ok(0) => (self.eof, self.readable) = (true, false),
                Ok(n) => {
                    // A short read has emptied the socket, and the next byte is an event of its
                    // own; only an end that has been announced already is not.
                    self.readable = n == size || self.read_closed;
                    taken += n;
                    if looks {
                        now = Instant::now();
                    }
                    service.heard(self.id, now);
                    self.dispatch(now, service, jobs);
                    // What is short and all that has come takes no time, and a look at the clock some.
                    if n > SHORT || self.readable {
                        now = Instant::now();
                    }
                    last = Some(now);
                    if now.saturating_duration_since(began) >= TURN_TIME {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => {
                    (self.eof, self.readable) = (true, false);
                    // Not an end that was meant: nobody will read what is still to be answered.
                    self.proto.handle_eof();
                    self.dispatch(now, service, jobs);
                }
            }
        }
        self.input.shrink_into(spare);
        last
    }

    /// Hands over what the connection has understood.
    #[inline]
    pub(in crate::net) fn dispatch(
        &mut self,
        now: Instant,
        service: &mut S,
        jobs: &mut VecDeque<S::Quick>,
    ) {
        if self.has_more() {
            self.understand(now, service, jobs);
        }
    }

    /// Whether there is something that has not been understood, be it a part of a frame.
    fn has_more(&self) -> bool {
        !self.input.is_empty() || self.proto.has_events()
    }

    /// The same where nothing may have come since the preface.
    pub(in crate::net) fn understand(
        &mut self,
        now: Instant,
        service: &mut S,
        jobs: &mut VecDeque<S::Quick>,
    ) {
        let mut woken = Vec::new();
        while self.has_more() && self.may_dispatch(service) {
            let event = self.proto.read(now, &mut self.input);
            let Some(session) = &mut self.session else { break };
            // What follows a preface at once belongs to it: whoever hears of the connection may call.
            if self.preface == Preface::Untold && !matches!(event, Some(Event::Settings(_))) {
                service.ready(session);
                self.preface = Preface::Stays;
            }
            let Some(event) = event else { break };
            let (key, head, body) = match event {
                Event::Call { key, ref head, body } => (Some(key), head, body),
                Event::Send { ref head, body } => (None, head, body),
                Event::Cancel(key) => {
                    service.cancelled(session, key);
                    if let Some(flows) = self.flows.get() {
                        flows.cancelled(key, &mut woken);
                    }
                    continue;
                }
                Event::Reply { call, outcome } => {
                    let flow = self.flows.get_mut().and_then(|flows| flows.remove(call.into()));
                    match (flow, self.outgoing.get_mut()) {
                        (Some(flow), _) => flow.end(Ended::of(outcome), &mut woken),
                        (None, Some(outgoing)) => outgoing.ended(call, outcome),
                        (None, None) => {}
                    }
                    continue;
                }
                Event::Items { stream, items, body } => {
                    if let Some(flow) = self.flows.get().and_then(|flows| flows.get(stream)) {
                        flow.deliver(body, items, &mut woken);
                    }
                    continue;
                }
                Event::ItemsEnd(key) => {
                    let flows = self.flows.get();
                    if let Some(flow) = flows.and_then(|flows| flows.get(key.into())) {
                        flow.complete(&mut woken);
                    }
                    continue;
                }
                Event::Credit { stream, left } => {
                    if let Some(flow) = self.flows.get().and_then(|flows| flows.get(stream)) {
                        flow.credit(left, &mut woken);
                    }
                    continue;
                }
                Event::Ready => {
                    if self.preface == Preface::Stays {
                        self.preface = Preface::Untold;
                    }
                    continue;
                }
                Event::Settings(settings) => {
                    self.far.set_attended(settings.attended);
                    continue;
                }
                Event::Closed(why) => {
                    self.over(service, &why);
                    self.linger = Seldom::with(Linger::since(now));
                    // What is read from now on is forgotten, and so is what was read before.
                    self.input.clear();
                    continue;
                }
                Event::Pong(number) => {
                    if let Some(pings) = self.pings.get_mut() {
                        pings.answered(number, now, &mut woken);
                    }
                    continue;
                }
                Event::Draining => continue,
            };
            let proto = &mut self.proto;
            let conduit = key.filter(|_| head.items || !head.credit.is_zero()).map(|key| {
                let flow = Flow::new(
                    Some(key.into()),
                    (head.credit, proto.message_limit()),
                    Some(self.charge.sibling()),
                );
                self.flows.or_begin().insert(key.into(), Arc::clone(&flow));
                Conduit::new(Driver::Far(Arc::clone(&self.far)), flow)
            });
            let streams = proto.serving_streams();
            let call =
                Incoming { connection: self.id, key, head, body, arrived: now, conduit, streams };
            let flows = &mut self.flows;
            service.call(session, call, jobs, &mut |key, answer| {
                proto.answer(key, answer);
                if let Some(flows) = flows.get_mut() {
                    flows.remove(key.into());
                }
            });
        }
        if self.preface == Preface::Untold {
            self.session.iter_mut().for_each(|session| service.ready(session));
            self.preface = Preface::Stays;
        }
        if !woken.is_empty() {
            wake_all(woken);
        }
    }

    /// Nor does one that sends more than is run, unless an answer of it is waited for. Its end is
    /// always heard.
    pub(super) fn may_dispatch(&self, service: &S) -> bool {
        self.proto.is_closed() || self.wants_input(service)
    }

    /// Whether more should be read.
    pub(super) fn wants_input(&self, service: &S) -> bool {
        if self.preface == Preface::Moves && self.proto.is_open() {
            return false;
        }
        let fed = self.session.as_ref().is_some_and(|session| service.is_full(session));
        self.proto.wants_input() && (!fed || self.proto.in_flight() > 0)
    }

    /// Whether there may be more to do without any further event.
    #[inline]
    pub(in crate::net) fn is_ready(&self, service: &S) -> bool {
        self.readable && self.wants_input(service)
    }

    /// Whether all that can happen to it is that more comes.
    pub(in crate::net) fn waits_for_input_alone(&self, service: &S) -> bool {
        let ended = self.eof || self.linger.get().is_some();
        let quiet = self.writable && self.proto.output_len() == 0;
        self.proto.is_open() && !ended && quiet && self.wants_input(service)
    }
}
