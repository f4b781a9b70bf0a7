//! What it means that an attempt has ended: the answer, another attempt, or a problem in words.
//!
//! Knows what may be repeated, and what may have run. Does not wait.

use super::{RawCall, RawReply, RawResult, Reply, State};
use crate::{
    address::Address,
    error::{Problem, ProblemKind},
    net::{Ended, Refused},
    peer::{backoff, connector::NoLink, retry::Failed},
    proto::{Closed, NotStarted},
    wire::{CloseCode, Ran, Refusal},
};
use std::time::Instant;

/// What a child of the client's process is told.
const FORKED: &str = "the client belongs to the process that forked this one; make another here";

impl RawCall {
    /// How a stream has ended, for people.
    pub(in crate::peer) fn told(&self, ended: Ended) -> RawResult {
        match ended {
            Ended::Value(bytes) => Ok(RawReply::Value(bytes)),
            Ended::Small(bytes) => Ok(RawReply::Value(bytes.into())),
            Ended::Error(bytes) => Ok(RawReply::Error(bytes)),
            Ended::Refused(refusal) => Err(self.finish(Problem::refused(refusal))),
            Ended::Lost(ran, closed) => Err(self.lost(ran, &closed)),
        }
    }

    /// The connection did not take it.
    #[cold]
    pub(super) fn not_taken(&mut self, refused: Refused) -> Result<(), Problem> {
        self.rests();
        match refused {
            Refused::Busy => Err(self.problem(ProblemKind::Busy, Ran::No, "")),
            Refused::Unattended => {
                let text = "the client serves no actions";
                Err(self.problem(ProblemKind::UnknownAction, Ran::No, text))
            }
            Refused::Protocol(NotStarted::TooLarge { limit }) => {
                let size = self.terms.body.len();
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
    pub(super) fn not_linked(&mut self, error: NoLink) -> Result<(), Problem> {
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
    pub(super) fn ended(&mut self, ended: Ended) -> Result<Option<Reply>, Problem> {
        let reply = match ended {
            Ended::Small(bytes) => Reply::Small(bytes),
            Ended::Value(bytes) => Reply::Raw(RawReply::Value(bytes)),
            Ended::Error(bytes) => Reply::Raw(RawReply::Error(bytes)),
            Ended::Refused(refusal) => return self.refused(refusal).map(|()| None),
            Ended::Lost(ran, closed) => return self.cut(ran, closed).map(|()| None),
        };
        self.answered();
        Ok(Some(reply))
    }

    /// A handler has answered.
    #[inline]
    pub(super) fn answered(&mut self) {
        self.rests();
        self.state = State::Ended;
        self.channel.bucket.succeeded();
    }

    /// The connection ended under an attempt: is there another one?
    #[cold]
    fn cut(&mut self, ran: Ran, closed: Closed) -> Result<(), Problem> {
        self.rests();
        if ran != Ran::No {
            self.ran = Ran::Unknown;
        }
        let address = match std::mem::replace(&mut self.state, State::Ended) {
            State::Sent(flight) => flight.address().cloned(),
            _ => None,
        };
        let problem = move |call: &RawCall| {
            let made = call.attempts.made();
            call.lost(ran, &closed).at(address, made)
        };
        let failed = Failed::by_loss(self.subject().kind, ran);
        match failed.filter(|_| !self.channel.is_closed()) {
            Some(failed) => self.again(failed, problem),
            None => Err(problem(self)),
        }
    }

    /// The server said no: some of these are worth another attempt.
    #[cold]
    fn refused(&mut self, refusal: Refusal) -> Result<(), Problem> {
        self.rests();
        self.state = State::Ended;
        let failed = Failed::by_refusal(self.subject().kind, &refusal);
        let problem = |call: &RawCall| call.finish(Problem::refused(refusal));
        match failed {
            Some(failed) => self.again(failed, problem),
            None => Err(problem(self)),
        }
    }

    /// Plans another attempt, unless there have been enough.
    pub(super) fn again(
        &mut self,
        failed: Failed,
        problem: impl FnOnce(&RawCall) -> Problem,
    ) -> Result<(), Problem> {
        let (now, chance) = (Instant::now(), backoff::fraction());
        let until = self.terms.deadline;
        match self.attempts.again((now, until), failed, chance, &self.channel.bucket) {
            Some(at) => {
                self.state = State::Waiting((at > now).then_some(at));
                Ok(())
            }
            None => Err(problem(self)),
        }
    }

    /// The deadline has passed, or nobody is there who could keep it.
    #[cold]
    pub(super) fn late(&mut self) -> Problem {
        let ran = self.cancel();
        if let Some(problem) = self.forked(ran) {
            return problem;
        }
        let detail = match self.terms.inherited {
            true => "the caller of the handler that made it waits no longer",
            false => "",
        };
        self.problem(ProblemKind::Deadline, ran, detail)
    }

    /// What is wrong with a call that a child of its client's process has inherited.
    pub(in crate::peer) fn forked(&self, ran: Ran) -> Option<Problem> {
        let forked = self.channel.is_forked();
        forked.then(|| self.problem(ProblemKind::NotConnected, ran, FORKED))
    }

    pub(in crate::peer) fn problem(
        &self,
        kind: ProblemKind,
        ran: Ran,
        detail: impl Into<String>,
    ) -> Problem {
        self.finish(Problem::new(kind, ran, detail))
    }

    /// The connection ended first.
    pub(super) fn lost(&self, ran: Ran, closed: &Closed) -> Problem {
        let text = words(closed, self.channel.other_end());
        self.problem(ProblemKind::ConnectionLost, ran, text)
    }

    /// Where the last attempt went.
    fn address(&self) -> &Address {
        self.seat().map_or(self.channel.address(), |seat| &seat.address)
    }

    fn finish(&self, problem: Problem) -> Problem {
        let made = self.attempts.made().max(1);
        problem
            .action(self.subject().action.clone())
            .at(Some(self.address().clone()), made)
            .at_least(self.ran)
            .of_client(self.channel.is_to_client())
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
