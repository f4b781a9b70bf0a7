//! What a caller may write where an input is wanted.

use super::Payload;
use crate::wire::{EncodeError, Encoder};
use serde::Serialize;
use std::borrow::Cow;

/// A value that can be sent as a `T`: a `T`, a `&T`, a `&str` for a `String`, an array or a slice
/// for a `Vec`.
///
/// The value is encoded from where it is: `&str` is never made a `String` first. A literal finds
/// its type from the action (`run::<Square>(3)`); an unannotated `.collect()`, `.parse()?` or
/// `.into()` does not: write `.collect::<Vec<_>>()`.
#[diagnostic::on_unimplemented(
    message = "a `{T}` is sent here, and `{Self}` cannot be sent as one",
    label = "expected `{T}`, `&{T}`, or a borrowed form of it",
    note = "the action is named, the input is passed: `client.run::<TheAction>(input)`"
)]
pub trait SendAs<T> {
    #[doc(hidden)]
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError>;
}

impl<T: Payload> SendAs<T> for T {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        Payload::encode(self, out)
    }
}

impl<T: Payload> SendAs<T> for &T {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        Payload::encode(*self, out)
    }
}

impl SendAs<String> for &str {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(*self)
    }
}

// What iterating over an array of texts gives.
impl SendAs<String> for &&str {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(**self)
    }
}

impl SendAs<String> for Cow<'_, str> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(&**self)
    }
}

impl<T: Serialize> SendAs<Vec<T>> for &[T] {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(*self)
    }
}

// An array would be encoded as a tuple, without its length: it goes as the slice that it holds.
impl<T: Serialize, const N: usize> SendAs<Vec<T>> for [T; N] {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(self.as_slice())
    }
}

impl<T: Serialize, const N: usize> SendAs<Vec<T>> for &[T; N] {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(self.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<T>(value: impl SendAs<T>) -> Vec<u8> {
        let mut out = Encoder::new(64);
        value.encode(&mut out).unwrap();
        out.into_bytes()
    }

    #[test]
    fn a_borrowed_form_has_the_bytes_of_the_owned_one() {
        assert_eq!(bytes::<String>("hi"), bytes::<String>(String::from("hi")));
        assert_eq!(bytes::<String>(&"hi"), bytes::<String>(Cow::from("hi")));
        let owned = bytes::<Vec<u16>>(vec![1, 300]);
        assert_eq!(bytes::<Vec<u16>>([1, 300]), owned);
        assert_eq!(bytes::<Vec<u16>>(&[1, 300]), owned);
        assert_eq!(bytes::<Vec<u16>>([1u16, 300].as_slice()), owned);
    }
}
