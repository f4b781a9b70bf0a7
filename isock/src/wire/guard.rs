//! Decoding a peer's bytes at a bounded cost.
//!
//! postcard trusts the lengths it reads: a few bytes can overflow the stack, take
//! hundreds of megabytes or spin for seconds. The guard is a serde adapter that
//! reads every scalar with postcard's own `Deserializer`, walks the compound types
//! itself, and stops when a message is nested too deeply or asks for more memory
//! than [`DecodeLimits`] grants. A message within its limits decodes to exactly
//! what plain postcard makes of it.
//!
//! Knows nothing of frames, actions or where the bytes came from. Doesn't bound
//! what a hand-written `Deserialize` allocates behind serde's back, nor the length
//! of the message itself. Left to the parts: `place` is the deserializer that serde
//! sees, `access` walks through sequences, maps and enums, `cost` says which container
//! takes how much.

use std::fmt;

use postcard::de_flavors::Slice;
use postcard::{Deserializer as Postcard, Error as WireError};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

mod access;
mod ceiling;
mod cost;
mod error;
mod place;

pub use ceiling::{decode_below, Ceiling};
pub use error::DecodeError;
use place::Place;

/// What decoding one message may cost.
///
/// Start from [`for_len`](Self::for_len) and raise what an action needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// How many structs, tuples, enums, sequences and maps may stand inside one
    /// another: 128 by default, at most 65,535. One of more than a KiB counts once more
    /// for every KiB, up to 32 times; options and newtypes are free, except where they
    /// form a chain of more than eight.
    ///
    /// The default fits a thread with 2 MiB of stack.
    pub depth: u32,
    /// How many bytes the decoded value may take on the heap. The encoded length is
    /// set aside first, since strings may copy that much; an element without a size
    /// counts as one byte, or as 64 where it is hashed, compared or linked.
    pub budget: usize,
}

impl DecodeLimits {
    /// How much a message earns with each of its bytes.
    pub(crate) const PER_BYTE: usize = 32;

    /// The defaults for a message of `encoded` bytes: 128 levels and 64 KiB + 32 ×
    /// the encoded length, at most 64 MiB.
    pub const fn for_len(encoded: usize) -> Self {
        let budget = encoded.saturating_mul(Self::PER_BYTE).saturating_add(64 << 10);
        Self { depth: 128, budget: if budget < MAX_BUDGET { budget } else { MAX_BUDGET } }
    }
}

/// Decodes one message within `limits`.
///
/// The value takes at most `limits.budget` bytes, the copies that vectors make while they
/// grow included, but for three things: serde reserves a container's memory before the
/// guard can see how large its elements are, up to 1 MiB (2.3 in a hash table) that is
/// given back when they prove too large; an `Arc<[T]>` or `Arc<str>` is copied once when
/// it is complete; a box around a single number isn't seen at all.
///
/// # Errors
/// [`DecodeError::TooDeep`] and [`DecodeError::OverBudget`] when a limit is passed,
/// [`DecodeError::Trailing`] when bytes are left over, otherwise what plain postcard
/// refuses as well.
pub fn decode<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    limits: DecodeLimits,
) -> Result<T, DecodeError> {
    let mut guard = Guard::new(bytes, limits);
    match T::deserialize(guard.root::<T>()) {
        Ok(value) if guard.is_satisfied() => Ok(value),
        outcome => Err(guard.blame(outcome.err())),
    }
}

/// Decodes one message with plain postcard, but refuses trailing bytes.
///
/// For types whose shape cannot blow up; see [`decode_below`].
///
/// # Errors
/// [`DecodeError::Trailing`] when bytes are left over, otherwise what plain postcard
/// refuses.
#[inline]
pub fn decode_unguarded<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    let mut input = Postcard::from_bytes(bytes);
    let outcome = T::deserialize(&mut input);
    // In one match, so that the value moves once: to move one takes as long as to read it.
    match (outcome, input.finalize()) {
        (Ok(value), Ok([])) => Ok(value),
        (Ok(_), Ok(rest)) => Err(DecodeError::Trailing(rest.len())),
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    }
}

const MAX_BUDGET: usize = 64 << 20;

/// The state of one decode: what is left to read and what is left to spend.
struct Guard<'de> {
    input: Postcard<'de, Slice<'de>>,
    unspent: usize,
    limits: DecodeLimits,
    /// The limit that was passed. It outlives the error that reported it, which a
    /// `Deserialize` may swallow and whose type has no room for the numbers.
    passed: Option<DecodeError>,
}

impl<'de> Guard<'de> {
    #[inline]
    fn new(bytes: &'de [u8], limits: DecodeLimits) -> Self {
        Self {
            input: Postcard::from_bytes(bytes),
            unspent: limits.budget.saturating_sub(bytes.len()),
            limits,
            passed: None,
        }
    }

    #[inline]
    fn root<T>(&mut self) -> Place<'_, 'de> {
        let depth = self.limits.depth;
        Place::root::<T>(self, depth)
    }

    #[inline]
    fn is_satisfied(&mut self) -> bool {
        self.passed.is_none() && !self.holds(1)
    }

    /// Why the message is refused, given the error serde saw. A limit comes first: a
    /// `Deserialize` that went on without the part it was refused has no true value.
    #[cold]
    fn blame(self, error: Option<WireError>) -> DecodeError {
        match (self.passed, error) {
            (Some(passed), _) => passed,
            (None, Some(error)) => error.into(),
            (None, None) => match self.input.finalize() {
                Ok(rest) => DecodeError::Trailing(rest.len()),
                Err(error) => error.into(),
            },
        }
    }

    /// Whether at least `len` bytes are left to read.
    ///
    /// postcard keeps that to itself, except that it gives a sequence a size hint only
    /// when the rest could hold it.
    #[inline]
    fn holds(&mut self, len: usize) -> bool {
        matches!(self.input.deserialize_tuple(len, IsHinted), Ok(true))
    }

    #[inline]
    fn length(&mut self) -> Result<usize, WireError> {
        usize::deserialize(&mut self.input)
    }

    #[inline]
    fn charge(&mut self, bytes: usize) -> Result<(), WireError> {
        match self.unspent.checked_sub(bytes) {
            Some(unspent) => {
                self.unspent = unspent;
                Ok(())
            }
            None => Err(self.over_budget(bytes)),
        }
    }

    #[cold]
    #[inline(never)]
    fn over_budget(&mut self, bytes: usize) -> WireError {
        let budget = self.limits.budget;
        let needed = (budget - self.unspent).saturating_add(bytes);
        self.pass(DecodeError::OverBudget { needed, budget })
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&mut self) -> WireError {
        self.pass(DecodeError::TooDeep(self.limits.depth))
    }

    fn pass(&mut self, limit: DecodeError) -> WireError {
        self.passed.get_or_insert(limit);
        WireError::SerdeDeCustom
    }
}

/// Reports whether a sequence knows its size, and reads nothing.
struct IsHinted;

impl<'de> Visitor<'de> for IsHinted {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<bool, A::Error> {
        Ok(seq.size_hint().is_some())
    }
}

#[cfg(test)]
mod tests;
