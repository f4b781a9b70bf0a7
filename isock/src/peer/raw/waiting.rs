//! Who waits for a call: a thread that blocks, or a future that is polled.
//!
//! Knows when the next attempt begins and when all of them are over. Does not know what it means that one has
//! failed.

use super::{RawCall, RawReply, RawResult, Reply, State};
use crate::{
    error::{Problem, ProblemKind},
    net::{self, Ended},
    peer::channel::Pick,
    wire::Ran,
};
use std::{
    sync::Weak,
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

/// How long a future that is late waits for who reads, before it looks again.
const AGAIN: Duration = Duration::from_millis(2);

impl RawCall {
    /// Waits for the next attempt.
    pub(super) fn pause(&self) {
        if let State::Waiting(Some(at)) = self.state {
            thread::sleep(at.saturating_duration_since(Instant::now()));
        }
    }

    /// Blocks until the call has ended.
    pub(in crate::peer) fn wait(&mut self) -> Result<Reply, Problem> {
        let State::Sent(flight) = &self.state else { return self.wait_on() };
        // Of calls that overlap most find their answers.
        let reply = match flight.wait(self.terms.deadline) {
            Ok(Some(Ended::Small(bytes))) => Reply::Small(bytes),
            Ok(Some(Ended::Value(bytes))) => Reply::Raw(RawReply::Value(bytes)),
            Ok(Some(ended)) => return self.wait_after(ended),
            Ok(None) => return Err(self.late()),
            Err(_) => return Err(self.would_deadlock()),
        };
        self.answered();
        Ok(reply)
    }

    /// The same of one whose attempt has ended so.
    #[inline(never)]
    fn wait_after(&mut self, ended: Ended) -> Result<Reply, Problem> {
        match self.ended(ended)? {
            Some(reply) => Ok(reply),
            None => self.wait_on(),
        }
    }

    /// The same of one that may need further attempts.
    #[inline(never)]
    fn wait_on(&mut self) -> Result<Reply, Problem> {
        loop {
            match &self.state {
                State::Waiting(_) => {
                    net::about_to_block().map_err(|_| self.would_deadlock())?;
                    self.pause();
                    self.check_time(Instant::now())?;
                    let (seat, deadline) = (self.seat(), self.terms.deadline);
                    match self.channel.route(Pick::LeastBusy, seat, deadline) {
                        Ok(route) => self.send(Instant::now(), route)?,
                        Err(error) => self.not_linked(error)?,
                    }
                }
                State::Sent(flight) => match flight.wait(self.terms.deadline) {
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
    pub(in crate::peer) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<RawResult> {
        loop {
            match self.advance(cx) {
                Ok(Some(reply)) => return Poll::Ready(Ok(reply.into())),
                Ok(None) => {}
                Err(Stop::Problem(problem)) => {
                    self.state = State::Ended;
                    return Poll::Ready(Err(problem));
                }
                Err(Stop::Pending) => return Poll::Pending,
            }
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<Option<Reply>, Stop> {
        let now = Instant::now();
        match &self.state {
            State::Ended => {
                panic!("a call was polled after it had ended");
            }
            _ if self.channel.is_forked() => return Err(Stop::Problem(self.late())),
            _ if self.terms.deadline <= now && !self.has_ended() => {
                let late = *self.rare.or_begin().late.get_or_insert(now);
                if let State::Sent(flight) = &self.state {
                    if flight.may_have_come(now, late, self.terms.deadline) {
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
                    self.wake_at(self.terms.deadline, cx, Weak::new());
                    self.channel.background.dial(self.terms.deadline, cx.waker());
                    return Err(Stop::Pending);
                }
            },
            State::Dialling => {
                let dialled = self.channel.background.dialled();
                match (self.current(Pick::LeastBusy), dialled) {
                    (Some(route), _) => self.send(Instant::now(), route)?,
                    (None, Some(error)) => self.not_linked(error)?,
                    (None, None) => {
                        self.wake_at(self.terms.deadline, cx, Weak::new());
                        self.channel.background.dial(self.terms.deadline, cx.waker());
                        return Err(Stop::Pending);
                    }
                }
            }
            State::Sent(flight) => {
                if flight.wake_with(cx.waker()) {
                    let link = flight.to_read();
                    self.wake_at(self.terms.deadline, cx, link);
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
    pub(in crate::peer) fn has_ended(&self) -> bool {
        matches!(&self.state, State::Sent(flight) if flight.is_ended())
    }

    /// Wakes the future then, and has its connection read until then.
    pub(in crate::peer) fn wake_at(
        &mut self,
        at: Instant,
        cx: &Context<'_>,
        link: Weak<net::Link>,
    ) {
        let timer = &mut self.rare.or_begin().timer;
        self.channel.background.wake_at(timer, at, cx.waker(), link);
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
