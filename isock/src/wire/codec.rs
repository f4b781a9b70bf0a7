//! Values to postcard, within bounds. The other direction is the `guard`.
//!
//! Knows memory and limits. What is written where is left to `serializer`.

use super::{spare, Block, Shared, WORTH_SHARING};
use serde::Serialize;
use std::cell::{Cell, RefCell, RefMut};

/// What an encoder begins with, in bytes: most messages fit, and grow nothing.
const SCRATCH: usize = 1024;
/// What a thread keeps between two messages, in bytes.
const MOST_SCRATCH: usize = 16 * 1024;
/// A text up to here is written without a call, in bytes.
const SHORT: usize = 32;

thread_local! {
    /// Memory of the last message of this thread, for the next one.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// What [`Encoder::lend`] lends.
    static LENT: RefCell<Encoder> = const { RefCell::new(Encoder::EMPTY) };
}

/// A value that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoded value is longer than the limit, in bytes.
    #[error("longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The type's own `Serialize` failed, or asks for what postcard cannot carry.
    #[error("not encodable: {0}")]
    Unsupported(String),
}

/// Collects encoded bytes up to a limit.
#[derive(Debug)]
pub struct Encoder {
    bytes: Vec<u8>,
    /// Where they begin in their memory.
    start: usize,
    /// How long the memory may become.
    limit: usize,
    /// It would have grown past the limit.
    full: bool,
    /// Long bytes may end the message from where they lie.
    ends_shared: bool,
    /// Those bytes, behind the others.
    end: Option<Shared>,
}

impl Encoder {
    /// An empty encoder that takes at most `limit` bytes.
    #[inline]
    pub fn new(limit: usize) -> Encoder {
        Encoder::with(scratch(), limit)
    }

    const fn with(bytes: Vec<u8>, limit: usize) -> Encoder {
        Encoder { bytes, start: 0, limit, full: false, ends_shared: false, end: None }
    }

    /// The same for a message that long bytes may end from where they lie: for who asks for its
    /// [end](Encoder::take_end).
    pub fn of_message(limit: usize) -> Encoder {
        let mut encoder = Encoder::new(limit);
        encoder.ends_shared = true;
        encoder
    }

    const EMPTY: Encoder = Encoder::with(Vec::new(), 0);

    /// Lends an empty encoder to `user`, who calls for it once: for what is short and copied at once, as
    /// an item is. To move an encoder takes as long as to encode an item, and so does a result.
    #[inline]
    pub(crate) fn lend<E>(
        limit: usize,
        user: impl FnMut(&mut Encoder) -> Result<(), E>,
    ) -> Result<(), E> {
        Encoder::lend_to(limit, false, user)
    }

    /// The same for a [message](Encoder::of_message), whose bytes `user` takes if they are long.
    #[inline]
    pub(crate) fn lend_message<E>(
        limit: usize,
        user: impl FnMut(&mut Encoder) -> Result<(), E>,
    ) -> Result<(), E> {
        Encoder::lend_to(limit, true, user)
    }

    #[inline(always)]
    fn lend_to<E>(
        limit: usize,
        ends_shared: bool,
        mut user: impl FnMut(&mut Encoder) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = None;
        let lent = LENT.try_with(|lent| {
            let Ok(mut loan) = lent.try_borrow_mut().map(Loan) else { return false };
            let encoder = &mut *loan.0;
            encoder.bytes.clear();
            // Of less, each item would come to its end.
            if encoder.bytes.capacity() < SCRATCH {
                encoder.bytes = scratch();
            }
            (encoder.limit, encoder.full, encoder.ends_shared) = (limit, false, ends_shared);
            if let Err(error) = user(encoder) {
                failed = Some(error);
            }
            true
        });
        match (lent, failed) {
            (Ok(true), None) => Ok(()),
            (Ok(true), Some(error)) => Err(error),
            // It is lent already, to a value that sends another one while it is encoded; or the thread
            // ends.
            _ => {
                let mut own = Encoder::new(limit);
                own.ends_shared = ends_shared;
                user(&mut own)
            }
        }
    }

    /// Appends `value`.
    ///
    /// # Errors
    /// If it would pass the limit or postcard cannot carry it; what had been appended stays.
    pub fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        debug_assert!(self.end.is_none(), "it would stand in front of the end");
        let outcome = value.serialize(&mut *self);
        if self.full || self.bytes.len() > self.limit {
            return Err(self.too_large());
        }
        outcome.map_err(|error| EncodeError::Unsupported(error.to_string()))
    }

    #[cold]
    fn too_large(&mut self) -> EncodeError {
        self.full = false;
        self.bytes.truncate(self.limit);
        EncodeError::TooLarge { limit: self.limit - self.start }
    }

    /// Appends a list of bytes, which end the message: a copy, or in a [message](Encoder::of_message) the
    /// bytes from where they lie.
    ///
    /// # Errors
    /// As [`push`](Encoder::push).
    pub fn push_shared(&mut self, bytes: &Shared) -> Result<(), EncodeError> {
        self.push(&bytes.len())?;
        self.push_encoded_shared(bytes)
    }

    /// The same of what is encoded already: without a length in front.
    ///
    /// # Errors
    /// If it would pass the limit.
    pub fn push_encoded_shared(&mut self, bytes: &Shared) -> Result<(), EncodeError> {
        if !self.ends_shared || bytes.len() < WORTH_SHARING {
            return self.push_encoded(bytes);
        }
        if bytes.len() > self.limit.saturating_sub(self.bytes.len()) {
            return Err(self.too_large());
        }
        self.end = Some(bytes.clone());
        Ok(())
    }

    /// Whether bytes end the message that have not been copied.
    #[inline]
    pub fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// The bytes that end the message and have not been copied.
    pub fn take_end(&mut self) -> Option<Shared> {
        self.end.take()
    }

    /// Appends what is encoded already.
    ///
    /// # Errors
    /// If it would pass the limit.
    pub fn push_encoded(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        debug_assert!(self.end.is_none(), "they would stand in front of the end");
        if bytes.len() > self.limit.saturating_sub(self.bytes.len()) {
            return Err(self.too_large());
        }
        self.put_all(bytes).map_err(|_| self.too_large())
    }

    /// What has been collected: in no more memory than it takes, unless it is long.
    pub fn into_block(mut self) -> Block {
        self.take_block()
    }

    /// The same of one that is not used any more.
    pub(crate) fn take_block(&mut self) -> Block {
        if let Some(end) = self.end.take() {
            self.bytes.extend_from_slice(&end);
        }
        if self.bytes.capacity() > MOST_SCRATCH || self.bytes.len() >= spare::LONG {
            let start = std::mem::take(&mut self.start);
            return Block::of_parts(std::mem::take(&mut self.bytes), start);
        }
        Block::from(self.as_bytes().to_vec())
    }

    /// The same in memory that begins with it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.into_block().into_vec()
    }

    /// What has been collected, but for an [end](Encoder::take_end).
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Drops what has been collected, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.start);
        self.end = None;
    }

    /// Lets go of something long.
    #[cold]
    fn let_go(&mut self) {
        spare::give(std::mem::take(&mut self.bytes));
        (self.start, self.end) = (0, None);
    }

    fn keep_scratch(&mut self) {
        if (1..=MOST_SCRATCH).contains(&self.bytes.capacity()) {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            // At the end of its thread nothing is kept.
            let _ = SPARE.try_with(|spare| spare.set(bytes));
        } else {
            spare::give(std::mem::take(&mut self.bytes));
        }
    }

    /// Appends the first `len` bytes of a word: all of it is written, and what comes next covers the rest.
    ///
    /// Looks at the limit only where the memory ends: [`push`](Encoder::push) does at the end.
    #[inline]
    pub(super) fn put<const N: usize>(
        &mut self,
        word: [u8; N],
        len: usize,
    ) -> postcard::Result<()> {
        let held = self.bytes.len();
        if self.bytes.capacity() - held < N {
            return self.put_at_the_end(&word[..len]);
        }
        self.bytes.extend_from_slice(&word);
        self.bytes.truncate(held + len);
        Ok(())
    }

    /// The same of one byte.
    #[inline]
    pub(super) fn put_byte(&mut self, byte: u8) -> postcard::Result<()> {
        if self.bytes.len() == self.bytes.capacity() {
            return self.put_at_the_end(&[byte]);
        }
        self.bytes.push(byte);
        Ok(())
    }

    /// The same of many. Of a short text a beginning and an end are written, which may overlap.
    #[inline]
    pub(super) fn put_all(&mut self, data: &[u8]) -> postcard::Result<()> {
        let (held, len) = (self.bytes.len(), data.len());
        if len > SHORT || self.bytes.capacity() - held < SHORT {
            return self.put_at_the_end(data);
        }
        if let (Some(begin), Some(end)) = (data.first_chunk::<16>(), data.last_chunk::<16>()) {
            self.bytes.extend_from_slice(begin);
            self.bytes.truncate(held + len - 16);
            self.bytes.extend_from_slice(end);
        } else if let (Some(begin), Some(end)) = (data.first_chunk::<8>(), data.last_chunk::<8>()) {
            self.bytes.extend_from_slice(begin);
            self.bytes.truncate(held + len - 8);
            self.bytes.extend_from_slice(end);
        } else {
            self.bytes.extend(data.iter().copied());
        }
        Ok(())
    }

    #[inline(never)]
    fn put_at_the_end(&mut self, data: &[u8]) -> postcard::Result<()> {
        if data.len() > self.bytes.capacity() - self.bytes.len() {
            if data.len() > self.limit.saturating_sub(self.bytes.len()) {
                self.full = true;
                return Err(postcard::Error::SerializeBufferFull);
            }
            self.grow(data.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Makes room for `more` bytes within the limit, and for as many as there are if that is not
    /// past it. A message that becomes long goes on in memory that has been used for long ones.
    #[cold]
    fn grow(&mut self, more: usize) {
        let held = self.bytes.len();
        let len = (held + more).max(held.saturating_mul(2).min(self.limit));
        if len < spare::LONG {
            return self.bytes.reserve_exact(len - held);
        }
        let mut block = Block::with_room(len - self.start);
        block.push(self.as_bytes());
        self.keep_scratch();
        let limit = self.limit - self.start;
        (self.bytes, self.start) = block.into_parts();
        self.limit = limit.saturating_add(self.start);
    }
}

/// The encoder of a thread while it is lent. Whichever way its user ends, one that panics among them, nothing
/// long stays with the thread.
struct Loan<'e>(RefMut<'e, Encoder>);

impl Drop for Loan<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.bytes.capacity() > MOST_SCRATCH || self.0.end.is_some() {
            self.0.let_go();
        }
    }
}

/// Memory for a message to begin with.
#[inline]
fn scratch() -> Vec<u8> {
    let mut bytes = SPARE.try_with(Cell::take).unwrap_or_default();
    bytes.reserve(SCRATCH);
    bytes
}

/// The next message of this thread goes where this one was.
impl Drop for Encoder {
    fn drop(&mut self) {
        self.keep_scratch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::ser::SerializeTuple;

    #[test]
    fn the_limit_is_exact() {
        let mut encoder = Encoder::new(3);
        assert_eq!(encoder.push("ab"), Ok(()));
        encoder.clear();
        assert_eq!(encoder.push("abc"), Err(EncodeError::TooLarge { limit: 3 }));
    }

    #[test]
    fn what_is_too_large_keeps_nothing_else_out() {
        let mut encoder = Encoder::new(MOST_SCRATCH + 10);
        let too_large = Err(EncodeError::TooLarge { limit: MOST_SCRATCH + 10 });
        assert_eq!(encoder.push(&[7_u8; MOST_SCRATCH + 20][..]), too_large);
        encoder.clear();
        assert_eq!(encoder.push("ab"), Ok(()));
        assert_eq!(encoder.push_encoded(&[7; MOST_SCRATCH + 20]), too_large);
        assert_eq!(encoder.push_encoded(&[7]), Ok(()));
        assert_eq!(encoder.as_bytes(), [2, b'a', b'b', 7]);
    }

    #[test]
    fn slices_of_every_length_are_appended_whole() {
        let data: Vec<u8> = (1..=40).collect();
        let mut encoder = Encoder::new(usize::MAX);
        let mut whole = Vec::new();
        for len in 0..=data.len() {
            encoder.put_all(&data[..len]).unwrap();
            whole.extend_from_slice(&data[..len]);
        }
        assert_eq!(encoder.into_bytes(), whole);
    }

    #[test]
    fn a_message_that_grows_takes_no_room_beyond_its_limit() {
        // Too short, and too long, for memory that is lent.
        for limit in [10_000, 12 << 20] {
            let piece = vec![7_u8; limit / 50];
            let mut encoder = Encoder::new(limit);
            while encoder.push(&piece[..]).is_ok() {}
            assert!(limit - encoder.as_bytes().len() < 2 * piece.len(), "it is filled");
            assert!(
                encoder.bytes.capacity() - encoder.start <= limit,
                "{}",
                encoder.bytes.capacity()
            );
        }
    }

    #[test]
    fn a_message_holds_no_memory_but_its_own_and_leaves_none_of_its_bytes() {
        let mut first = Encoder::new(usize::MAX);
        first.push(&[7_u8; 2998][..]).unwrap();
        assert_eq!(first.into_bytes().capacity(), 3000);
        let mut second = Encoder::new(usize::MAX);
        second.push(&1_u8).unwrap();
        assert_eq!(second.into_bytes(), [1]);
    }

    /// Panics when it is encoded, behind so many bytes.
    struct Panics(usize);

    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let mut parts = to.serialize_tuple(2)?;
            parts.serialize_element(&"x".repeat(self.0))?;
            panic!("behind {} bytes", self.0);
        }
    }

    #[test]
    fn a_value_that_panics_leaves_nothing_long_with_its_thread() {
        for len in [10, MOST_SCRATCH + 1, 3 * spare::LONG] {
            let encode = || Encoder::lend_message(usize::MAX, |encoder| encoder.push(&Panics(len)));
            std::panic::catch_unwind(encode).unwrap_err();
            let kept = LENT.with_borrow(|encoder| (encoder.bytes.capacity(), encoder.start));
            assert!(kept.0 <= MOST_SCRATCH && kept.1 == 0, "{kept:?} behind {len} bytes");
            let sent = Encoder::lend(usize::MAX, |encoder| {
                encoder.push(&7_u8)?;
                assert_eq!(encoder.as_bytes(), [7]);
                Ok(())
            });
            assert_eq!(sent, Ok::<(), EncodeError>(()));
        }
    }

    #[test]
    fn shared_bytes_behind_which_a_user_panics_are_let_go() {
        let bytes = Shared::from(Block::from(vec![7; WORTH_SHARING]));
        let encode = || {
            Encoder::lend_message(usize::MAX, |encoder| -> Result<(), EncodeError> {
                encoder.push_shared(&bytes)?;
                panic!("its bytes are at the end")
            })
        };
        std::panic::catch_unwind(encode).unwrap_err();
        assert!(LENT.with_borrow(|encoder| !encoder.has_end()));
    }
}
