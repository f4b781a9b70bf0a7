//! The memory of one message.
//!
//! In a long block the message begins a while behind the block's beginning: the allocator's long blocks
//! begin 16 bytes into a page, the system's copy of a message begins behind its header, and a copy to a few
//! bytes further into a page than its source takes several times as long.

use super::{short, spare};
use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
};

/// Where a message begins in a long block, in bytes: the copies of its fragments are out of step with it, each of
/// them by a header more, in messages of up to 32 MiB.
pub(super) const LEAD: usize = 2048;

/// The bytes of a message, and room for what is to come of it.
#[derive(Default)]
pub struct Block {
    memory: Vec<u8>,
    /// Where the bytes begin.
    start: usize,
}

impl Block {
    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.memory.len() - self.start
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from this one on, which it has.
    #[inline]
    pub fn tail(&self, n: usize) -> &[u8] {
        &self.memory[self.start + n..]
    }

    /// An empty block with room for `len` bytes.
    #[inline]
    pub fn with_room(len: usize) -> Block {
        match len {
            0 => Block::default(),
            1..=short::LEN => Block::from(short::take()),
            _ => spare::ready(len).unwrap_or_else(|| Block::fresh(len)),
        }
    }

    /// The same in memory of its own.
    fn fresh(len: usize) -> Block {
        match len {
            0..spare::LONG => Block::from(Vec::with_capacity(len)),
            _ => Block::led(Vec::with_capacity(LEAD + len)),
        }
    }

    /// An empty block in memory that is long. What that has of an earlier message may stand in front of this
    /// one, where nobody looks.
    pub(super) fn led(mut memory: Vec<u8>) -> Block {
        memory.resize(LEAD, 0);
        Block { memory, start: LEAD }
    }

    /// How many more bytes there is room for.
    pub fn room(&self) -> usize {
        self.memory.capacity() - self.memory.len()
    }

    /// Bytes of memory held from where the bytes begin. In front of them is at most a sixteenth, and what has
    /// been skipped.
    pub fn held(&self) -> usize {
        self.memory.capacity() - self.start
    }

    /// Makes room for `len` bytes in all, and no more.
    pub fn grow_to(&mut self, len: usize) {
        if len < spare::LONG || self.start >= LEAD {
            let more = len.saturating_sub(self.len());
            return self.memory.reserve_exact(more);
        }
        let mut grown = Block::fresh(len);
        grown.push(self);
        *self = grown;
    }

    /// Goes on in another one, which is empty. What it has grown in is of a length that nobody asks for
    /// again, so it goes back to the system.
    pub fn move_to(&mut self, mut other: Block) {
        other.push(self);
        drop(mem::take(&mut self.memory));
        *self = other;
    }

    /// Appends a copy.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.memory.extend_from_slice(bytes);
    }

    /// The memory, for bytes to be put behind those that are there.
    pub fn behind(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Drops the first `n` bytes, which it has, and moves none.
    pub fn skip(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.start += n;
    }

    /// The bytes alone, moved to the beginning of the memory.
    pub fn into_vec(mut self) -> Vec<u8> {
        let mut memory = mem::take(&mut self.memory);
        memory.drain(..self.start);
        memory
    }

    /// The memory, and where the bytes begin in it.
    pub(super) fn into_parts(mut self) -> (Vec<u8>, usize) {
        (mem::take(&mut self.memory), self.start)
    }

    /// Bytes of `memory` from `start` on.
    pub(super) fn of_parts(memory: Vec<u8>, start: usize) -> Block {
        debug_assert!(start <= memory.len());
        Block { memory, start }
    }
}

impl From<Vec<u8>> for Block {
    fn from(memory: Vec<u8>) -> Block {
        Block { memory, start: 0 }
    }
}

/// Its memory serves another message.
impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        spare::give(mem::take(&mut self.memory));
    }
}

impl Deref for Block {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..]
    }
}

/// A copy.
impl Clone for Block {
    fn clone(&self) -> Block {
        Block::from(self.to_vec())
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Block) -> bool {
        **self == **other
    }
}

impl Eq for Block {}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_begins_where_its_copies_are_out_of_step() {
        for (len, start) in [(200, 0), (spare::LONG - 1, 0), (spare::LONG, LEAD)] {
            let block = Block::with_room(len);
            assert_eq!((block.start, block.len()), (start, 0), "{len}");
            assert!(block.room() >= len);
        }
    }

    #[test]
    fn a_message_that_becomes_long_moves_to_where_a_long_one_begins() {
        let mut block = Block::default();
        for (len, start) in [(100, 0), (spare::LONG - 1, 0), (spare::LONG, LEAD), (100_000, LEAD)] {
            block.grow_to(len);
            assert_eq!((block.start, block.held()), (start, len));
            block.push(&vec![7; len - block.len()]);
        }
        assert_eq!(block.into_vec(), vec![7; 100_000]);
    }

    #[test]
    fn what_is_skipped_is_gone_and_nothing_has_moved() {
        let mut block = Block::with_room(spare::LONG);
        block.push(b"head and tail");
        let place = block[9..].as_ptr();
        block.skip(9);
        assert_eq!((&*block, block.as_ptr()), (&b"tail"[..], place));
        block[0] = b's';
        assert_eq!(block.into_vec(), b"sail");
    }
}
