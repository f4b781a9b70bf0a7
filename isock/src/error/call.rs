//! The error of one call.

use super::{Problem, ProblemKind};
use crate::wire::Ran;
use std::fmt::{self, Debug, Display};

/// Why a call has no value: the action's own error, or something that kept it from having one.
#[derive(Debug)]
pub enum CallError<E> {
    /// The handler ran and returned the action's own error, as a value: match on it.
    Action(E),
    /// There is no answer of the handler's: look at the problem, which says why and whether the
    /// handler ran.
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
    /// ```
    /// # use isock::{Action, Server};
    /// # use serde::{Deserialize, Serialize};
    /// use isock::{Client, Problem};
    ///
    /// # #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
    /// # enum TakeError { #[error("only {left} left")] OutOfStock { left: u32 } }
    /// # #[derive(Action)] #[action(input = u32, error = TakeError)] struct Take;
    /// /// What could not be had; `?` passes on what kept the call from being answered.
    /// fn missing(client: &Client, wanted: u32) -> Result<u32, Problem> {
    ///     match client.run::<Take>(wanted) {
    ///         Ok(()) => Ok(0),
    ///         Err(error) => match error.own()? {
    ///             TakeError::OutOfStock { left } => Ok(wanted - left),
    ///         },
    ///     }
    /// }
    ///
    /// let server = Server::in_memory()
    ///     .on::<Take>(|_, _cx| Err(TakeError::OutOfStock { left: 2 }))
    ///     .spawn()?;
    /// assert_eq!(missing(&server.client(), 5)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
