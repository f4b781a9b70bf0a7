//! Why a connection ends.

use super::u16_at;
use std::fmt;

/// The longest text of a close frame, in bytes.
pub const MAX_CLOSE_TEXT: usize = 64;

/// The numbered reason of a close. Unknown numbers survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal, $text:literal;)*) => {
        impl CloseCode {
            $($(#[doc = $doc])* pub const $name: CloseCode = CloseCode($number);)*

            /// Every code of this version.
            pub const ALL: &'static [CloseCode] = &[$(CloseCode($number)),*];

            /// The words that travel with the code; at most [`MAX_CLOSE_TEXT`] bytes.
            pub const fn text(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "closed for a reason this version does not know",
                }
            }
        }
    };
}

codes! {
    /// The sender is done; nothing went wrong.
    DONE = 0, "done";
    /// The first bytes are no isock preface.
    BAD_PREFACE = 1, "this is an isock server; no isock preface came";
    /// No version of the protocol in common.
    VERSION = 2, "no protocol version in common";
    /// The handshake took too long.
    HANDSHAKE_TIMEOUT = 3, "no complete preface in time";
    /// A frame's length is impossible, or above the limit.
    BAD_LENGTH = 4, "a frame length is impossible or above the limit";
    /// A frame of an unknown kind that may not be ignored.
    UNKNOWN_KIND = 5, "a frame of an unknown kind";
    /// A frame's fields contradict each other or the state of the connection.
    BAD_FRAME = 6, "a frame contradicts the protocol";
    /// A message is longer than the receiver announced.
    MESSAGE_TOO_LARGE = 7, "a message is longer than the announced limit";
    /// A message stopped arriving.
    MESSAGE_STALLED = 8, "a message stopped arriving";
    /// A slot above the grant, or one that is still in use.
    BAD_SLOT = 9, "a call uses a slot it was not granted";
    /// An answer for a call that is not under way.
    NO_SUCH_CALL = 10, "an answer for a call that is not under way";
    /// Too many control frames.
    FLOOD = 11, "too many control frames";
    /// The receiver does not read what it is sent.
    NOT_READING = 12, "the other side does not read";
    /// The program is stopping.
    STOPPING = 13, "stopping";
    /// Too many connections; this one made room.
    DISPLACED = 14, "too many connections without a preface";
    /// The server holds too much for its connections, and much of it for this one.
    OVERLOADED = 15, "the server is out of memory for its connections";
    /// An item without credit, or credit that makes no sense.
    BAD_CREDIT = 16, "an item without credit, or impossible credit";
    /// The program at the other end ended this connection; the text is its reason.
    DISMISSED = 17, "dismissed";
    /// Nothing came for long, not even the answer to a ping.
    SILENT = 18, "the other side is silent, and answers no ping";
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({}: {})", self.0, self.text())
    }
}

/// The contents of a close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The numbered reason.
    pub code: CloseCode,
    /// The sender's words, at most [`MAX_CLOSE_TEXT`] bytes.
    pub text: String,
}

impl Close {
    /// A close with the code's own words.
    pub fn new(code: CloseCode) -> Close {
        Close { code, text: code.text().to_owned() }
    }

    /// A close with words of the program's own, cut to what may travel.
    pub fn saying(code: CloseCode, text: &str) -> Close {
        let mut end = text.len().min(MAX_CLOSE_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Close { code, text: text[..end].to_owned() }
    }

    /// Appends the one header word.
    pub fn write_words(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&u64::from(self.code.0).to_le_bytes());
    }

    /// Reads header words and payload; bad text is replaced, long text cut.
    pub fn parse(words: &[u8], payload: &[u8]) -> Option<Close> {
        if words.len() < super::WORD_LEN {
            return None;
        }
        let text = String::from_utf8_lossy(&payload[..payload.len().min(MAX_CLOSE_TEXT)]);
        Some(Close { code: CloseCode(u16_at(words, 0)), text: printable(&text) })
    }
}

/// A peer's words without control characters, which could repaint a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_its_frame() {
        for code in CloseCode::ALL {
            assert!(code.text().len() <= MAX_CLOSE_TEXT, "{code:?}");
        }
    }

    #[test]
    fn a_peers_words_cannot_repaint_a_terminal() {
        let close = Close::parse(&[0; 8], b"\x1b[2Jhello\xff").unwrap();
        assert_eq!(close.text, " [2Jhello\u{fffd}");
    }
}
