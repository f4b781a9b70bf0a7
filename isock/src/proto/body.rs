//! The body of a message on its way out.
//!
//! A short one is kept in place and copied. A long one is shared, so that sending it in fragments or
//! sending it again costs nothing, and its memory serves the next long one.

use crate::wire::{Block, Encoder, Shared};
use std::{fmt, ops::Range};

/// Up to here a body is kept in place, in bytes.
const SHORT: usize = 62;
/// What may stand in front of bytes that lie elsewhere, in bytes: their length.
const FRONT: usize = 10;

/// The bytes of a message.
#[derive(Clone)]
pub struct SharedBody(Form);

#[derive(Clone)]
enum Form {
    Short(u8, [u8; SHORT]),
    Long(Front, Shared),
}

/// What stands in front of shared bytes.
#[derive(Clone, Copy, Default)]
struct Front(u8, [u8; FRONT]);

impl Front {
    fn new(bytes: &[u8]) -> Option<Front> {
        let mut place = [0; FRONT];
        place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Front(bytes.len() as u8, place))
    }

    fn bytes(&self) -> &[u8] {
        &self.1[..usize::from(self.0)]
    }
}

impl SharedBody {
    /// A body of these bytes.
    pub fn new(bytes: Vec<u8>) -> SharedBody {
        SharedBody::from(Block::from(bytes))
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
        if encoder.has_end() {
            *self = SharedBody::ending(encoder);
            return;
        }
        match (&mut self.0, encoder.as_bytes()) {
            (Form::Short(len, place), bytes) if bytes.len() <= SHORT => {
                place[..bytes.len()].copy_from_slice(bytes);
                *len = bytes.len() as u8;
            }
            _ => *self = SharedBody::long(encoder.take_block()),
        }
    }

    /// A body that shared bytes end. More than a length in front of them is copied together with them.
    #[cold]
    fn ending(encoder: &mut Encoder) -> SharedBody {
        let front = Front::new(encoder.as_bytes());
        match front.and_then(|front| Some((front, encoder.take_end()?))) {
            Some((front, end)) => SharedBody(Form::Long(front, end)),
            None => SharedBody::long(encoder.take_block()),
        }
    }

    fn long(bytes: Block) -> SharedBody {
        SharedBody(Form::Long(Front::default(), Shared::from(bytes)))
    }

    /// How many bytes these are.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Short(len, _) => usize::from(*len),
            Form::Long(front, rest) => usize::from(front.0) + rest.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy.
    // Always: for each short message.
    #[inline(always)]
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Form::Short(len, bytes) => out.extend_from_slice(&bytes[..usize::from(*len)]),
            Form::Long(front, rest) => copy_long(*front, rest, out),
        }
    }

    /// The bytes of a part, in two pieces that may be empty: the first one is short.
    pub(super) fn pieces(&self, part: Range<usize>) -> [&[u8]; 2] {
        match &self.0 {
            Form::Short(_, bytes) => [&bytes[part], &[]],
            Form::Long(front, rest) => {
                let at = front.bytes().len();
                let behind = part.start.max(at) - at..part.end.max(at) - at;
                [&front.bytes()[part.start.min(at)..part.end.min(at)], &rest[behind]]
            }
        }
    }

    /// The second piece of a part, to keep for longer and to be sent from where it lies.
    pub(super) fn share(&self, part: Range<usize>) -> Option<(Shared, Range<usize>)> {
        let Form::Long(front, rest) = &self.0 else { return None };
        let at = usize::from(front.0);
        Some((rest.clone(), part.start.max(at) - at..part.end.max(at) - at))
    }
}

#[inline(never)]
fn copy_long(front: Front, rest: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(front.bytes());
    out.extend_from_slice(rest);
}

impl From<Block> for SharedBody {
    fn from(bytes: Block) -> SharedBody {
        let mut place = [0; SHORT];
        match place.get_mut(..bytes.len()) {
            None => SharedBody::long(bytes),
            Some(short) => {
                short.copy_from_slice(&bytes);
                SharedBody(Form::Short(bytes.len() as u8, place))
            }
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

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a body of {} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WORTH_SHARING;

    #[test]
    fn a_body_has_its_bytes_whether_short_or_long() {
        for len in [0, 1, SHORT, SHORT + 1, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let body = SharedBody::new(bytes.clone());
            assert_eq!((copy(&body), body.len()), (bytes, len));
            assert_eq!(body.share(0..len).is_some(), len > SHORT, "{len}");
        }
    }

    #[test]
    fn bytes_that_end_a_message_stay_where_they_lie_behind_their_length() {
        for before in [0, 1, 300] {
            let end = Shared::from(Block::from(vec![7; WORTH_SHARING]));
            let mut out = Encoder::of_message(usize::MAX);
            (0..before).for_each(|_| out.push(&1_u8).unwrap());
            out.push_shared(&end).unwrap();
            let body = SharedBody::encoded(out);
            let mut whole = vec![1; before];
            whole.extend([0x80, 0x80, 0x01]);
            whole.extend_from_slice(&end);
            assert_eq!(copy(&body), whole);
            let [first, rest] = body.pieces(0..body.len());
            assert_eq!(rest.as_ptr() == end.as_ptr(), before <= 1, "{before}");
            for part in [0..2, 1..5, first.len()..body.len(), 0..body.len(), 100..200] {
                assert_eq!(body.pieces(part.clone()).concat(), whole[part.clone()]);
                let (rest, at) = body.share(part.clone()).unwrap();
                assert_eq!(rest[at], *body.pieces(part)[1]);
            }
        }
    }

    fn copy(body: &SharedBody) -> Vec<u8> {
        let mut bytes = Vec::new();
        body.copy_to(&mut bytes);
        bytes
    }
}
