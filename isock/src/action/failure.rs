//! The error of an action that declares none.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug, Display};

/// What an action fails with unless it declares its own error: a text that the caller reads.
///
/// `?` makes one from any [`std::error::Error`], the causes included. It is no
/// [`std::error::Error`] itself: that is what lets `?` work, as in `anyhow`. For the same reason a
/// `Box<dyn Error>` is none to Rust: write `.map_err(Failure::new)?`. The text reaches the
/// caller as it stands; [`ServerBuilder::hide_failures`](crate::ServerBuilder::hide_failures)
/// keeps it in the server's log instead.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    message: String,
}

impl Failure {
    /// A failure with this text.
    pub fn new(message: impl Display) -> Failure {
        Failure { message: message.to_string() }
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Failure { message }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.message, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn the_causes_are_part_of_the_text() {
        let inner = "x".parse::<u8>().unwrap_err();
        assert_eq!(Failure::from(Outer(inner)).message(), "outer: invalid digit found in string");
    }
}
