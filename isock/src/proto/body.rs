//! The body of a message on its way out.
//!
//! A short one is kept in place and copied. A long one is shared, so that sending it in fragments or
//! sending it again costs nothing, and its memory serves the next long one.

use crate::wire::{spare, Encoder};
use std::{fmt, ops::Deref, sync::Arc};

/// Up to here a body is kept in place, in bytes.
const SHORT: usize = 62;

/// The bytes of a message.
#[derive(Clone)]
pub struct SharedBody(Form);

#[derive(Clone)]
enum Form {
    Short(u8, [u8; SHORT]),
    Long(LongBody),
}

/// The bytes of a message that is not copied any more.
#[derive(Clone)]
pub(super) struct LongBody(Arc<Block>);

struct Block(Vec<u8>);

impl Drop for Block {
    fn drop(&mut self) {
        spare::give(std::mem::take(&mut self.0));
    }
}

impl SharedBody {
    /// A body of these bytes.
    pub fn new(bytes: Vec<u8>) -> SharedBody {
        let mut place = [0; SHORT];
        match place.get_mut(..bytes.len()) {
            None => SharedBody::long(bytes),
            Some(short) => {
                short.copy_from_slice(&bytes);
                SharedBody(Form::Short(bytes.len() as u8, place))
            }
        }
    }

    /// A body of what has been encoded.
    #[inline]
    pub fn encoded(mut encoder: Encoder) -> SharedBody {
        let mut body = SharedBody::default();
        body.fill(&mut encoder);
        body
    }

    /// Makes an empty body one of what has been encoded, where it stays: to move it at once would wait
    /// until its bytes have reached the cache.
    #[inline]
    pub fn fill(&mut self, encoder: &mut Encoder) {
        match (&mut self.0, encoder.as_bytes()) {
            (Form::Short(len, place), bytes) if bytes.len() <= SHORT => {
                place[..bytes.len()].copy_from_slice(bytes);
                *len = bytes.len() as u8;
            }
            _ => *self = SharedBody::long(encoder.take_bytes()),
        }
    }

    fn long(bytes: Vec<u8>) -> SharedBody {
        SharedBody(Form::Long(LongBody(Arc::new(Block(bytes)))))
    }

    /// The same bytes to keep for longer, if they are worth sharing.
    pub(super) fn shared(&self) -> Option<LongBody> {
        match &self.0 {
            Form::Short(..) => None,
            Form::Long(long) => Some(long.clone()),
        }
    }
}

impl From<Vec<u8>> for SharedBody {
    fn from(bytes: Vec<u8>) -> SharedBody {
        SharedBody::new(bytes)
    }
}

impl Default for SharedBody {
    fn default() -> SharedBody {
        SharedBody(Form::Short(0, [0; SHORT]))
    }
}

impl Deref for SharedBody {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Short(len, bytes) => &bytes[..usize::from(*len)],
            Form::Long(long) => long,
        }
    }
}

impl Deref for LongBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0 .0
    }
}

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a body of {} bytes", self.len())
    }
}

impl fmt::Debug for LongBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a body of {} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_bytes_whether_short_or_long() {
        for len in [0, 1, SHORT, SHORT + 1, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let body = SharedBody::new(bytes.clone());
            assert_eq!(*body, *bytes);
            assert_eq!(body.shared().is_some(), len > SHORT, "{len}");
        }
    }
}
