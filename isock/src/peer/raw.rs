//! A call without its types: attempts, deadline and what it means that one failed.
//!
//! The same state serves a thread that blocks and a future that is polled; they differ in who
//! waits for the connection and who sleeps.

use super::{
    background::Timer,
    backoff,
    channel::{Channel, Pick, Route},
    connector::NoLink,
    retry::{Attempts, Failed},
    several::{Busy, Seat},
    stream::RawStream,
};
use crate::{
    action::{ActionKind, Decoding, Directions, Shapes},
    address::Address,
    error::{Problem, ProblemKind},
    net::{self, Ended, Flight, Flow, Line, Pinged, Refused},
    proto::{Closed, NewCall, NotStarted, SharedBody},
    wire::{Block, CallHead, CloseCode, Ran, Refusal, ITEM_LEN},
};
use std::{
    borrow::Cow,
    sync::{Arc, Weak},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

/// How long a future that is late waits for who reads, before it looks again.
const AGAIN: Duration = Duration::from_millis(2);

/// What a child of the client's process is told.
const FORKED: &str = "the client belongs to the process that forked this one; make another here";

/// What is to be called.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) action: Cow<'static, str>,
    pub(super) name: u32,
    /// The hash of its types that the call states.
    pub(super) shape: u64,
    /// Those types; the hash of a call by name may be of others.
    pub(super) shapes: &'static Shapes,
    pub(super) kind: ActionKind,
    /// Metadata, then the encoded input.
    pub(super) body: SharedBody,
    /// Bytes of metadata.
    pub(super) metadata: u32,
    pub(super) deadline: Instant,
    /// The deadline is that of the call whose handler makes this one.
    pub(super) inherited: bool,
    pub(super) attempts: u32,
}

/// What came back, still encoded.
#[derive(Clone, Debug)]
pub(super) enum RawReply {
    Value(Block),
    Error(Block),
}

pub(super) type RawResult = Result<RawReply, Problem>;

/// A call under way.
#[derive(Debug)]
pub(super) struct RawCall {
    channel: Arc<Channel>,
    order: Order,
    attempts: Attempts,
    /// What earlier attempts may have done.
    ran: Ran,
    state: State,
    /// The server of the last attempt, if there are several, and that it is at work.
    seat: Option<Arc<Seat>>,
    busy: Option<Busy>,
    /// Wakes a future at its deadline or after a pause.
    timer: Option<Timer>,
    /// Since when it is seen to be past its deadline.
    late: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// The next attempt begins then.
    Waiting(Option<Instant>),
    /// The background makes the connection for a future.
    Dialling,
    Sent(Flight),
    Ended,
}

impl RawCall {
    #[inline]
    pub(super) fn new(channel: Arc<Channel>, order: Order) -> RawCall {
        let state = State::Waiting(None);
        let attempts = Attempts::new(order.attempts, order.deadline);
        let (seat, busy, timer, late) = (None, None, None, None);
        RawCall { channel, order, attempts, ran: Ran::No, state, seat, busy, timer, late }
    }

    /// Another call on the same channel, to learn about this one.
    pub(super) fn about(&self, order: impl FnOnce(&Order) -> Order) -> RawCall {
        RawCall::new(Arc::clone(&self.channel), order(&self.order))
    }

    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    /// What decoding the reply may cost.
    pub(super) fn decoding(&self) -> Decoding {
        let limits = &self.channel.options.limits;
        Decoding { depth: limits.decode_depth, budget: limits.decode_budget }
    }

    /// Sends the call if there is a connection; else whoever waits first makes one. The deadline is
    /// its own timeout from now, unless it is inherited.
    pub(super) fn begin(&mut self, now: Instant, timeout: Duration) -> Result<(), Problem> {
        self.check_time(now)?;
        match self.current(Pick::LeastBusy) {
            Some(route) if self.order.inherited => self.send(now, route),
            // To subtract moments takes longer than much else here.
            Some(route) => self.send_within(now, timeout, route),
            // Nobody is to keep calls that nothing could send any more.
            None if self.channel.is_to_client() && !self.channel.is_forked() => {
                self.not_linked(NoLink::Gone)
            }
            None => Ok(()),
        }
    }

    /// Sends the input without taking a slot or waiting for an answer. A connection is made first
    /// if there is none.
    pub(super) fn send_only(mut self) -> Result<(), Problem> {
        loop {
            let Some(line) = self.find_line(Pick::Same)? else { continue };
            let head = self.head(self.left(Instant::now()));
            let call = NewCall { head, body: self.order.body.clone() };
            match line.send(&call) {
                Ok(()) => return Ok(()),
                Err(Refused::Protocol(NotStarted::TooLarge { limit })) => {
                    let size = self.order.body.len();
                    let text = format!("{size} bytes; a send takes {limit}, a call more");
                    return Err(self.problem(ProblemKind::InputTooLarge, Ran::No, text));
                }
                Err(refused) => self.not_taken(refused)?,
            }
        }
    }

    /// Asks the other side whether it is there, instead of calling it, and says how long its answer
    /// took.
    pub(super) fn ping(mut self) -> Result<Duration, Problem> {
        if net::about_to_block().is_err() {
            return Err(self.problem(ProblemKind::WouldDeadlock, Ran::No, ""));
        }
        loop {
            let Some(line) = self.find_line(Pick::Same)? else { continue };
            match line.ping(self.order.deadline) {
                Ok(Pinged::After(took)) => return Ok(took),
                Ok(Pinged::Late) => return Err(self.late()),
                Ok(Pinged::Lost(closed)) => {
                    self.again(Failed::Lost { pause: false }, |call| call.lost(Ran::No, &closed))?
                }
                Err(refused) => self.not_taken(refused)?,
            }
        }
    }

    /// Opens a stream: an attempt that was not taken is made again, one that was never is.
    pub(super) fn open(
        mut self,
        directions: Directions,
        idle: Duration,
    ) -> Result<RawStream, Problem> {
        let flow = Flow::of_call();
        loop {
            let Some(line) = self.find_line(Pick::LeastBusy)? else { continue };
            let mut head = self.head(self.left(Instant::now()));
            head.items = directions.uploads;
            if directions.items {
                head.credit = self.channel.options.limits.first_window();
            }
            let call = NewCall { head, body: self.order.body.clone() };
            match line.open(call, &flow) {
                Ok(conduit) => {
                    self.state = State::Ended;
                    return Ok(RawStream::new(self, conduit, idle));
                }
                Err(refused) => self.not_taken(refused)?,
            }
        }
    }

    /// Begins an attempt of one that is not waited for afterwards; `None` if a connection could not
    /// be had and there is to be another look.
    fn find_line(&mut self, pick: Pick) -> Result<Option<Line>, Problem> {
        self.check_time(Instant::now())?;
        if let Some(route) = self.current(pick) {
            return Ok(Some(self.take(route)));
        }
        if net::about_to_block().is_err() {
            return Err(self.problem(ProblemKind::WouldDeadlock, Ran::No, ""));
        }
        match self.channel.route(pick, self.seat.as_ref(), self.order.deadline) {
            Ok(route) => Ok(Some(self.take(route))),
            Err(error) => {
                self.not_linked(error)?;
                self.pause();
                Ok(None)
            }
        }
    }

    /// A connection that is there already.
    fn current(&self, pick: Pick) -> Option<Route> {
        self.channel.current(pick, self.seat.as_ref())
    }

    /// An attempt begins.
    #[inline]
    fn take(&mut self, Route { line, seat }: Route) -> Line {
        self.attempts.begin();
        // Mostly there is one server, and no seat.
        if seat.is_some() || self.seat.is_some() {
            self.busy = seat.as_ref().map(Busy::at);
            self.seat = seat;
        }
        line
    }

    /// A call whose time is over does not start.
    fn check_time(&mut self, now: Instant) -> Result<(), Problem> {
        match self.order.deadline <= now {
            true => Err(self.late()),
            false => Ok(()),
        }
    }

    /// How a stream has ended, for people.
    pub(super) fn told(&self, ended: Ended) -> RawResult {
        match ended {
            Ended::Value(bytes) => Ok(RawReply::Value(bytes)),
            Ended::Error(bytes) => Ok(RawReply::Error(bytes)),
            Ended::Refused(refusal) => Err(self.finish(Problem::refused(refusal))),
            Ended::Lost(ran, closed) => Err(self.lost(ran, &closed)),
        }
    }

    /// The longest item that can be sent, in bytes.
    pub(super) fn max_item(&self) -> usize {
        self.channel.options.limits.message - ITEM_LEN
    }

    /// Waits for the next attempt.
    fn pause(&self) {
        if let State::Waiting(Some(at)) = self.state {
            thread::sleep(at.saturating_duration_since(Instant::now()));
        }
    }

    /// Blocks until the call has ended.
    pub(super) fn wait(&mut self) -> RawResult {
        loop {
            match &self.state {
                State::Waiting(_) => {
                    net::about_to_block().map_err(|_| self.would_deadlock())?;
                    self.pause();
                    self.check_time(Instant::now())?;
                    let (seat, deadline) = (self.seat.as_ref(), self.order.deadline);
                    match self.channel.route(Pick::LeastBusy, seat, deadline) {
                        Ok(route) => self.send(Instant::now(), route)?,
                        Err(error) => self.not_linked(error)?,
                    }
                }
                State::Sent(flight) => match flight.wait(self.order.deadline) {
                    Ok(Some(ended)) => {
                        if let Some(reply) = self.ended(ended)? {
                            return Ok(reply);
                        }
                    }
                    Ok(None) => return Err(self.late()),
                    Err(_) => return Err(self.would_deadlock()),
                },
                State::Dialling => self.state = State::Waiting(None),
                State::Ended => return Err(self.problem(ProblemKind::Cancelled, Ran::Unknown, "")),
            }
        }
    }

    /// It would have to block where nothing may.
    fn would_deadlock(&mut self) -> Problem {
        let ran = self.cancel();
        self.problem(ProblemKind::WouldDeadlock, ran, "")
    }

    /// Goes on as far as it can without blocking.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<RawResult> {
        loop {
            match self.advance(cx) {
                Ok(Some(reply)) => return Poll::Ready(Ok(reply)),
                Ok(None) => {}
                Err(Stop::Problem(problem)) => {
                    self.state = State::Ended;
                    return Poll::Ready(Err(problem));
                }
                Err(Stop::Pending) => return Poll::Pending,
            }
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<Option<RawReply>, Stop> {
        let now = Instant::now();
        match &self.state {
            State::Ended => {
                panic!("a call was polled after it had ended");
            }
            _ if self.channel.is_forked() => return Err(Stop::Problem(self.late())),
            _ if self.order.deadline <= now && !self.has_ended() => {
                let late = *self.late.get_or_insert(now);
                if let State::Sent(flight) = &self.state {
                    if flight.may_have_come(now, late, self.order.deadline) {
                        let link = flight.to_read();
                        self.wake_at(now + AGAIN, cx, link);
                        return Err(Stop::Pending);
                    }
                }
                if !self.has_ended() {
                    return Err(Stop::Problem(self.late()));
                }
            }
            State::Waiting(Some(at)) if *at > now => {
                let at = *at;
                self.wake_at(at, cx, Weak::new());
                return Err(Stop::Pending);
            }
            State::Waiting(_) => match self.current(Pick::LeastBusy) {
                Some(route) => self.send(Instant::now(), route)?,
                None => {
                    self.state = State::Dialling;
                    self.wake_at(self.order.deadline, cx, Weak::new());
                    self.channel.background.dial(self.order.deadline, cx.waker());
                    return Err(Stop::Pending);
                }
            },
            State::Dialling => {
                let dialled = self.channel.background.dialled();
                match (self.current(Pick::LeastBusy), dialled) {
                    (Some(route), _) => self.send(Instant::now(), route)?,
                    (None, Some(error)) => self.not_linked(error)?,
                    (None, None) => {
                        self.wake_at(self.order.deadline, cx, Weak::new());
                        self.channel.background.dial(self.order.deadline, cx.waker());
                        return Err(Stop::Pending);
                    }
                }
            }
            State::Sent(flight) => {
                if flight.wake_with(cx.waker()) {
                    let link = flight.to_read();
                    self.wake_at(self.order.deadline, cx, link);
                    return Err(Stop::Pending);
                }
                if let Some(ended) = flight.take() {
                    return Ok(self.ended(ended)?);
                }
            }
        }
        Ok(None)
    }

    /// Whether the answer of the attempt under way is there.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&self.state, State::Sent(flight) if flight.is_ended())
    }

    /// Wakes the future then, and has its connection read until then.
    pub(super) fn wake_at(&mut self, at: Instant, cx: &Context<'_>, link: Weak<net::Link>) {
        self.channel.background.wake_at(&mut self.timer, at, cx.waker(), link);
    }

    /// One attempt.
    fn send(&mut self, now: Instant, route: Route) -> Result<(), Problem> {
        self.send_within(now, self.left(now), route)
    }

    /// The same with the time that is left.
    fn send_within(&mut self, now: Instant, left: Duration, route: Route) -> Result<(), Problem> {
        let line = self.take(route);
        match line.start(now, self.head(left), &self.order.body) {
            Ok(flight) => {
                self.state = State::Sent(flight);
                Ok(())
            }
            Err(refused) => self.not_taken(refused),
        }
    }

    fn left(&self, now: Instant) -> Duration {
        self.order.deadline.saturating_duration_since(now)
    }

    fn head(&self, left: Duration) -> CallHead {
        CallHead {
            name: self.order.name,
            shape: self.order.shape,
            remaining: Some(left),
            metadata: self.order.metadata,
            ..CallHead::default()
        }
    }

    /// The connection did not take it.
    fn not_taken(&mut self, refused: Refused) -> Result<(), Problem> {
        self.busy = None;
        match refused {
            Refused::Busy => Err(self.problem(ProblemKind::Busy, Ran::No, "")),
            Refused::Unattended => {
                let text = "the client serves no actions";
                Err(self.problem(ProblemKind::UnknownAction, Ran::No, text))
            }
            Refused::Protocol(NotStarted::TooLarge { limit }) => {
                let size = self.order.body.len();
                let text = format!("{size} bytes, and the other side accepts {limit}");
                Err(self.problem(ProblemKind::InputTooLarge, Ran::No, text))
            }
            // The connection ended between the look and the call: take another one.
            Refused::Protocol(NotStarted::Draining | NotStarted::Closed) => self
                .again(Failed::Moved, |call| {
                    call.problem(ProblemKind::ConnectionLost, Ran::No, "")
                }),
        }
    }

    /// There is no connection.
    fn not_linked(&mut self, error: NoLink) -> Result<(), Problem> {
        self.attempts.begin();
        match error {
            NoLink::Closed => Err(self.problem(ProblemKind::Closed, Ran::No, "")),
            NoLink::Forked => Err(self.problem(ProblemKind::NotConnected, Ran::No, FORKED)),
            NoLink::Gone => {
                let text = "the connection has ended, and only the other side can make another one";
                Err(self.problem(ProblemKind::NotConnected, Ran::No, text))
            }
            NoLink::WrongPeer(why) => Err(self.problem(ProblemKind::WrongPeer, Ran::No, why)),
            NoLink::Unreachable(source) | NoLink::Silent(source) => {
                self.again(Failed::Lost { pause: true }, |call| {
                    let text = source.to_string();
                    call.problem(ProblemKind::NotConnected, Ran::No, text).caused_by(source)
                })
            }
        }
    }

    /// An attempt has ended: with a reply, or with another attempt to come (`None`).
    #[inline]
    fn ended(&mut self, ended: Ended) -> Result<Option<RawReply>, Problem> {
        self.busy = None;
        let reply = match ended {
            Ended::Value(bytes) => RawReply::Value(bytes),
            Ended::Error(bytes) => RawReply::Error(bytes),
            Ended::Refused(_) | Ended::Lost(..) => return self.failed(ended).map(|()| None),
        };
        self.state = State::Ended;
        self.channel.bucket.succeeded();
        Ok(Some(reply))
    }

    /// An attempt has ended without a reply: is there another one?
    #[cold]
    fn failed(&mut self, ended: Ended) -> Result<(), Problem> {
        let flight = match std::mem::replace(&mut self.state, State::Ended) {
            State::Sent(flight) => Some(flight),
            _ => None,
        };
        match ended {
            Ended::Value(_) | Ended::Error(_) => Ok(()),
            Ended::Refused(refusal) => self.refused(refusal),
            Ended::Lost(ran, closed) => {
                if ran != Ran::No {
                    self.ran = Ran::Unknown;
                }
                let address = flight.and_then(|flight| flight.address().cloned());
                let problem = move |call: &RawCall| {
                    let made = call.attempts.made();
                    call.lost(ran, &closed).at(address, made)
                };
                let failed = Failed::by_loss(self.order.kind, ran);
                match failed.filter(|_| !self.channel.is_closed()) {
                    Some(failed) => self.again(failed, problem),
                    None => Err(problem(self)),
                }
            }
        }
    }

    /// The server said no: some of these are worth another attempt.
    fn refused(&mut self, refusal: Refusal) -> Result<(), Problem> {
        let failed = Failed::by_refusal(self.order.kind, &refusal);
        let problem = |call: &RawCall| call.finish(Problem::refused(refusal));
        match failed {
            Some(failed) => self.again(failed, problem),
            None => Err(problem(self)),
        }
    }

    /// Plans another attempt, unless there have been enough.
    fn again(
        &mut self,
        failed: Failed,
        problem: impl FnOnce(&RawCall) -> Problem,
    ) -> Result<(), Problem> {
        let (now, chance) = (Instant::now(), backoff::fraction());
        match self.attempts.again(now, failed, chance, &self.channel.bucket) {
            Some(at) => {
                self.state = State::Waiting((at > now).then_some(at));
                Ok(())
            }
            None => Err(problem(self)),
        }
    }

    /// The deadline has passed, or nobody is there who could keep it.
    fn late(&mut self) -> Problem {
        let ran = self.cancel();
        if let Some(problem) = self.forked(ran) {
            return problem;
        }
        let detail = match self.order.inherited {
            true => "the caller of the handler that made it waits no longer",
            false => "",
        };
        self.problem(ProblemKind::Deadline, ran, detail)
    }

    /// What is wrong with a call that a child of its client's process has inherited.
    pub(super) fn forked(&self, ran: Ran) -> Option<Problem> {
        let forked = self.channel.is_forked();
        forked.then(|| self.problem(ProblemKind::NotConnected, ran, FORKED))
    }

    /// Lets the call go on without anybody who waits for it.
    pub(super) fn detach(self) {
        let background = Arc::clone(&self.channel.background);
        background.adopt(self);
    }

    /// Gives the attempt under way up.
    pub(super) fn cancel(&mut self) -> Ran {
        self.busy = None;
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Sent(flight) => flight.cancel(),
            _ => Ran::No,
        }
    }

    pub(super) fn problem(
        &self,
        kind: ProblemKind,
        ran: Ran,
        detail: impl Into<String>,
    ) -> Problem {
        self.finish(Problem::new(kind, ran, detail))
    }

    /// The connection ended first.
    fn lost(&self, ran: Ran, closed: &Closed) -> Problem {
        let text = words(closed, self.channel.other_end());
        self.problem(ProblemKind::ConnectionLost, ran, text)
    }

    /// Where the last attempt went.
    fn address(&self) -> &Address {
        self.seat.as_ref().map_or(self.channel.address(), |seat| &seat.address)
    }

    fn finish(&self, problem: Problem) -> Problem {
        let made = self.attempts.made().max(1);
        problem
            .action(self.order.action.clone())
            .at(Some(self.address().clone()), made)
            .at_least(self.ran)
            .of_client(self.channel.is_to_client())
    }
}

/// Dropping a call gives it up.
impl Drop for RawCall {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Why a future goes no further for now.
enum Stop {
    Pending,
    Problem(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Stop {
        Stop::Problem(problem)
    }
}

/// How the connection to `whom` ended, for people.
pub(crate) fn words(closed: &Closed, whom: &str) -> String {
    match closed {
        Closed::Eof => format!("the {whom} went away"),
        Closed::ByPeer(close) => format!("the {whom} closed it: {}", close.text),
        Closed::ByUs(close) if close.code == CloseCode::DONE => "closed by this side".to_owned(),
        Closed::ByUs(close) => format!("closed by this side: {}", close.text),
        Closed::Versions { .. } | Closed::NotIsock(_) => "no isock server".to_owned(),
    }
}
