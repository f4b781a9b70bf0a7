//! Received bytes that have not been understood yet.

use super::FRAGMENT;
use crate::wire::{HEADER_LEN, WORD_LEN};
use std::ops::Range;

/// A growing window over received bytes: the driver fills it at the back, the connection takes
/// whole frames from the front. Empty, it can give its memory away.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// What an empty buffer begins with, in bytes: enough for one call at a time.
const FIRST: usize = 4 * 1024;
/// What it has once it has been full, in bytes: room for a good batch of small frames.
const BATCH: usize = 64 * 1024;
/// What a buffer grows to for the longest frame and a batch behind it, in bytes: a driver that
/// reads after each fill never needs more.
const MOST: usize = HEADER_LEN + 255 * WORD_LEN + FRAGMENT + BATCH;

impl Buffer {
    /// A buffer without memory.
    pub fn new() -> Buffer {
        Buffer::default()
    }

    /// Room for at least one more byte, and more the longer the frame that is under way.
    pub fn space(&mut self) -> &mut [u8] {
        let was_full = self.end == self.bytes.len();
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if was_full {
            self.make_room();
        }
        &mut self.bytes[self.end..]
    }

    /// After it has been full.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let held = self.bytes.len();
        if self.end == held || held < BATCH {
            let len = match held {
                0 => FIRST,
                _ if held < MOST => (held * 2).clamp(BATCH, MOST),
                _ => held * 2,
            };
            // Exactly this much, where a vector of its own accord would take more.
            self.bytes.reserve_exact(len - held);
            self.bytes.resize(len, 0);
        }
    }

    /// Notes that the first `n` bytes of [`space`](Buffer::space) have been filled.
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
    }

    /// Appends a copy of `bytes`.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let n = bytes.len().min(space.len());
            space[..n].copy_from_slice(&bytes[..n]);
            self.filled(n);
            bytes = &bytes[n..];
        }
    }

    /// The bytes that wait.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `n` waiting bytes and says where they lie until the next
    /// [`space`](Buffer::space).
    pub(super) fn take(&mut self, n: usize) -> Range<usize> {
        let taken = self.start..self.start + n;
        self.start += n;
        debug_assert!(self.start <= self.end);
        taken
    }

    /// Bytes taken just now.
    pub(super) fn taken(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Takes the memory of `spare` if that is the larger one.
    pub fn grow_into(&mut self, spare: &mut Buffer) {
        if self.bytes.len() < spare.bytes.len() {
            let old = std::mem::replace(self, std::mem::take(spare));
            (self.start, self.end) = (0, 0);
            self.push(old.waiting());
        }
    }

    /// Gives the memory away and keeps just what waits, unless that is most of it: an idle
    /// connection holds nothing, and a slow one what it has sent.
    pub fn shrink_into(&mut self, spare: &mut Buffer) {
        let waiting = self.end - self.start;
        if waiting < self.bytes.len() / 4 {
            let bytes = self.waiting().to_vec();
            let small = Buffer { start: 0, end: bytes.len(), bytes };
            *spare = std::mem::replace(self, small);
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_bytes_make_room_for_more() {
        let mut buffer = Buffer::new();
        buffer.push(&vec![1; BATCH]);
        assert_eq!(buffer.memory(), BATCH);
        buffer.take(BATCH - 1);
        buffer.push(&[2; 3]);
        assert_eq!(buffer.waiting(), [1, 2, 2, 2]);
        assert_eq!(buffer.memory(), BATCH);
    }

    #[test]
    fn who_says_little_at_a_time_takes_little_and_who_has_filled_it_gets_more() {
        for left in [0, 1] {
            let mut buffer = Buffer::new();
            for _ in 0..10 {
                buffer.push(&[1; FIRST / 2]);
                buffer.take(FIRST / 2);
            }
            assert_eq!(buffer.memory(), FIRST);
            buffer.push(&[1; FIRST]);
            assert_eq!(buffer.memory(), FIRST);
            buffer.take(FIRST - left);
            assert_eq!(buffer.space().len(), BATCH - left);
        }
    }

    #[test]
    fn the_longest_frame_fits_with_a_batch_behind_it() {
        let mut buffer = Buffer::new();
        buffer.push(&vec![1; HEADER_LEN + 255 * WORD_LEN + FRAGMENT]);
        assert!(buffer.memory() <= MOST);
        buffer.push(&vec![1; BATCH]);
        assert_eq!(buffer.memory(), MOST);
        assert_eq!(buffer.bytes.capacity(), MOST);
    }

    #[test]
    fn an_idle_buffer_holds_nothing_and_a_slow_one_what_has_come() {
        let (mut buffer, mut spare) = (Buffer::new(), Buffer::new());
        buffer.push(&[1, 2, 3]);
        buffer.take(1);
        buffer.shrink_into(&mut spare);
        assert_eq!((buffer.waiting(), buffer.memory(), spare.memory()), (&[2, 3][..], 2, FIRST));
        buffer.grow_into(&mut spare);
        buffer.push(&[4]);
        assert_eq!((buffer.waiting(), spare.memory()), (&[2, 3, 4][..], 0));
        buffer.take(3);
        buffer.shrink_into(&mut spare);
        assert_eq!((buffer.memory(), spare.memory()), (0, FIRST));
    }
}
