//! Errors for whoever starts a program.

use super::Problem;
use crate::{
    address::{Address, BadAddress},
    limits::BadLimit,
    shape::RoundtripError,
};
use std::{fmt, io, sync::Arc};

/// Why an action was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The server has an action of that name already: remove one of the two, or rename it.
    #[error("`{name}` is registered already; remove one of the two, or give it another name")]
    Duplicate {
        /// The name.
        name: &'static str,
    },
    /// Two names share their number on the wire: rename one of them.
    #[error("`{name}` and `{other}` have the same number on the wire; rename one of them")]
    Collision {
        /// The name that was to be registered.
        name: &'static str,
        /// The name that has the number.
        other: &'static str,
    },
    /// No action can have such a name: write another one, as the text says.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Names that begin with `isock.` are the library's own: rename the action.
    #[error("`{name}` begins with `isock.`, which is kept for built-in actions; rename it")]
    Reserved {
        /// The name.
        name: &'static str,
    },
    /// A type of the action cannot travel: postcard cannot carry it, or, found in debug builds,
    /// it is not read as it is written. Or a view reads something else than what travels. Change it
    /// as the text says.
    #[error("`{name}` cannot be registered because of its {part}: {why}")]
    Uncarried {
        /// The name.
        name: &'static str,
        /// Which of its types: `input`, `output`, `error`, `item` or `upload`; or its `input view`
        /// or `output view`.
        part: &'static str,
        /// Where in the type, because of what, and what to do.
        why: Box<RoundtripError>,
    },
    /// The server has stopped: register before it does, or start another one.
    #[error("`{name}` was not registered: the server has stopped")]
    Stopped {
        /// The name.
        name: &'static str,
    },
}

/// Why an action cannot have a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadName {
    /// It has no letters: give it some.
    #[error("the name of an action is empty; give it one")]
    Empty,
    /// It is longer than 128 bytes: shorten it.
    #[error("the name of an action has {len} bytes, and may have 128; shorten it")]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// It has a space or a letter that does not show: write `.`, `-` or `_` instead.
    #[error(
        "{name:?} cannot be the name of an action because of {letter:?}; \
         write `.`, `-` or `_` instead"
    )]
    Letter {
        /// The name.
        name: String,
        /// The letter.
        letter: char,
    },
    /// This program has made 65,536 names at run time already, and keeps all of them: put what differs
    /// into the input.
    #[error("65,536 names have been made at run time already; put what differs into the input")]
    TooMany,
}

/// Why a server does not serve.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be read: write it as the text says.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// An address cannot be listened at: use another one, or see to its rights.
    #[error("cannot listen at {address}: {source}; use another address, or see to its rights")]
    Bind {
        /// The address.
        address: Address,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no address to listen at: use `bind`, or `Server::in_memory`.
    #[error("no address to listen at; use `bind(…)`, or `Server::in_memory()`")]
    NoAddress,
    /// Another server listens at an address: stop it, or use another address.
    #[error(
        "cannot listen at {address}: a server is there already; stop it, or use another address"
    )]
    InUse {
        /// The address.
        address: Address,
    },
    /// A limit is out of its range: set it as the text says.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// An action could not be registered: change it as the text says.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Actions of a required set have no handler: add `.on::<…>(…)` for each.
    #[error("no handler for {}; add `.on::<…>(…)` for each", list(.0))]
    Missing(Vec<&'static str>),
    /// The operating system refused what a server needs: raise its limits of threads and files, or see
    /// what it says.
    #[error("cannot start the server: {0}")]
    System(#[source] io::Error),
}

impl ServeError {
    pub(crate) fn of_bind(address: &Address, source: io::Error) -> ServeError {
        let address = address.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::InUse { address },
            _ => ServeError::Bind { address, source },
        }
    }
}

/// Why there is no connection to a server.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An address cannot be read: write it as the text says.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// An action cannot be served to the server: change it as the text says.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A limit is out of its range: set it as the text says.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// No server answers: start one there, or check the address.
    #[error(
        "no server at {address} after {attempts} {}: {source}{}",
        plural(*.attempts),
        advice(source)
    )]
    Unreachable {
        /// The addresses that were tried, as they were given.
        address: String,
        /// How often.
        attempts: u32,
        /// What the last one said.
        source: Arc<io::Error>,
    },
    /// Something answers that does not speak this version of the protocol: check the port, or rebuild
    /// the older side.
    #[error("{address}: {why}")]
    WrongPeer {
        /// The address.
        address: String,
        /// What it speaks, and what to do.
        why: String,
    },
    /// There is no address to connect to: name one at least.
    #[error("no address to connect to; name one at least")]
    NoAddress,
    /// The client has been closed: make another one.
    #[error("this client has been closed; make another one")]
    Closed,
}

/// What to do about it, unless that has been said: the system only says what it saw.
fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(_) => "; start one there, or check the address",
        None => "",
    }
}

/// Why a client's expectation of a server does not hold.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ExpectError {
    /// The server does not have these actions: register them there.
    #[error("the server has no {}; register them there", list(.0))]
    Missing(Vec<&'static str>),
    /// The server could not be asked: look at the problem, which says why.
    #[error(transparent)]
    Problem(#[from] Problem),
}

/// A `main` that returns these errors shows them with `Debug`: as text, for whoever started it.
macro_rules! debug_as_text {
    ($($error:ty)*) => {
        $(impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        })*
    };
}

debug_as_text! { ServeError ConnectError ExpectError }

fn plural(attempts: u32) -> &'static str {
    if attempts == 1 {
        "attempt"
    } else {
        "attempts"
    }
}

fn list(names: &[&'static str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let error = ServeError::Missing(vec!["Echo", "Place"]);
        assert_eq!(error.to_string(), "no handler for `Echo`, `Place`; add `.on::<…>(…)` for each");
    }
}
