//! The error of an action that declares none.

use super::plain::Plain;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug, Display};

/// What an action fails with unless it declares its own error: a text that the caller reads.
///
/// `?` makes one from any [`std::error::Error`], the causes included. It is no
/// [`std::error::Error`] itself: that is what lets `?` work, as in `anyhow`. For the same reason a
/// `Box<dyn Error>` is none to Rust, and neither is a text: write `.map_err(Failure::new)?`, or
/// `.ok_or_else(|| Failure::new("…"))?`.
///
/// ```
/// use isock::{Action, Failure, Server};
///
/// /// The number behind `n=`.
/// #[derive(Action)]
/// #[action(input = String, output = u32, kind = read)]
/// struct Number;
///
/// let server = Server::in_memory()
///     .on::<Number>(|text, _cx| {
///         let digits = text.strip_prefix("n=").ok_or_else(|| Failure::new("no `n=`"))?;
///         if digits.len() > 4 {
///             return Err(Failure::new(format!("{digits} is too long")));
///         }
///         Ok(digits.parse()?)
///     })
///     .spawn()?;
/// let told = |text| server.client().run::<Number>(text).unwrap_err().to_string();
/// assert_eq!(told("4"), "no `n=`");
/// assert_eq!(told("n=44444"), "44444 is too long");
/// assert_eq!(told("n=x"), "invalid digit found in string");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The text reaches the caller as it stands; what a terminal would act on is escaped when it is
/// displayed, line breaks and tabs aside.
/// [`ServerBuilder::hide_failures`](crate::ServerBuilder::hide_failures) keeps it in the server's
/// log instead.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    message: String,
}

impl Failure {
    /// A failure with this text.
    pub fn new(message: impl Display) -> Failure {
        Failure { message: message.to_string() }
    }

    /// The text, as it was made or came.
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
        let mut lines = self.message.split('\n');
        write!(f, "{}", Plain(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| write!(f, "\n{}", Plain(line)))
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
    fn what_a_terminal_would_act_on_is_shown_and_not_done() {
        let failure = Failure::new("one\u{7}\n\ttwo\u{1b}[2J\r\u{202e}");
        assert_eq!(failure.to_string(), "one\\u{7}\n\ttwo\\u{1b}[2J\\u{d}\\u{202e}");
        assert_eq!(failure.message(), "one\u{7}\n\ttwo\u{1b}[2J\r\u{202e}");
    }

    #[test]
    fn the_causes_are_part_of_the_text() {
        let inner = "x".parse::<u8>().unwrap_err();
        assert_eq!(Failure::from(Outer(inner)).message(), "outer: invalid digit found in string");
    }
}
