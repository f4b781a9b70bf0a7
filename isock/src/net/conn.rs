//! One connection of an event loop: its stream, its protocol machine and its session.

use super::{
    account::Charge,
    event_loop::{ConnId, Incoming, Service},
    far::{refusal, Far, Outgoing, Ticket},
    flow::{Conduit, Driver, Flow, Flows, Look},
    newcomer::Newcomer,
    pending::{wake_all, Ended},
    ping::{Echo, Pings},
    polling::Polling,
    remote::Command,
    stream::LoopStream,
};
use crate::{
    proto::{Answer, Buffer, Closed, Connection, Event, NewCall, Room, ServedKey, StreamKey},
    seldom::{Seldom, SeldomQueue},
    wire::CloseCode,
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a closed connection is read on, so that the last words are not cut off by a reset. While a
/// server stops, which waits for answers until its grace is over, so long after the last sign that
/// they still leave.
const LINGER: Duration = Duration::from_secs(1);
/// How often a stopping server looks whether its last words have left, or its sends have run.
const LOOK: Duration = Duration::from_millis(5);
/// How much is read then, in bytes.
const LINGER_BYTES: usize = 8 << 20;
/// How long a connection is read in one turn: many small frames are more work than their bytes say.
const TURN_TIME: Duration = Duration::from_millis(1);
/// Pieces of one vectored write.
const PIECES: usize = 32;

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

/// How a connection is read.
#[derive(Debug)]
pub(super) struct Turn<'p> {
    /// How much at most.
    pub(super) bytes: usize,
    /// Until when to look again and again if nothing has come.
    pub(super) busily: Option<(Instant, &'p mut Polling)>,
}

#[derive(Debug)]
struct Linger {
    until: Instant,
    bytes: usize,
    /// The other side has been told that nothing follows. Telling it again would be an event for
    /// ourselves, and so for ever.
    told: bool,
    /// Bytes of the last words that had not left, when a stopping server last looked.
    left: usize,
    /// When to look whether its last words have left.
    look: Option<Instant>,
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

    /// Reads for a turn, or about [`TURN_TIME`], and hands the calls over; says when it last read
    /// something. `spare` is memory for input, lent for as long as it takes: an idle connection holds
    /// none, and a slow one what it has sent.
    #[inline]
    pub(super) fn read(
        &mut self,
        service: &mut S,
        jobs: &mut VecDeque<S::Quick>,
        spare: &mut Buffer,
        turn: Turn<'_>,
    ) -> Option<Instant> {
        if self.linger.get().is_some() {
            self.read_away();
            return None;
        }
        self.input.grow_into(spare);
        let mut taken = 0;
        let (mut began, mut last) = (None, None);
        let Turn { bytes, mut busily } = turn;
        self.readable |= busily.is_some();
        while taken < bytes && self.readable && self.wants_input(service) {
            let mut size = 0;
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
                    let now = Instant::now();
                    last = Some(now);
                    service.heard(self.id, now);
                    self.dispatch(now, service, jobs);
                    if now.duration_since(*began.get_or_insert(now)) >= TURN_TIME {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => {
                    (self.eof, self.readable) = (true, false);
                    // Not an end that was meant: nobody will read what is still to be answered.
                    self.proto.handle_eof();
                    self.dispatch(Instant::now(), service, jobs);
                }
            }
        }
        self.input.shrink_into(spare);
        last
    }

    /// Hands over what the connection has understood.
    #[inline]
    pub(super) fn dispatch(
        &mut self,
        now: Instant,
        service: &mut S,
        jobs: &mut VecDeque<S::Quick>,
    ) {
        if !self.input.is_empty() || self.proto.has_events() {
            self.understand(now, service, jobs);
        }
    }

    /// The same where nothing may have come since the preface.
    pub(super) fn understand(
        &mut self,
        now: Instant,
        service: &mut S,
        jobs: &mut VecDeque<S::Quick>,
    ) {
        let mut woken = Vec::new();
        while self.may_dispatch(service) {
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
                    self.linger = Seldom::with(Linger {
                        until: now + LINGER,
                        bytes: 0,
                        told: false,
                        left: usize::MAX,
                        look: None,
                    });
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
        wake_all(woken);
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

    /// The connection has ended: whoever holds something of it learns so.
    pub(super) fn over(&mut self, service: &mut S, why: &Closed) {
        self.far.leave();
        if std::mem::take(&mut self.joined) {
            self.far.remote().left();
        }
        let mut woken = Vec::new();
        for (call, ran) in self.proto.take_lost() {
            let flow = self.flows.get_mut().and_then(|flows| flows.remove(call.into()));
            match (flow, self.outgoing.get_mut()) {
                (Some(flow), _) => flow.end(Ended::Lost(ran, why.clone()), &mut woken),
                (None, Some(outgoing)) => outgoing.lost(call, ran, why),
                (None, None) => {}
            }
        }
        // First: a handler that finds its stream stopped is to see that its call is cancelled.
        if let Some(session) = self.session.take() {
            service.closed(session, why);
        }
        if let Some(flows) = self.flows.get_mut() {
            flows.stop_all(&mut woken);
        }
        if let Some(pings) = self.pings.get_mut() {
            pings.lost(why, &mut woken);
        }
        wake_all(woken);
    }

    /// A peer that leaves its replies unread gets no further calls run.
    pub(super) fn may_answer(&self) -> bool {
        self.proto.wants_input() || self.proto.is_closed()
    }

    /// Nor does one that sends more than is run, unless an answer of it is waited for. Its end is
    /// always heard.
    fn may_dispatch(&self, service: &S) -> bool {
        self.proto.is_closed() || self.wants_input(service)
    }

    /// Whether more should be read.
    fn wants_input(&self, service: &S) -> bool {
        if self.preface == Preface::Moves && self.proto.is_open() {
            return false;
        }
        let fed = self.session.as_ref().is_some_and(|session| service.is_full(session));
        self.proto.wants_input() && (!fed || self.proto.in_flight() > 0)
    }

    /// Whether there may be more to do without any further event.
    #[inline]
    pub(super) fn is_ready(&self, service: &S) -> bool {
        self.readable && self.wants_input(service)
    }

    /// Whether all that can happen to it is that more comes.
    pub(super) fn waits_for_input_alone(&self, service: &S) -> bool {
        let ended = self.eof || self.linger.get().is_some();
        let quiet = self.writable && self.proto.output_len() == 0;
        self.proto.is_open() && !ended && quiet && self.wants_input(service)
    }

    /// Writes what waits; false if the other side is gone.
    #[inline]
    pub(super) fn write(&mut self, now: Instant) -> bool {
        while self.writable && self.proto.output_len() > 0 {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = self.proto.slices(&mut slices);
            match self.stream.write(&slices[..count]) {
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

    /// Accepts no further calls. Who has nothing to wait for hears of that and of the end at once, and
    /// has no time to look for another server in between.
    pub(super) fn drain(&mut self, service: &S) {
        let waits = self.proto.serving() > 0 || self.proto.output_len() > 0;
        let open = self.proto.is_open();
        if open {
            self.proto.drain();
        }
        if !open || !(waits || self.sends(service)) {
            self.proto.close(CloseCode::STOPPING);
        }
    }

    /// Whether one-way sends of the other side wait or run.
    fn sends(&self, service: &S) -> bool {
        self.session.as_ref().is_some_and(|session| !service.is_idle(session))
    }

    /// Ends the connection once nothing is left to do on it.
    #[inline]
    pub(super) fn settle(&mut self, now: Instant, service: &S, stopping: bool) {
        self.look.take();
        self.flows.drop_if(Flows::are_none);
        // The rest of a call will not come any more; what is whole is answered first.
        let serving = if self.eof { self.proto.serving_whole() } else { self.proto.serving() };
        if self.proto.is_closed() || serving > 0 || self.proto.output_len() > 0 {
            return;
        }
        // A peer that only closed its sending half still gets its replies first.
        if self.eof {
            self.proto.handle_eof();
        } else if stopping {
            match self.sends(service) {
                true => self.look = Seldom::with(now + LOOK),
                false => self.proto.close(CloseCode::STOPPING),
            }
        }
    }

    /// Whether it can be dropped: its last words are out, and the other side has heard them.
    #[inline]
    pub(super) fn is_over(&mut self, now: Instant, stopping: bool) -> bool {
        let Some(linger) = self.linger.get_mut() else { return false };
        let left = self.proto.output_len() + self.stream.unsent();
        // Only then: whoever is closed for what it did has that one second, however it reads.
        if stopping && left < std::mem::replace(&mut linger.left, left) {
            linger.until = now + LINGER;
        }
        if self.eof || linger.until <= now || linger.bytes > LINGER_BYTES {
            return true;
        }
        if self.proto.output_len() > 0 {
            return false;
        }
        if !std::mem::replace(&mut linger.told, true) {
            self.stream.close_write();
        }
        // A stopping server does not wait for a peer that is not listening. The peer still reads
        // what has reached it, a drain above all, before it sees a reset.
        linger.look = (stopping && self.stream.unsent() > 0).then(|| now + LOOK);
        stopping && linger.look.is_none()
    }

    /// Reads and forgets: closing with unread input would reset the connection, and the other side
    /// would lose the reason.
    fn read_away(&mut self) {
        let mut sink = [0; 4096];
        while self.readable {
            match self.stream.read(&mut Room::plain(&mut sink)) {
                Ok(0) => (self.eof, self.readable) = (true, false),
                Ok(n) => self.note_lingering(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => (self.eof, self.readable) = (true, false),
            }
        }
    }

    fn note_lingering(&mut self, n: usize) {
        if let Some(linger) = self.linger.get_mut() {
            linger.bytes += n;
            self.readable &= linger.bytes <= LINGER_BYTES;
        }
    }

    /// Something is due on it. A connection that is not read for now cannot be heard.
    pub(super) fn handle_timeout(&mut self, now: Instant, service: &S) {
        if !self.wants_input(service) {
            self.proto.not_reading(now);
        }
        self.proto.handle_timeout(now);
    }

    /// When something is due on it.
    #[inline]
    pub(super) fn due(&self) -> Option<Instant> {
        let linger =
            self.linger.get().map(|linger| linger.look.unwrap_or(linger.until).min(linger.until));
        self.proto.poll_timeout().into_iter().chain(linger).chain(self.look.get().copied()).min()
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
