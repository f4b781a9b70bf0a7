//! What a side says about itself while the connection lasts.

use super::{u32_at, WORD_LEN};

/// What a side says about itself after its preface; replaces what it said before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Something always reads what comes, so that a ping will be answered.
    pub attended: bool,
}

const ATTENDED: u32 = 0x01;

impl Settings {
    /// Appends the header word.
    pub fn write(self, out: &mut Vec<u8>) {
        let bits = if self.attended { ATTENDED } else { 0 };
        out.extend_from_slice(&bits.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    /// Reads the header word at the front of `words`; `None` if there is none.
    pub fn parse(words: &[u8]) -> Option<Settings> {
        let word = words.get(..WORD_LEN)?;
        Some(Settings { attended: u32_at(word, 0) & ATTENDED != 0 })
    }
}
