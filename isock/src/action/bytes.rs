//! Bytes that travel as bytes.

use super::{
    owner::{by_program, Lender},
    SendAs,
};
use crate::{
    sys::Owned,
    wire::{spare, Block, EncodeError, Encoder, Keeper, Shared, WORTH_SHARING},
};
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

/// Owned bytes, moved whole.
///
/// A `Vec<u8>` travels as the same bytes, but serde takes it apart number by number, which costs
/// far more for anything long. A caller may pass `&[u8]`, `&[u8; N]` or `Vec<u8>` where an action
/// takes `Bytes`.
///
/// Long ones, from 16 KiB on, are shared: a clone is the same bytes in the same memory. They leave
/// from there, and are kept until they have left and, of an input, until the call has ended. So what is
/// not copied to be sent:
///
/// - long `Bytes`, passed by value or by reference, and long `Bytes` that a handler returns: made from a
///   `Vec<u8>`, received, or with an owner of their own ([`from_owner`](Bytes::from_owner));
/// - received `Bytes`: they stay where they have come.
///
/// What is copied: `&[u8]` and `Vec<u8>` that are passed as they are, `Bytes` inside another type, one-way
/// sends, the items of a stream, and calls with metadata, which those have that a handler makes while it
/// serves one. To change long bytes that somebody else keeps, or that have an owner, copies them first.
///
/// ```
/// let bytes = isock::Bytes::from(vec![1, 2, 3]);
/// assert_eq!(bytes[..2], [1, 2]);
/// assert_eq!(bytes.into_vec(), [1, 2, 3]);
/// ```
#[derive(Default)]
pub struct Bytes(Form);

enum Form {
    Short(Block),
    Long(Shared),
}

impl Bytes {
    /// The bytes of an owner, from where they lie; `owner` is asked for them once, and dropped when
    /// nobody needs them any more: where the program lets go of them last, or else on a thread of the
    /// library for owners alone, where it may call, wait and panic. Short ones are copied at once.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let file: Arc<[u8]> = vec![7; 100_000].into();
    /// let bytes = isock::Bytes::from_owner(Arc::clone(&file));
    /// assert_eq!(bytes.as_ptr(), file.as_ptr());
    /// ```
    pub fn from_owner<T: AsRef<[u8]> + Send + Sync + 'static>(owner: T) -> Bytes {
        let owned = Owned::new(Lender::new(owner));
        if owned.bytes().len() >= WORTH_SHARING {
            return Bytes(Form::Long(Shared::kept_by(owned)));
        }
        let copy = Bytes::from(owned.bytes());
        by_program(|| drop(owned));
        copy
    }

    /// The bytes alone. Those that have come in a message are moved to its beginning; long ones that
    /// somebody else keeps, or that have an owner of their own, are copied.
    pub fn into_vec(mut self) -> Vec<u8> {
        if self.has_owner() {
            return self.to_vec();
        }
        match mem::take(&mut self.0) {
            Form::Short(block) => block.into_vec(),
            Form::Long(shared) => shared.into_vec(),
        }
    }

    fn has_owner(&self) -> bool {
        matches!(&self.0, Form::Long(shared) if shared.has_keeper())
    }

    /// Ends a message with them.
    pub(super) fn push_to(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        match &self.0 {
            Form::Short(block) => out.push(&Borrowed(block)),
            Form::Long(shared) => out.push_shared(shared),
        }
    }

    /// Ends a message with them where they are encoded already.
    pub(crate) fn push_encoded_to(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        match &self.0 {
            Form::Short(block) => out.push_encoded(block),
            Form::Long(shared) => out.push_encoded_shared(shared),
        }
    }

    /// All of a message, in the memory in which it came unless that is short: it may be kept for long, in
    /// a block that holds more.
    pub(crate) fn of_message(message: Block) -> Bytes {
        match message.len() {
            0..=spare::SHORT => Bytes::from(&message[..]),
            _ => Bytes::from(message),
        }
    }

    /// A message in the memory in which it came, if `T` is what it is; the message otherwise.
    pub(super) fn in_place<T: 'static>(mut message: Block) -> Result<T, Block> {
        // A short one is copied: it may be kept for long, in a block that holds more.
        if TypeId::of::<T>() != TypeId::of::<Bytes>() || message.len() <= spare::SHORT {
            return Err(message);
        }
        let start = match postcard::take_from_bytes::<usize>(&message) {
            Ok((len, rest)) if len == rest.len() => message.len() - len,
            // Another look will say what is wrong with it.
            _ => return Err(message),
        };
        message.skip(start);
        let mut bytes = Some(Bytes::from(message));
        let value = (&mut bytes as &mut dyn Any).downcast_mut::<Option<T>>();
        Ok(value.and_then(Option::take).expect("the type has been compared above"))
    }
}

/// The program lets go of them here, and so of their owner if nobody else keeps it.
impl Drop for Bytes {
    #[inline]
    fn drop(&mut self) {
        if self.has_owner() {
            by_program(|| self.0 = Form::default());
        }
    }
}

impl<T: AsRef<[u8]> + Send + Sync> Keeper for Owned<T> {
    fn bytes(&self) -> &[u8] {
        self.bytes()
    }
}

impl Default for Form {
    fn default() -> Form {
        Form::Short(Block::default())
    }
}

impl From<Block> for Bytes {
    fn from(block: Block) -> Bytes {
        match block.len() {
            0..WORTH_SHARING => Bytes(Form::Short(block)),
            _ => Bytes(Form::Long(Shared::from(block))),
        }
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
        Bytes::from(Block::from(bytes))
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
        match &self.0 {
            Form::Short(block) => block,
            Form::Long(shared) => shared,
        }
    }
}

/// Copies long bytes first that somebody else keeps, or that have an owner.
impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        if let Form::Long(shared) = &mut self.0 {
            if shared.get_mut().is_none() {
                let copy = Shared::from(Block::from(shared.to_vec()));
                by_program(|| *shared = copy);
            }
        }
        match &mut self.0 {
            Form::Short(block) => block,
            Form::Long(shared) => shared.get_mut().expect("nobody else keeps what was just copied"),
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// The same bytes if they are long, and a copy of short ones.
impl Clone for Bytes {
    fn clone(&self) -> Bytes {
        match &self.0 {
            Form::Short(block) => Bytes::from(&**block),
            Form::Long(shared) => Bytes(Form::Long(shared.clone())),
        }
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
    use std::sync::Arc;

    #[test]
    fn bytes_stay_in_the_memory_in_which_they_came_and_leave_from_it() {
        let limits = DecodeLimits::for_len(10_000);
        for len in [0, 1, 127, 128, 5000, 70_000] {
            let value: Bytes = (0..len).map(|n| n as u8).collect();
            let mut out = Encoder::new(usize::MAX);
            Payload::encode(&value, &mut out).unwrap();
            let message = out.into_bytes();
            let (place, copy) = (message.as_ptr(), message.clone());
            let decoded = Bytes::decode_owned(message.into(), limits, None).unwrap();
            assert_eq!(decoded, value);
            let start = copy.len() - len;
            let stays = decoded.as_ptr() == place.wrapping_add(start);
            assert_eq!(stays, copy.len() > spare::SHORT, "{len}");
            let mut out = Encoder::of_message(usize::MAX);
            Payload::encode(&decoded, &mut out).unwrap();
            let end = out.take_end();
            assert_eq!(
                end.as_ref().map(|end| end.as_ptr()),
                (len == 70_000).then_some(decoded.as_ptr())
            );
            let mut left = out.into_bytes();
            left.extend_from_slice(end.as_deref().unwrap_or_default());
            assert_eq!(left, copy, "{len}");
            drop(decoded);
        }
    }

    #[test]
    fn bytes_that_are_cut_short_or_followed_by_others_are_no_message() {
        let limits = DecodeLimits::for_len(10);
        let trailing = Bytes::decode_owned(vec![2, 1, 1, 1].into(), limits, None);
        assert_eq!(trailing, Err(DecodeError::Trailing(1)));
        assert!(Bytes::decode_owned(vec![2, 1].into(), limits, None).is_err());
        assert!(Bytes::decode_owned(Block::default(), limits, None).is_err());
    }

    #[test]
    fn bytes_keep_to_the_limit_of_their_action() {
        for (limit, len, fits) in [
            (10_000, 9_998, true),
            (10_000, 9_999, false),
            (100_000, 99_997, true),
            (100_000, 99_998, false),
        ] {
            let mut out = Encoder::of_message(limit);
            let encoded = Payload::encode(&Bytes::from(vec![7; len]), &mut out);
            assert_eq!(encoded.is_ok(), fits, "{len}");
            assert!(fits || out.take_end().is_none(), "{len}");
        }
    }

    #[test]
    fn long_bytes_are_shared_until_they_are_changed() {
        for (len, shared) in [(WORTH_SHARING - 1, false), (WORTH_SHARING, true)] {
            let mut bytes = Bytes::from(vec![7; len]);
            let place = bytes.as_ptr();
            bytes[0] = 8;
            assert_eq!(bytes.as_ptr(), place, "{len} bytes of its own");
            let clone = bytes.clone();
            assert_eq!(clone.as_ptr() == place, shared, "{len}");
            bytes[1] = 9;
            assert_eq!((clone[..3].to_vec(), bytes[..3].to_vec()), (vec![8, 7, 7], vec![8, 9, 7]));
        }
    }

    #[test]
    fn bytes_of_an_owner_are_where_it_has_them_and_keep_it() {
        for (len, kept) in [(WORTH_SHARING - 1, false), (WORTH_SHARING, true)] {
            let owner: Arc<[u8]> = vec![7; len].into();
            let bytes = Bytes::from_owner(owner.clone());
            assert_eq!(bytes.as_ptr() == owner.as_ptr(), kept, "{len}");
            assert_eq!(Arc::strong_count(&owner), 1 + usize::from(kept));
            let mut clone = bytes.clone();
            clone[0] = 8;
            assert_eq!((bytes[0], &bytes[..]), (7, &owner[..]));
            drop((bytes, clone));
            assert_eq!(Arc::strong_count(&owner), 1, "{len}");
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
