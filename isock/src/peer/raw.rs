//! A call without its types: attempts, deadline and what it means that one failed.
//!
//! The same state serves a thread that blocks and a future that is polled; they differ in who
//! waits for the connection and who sleeps. Here is what a call consists of and how an attempt begins;
//! `waiting` is who waits for it, `ending` what it means that an attempt has ended.

mod ending;
mod waiting;

pub(crate) use ending::words;

use super::{
    background::Timer,
    channel::{Channel, Pick, Route},
    connector::NoLink,
    request::{begins, deadline},
    retry::{Attempts, Failed},
    several::{Busy, Seat},
    stream::RawStream,
};
use crate::{
    action::{ActionKind, Decoding, Directions, Shapes},
    error::{Problem, ProblemKind},
    net::{self, Flight, Flow, Line, Pinged, Refused, Small},
    proto::{NewCall, NotStarted, SharedBody},
    seldom::Seldom,
    wire::{Block, CallHead, Ran, ITEM_LEN},
};
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

/// What came back, still encoded.
#[derive(Clone, Debug)]
pub(super) enum RawReply {
    Value(Block),
    Error(Block),
}

/// The same as it is waited for: a value may have a few bytes.
#[derive(Debug)]
pub(super) enum Reply {
    Small(Small),
    Raw(RawReply),
}

impl From<Reply> for RawReply {
    fn from(reply: Reply) -> RawReply {
        match reply {
            Reply::Small(small) => RawReply::Value(small.into()),
            Reply::Raw(reply) => reply,
        }
    }
}

pub(super) type RawResult = Result<RawReply, Problem>;

/// Which action is called: the same for all calls that a program has of it.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) action: Cow<'static, str>,
    pub(super) name: u32,
    pub(super) kind: ActionKind,
    /// The hash that the call states, if it is not that of its types.
    pub(super) stated: Option<u64>,
}

#[derive(Debug)]
enum Which {
    Known(&'static Subject),
    /// By a name that came at run time.
    Named(Box<Subject>),
}

/// What one call asks for, and within which bounds.
#[derive(Debug)]
pub(super) struct Terms {
    /// Its types on this side; the hash that a call by name states may be of others.
    pub(super) shapes: &'static Shapes,
    /// Metadata, then the encoded input.
    pub(super) body: SharedBody,
    /// Bytes of metadata.
    pub(super) metadata: u32,
    pub(super) deadline: Instant,
    /// The deadline is that of the call whose handler makes this one.
    pub(super) inherited: bool,
}

/// A call under way. It is moved when it is started and when it is waited for: what few calls need is
/// aside.
#[derive(Debug)]
pub(super) struct RawCall {
    channel: Arc<Channel>,
    which: Which,
    terms: Terms,
    attempts: Attempts,
    /// What earlier attempts may have done.
    ran: Ran,
    state: State,
    rare: Seldom<Rare>,
}

/// What a call needs that is polled, or has several servers.
#[derive(Debug, Default)]
struct Rare {
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
    /// A call of an action that is known by name only.
    pub(super) fn named(
        channel: Arc<Channel>,
        subject: Subject,
        terms: Terms,
        attempts: u32,
    ) -> RawCall {
        RawCall::with(channel, Which::Named(Box::new(subject)), terms, attempts)
    }

    /// A call of an action of this program.
    #[inline(always)]
    pub(super) fn of(
        channel: Arc<Channel>,
        subject: &'static Subject,
        terms: Terms,
        attempts: u32,
    ) -> RawCall {
        RawCall::with(channel, Which::Known(subject), terms, attempts)
    }

    #[inline(always)]
    fn with(channel: Arc<Channel>, which: Which, terms: Terms, attempts: u32) -> RawCall {
        let (attempts, state) = (Attempts::new(attempts), State::Waiting(None));
        let rare = Seldom::default();
        RawCall { channel, which, terms, attempts, ran: Ran::No, state, rare }
    }

    /// Another call on the same channel, to learn about this one, within its bounds.
    pub(super) fn about(
        &self,
        subject: &'static Subject,
        shapes: &'static Shapes,
        body: SharedBody,
    ) -> RawCall {
        let Terms { deadline, inherited, .. } = self.terms;
        let terms = Terms { shapes, body, metadata: 0, deadline, inherited };
        RawCall::of(Arc::clone(&self.channel), subject, terms, self.attempts.most())
    }

    pub(super) fn subject(&self) -> &Subject {
        match &self.which {
            Which::Known(subject) => subject,
            Which::Named(subject) => subject,
        }
    }

    /// The types that the call is of on this side.
    pub(super) fn shapes(&self) -> &'static Shapes {
        self.terms.shapes
    }

    /// The hash that it states.
    pub(super) fn shape(&self) -> u64 {
        self.subject().stated.unwrap_or(self.terms.shapes.hash())
    }

    /// Where its input goes before it begins.
    #[inline]
    pub(super) fn input(&mut self) -> &mut SharedBody {
        &mut self.terms.body
    }

    pub(super) fn deadline(&self) -> Instant {
        self.terms.deadline
    }

    /// The server of the last attempt, if there are several.
    fn seat(&self) -> Option<&Arc<Seat>> {
        self.rare.get()?.seat.as_ref()
    }

    /// Its server is not at work on it any more.
    fn rests(&mut self) {
        if let Some(rare) = self.rare.get_mut() {
            rare.busy = None;
        }
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
            Some(route) if self.terms.inherited => self.send(now, route),
            // To subtract moments takes longer than much else here.
            Some(route) => self.send_within(now, timeout, route),
            // Nobody is to keep calls that nothing could send any more.
            None if self.channel.is_to_client() && !self.channel.is_forked() => {
                self.not_linked(NoLink::Gone)
            }
            None => Ok(()),
        }
    }

    /// The same from now on: its input has just been encoded, which takes as long as it likes.
    #[inline(always)]
    pub(super) fn begin_within(&mut self, timeout: Duration) -> Result<(), Problem> {
        let now = begins(timeout);
        (self.terms.deadline, self.terms.inherited) = deadline(now, timeout);
        self.begin(now, timeout)
    }

    /// Sends the input without taking a slot or waiting for an answer. A connection is made first
    /// if there is none.
    pub(super) fn send_only(mut self) -> Result<(), Problem> {
        loop {
            let Some(line) = self.find_line(Pick::Same)? else { continue };
            let head = self.head(self.left(Instant::now()));
            let call = NewCall { head, body: self.terms.body.clone() };
            match line.send(&call) {
                Ok(()) => return Ok(()),
                Err(Refused::Protocol(NotStarted::TooLarge { limit })) => {
                    let size = self.terms.body.len();
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
            match line.ping(self.terms.deadline) {
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
            let call = NewCall { head, body: self.terms.body.clone() };
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
        match self.channel.route(pick, self.seat(), self.terms.deadline) {
            Ok(route) => Ok(Some(self.take(route))),
            Err(error) => {
                self.not_linked(error)?;
                self.pause();
                Ok(None)
            }
        }
    }

    /// A connection that is there already.
    #[inline(always)]
    fn current(&self, pick: Pick) -> Option<Route> {
        self.channel.current(pick, self.seat())
    }

    /// An attempt begins.
    #[inline(always)]
    fn take(&mut self, Route { line, seat }: Route) -> Line {
        self.attempts.begin();
        // Mostly there is one server, and no seat.
        if seat.is_some() || self.rare.get().is_some() {
            self.sit(seat);
        }
        line
    }

    #[inline(never)]
    fn sit(&mut self, seat: Option<Arc<Seat>>) {
        let busy = seat.as_ref().map(Busy::at);
        let rare = self.rare.or_begin();
        (rare.seat, rare.busy) = (seat, busy);
    }

    /// A call whose time is over does not start.
    #[inline(always)]
    fn check_time(&mut self, now: Instant) -> Result<(), Problem> {
        match self.terms.deadline <= now {
            true => Err(self.late()),
            false => Ok(()),
        }
    }

    /// The longest item that can be sent, in bytes.
    pub(super) fn max_item(&self) -> usize {
        self.channel.options.limits.message - ITEM_LEN
    }

    /// One attempt.
    #[inline(never)]
    fn send(&mut self, now: Instant, route: Route) -> Result<(), Problem> {
        self.send_within(now, self.left(now), route)
    }

    /// The same with the time that is left.
    #[inline(always)]
    fn send_within(&mut self, now: Instant, left: Duration, route: Route) -> Result<(), Problem> {
        let line = self.take(route);
        match line.start(now, &self.head(left), &self.terms.body) {
            Ok(flight) => {
                self.state = State::Sent(flight);
                Ok(())
            }
            Err(refused) => self.not_taken(refused),
        }
    }

    fn left(&self, now: Instant) -> Duration {
        self.terms.deadline.saturating_duration_since(now)
    }

    fn head(&self, left: Duration) -> CallHead {
        CallHead {
            name: self.subject().name,
            shape: self.shape(),
            remaining: Some(left),
            metadata: self.terms.metadata,
            ..CallHead::default()
        }
    }

    /// Lets the call go on without anybody who waits for it.
    pub(super) fn detach(self) {
        let background = Arc::clone(&self.channel.background);
        background.adopt(self);
    }

    /// Gives the attempt under way up.
    pub(super) fn cancel(&mut self) -> Ran {
        self.rests();
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Sent(flight) => flight.cancel(),
            _ => Ran::No,
        }
    }
}

/// Dropping a call gives it up.
impl Drop for RawCall {
    #[inline]
    fn drop(&mut self) {
        if let State::Sent(_) = self.state {
            self.cancel();
        }
    }
}
