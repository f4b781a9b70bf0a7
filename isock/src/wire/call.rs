//! The header words of a call.

use super::{u32_at, u64_at, Credit, WORD_LEN};
use std::time::Duration;

/// The remaining time of a call travels in steps of this many microseconds.
pub const STEP_MICROS: u64 = 64;
/// The header words of a call without metadata, fragments or items.
pub const LEAST_WORDS: u8 = 2;

/// What a call says about itself, before its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallHead {
    /// [`name_hash`](super::name_hash) of the action's name.
    pub name: u32,
    /// Fingerprint of the shapes the caller was built with; 0 means not stated.
    pub shape: u64,
    /// How long the caller still waits; `None` means without end.
    pub remaining: Option<Duration>,
    /// Bytes of metadata at the front of the payload.
    pub metadata: u32,
    /// What the caller grants for items of the answer; none if it takes no items.
    pub credit: Credit,
    /// Whether the caller will send items. Travels as [`Flags::ITEMS`](super::Flags::ITEMS) of the
    /// frame, not in its words.
    pub items: bool,
}

/// The whole length of a message that comes in fragments, metadata included, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total(pub u32);

impl CallHead {
    /// Whether items travel in either direction.
    pub fn is_stream(&self) -> bool {
        self.items || !self.credit.is_zero()
    }

    /// Header words that the call needs.
    pub fn words(&self, total: Option<Total>) -> u8 {
        match () {
            () if !self.credit.is_zero() => 4,
            () if self.metadata > 0 || total.is_some() => 3,
            () => LEAST_WORDS,
        }
    }

    /// The two words that every call has.
    // In one piece: each that is appended looks for room.
    #[inline]
    pub fn least_words(&self) -> [u8; LEAST_WORDS as usize * WORD_LEN] {
        let mut words = [0; LEAST_WORDS as usize * WORD_LEN];
        words[..4].copy_from_slice(&self.name.to_le_bytes());
        words[4..8].copy_from_slice(&to_steps(self.remaining).to_le_bytes());
        words[8..].copy_from_slice(&self.shape.to_le_bytes());
        words
    }

    /// Appends the header words.
    #[inline]
    pub fn write(&self, total: Option<Total>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.least_words());
        let words = self.words(total);
        if words >= 3 {
            self.write_rest(words, total, out);
        }
    }

    // Apart: most calls have two.
    #[inline(never)]
    fn write_rest(&self, words: u8, total: Option<Total>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.metadata.to_le_bytes());
        out.extend_from_slice(&total.map_or(0, |t| t.0).to_le_bytes());
        if words == 4 {
            self.credit.write(out);
        }
    }

    /// Reads the header words; `None` if there are fewer than two. Words past the fourth are skipped.
    #[inline]
    pub fn parse(words: &[u8]) -> Option<(CallHead, Option<Total>)> {
        if words.len() < 2 * WORD_LEN {
            return None;
        }
        let third = words.len() >= 3 * WORD_LEN;
        let total = if third { u32_at(words, 20) } else { 0 };
        let head = CallHead {
            name: u32_at(words, 0),
            remaining: from_steps(u32_at(words, 4)),
            shape: u64_at(words, 8),
            metadata: if third { u32_at(words, 16) } else { 0 },
            credit: words.get(3 * WORD_LEN..).and_then(Credit::parse).unwrap_or_default(),
            items: false,
        };
        Some((head, (total > 0).then_some(Total(total))))
    }
}

/// Rounded up, so that a caller's last moment is never sent as "no deadline".
fn to_steps(remaining: Option<Duration>) -> u32 {
    let Some(remaining) = remaining else { return 0 };
    // Not through `as_nanos`: to divide 128 bits takes longer than to write the whole frame.
    let whole = remaining.as_secs().saturating_mul(1_000_000_000);
    let nanos = whole.saturating_add(u64::from(remaining.subsec_nanos()));
    let steps = nanos.div_ceil(STEP_MICROS * 1000);
    u32::try_from(steps.max(1)).unwrap_or(u32::MAX)
}

fn from_steps(steps: u32) -> Option<Duration> {
    (steps > 0).then(|| Duration::from_micros(u64::from(steps) * STEP_MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_is_rounded_up_to_a_step() {
        assert_eq!(to_steps(None), 0);
        assert_eq!(to_steps(Some(Duration::ZERO)), 1);
        assert_eq!(to_steps(Some(Duration::from_micros(65))), 2);
        assert_eq!(to_steps(Some(Duration::from_nanos(64_001))), 2);
        let most = Duration::from_micros(u64::from(u32::MAX) * STEP_MICROS);
        assert_eq!(to_steps(Some(most - Duration::from_micros(64))), u32::MAX - 1);
        assert_eq!(to_steps(Some(most + Duration::from_secs(1))), u32::MAX);
        assert_eq!(to_steps(Some(Duration::MAX)), u32::MAX);
        assert_eq!(from_steps(2), Some(Duration::from_micros(128)));
    }

    #[test]
    fn words_past_the_fourth_are_skipped() {
        let credit = Credit { bytes: 4, items: 5 };
        let head = CallHead { name: 1, shape: 2, metadata: 3, credit, ..CallHead::default() };
        let mut words = Vec::new();
        head.write(Some(Total(70)), &mut words);
        words.extend_from_slice(&[0xff; 16]);
        assert_eq!(CallHead::parse(&words), Some((head, Some(Total(70)))));
    }
}
