//! Bytes that travel as bytes.

use super::SendAs;
use crate::wire::{spare, EncodeError, Encoder};
use serde::{
    de::{Deserializer, SeqAccess, Visitor},
    ser::Serializer,
    Deserialize, Serialize,
};
use std::{
    any::{Any, TypeId},
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    mem,
    ops::{Deref, DerefMut},
};

/// Owned bytes, copied whole.
///
/// A `Vec<u8>` travels as the same bytes, but serde takes it apart number by number, which costs
/// far more for anything long. A caller may pass `&[u8]`, `&[u8; N]` or `Vec<u8>` where an action
/// takes `Bytes`.
///
/// ```
/// let bytes = isock::Bytes::from(vec![1, 2, 3]);
/// assert_eq!(bytes[..2], [1, 2]);
/// assert_eq!(bytes.into_vec(), [1, 2, 3]);
/// ```
#[derive(Default)]
pub struct Bytes {
    /// The bytes, behind what the message that they came in has in front of them: they are not moved.
    message: Vec<u8>,
    start: usize,
}

impl Bytes {
    /// The bytes alone. Those that have come in a message are moved to its beginning.
    pub fn into_vec(mut self) -> Vec<u8> {
        let mut message = mem::take(&mut self.message);
        message.drain(..self.start);
        message
    }

    /// Appends them to a message, from the memory in which they are.
    pub(super) fn push_to(&mut self, out: &mut Encoder) -> Result<(), EncodeError> {
        let start = mem::take(&mut self.start);
        out.push_bytes(mem::take(&mut self.message), start)
    }

    /// A message in the memory in which it came, if `T` is what it is; the message otherwise.
    pub(super) fn in_place<T: 'static>(message: Vec<u8>) -> Result<T, Vec<u8>> {
        // A short one is copied: it may be kept for long, in a block that holds more.
        if TypeId::of::<T>() != TypeId::of::<Bytes>() || message.len() <= spare::SHORT {
            return Err(message);
        }
        let start = match postcard::take_from_bytes::<usize>(&message) {
            Ok((len, rest)) if len == rest.len() => message.len() - len,
            // Another look will say what is wrong with it.
            _ => return Err(message),
        };
        let mut bytes = Some(Bytes { message, start });
        let value = (&mut bytes as &mut dyn Any).downcast_mut::<Option<T>>();
        Ok(value.and_then(Option::take).expect("the type has been compared above"))
    }
}

/// The memory of a long message serves the next one.
impl Drop for Bytes {
    fn drop(&mut self) {
        spare::give(mem::take(&mut self.message));
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::from(bytes))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes::from(bytes))
    }

    // Formats without bytes of their own, JSON for one, give a list of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(4096));
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes::from(bytes))
    }
}

/// A slice that is encoded as [`Bytes`] are.
struct Borrowed<'b>(&'b [u8]);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl SendAs<Bytes> for &[u8] {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(&Borrowed(self))
    }
}

impl<const N: usize> SendAs<Bytes> for &[u8; N] {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(&Borrowed(*self))
    }
}

impl SendAs<Bytes> for Vec<u8> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(&Borrowed(self))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes { message: bytes, start: 0 }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes::from(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Bytes {
        Bytes::from(bytes.to_vec())
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Bytes {
        Bytes::from(Vec::from_iter(bytes))
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Vec<u8> {
        bytes.into_vec()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.message[self.start..]
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.message[self.start..]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Bytes {
    fn clone(&self) -> Bytes {
        Bytes::from(&**self)
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Bytes) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Bytes) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        action::Payload,
        wire::{guard::decode_unguarded, DecodeError, DecodeLimits},
    };

    #[test]
    fn bytes_stay_in_the_memory_in_which_they_came_and_leave_from_it() {
        let limits = DecodeLimits::for_len(10_000);
        for len in [0, 1, 127, 128, 5000, 70_000] {
            let value: Bytes = (0..len).map(|n| n as u8).collect();
            let mut out = Encoder::new(usize::MAX);
            Payload::encode(&value, &mut out).unwrap();
            let message = out.into_bytes();
            let (place, copy) = (message.as_ptr(), message.clone());
            let decoded = Bytes::decode_owned(message, limits, None).unwrap();
            assert_eq!(decoded, value);
            assert_eq!(decoded.message.as_ptr() == place, copy.len() > spare::SHORT, "{len}");
            let mut out = Encoder::new(usize::MAX);
            decoded.encode_owned(&mut out).unwrap();
            let left = out.into_bytes();
            assert!(len < 70_000 || left.as_ptr() == place, "{len} bytes were moved");
            assert_eq!(left, copy, "{len}");
        }
    }

    #[test]
    fn bytes_that_are_cut_short_or_followed_by_others_are_no_message() {
        let limits = DecodeLimits::for_len(10);
        let trailing = Bytes::decode_owned(vec![2, 1, 1, 1], limits, None);
        assert_eq!(trailing, Err(DecodeError::Trailing(1)));
        assert!(Bytes::decode_owned(vec![2, 1], limits, None).is_err());
        assert!(Bytes::decode_owned(vec![], limits, None).is_err());
    }

    #[test]
    fn owned_bytes_keep_to_the_limit_of_their_action() {
        for (len, fits) in [(9_998, true), (9_999, false)] {
            let mut out = Encoder::new(10_000);
            assert_eq!(Bytes::from(vec![7; len]).encode_owned(&mut out).is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn bytes_have_the_wire_form_of_a_list_of_bytes() {
        let mut out = Encoder::new(64);
        SendAs::<Bytes>::encode(&b"abc", &mut out).unwrap();
        let encoded = out.into_bytes();
        assert_eq!(decode_unguarded::<Vec<u8>>(&encoded).unwrap(), b"abc");
        assert_eq!(*decode_unguarded::<Bytes>(&encoded).unwrap(), *b"abc");
    }
}
