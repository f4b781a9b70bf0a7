//! The error of one call.

use super::{Problem, ProblemKind};
use crate::wire::Ran;
use std::fmt::{self, Debug, Display};

/// Why a call has no value: the action's own error, or something that kept it from having one.
#[derive(Debug)]
pub enum CallError<E> {
    /// The handler ran and returned the action's own error, as a value.
    Action(E),
    /// There is no answer of the handler's; the problem says why and whether the handler ran.
    Call(Problem),
}

impl<E> CallError<E> {
    /// Whether the handler ran.
    pub fn ran(&self) -> Ran {
        match self {
            CallError::Action(_) => Ran::Yes,
            CallError::Call(problem) => problem.ran(),
        }
    }

    /// The action's own error as a value, everything else as an error to return: for helpers
    /// that call several actions and share the error type [`Problem`].
    ///
    /// # Errors
    /// The problem, if that is what it was.
    pub fn own(self) -> Result<E, Problem> {
        match self {
            CallError::Action(error) => Ok(error),
            CallError::Call(problem) => Err(problem),
        }
    }

    /// What kind of problem it was, unless the handler answered.
    pub fn kind(&self) -> Option<ProblemKind> {
        self.problem().map(Problem::kind)
    }

    /// The problem, unless the handler answered.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            CallError::Action(_) => None,
            CallError::Call(problem) => Some(problem),
        }
    }
}

impl<E> From<Problem> for CallError<E> {
    fn from(problem: Problem) -> CallError<E> {
        CallError::Call(problem)
    }
}

impl<E: Display> Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Action(error) => Display::fmt(error, f),
            CallError::Call(problem) => Display::fmt(problem, f),
        }
    }
}

impl<E: Debug + Display> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem().and_then(std::error::Error::source)
    }
}
