//! One connection of an event loop: its stream, its protocol machine and its session.
//!
//! Knows what waits to be written, and what it holds. How it is read and how it ends is in files of their
//! own. Does not know the other connections, or what calls mean.

mod ending;
mod reading;

use super::{
    account::Charge,
    event_loop::{ConnId, Service},
    far::{refusal, Far, Outgoing, Ticket},
    flow::{Flow, Flows, Look},
    newcomer::Newcomer,
    pending::wake_all,
    ping::{Echo, Pings},
    polling::Polling,
    remote::Command,
    stream::LoopStream,
};
use crate::{
    proto::{Answer, Buffer, Connection, NewCall, ServedKey, StreamKey},
    seldom::{Seldom, SeldomQueue},
};
use ending::Linger;
use std::{collections::VecDeque, io, sync::Arc, time::Instant};

pub(super) struct Conn<S: Service> {
    pub(super) id: ConnId,
    pub(super) stream: LoopStream,
    pub(super) proto: Connection,
    pub(super) input: Buffer,
    pub(super) session: Option<S::Session>,
    /// Calls that have been read, and wait until the other side takes its replies.
    pub(super) held: SeldomQueue<S::Quick>,
    /// The last poll said that there is something to read.
    pub(super) readable: bool,
    /// The last poll said that the other side sends nothing more, after what is to be read.
    pub(super) read_closed: bool,
    /// The last write was not cut short.
    pub(super) writable: bool,
    /// The other side sends nothing more.
    pub(super) eof: bool,
    /// In the loop's list of connections to flush.
    pub(super) touched: bool,
    /// In the loop's list of connections to read.
    pub(super) queued: bool,
    /// It counts as one of its loop's.
    pub(super) joined: bool,
    pub(super) preface: Preface,
    /// When the timer that is set goes off.
    pub(super) timer: Option<Instant>,
    /// The same connection as other threads see it.
    pub(super) far: Arc<Far>,
    /// From the first call of this side on.
    pub(super) outgoing: Seldom<Outgoing>,
    /// From the first ping on that somebody waits for.
    pub(super) pings: Seldom<Pings>,
    /// While there are streams of either side.
    pub(super) flows: Seldom<Flows>,
    /// What it holds in memory.
    pub(super) charge: Charge,
    /// When to look whether its one-way sends have run, while they are all that a stopping server waits
    /// for.
    look: Seldom<Instant>,
    /// Set once it has ended: read on until then.
    linger: Seldom<Linger>,
}

/// What becomes of a connection with its preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preface {
    /// The service hears of it, or has done so.
    Stays,
    /// Another loop goes on with it: what lies behind the preface is read there.
    Moves,
    /// It has come, and the service has not heard of that.
    Untold,
}

/// What a connection is given in one turn of reading.
#[derive(Debug)]
pub(super) struct Allowance<'p> {
    /// Bytes at most.
    pub(super) bytes: usize,
    /// The time, as far as it is known: a few short reads ago.
    pub(super) now: Instant,
    /// Until when to look again and again if nothing has come.
    pub(super) busily: Option<(Instant, &'p mut Polling)>,
}

impl<S: Service> Conn<S> {
    pub(super) fn new(
        id: ConnId,
        stream: LoopStream,
        (proto, input): (Connection, Buffer),
        session: S::Session,
        far: Arc<Far>,
        charge: Charge,
    ) -> Conn<S> {
        Conn {
            id,
            stream,
            // Only a connection that has moved brings it along.
            preface: if proto.is_open() { Preface::Untold } else { Preface::Stays },
            proto,
            input,
            session: Some(session),
            held: SeldomQueue::default(),
            readable: false,
            read_closed: false,
            writable: true,
            eof: false,
            touched: false,
            queued: false,
            joined: false,
            timer: None,
            far,
            outgoing: Seldom::default(),
            pings: Seldom::default(),
            flows: Seldom::default(),
            charge,
            look: Seldom::default(),
            linger: Seldom::default(),
        }
    }

    /// Takes it out of its loop as it is, for another one; nothing if it has ended. Nobody else has
    /// heard of it yet.
    pub(super) fn into_newcomer(self, service: &mut S) -> Option<Newcomer> {
        let origin = service.leaves(self.session?);
        Some(Newcomer {
            number: self.id.number(),
            token: self.far.token(),
            stream: self.stream,
            origin,
            proto: self.proto,
            input: self.input,
            charge: self.charge,
        })
    }

    /// It is to be read by its loop, which has a list of those.
    #[inline]
    pub(super) fn queue(&mut self, ready: &mut Vec<ConnId>) {
        if !std::mem::replace(&mut self.queued, true) {
            ready.push(self.id);
        }
    }

    /// Its output may have grown, and its loop has a list of those.
    #[inline]
    pub(super) fn touch(&mut self, touched: &mut Vec<ConnId>) {
        if !std::mem::replace(&mut self.touched, true) {
            touched.push(self.id);
        }
    }

    /// Answers a call of the other side.
    #[inline]
    pub(super) fn answer(&mut self, key: ServedKey, answer: Answer) {
        self.proto.answer(key, answer);
        let flow = self.flows.get_mut().and_then(|flows| flows.remove(key.into()));
        if let Some(flow) = flow {
            let mut woken = Vec::new();
            flow.stop(&mut woken);
            wake_all(woken);
        }
    }

    /// Makes a call of this side that carries items.
    pub(super) fn open(&mut self, call: NewCall, flow: Arc<Flow>) {
        let size = call.body.len();
        let mut woken = Vec::new();
        match self.proto.call(call) {
            Ok(key) => {
                flow.begun(key, self.proto.message_limit());
                let flows = self.flows.or_begin();
                flows.insert(key.into(), Arc::clone(&flow));
                flows.settle(&flow, Look::Asked, &mut self.proto, &mut woken);
            }
            Err(why) => flow.end(refusal(size, why), &mut woken),
        }
        self.far.carries_call(size, self.proto.backlog());
        wake_all(woken);
    }

    /// Does what a stream's user has asked for; says whether to look again within a tick.
    pub(super) fn settle_flow(&mut self, flow: &Arc<Flow>, look: Look) -> bool {
        let flows = self.flows.get_mut().filter(|flows| flows.key_of(flow).is_some());
        let Some(flows) = flows else { return false };
        let mut woken = Vec::new();
        let again = flows.settle(flow, look, &mut self.proto, &mut woken);
        wake_all(woken);
        again
    }

    /// Nobody wants a stream of this side any more.
    pub(super) fn cancel_flow(&mut self, flow: &Arc<Flow>) {
        let Some(flows) = self.flows.get_mut() else { return };
        if let Some(StreamKey::Own(key)) = flows.key_of(flow) {
            flows.remove(key.into());
            self.proto.cancel(key);
        }
    }

    /// Makes a call of this side.
    pub(super) fn call(&mut self, call: NewCall, ticket: Arc<Ticket>) {
        self.outgoing.or_begin().start(&mut self.proto, &self.far, call, ticket);
    }

    /// Sends an input that wants no answer. One that the connection does not take any more is lost,
    /// as every send can be.
    pub(super) fn send(&mut self, call: &NewCall) {
        let _ = self.proto.send(call);
        self.far.carries_send(call.body.len(), self.proto.backlog());
    }

    /// Asks the other side whether it is there.
    pub(super) fn ping(&mut self, echo: Echo) {
        if self.proto.is_closed() {
            return Command::Ping { connection: self.id, echo }.comes_too_late();
        }
        self.pings.or_begin().start(&mut self.proto, echo);
    }

    /// Nobody waits for a call of this side any more.
    pub(super) fn cancel_call(&mut self, ticket: &Arc<Ticket>) {
        if let Some(outgoing) = self.outgoing.get_mut() {
            outgoing.cancel(&mut self.proto, ticket);
        }
    }

    /// A peer that leaves its replies unread gets no further calls run.
    pub(super) fn may_answer(&self) -> bool {
        self.proto.wants_input() || self.proto.is_closed()
    }

    /// Writes what waits; false if the other side is gone.
    #[inline]
    pub(super) fn write(&mut self, now: Instant) -> bool {
        while self.writable && self.proto.output_len() > 0 {
            match self.proto.write_with(|pieces| self.stream.write(pieces)) {
                Ok(n) => self.proto.written(now, n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    self.proto.write_blocked(now);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes what waits, and goes on with what had to wait for room meanwhile, for as long as the
    /// socket takes it: once it is full, an event says when to go on. False if the other side is
    /// gone.
    #[inline]
    pub(super) fn advance(
        &mut self,
        now: Instant,
        service: &mut S,
        jobs: &mut VecDeque<S::Quick>,
    ) -> bool {
        loop {
            if !self.write(now) {
                return false;
            }
            if self.may_answer() {
                if let Some(mut held) = self.held.take() {
                    jobs.append(&mut held);
                }
                self.go_on_with_flows();
            }
            self.dispatch(now, service, jobs);
            if self.may_answer() || !self.writable || self.proto.output_len() == 0 {
                return true;
            }
        }
    }

    /// There is room again for items that had to wait.
    fn go_on_with_flows(&mut self) {
        let Some(flows) = self.flows.get_mut() else { return };
        let mut woken = Vec::new();
        flows.go_on(&mut self.proto, &mut woken);
        wake_all(woken);
    }

    /// Puts what it holds on the account; true if that has become more than its share while the
    /// account is overdrawn.
    ///
    /// Streams and sends that wait have charges of their own, and count as its share all the same.
    #[inline]
    pub(super) fn settle_account(&mut self, service: &S, overdrawn: bool, share: usize) -> bool {
        let held = self.proto.memory() + self.input.memory() + self.far.waiting();
        if held != self.charge.bytes() {
            self.charge.set(held);
        }
        if !overdrawn || self.proto.is_closed() {
            return false;
        }
        let streams = self.flows.get().map_or(0, |flows| flows.held());
        let sends = self.session.as_ref().map_or(0, |session| service.held(session));
        held + streams + sends > share
    }
}
