//! Types that keep within a message's limits by themselves.
//!
//! Knows what was found out about a type, and which messages of it need no guard. How that is
//! found out is left to `shape`.

use super::{decode, decode_unguarded, DecodeError, DecodeLimits};
use serde::Deserialize;

/// What serde reserves in advance for one container at most, in bytes.
const RESERVED: usize = 1 << 20;

/// What decoding a message of a type can take at most, whatever its bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Levels within one another, as the guard counts them or more.
    pub depth: u32,
    /// Bytes on the heap for a message of any length.
    pub fixed: usize,
    /// Bytes on the heap for each byte of the message.
    pub per_byte: usize,
    /// Of sequences within one another the sizes of an element, in bytes, the largest first; 0 for
    /// those that are not there.
    pub elements: [usize; Ceiling::MAX_NESTED],
}

impl Ceiling {
    /// Sequences within one another that a type without a guard may have.
    pub const MAX_NESTED: usize = 4;

    /// Whether no message of so many bytes can take more than the guard would let it.
    ///
    /// That is the budget, and what is reserved for a container before anybody sees how large its
    /// elements are, a mebibyte. A message whose lengths lie has such a reserve in each of the
    /// sequences that it is in the middle of; one that is accepted has none.
    #[inline]
    pub fn is_below(&self, limits: DecodeLimits, encoded: usize) -> bool {
        let held = self.per_byte.saturating_mul(encoded).saturating_add(self.fixed);
        // Nothing is reserved where there are no sequences.
        if self.elements[0] == 0 {
            return self.depth <= limits.depth && held <= limits.budget;
        }
        // A vector that makes no room in advance begins with room for up to eight.
        let most = encoded.saturating_add(8);
        let elements = self.elements.iter().take_while(|size| **size > 0);
        let reserved: usize = elements.map(|size| most.saturating_mul(*size).min(RESERVED)).sum();
        let granted = limits.budget.saturating_add(RESERVED);
        self.depth <= limits.depth
            && held <= limits.budget
            && held.saturating_add(reserved) <= granted
    }
}

/// Decodes one message within `limits`: without the guard where its type keeps within them by
/// itself.
///
/// # Errors
/// As [`decode`].
pub fn decode_below<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    limits: DecodeLimits,
    ceiling: Option<Ceiling>,
) -> Result<T, DecodeError> {
    match ceiling {
        Some(ceiling) if ceiling.is_below(limits, bytes.len()) => decode_unguarded(bytes),
        _ => decode(bytes, limits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Ceiling = Ceiling { depth: 1, fixed: 0, per_byte: 24, elements: [8, 0, 0, 0] };

    #[test]
    fn lower_limits_bring_the_guard_back() {
        let limits = DecodeLimits::for_len(1000);
        assert!(NUMBERS.is_below(limits, 1000));
        assert!(!NUMBERS.is_below(DecodeLimits { depth: 0, ..limits }, 1000));
        assert!(NUMBERS.is_below(DecodeLimits { budget: 24_000, ..limits }, 1000));
        assert!(!NUMBERS.is_below(DecodeLimits { budget: 23_999, ..limits }, 1000));
    }

    #[test]
    fn a_message_that_could_pass_the_largest_budget_is_guarded() {
        let most = (64 << 20) / 24;
        assert!(NUMBERS.is_below(DecodeLimits::for_len(most), most));
        assert!(!NUMBERS.is_below(DecodeLimits::for_len(most + 1), most + 1));
        assert!(!NUMBERS.is_below(DecodeLimits::for_len(usize::MAX), usize::MAX));
    }

    #[test]
    fn what_lying_lengths_reserve_counts() {
        let rows = Ceiling { elements: [72, 2, 0, 0], ..NUMBERS };
        assert!(rows.is_below(DecodeLimits::for_len(20_000), 20_000));
        let deep = Ceiling { elements: [72, 72, 72, 0], ..NUMBERS };
        assert!(deep.is_below(DecodeLimits::for_len(1000), 1000));
        assert!(!deep.is_below(DecodeLimits::for_len(20_000), 20_000));
    }
}
