//! Why a call has neither a value nor an error of its own.

use super::{close::printable, u16_at, u32_at, WORD_LEN};
use std::{fmt, time::Duration};

/// The longest text of a refusal, in bytes.
pub const MAX_REFUSAL_TEXT: usize = 1024;

/// Whether the handler of a failed call ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ran {
    /// The handler did not run and will not: calling again is safe.
    No,
    /// The handler ran.
    Yes,
    /// The handler may have run: only an action that is safe to repeat may be called again.
    Unknown,
}

impl Ran {
    fn to_wire(self) -> u8 {
        match self {
            Ran::No => 0,
            Ran::Yes => 1,
            Ran::Unknown => 2,
        }
    }

    /// A number from a newer peer says nothing that we may rely on.
    fn from_wire(number: u8) -> Ran {
        match number {
            0 => Ran::No,
            1 => Ran::Yes,
            _ => Ran::Unknown,
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ran::No => "it did not run",
            Ran::Yes => "it ran",
            Ran::Unknown => "it may have run",
        })
    }
}

/// The numbered reason of a refusal. Unknown numbers survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefusalCode(pub u16);

impl RefusalCode {
    /// No action of that name is registered.
    pub const UNKNOWN_ACTION: RefusalCode = RefusalCode(1);
    /// The input could not be decoded.
    pub const UNDECODABLE: RefusalCode = RefusalCode(2);
    /// The two builds disagree about the action's types.
    pub const MISMATCH: RefusalCode = RefusalCode(3);
    /// The server is past a bound; the refusal may say when to come back.
    pub const OVERLOADED: RefusalCode = RefusalCode(4);
    /// The server is stopping.
    pub const DRAINING: RefusalCode = RefusalCode(5);
    /// The deadline passed before the handler began.
    pub const EXPIRED: RefusalCode = RefusalCode(6);
    /// The input is longer than the action allows.
    pub const INPUT_TOO_LARGE: RefusalCode = RefusalCode(7);
    /// The caller cancelled.
    pub const CANCELLED: RefusalCode = RefusalCode(8);
    /// The number of the call on its slot is neither the next nor the last one.
    pub const STALE: RefusalCode = RefusalCode(9);
    /// The handler panicked.
    pub const PANICKED: RefusalCode = RefusalCode(10);
    /// The handler's value is longer than the limit.
    pub const OUTPUT_TOO_LARGE: RefusalCode = RefusalCode(11);
    /// The handler's value could not be encoded.
    pub const UNENCODABLE: RefusalCode = RefusalCode(12);
    /// The action is called in a way it does not support.
    pub const WRONG_PATTERN: RefusalCode = RefusalCode(13);
    /// The handler was to answer later, and whoever was to do it has let go of the call.
    pub const UNANSWERED: RefusalCode = RefusalCode(14);
    /// The handlers that could make room for the call wait for it themselves.
    pub const CYCLE: RefusalCode = RefusalCode(15);
}

/// The contents of a refusal frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The numbered reason.
    pub code: RefusalCode,
    /// Whether the handler ran.
    pub ran: Ran,
    /// When to come back, to the millisecond; zero if the sender has no advice.
    pub retry_after: Duration,
    /// The sender's words, at most [`MAX_REFUSAL_TEXT`] bytes.
    pub text: String,
}

impl Refusal {
    /// A refusal without advice.
    pub fn new(code: RefusalCode, ran: Ran, text: impl Into<String>) -> Refusal {
        let mut text = text.into();
        text.truncate(fitting(&text));
        Refusal { code, ran, retry_after: Duration::ZERO, text }
    }

    /// As much of the text as a frame carries.
    pub fn short_text(&self) -> &str {
        &self.text[..fitting(&self.text)]
    }

    /// Appends the one header word.
    pub fn write_words(&self, out: &mut Vec<u8>) {
        let millis = u32::try_from(self.retry_after.as_millis()).unwrap_or(u32::MAX);
        out.extend_from_slice(&self.code.0.to_le_bytes());
        out.extend_from_slice(&[self.ran.to_wire(), 0]);
        out.extend_from_slice(&millis.to_le_bytes());
    }

    /// Reads header words and payload; bad text is replaced, long text cut.
    pub fn parse(words: &[u8], payload: &[u8]) -> Option<Refusal> {
        if words.len() < WORD_LEN {
            return None;
        }
        let text = String::from_utf8_lossy(&payload[..payload.len().min(MAX_REFUSAL_TEXT)]);
        Some(Refusal {
            code: RefusalCode(u16_at(words, 0)),
            ran: Ran::from_wire(words[2]),
            retry_after: Duration::from_millis(u64::from(u32_at(words, 4))),
            text: printable(&text),
        })
    }
}

/// Where to cut the text: between characters, at the limit or just before it.
fn fitting(text: &str) -> usize {
    let end = text.len().min(MAX_REFUSAL_TEXT);
    (0..=end).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_its_own_bytes() {
        let refusal = Refusal {
            retry_after: Duration::from_millis(250),
            ..Refusal::new(RefusalCode::OVERLOADED, Ran::No, "busy")
        };
        let mut words = Vec::new();
        refusal.write_words(&mut words);
        assert_eq!(Refusal::parse(&words, b"busy"), Some(refusal));
    }

    #[test]
    fn an_outcome_of_a_newer_peer_counts_as_unknown() {
        assert_eq!(Ran::from_wire(3), Ran::Unknown);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let refusal = Refusal::new(RefusalCode::UNDECODABLE, Ran::No, "é".repeat(600));
        assert_eq!(refusal.text.len(), MAX_REFUSAL_TEXT);
    }
}
