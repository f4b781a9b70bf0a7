//! The part of a call's error that does not depend on the action.

use crate::{
    address::Address,
    wire::{Ran, Refusal, RefusalCode},
};
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

/// Why a call has no answer of its handler: what happened, where, and whether the handler ran.
#[derive(Clone)]
pub struct Problem(Box<Parts>);

#[derive(Clone)]
struct Parts {
    kind: ProblemKind,
    ran: Ran,
    action: Cow<'static, str>,
    address: Option<Address>,
    attempts: u32,
    detail: String,
    /// A server called its client, and not the other way round.
    of_client: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What kind of problem it was; each says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// No server could be reached: start one, or check the address. It did not run, unless an
    /// earlier attempt may have.
    NotConnected,
    /// What answers at the address is no isock server, or one of another version: check the
    /// address and both builds. It did not run.
    WrongPeer,
    /// The server has no action of that name: register it there. It did not run.
    UnknownAction,
    /// The server could not decode the input: rebuild both from the same crate, or raise the action's
    /// `decode_budget` if the text names it. It did not run.
    InputUndecodable,
    /// The two builds disagree about the action's types: rebuild both from the same crate. It did
    /// not run.
    Mismatch,
    /// The encoded input is longer than the server accepts: send less, or raise its limit. It did
    /// not run.
    InputTooLarge,
    /// The input's own `Serialize` failed, or a type of the action cannot be used as it is: postcard
    /// does not carry it, or its view reads something else. Change the type as the text says. It did not
    /// run.
    InputUnencodable,
    /// The server is past a bound: try again later. It did not run, unless it was the answer that
    /// was past a bound: `ran()` tells.
    Overloaded,
    /// The server is stopping: call another one. It did not run.
    Stopping,
    /// The deadline passed: give the call more time, or look at what holds the server up. `ran()`
    /// tells what is known.
    Deadline,
    /// The call was given up by this program; or an item was sent to a stream that takes no more: look
    /// for who cancelled it, or call [`Stream::finish`](crate::Stream::finish) to learn how it ended.
    Cancelled,
    /// The connection ended before the answer came: go by `ran()`. After `No` call again; after
    /// `Unknown` look whether it happened, or make the action `read` or `idempotent`, which is sent
    /// again by itself.
    ConnectionLost,
    /// The handler panicked: look into the server's log, which says where. It ran.
    Panicked,
    /// The handler's value is longer than the limit: ask for less, stream it, or raise the limit. It
    /// ran.
    OutputTooLarge,
    /// The handler's value could not be encoded: change its type or its `Serialize` as the text says.
    /// It ran.
    OutputUnencodable,
    /// The answer could not be decoded: rebuild both from the same crate, or raise the action's
    /// `decode_budget` if the text names it. It ran.
    OutputUndecodable,
    /// Too much waits to be sent already: wait for some of it. It did not run.
    Busy,
    /// The client has been closed: make another one. It did not run.
    Closed,
    /// It was made where nothing may block, in a hook or a waker, and would have waited for itself:
    /// use `start`, `send` or a thread.
    WouldDeadlock,
    /// The call came too late or twice on its slot, which a proxy that repeats bytes may do: remove
    /// it, or report a fault of the client. `ran()` tells whether it ran.
    Stale,
    /// The action streams, or does not, in one of the two builds: rebuild both from the same crate. It
    /// did not run.
    WrongPattern,
    /// The handler deferred its answer and then dropped its responder: look at who had it. It ran.
    Unanswered,
    /// The call came round to a server whose threads all wait for it, so that it would have waited
    /// for its own deadline: give that server more workers, or the handlers fewer calls to each other.
    /// It did not run.
    Cycle,
    /// A reason that this version does not know, with its number: rebuild this side with the other
    /// one's version, and go by `ran()` until then.
    Other(u16),
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, ran: Ran, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Parts {
            kind,
            ran,
            action: Cow::Borrowed(""),
            address: None,
            attempts: 1,
            detail: detail.into(),
            of_client: false,
            retry_after: None,
            source: None,
        }))
    }

    /// What a server said.
    pub(crate) fn refused(refusal: Refusal) -> Problem {
        let kind = kind_of(refusal.code);
        let mut problem = Problem::new(kind, refusal.ran, refusal.text);
        problem.0.retry_after =
            Some(refusal.retry_after).filter(|_| !refusal.retry_after.is_zero());
        problem
    }

    pub(crate) fn action(mut self, action: impl Into<Cow<'static, str>>) -> Problem {
        self.0.action = action.into();
        self
    }

    pub(crate) fn at(mut self, address: Option<Address>, attempts: u32) -> Problem {
        self.0.address = self.0.address.or(address);
        self.0.attempts = attempts;
        self
    }

    /// It was a client that was called, by its server.
    pub(crate) fn of_client(mut self, of_client: bool) -> Problem {
        self.0.of_client = of_client;
        self
    }

    pub(crate) fn caused_by(mut self, source: Arc<dyn std::error::Error + Send + Sync>) -> Problem {
        self.0.source = Some(source);
        self
    }

    /// What was said about it.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Problem {
        self.0.detail = detail.into();
        self
    }

    /// An earlier attempt of the same call may have run: the last one cannot take that back.
    pub(crate) fn at_least(mut self, ran: Ran) -> Problem {
        if self.0.ran == Ran::No {
            self.0.ran = ran;
        }
        self
    }

    /// What kind of problem it was.
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// Whether the handler ran.
    pub fn ran(&self) -> Ran {
        self.0.ran
    }

    /// The name of the action that was called.
    pub fn action_name(&self) -> &str {
        &self.0.action
    }

    /// Where it was called, as far as that was known.
    pub fn address(&self) -> Option<&Address> {
        self.0.address.as_ref()
    }

    /// How many attempts were made.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// When to try again, if the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

fn kind_of(code: RefusalCode) -> ProblemKind {
    match code {
        RefusalCode::UNKNOWN_ACTION => ProblemKind::UnknownAction,
        RefusalCode::UNDECODABLE => ProblemKind::InputUndecodable,
        RefusalCode::MISMATCH => ProblemKind::Mismatch,
        RefusalCode::OVERLOADED => ProblemKind::Overloaded,
        RefusalCode::DRAINING => ProblemKind::Stopping,
        RefusalCode::EXPIRED => ProblemKind::Deadline,
        RefusalCode::INPUT_TOO_LARGE => ProblemKind::InputTooLarge,
        RefusalCode::CANCELLED => ProblemKind::Cancelled,
        RefusalCode::STALE => ProblemKind::Stale,
        RefusalCode::PANICKED => ProblemKind::Panicked,
        RefusalCode::OUTPUT_TOO_LARGE => ProblemKind::OutputTooLarge,
        RefusalCode::UNENCODABLE => ProblemKind::OutputUnencodable,
        RefusalCode::WRONG_PATTERN => ProblemKind::WrongPattern,
        RefusalCode::UNANSWERED => ProblemKind::Unanswered,
        RefusalCode::CYCLE => ProblemKind::Cycle,
        RefusalCode(other) => ProblemKind::Other(other),
    }
}

impl ProblemKind {
    /// What happened, for people.
    fn words(self) -> &'static str {
        match self {
            ProblemKind::NotConnected => "no server",
            ProblemKind::WrongPeer => "no isock server of this version",
            ProblemKind::UnknownAction => "the server has no such action; register it there",
            ProblemKind::InputUndecodable => "the server could not decode the input",
            ProblemKind::Mismatch => {
                "the two builds disagree about its types; rebuild both from the same crate"
            }
            ProblemKind::InputTooLarge => "the input is too large; send less, or raise the limit",
            ProblemKind::InputUnencodable => "the input cannot be encoded",
            ProblemKind::Overloaded => "the server is overloaded; try again later",
            ProblemKind::Stopping => "the server is stopping; call another one",
            ProblemKind::Deadline => "no answer by the deadline",
            ProblemKind::Cancelled => "cancelled",
            ProblemKind::ConnectionLost => "the connection ended before the answer",
            ProblemKind::Panicked => "the handler panicked; the server's log says where",
            ProblemKind::OutputTooLarge => {
                "the answer is too large; ask for less, or raise the limit"
            }
            ProblemKind::OutputUnencodable => "the answer cannot be encoded",
            ProblemKind::OutputUndecodable => "the answer could not be decoded",
            ProblemKind::Busy => "too much waits to be sent; wait for earlier calls first",
            ProblemKind::Closed => "this client has been closed; make another one",
            ProblemKind::WouldDeadlock => {
                "a hook or a waker may not block; use `start` or `send`, or another thread"
            }
            ProblemKind::Stale => "the call came too late or twice",
            ProblemKind::WrongPattern => {
                "the two builds disagree whether it streams; rebuild both from the same crate"
            }
            ProblemKind::Unanswered => {
                "the handler dropped its responder without an answer; look at who had it"
            }
            ProblemKind::Cycle => {
                "a cycle of calls: all threads of the server that could run it wait for it"
            }
            ProblemKind::Other(_) => "refused for a reason that this version does not know",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        if !parts.action.is_empty() {
            write!(f, "`{}`", parts.action)?;
        }
        if let Some(address) = &parts.address {
            write!(f, "{}at {address}", if parts.action.is_empty() { "" } else { " " })?;
        }
        if !parts.action.is_empty() || parts.address.is_some() {
            f.write_str(": ")?;
        }
        match parts.of_client {
            false => f.write_str(parts.kind.words())?,
            true => f.write_str(&parts.kind.words().replace("server", "client"))?,
        }
        if parts.attempts > 1 {
            write!(f, " after {} attempts", parts.attempts)?;
        }
        if !parts.detail.is_empty() {
            write!(f, ": {}", parts.detail)?;
        }
        write!(f, " ({})", parts.ran)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("kind", &self.0.kind)
            .field("ran", &self.0.ran)
            .field("text", &self.to_string())
            .finish()
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_where_how_often_and_whether_it_ran() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into();
        let problem = Problem::new(ProblemKind::NotConnected, Ran::No, "connection refused")
            .action("Echo")
            .at(Some(address), 3);
        let text = "`Echo` at 127.0.0.1:1: no server after 3 attempts: connection refused \
                    (it did not run)";
        assert_eq!(problem.to_string(), text);
    }

    #[test]
    fn a_server_that_calls_reads_of_its_client() {
        let problem = Problem::new(ProblemKind::UnknownAction, Ran::No, "").of_client(true);
        let text = "the client has no such action; register it there (it did not run)";
        assert_eq!(problem.to_string(), text);
    }

    #[test]
    fn a_number_of_a_newer_server_survives() {
        let problem = Problem::refused(Refusal::new(RefusalCode(999), Ran::Yes, "why"));
        assert_eq!((problem.kind(), problem.ran()), (ProblemKind::Other(999), Ran::Yes));
    }
}
