//! What tools and messages say about an action.

use super::name::flaw;
use crate::error::BadName;
use std::time::Duration;

/// The prefix of the names that are the library's own.
pub(crate) const RESERVED: &str = "isock.";

/// Name, documentation and kind of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The name on the wire: the type's own name unless `#[action(name = "…")]` says otherwise.
    pub name: &'static str,
    /// The doc comment, line by line as written.
    pub docs: &'static str,
    /// Whether it may be repeated.
    pub kind: ActionKind,
    /// How long a call may take unless the call says otherwise; the client's timeout unless stated.
    pub timeout: Option<Duration>,
    /// The longest encoded input, in bytes; the connection's message limit unless stated.
    pub max_input: Option<usize>,
    /// The longest encoded output, in bytes; the connection's message limit unless stated.
    pub max_output: Option<usize>,
    /// What decoding the input or the output may take on the heap, in bytes; 64 KiB and 32 times
    /// the encoded length, up to [`Limits::decode_budget`](crate::Limits::decode_budget), unless
    /// stated.
    pub decode_budget: Option<usize>,
}

/// Whether an action may run again for the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// Changes nothing.
    Read,
    /// Repeating it changes nothing more.
    Idempotent,
    /// Every run counts.
    Once,
}

impl Info {
    /// An action called `name`, without documentation, that is to run once.
    ///
    /// A name has at most 128 bytes, shows as it is, has no spaces and does not begin with `isock.`;
    /// an action with another one is refused when it is registered.
    pub const fn new(name: &'static str) -> Info {
        let kind = ActionKind::Once;
        Info {
            name,
            docs: "",
            kind,
            timeout: None,
            max_input: None,
            max_output: None,
            decode_budget: None,
        }
    }

    /// The same with documentation, whose first line is the summary.
    #[must_use]
    pub const fn docs(self, docs: &'static str) -> Info {
        Info { docs, ..self }
    }

    /// The same with the kind `K`.
    #[must_use]
    pub const fn kind<K: super::Kind>(self) -> Info {
        Info { kind: K::VALUE, ..self }
    }

    /// The same with a time that a call may take unless the call says otherwise.
    #[must_use]
    pub const fn timeout(self, timeout: Duration) -> Info {
        Info { timeout: Some(timeout), ..self }
    }

    /// The same with another bound for the encoded input, in bytes.
    #[must_use]
    pub const fn max_input(self, bytes: usize) -> Info {
        Info { max_input: Some(bytes), ..self }
    }

    /// The same with another bound for the encoded output, in bytes.
    #[must_use]
    pub const fn max_output(self, bytes: usize) -> Info {
        Info { max_output: Some(bytes), ..self }
    }

    /// The same with another bound for what decoding takes on the heap, in bytes.
    #[must_use]
    pub const fn decode_budget(self, bytes: usize) -> Info {
        Info { decode_budget: Some(bytes), ..self }
    }

    /// Why no action can be called so, which the derive finds earlier; the prefix of the library's
    /// own names is left aside.
    pub(crate) fn flaw(&self) -> Option<BadName> {
        flaw(self.name)
    }

    /// The first line of the documentation that is not empty.
    pub fn summary(&self) -> &'static str {
        self.docs.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_the_first_line_that_says_something() {
        assert_eq!(Info::new("A").docs("\n Sends it back.\n\n More.").summary(), "Sends it back.");
        assert_eq!(Info::new("A").summary(), "");
    }
}
