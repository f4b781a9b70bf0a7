//! What an event loop asks of whoever knows what calls mean, and of the calls themselves.
//!
//! Knows when something happens. Does not know what is done then.

use super::ConnId;
use crate::{
    net::{far::Far, flow::Conduit, origin::Origin},
    proto::{Answer, Body, Closed, ServedKey},
    wire::{CallHead, Refusal},
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// A call that has arrived.
#[derive(Debug)]
pub(crate) struct Incoming<'b> {
    pub(crate) connection: ConnId,
    /// `None` if no answer is wanted.
    pub(crate) key: Option<ServedKey>,
    /// Where it was read: whoever wants to keep it copies what of it.
    pub(crate) head: &'b CallHead,
    pub(crate) body: Body<'b>,
    /// When its first byte had been read.
    pub(crate) arrived: Instant,
    /// Its items, if it carries any.
    pub(crate) conduit: Option<Conduit>,
    /// Streams that the connection has, this one included.
    pub(crate) streams: usize,
}

/// Whoever knows what calls mean.
pub(crate) trait Service: Send + 'static {
    /// What it keeps for each connection.
    type Session: Send;
    /// A call that is expected to be quick, and has not begun.
    type Quick: Quick;
    /// A call that runs on the loop's thread.
    type Job: Job;

    /// A connection has been accepted, or has come from another loop.
    fn opened(&mut self, origin: Origin, far: &Arc<Far>) -> Self::Session;
    /// Another loop goes on with the connection, whose prefaces have been exchanged; this service
    /// does not hear that it is ready.
    fn leaves(&mut self, session: Self::Session) -> Origin;
    /// The prefaces have been exchanged.
    fn ready(&mut self, session: &mut Self::Session);
    /// A connection has sent something, which is about to be understood.
    fn heard(&mut self, _connection: ConnId, _now: Instant) {}
    /// A call has arrived. Its answer comes through the [`Remote`](crate::net::Remote), or now
    /// through `answer`, or from one that is added to `jobs`: one that is expected to be quick.
    fn call(
        &mut self,
        session: &mut Self::Session,
        call: Incoming<'_>,
        jobs: &mut VecDeque<Self::Quick>,
        answer: &mut dyn FnMut(ServedKey, Answer),
    );
    /// Whether no more should be read for now, unless an answer is waited for.
    fn is_full(&self, session: &Self::Session) -> bool;
    /// Bytes of what waits to run and takes no slot.
    fn held(&self, session: &Self::Session) -> usize;
    /// Whether nothing waits or runs that takes no slot.
    fn is_idle(&self, session: &Self::Session) -> bool;
    /// Whether a call still is expected to be quick.
    fn is_quick(&self, call: &Self::Quick) -> bool;
    /// A quick call is to run on the loop's thread now. What `last` has left may be used again.
    fn begin(
        &mut self,
        session: &mut Self::Session,
        call: Self::Quick,
        last: Option<Self::Job>,
    ) -> Self::Job;
    /// It has run there.
    fn ended(&mut self, session: Option<&mut Self::Session>, reply: Reply);
    /// Nothing runs there for now; the last one may be used again.
    fn rest(&mut self, last: Option<Self::Job>);
    /// Where the one is from that has begun and not ended.
    fn begun(&self) -> Option<ConnId>;
    /// It goes on elsewhere, and the loop without it: it has been held up. Its answer comes through
    /// the [`Remote`](crate::net::Remote).
    fn left_behind(&mut self, session: &mut Self::Session);
    /// A quick call cannot run on the loop's thread now; an answer comes back if it cannot run at
    /// all.
    fn run_elsewhere(&mut self, session: &mut Self::Session, call: Self::Quick) -> Option<Done>;
    /// A quick call waits for longer than the others.
    fn hold(&mut self, call: &mut Self::Quick);
    /// A quick call will not run, and nobody wants its answer.
    fn forget(&mut self, call: Self::Quick);
    /// A quick call is refused: it has not begun, and will not.
    fn refuse(&mut self, call: Self::Quick) -> Done;
    /// A good moment to do what need not be done for each call.
    fn settle(&mut self);
    /// The same as far as callers who have their answers could see it.
    fn relieve(&mut self);
    /// The caller no longer waits.
    fn cancelled(&mut self, session: &mut Self::Session, key: ServedKey);
    /// Nobody waits for any call of the connection any more.
    fn cancelled_all(&mut self, session: &mut Self::Session);
    /// Nothing begins to run from now on, in no loop of the server: what waits to has been refused
    /// when this returns, through the [`Remote`](crate::net::Remote).
    fn give_up(&mut self);
    /// What a call learns that will not run because the server ends.
    fn stopping(&self) -> Refusal;
    /// An answer has gone through.
    fn answered(&mut self, session: &mut Self::Session, key: ServedKey);
    /// The connection has ended.
    fn closed(&mut self, session: Self::Session, why: &Closed);
    /// No further calls are accepted.
    fn draining(&mut self);
    /// Something that the operator should know.
    fn log(&mut self, what: &str);
}

/// Where the answer of a call comes from that has run on the loop's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// From there.
    Given,
    /// From elsewhere, if it has not come already.
    Later,
}

/// A quick call that has not begun.
pub(crate) trait Quick: Send {
    /// Where its answer goes.
    fn connection(&self) -> ConnId;
}

/// A call with all that it needs to run on any thread.
pub(crate) trait Job: Send {
    /// Runs the handler, and says whether it did: not if it is too late. It is `at_most` that time,
    /// and may be two [`TICK`](crate::net::timing::TICK)s earlier. Does not panic.
    fn run(&mut self, at_most: Instant) -> bool;
    /// Where its answer goes.
    fn key(&self) -> (ConnId, ServedKey);
    /// That, once it has run; `None` if it comes from elsewhere.
    fn take_answer(&mut self) -> Option<Answer>;
    /// Both, of one that was left behind. What it holds goes first.
    fn done_late(self) -> Done;
    /// Whom to tell how long it takes.
    fn pace(&self) -> Arc<dyn Pace>;
    /// Whether that is the same.
    fn is_of(&self, pace: &Arc<dyn Pace>) -> bool;
}

/// Hears whether an action is quick.
pub(crate) trait Pace: Send + Sync {
    /// These runs of it together have taken so long.
    fn took(&self, took: Duration, runs: u32);
    /// A run of it has held the loop up.
    fn held_up(&self);
    /// A run of it waits for a connection, and so may every other one.
    fn blocks(&self);
}

/// An answer, and where it goes.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) connection: ConnId,
    pub(crate) key: ServedKey,
    /// `None` if it comes from elsewhere.
    pub(crate) answer: Option<Answer>,
}
