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
    fmt,
    ops::{Deref, DerefMut},
};

/// Owned bytes, copied whole.
///
/// A `Vec<u8>` travels as the same bytes, but serde takes it apart number by number, which costs
/// far more for anything long. A caller may pass `&[u8]`, `&[u8; N]` or `Vec<u8>` where an action
/// takes `Bytes`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// A message in the memory in which it came, if `T` is what it is; the message otherwise.
    pub(super) fn in_place<T: 'static>(mut message: Vec<u8>) -> Result<T, Vec<u8>> {
        // A short one is copied: it may be kept for long, in a block that holds more.
        if TypeId::of::<T>() != TypeId::of::<Bytes>() || message.len() <= spare::SHORT {
            return Err(message);
        }
        match postcard::take_from_bytes::<usize>(&message) {
            Ok((len, rest)) if len == rest.len() => drop(message.drain(..message.len() - len)),
            // Another look will say what is wrong with it.
            _ => return Err(message),
        }
        let mut bytes = Some(Bytes(message));
        let value = (&mut bytes as &mut dyn Any).downcast_mut::<Option<T>>();
        Ok(value.and_then(Option::take).expect("the type has been compared above"))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
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
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }

    // Formats without bytes of their own, JSON for one, give a list of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(4096));
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes))
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
        Bytes(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes(bytes.to_vec())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Vec<u8> {
        bytes.0
    }
}

impl Deref for Bytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
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
            let value = Bytes((0..len).map(|n| n as u8).collect());
            let mut out = Encoder::new(usize::MAX);
            Payload::encode(&value, &mut out).unwrap();
            let message = out.into_bytes();
            let (place, copy) = (message.as_ptr(), message.clone());
            let decoded = Bytes::decode_owned(message, limits, None).unwrap();
            assert_eq!((&decoded, decoded.0.as_ptr()), (&value, place));
            let mut out = Encoder::new(usize::MAX);
            decoded.encode_owned(&mut out).unwrap();
            assert_eq!(out.into_bytes(), copy, "{len}");
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
            assert_eq!(Bytes(vec![7; len]).encode_owned(&mut out).is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn bytes_have_the_wire_form_of_a_list_of_bytes() {
        let mut out = Encoder::new(64);
        SendAs::<Bytes>::encode(&b"abc", &mut out).unwrap();
        let encoded = out.into_bytes();
        assert_eq!(decode_unguarded::<Vec<u8>>(&encoded).unwrap(), b"abc");
        assert_eq!(decode_unguarded::<Bytes>(&encoded).unwrap().0, b"abc");
    }
}
