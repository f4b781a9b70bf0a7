//! Why a message was not decoded.
//!
//! Numbers and fixed phrases only: whatever the peer sent stays out of them.

use std::error::Error;
use std::fmt;

use postcard::Error as WireError;

/// Why a message was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message is nested deeper than the limit, which is given.
    TooDeep(u32),
    /// The value would take more memory than the limit grants.
    OverBudget {
        /// What decoding had asked for when it was stopped, in bytes; the whole may
        /// need more.
        needed: usize,
        /// The limit, in bytes.
        budget: usize,
    },
    /// The value was followed by so many bytes that belong to nothing.
    Trailing(usize),
    /// The message ended before the value did.
    Ended,
    /// The bytes are no value of this type, for the reason given.
    Malformed(&'static str),
    /// The type asks for a format that describes itself, which postcard does not.
    Unsupported,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooDeep(limit) => write!(f, "the message is nested deeper than {limit} levels"),
            Self::OverBudget { needed, budget } => write!(
                f,
                "decoding needs at least {needed} bytes of memory and may use {budget}: \
                 `#[action(decode_budget = …)]` raises that"
            ),
            Self::Trailing(1) => f.write_str("1 byte follows the value"),
            Self::Trailing(left_over) => write!(f, "{left_over} bytes follow the value"),
            Self::Ended => f.write_str("the message ends before the value does"),
            Self::Malformed(reason) => f.write_str(reason),
            Self::Unsupported => f.write_str(
                "the type needs a format that describes itself: \
                 do without `#[serde(untagged, tag, flatten)]`",
            ),
        }
    }
}

impl Error for DecodeError {}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> Self {
        use WireError::*;
        match error {
            WontImplement | NotYetImplemented => Self::Unsupported,
            DeserializeUnexpectedEnd => Self::Ended,
            DeserializeBadVarint => Self::Malformed("a number is too large for its type"),
            DeserializeBadBool => Self::Malformed("a bool is neither 0 nor 1"),
            DeserializeBadChar => Self::Malformed("a char is not valid utf-8"),
            DeserializeBadUtf8 => Self::Malformed("a string is not valid utf-8"),
            DeserializeBadOption => Self::Malformed("an option is neither 0 nor 1"),
            DeserializeBadEnum => Self::Malformed("an enum has no such variant"),
            // serde's own text may quote the peer, and postcard drops it anyway.
            SerdeDeCustom => Self::Malformed("a value is not one its type accepts"),
            _ => Self::Malformed("the bytes are not postcard"),
        }
    }
}
