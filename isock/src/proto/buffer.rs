//! Received bytes that have not been understood yet.

use super::{aside::Aside, room::Room, FRAGMENT};
use crate::{
    seldom::Seldom,
    wire::{spare, Flags, FrameKind, Header, HEADER_LEN, WORD_LEN},
};
use std::{convert::Infallible, num::NonZeroU16, ops::Range};

/// A growing window over received bytes: the driver fills it at the back, the connection takes
/// whole frames from the front. Empty, it can give its memory away.
///
/// The payload of a frame at the front may lie beside it, in the memory of its message. All that waits
/// here then stands in front of it, and behind it once it has come.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    aside: Option<Box<Aside>>,
    /// Whose place is to be lent for the next read.
    wish: Seldom<Wish>,
    /// The length of the frame at the front that reads are to end soon behind; else 0.
    soon_behind: u32,
    /// The last message was a long one, and so may the next one be.
    long: bool,
    /// How the last long message lay, if it came in one frame.
    last: Option<Layout>,
    /// The one before it lay the same: the next one is read as if it does too.
    alike: bool,
}

/// Where the payload of a frame begins that brings all of a message, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    at: NonZeroU16,
    len: u32,
}

impl Layout {
    fn of(header: &Header) -> Option<Layout> {
        let whole = matches!(header.kind, FrameKind::CALL | FrameKind::REPLY | FrameKind::ERROR)
            && !header.flags.has(Flags::MORE);
        let at = NonZeroU16::new(header.payload_at() as u16).filter(|_| whole)?;
        Some(Layout { at, len: header.payload_len() as u32 })
    }
}

/// The first frame of a message that memory may lie ready for.
#[derive(Debug)]
pub(super) struct Wish {
    /// Where its payload begins.
    pub(super) at: usize,
    /// How long that is.
    pub(super) len: usize,
    /// How long the message is.
    pub(super) total: usize,
}

/// What an empty buffer begins with, in bytes: enough for one call at a time.
const FIRST: usize = 4 * 1024;
/// What it has once it has been full, in bytes: room for a good batch of small frames.
const BATCH: usize = 64 * 1024;
/// What is read at first where a long message may come, in bytes: its header and header words. The rest
/// can then be read where it stays.
const GLANCE: usize = 64;
/// What is read with the end of a fragment that another one follows, in bytes: that one's header, and a
/// few short frames in between. What comes here of it has to be copied. The same behind a message that
/// is expected.
const BEHIND: usize = 4 * 1024;
/// What a buffer grows to for the longest frame and a batch behind it, in bytes: a driver that
/// reads after each fill never needs more.
const MOST: usize = HEADER_LEN + 255 * WORD_LEN + FRAGMENT + BATCH;

impl Buffer {
    /// A buffer without memory.
    pub fn new() -> Buffer {
        Buffer::default()
    }

    /// Reads with `read`, which is shown where the bytes go and says how many it has put there.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut Room<'_>) -> Result<usize, E>,
    ) -> Result<usize, E> {
        if let Some(wish) = self.wish.take() {
            self.grant(&wish);
        }
        let ahead = self.guess();
        let before = self.beside();
        let most = ahead + self.most(ahead > 0);
        let mut aside = self.aside.take();
        let space = self.space();
        let most = most.min(space.len());
        let read = read(&mut Room::new(ahead, aside.as_deref_mut(), &mut space[..most]));
        self.aside = aside;
        if let Ok(n) = read {
            self.end = (self.end + n - (self.beside() - before)).min(self.bytes.len());
        }
        if ahead > 0 && !self.is_as_guessed() {
            self.take_back(ahead);
        }
        if let Some(aside) = self.aside.take_if(|aside| aside.is_over()) {
            self.push(aside.payload());
        }
        read
    }

    /// Lends memory that lies ready for one read: a peer that does not send what it has announced must
    /// not keep it.
    fn grant(&mut self, wish: &Wish) {
        let Some(ready) = spare::ready_for_part(wish.total) else { return };
        let mut aside = Aside::new(ready, wish.len, wish.total).for_one_read();
        aside.put(&self.waiting()[wish.at..]);
        self.lend(wish.at, aside);
    }

    /// Lends memory that lies ready for the payload of a frame of which nothing has come, if that is likely to
    /// lie like the last two; says how much stands in front of it then, else 0.
    fn guess(&mut self) -> usize {
        let likely = self.long && self.alike && self.is_empty() && !self.is_lent();
        let Some(Layout { at, len }) = self.last.filter(|_| likely) else { return 0 };
        let ahead = usize::from(at.get());
        // What is lent to it may be what a slow connection held; without memory it gets enough.
        if (1..=ahead).contains(&self.bytes.len()) {
            return 0;
        }
        let Some(ready) = spare::ready_for_part(len as usize) else { return 0 };
        self.aside = Some(Box::new(Aside::new(ready, len as usize, len as usize).for_one_read()));
        ahead
    }

    /// Whether what has come beside the buffer is the payload that was guessed.
    fn is_as_guessed(&self) -> bool {
        let Some(header) = self.waiting().first_chunk::<HEADER_LEN>() else { return true };
        let is_last = |header| Layout::of(&header) == self.last;
        self.beside() == 0 || Header::parse(header).is_ok_and(is_last)
    }

    /// Puts what has come beside the buffer where it was to go: behind so many bytes.
    #[cold]
    fn take_back(&mut self, ahead: usize) {
        let Some(aside) = self.aside.take() else { return };
        (self.last, self.alike) = (None, false);
        let behind = self.waiting()[ahead..].to_vec();
        self.end = self.start + ahead;
        self.push(aside.payload());
        self.push(&behind);
    }

    /// How much to read at most into the buffer; what is guessed is more than a glance.
    fn most(&self, guessed: bool) -> usize {
        let missing = self.aside.as_ref().map_or(0, |aside| aside.missing());
        match self.soon_behind {
            _ if guessed => BEHIND,
            0 if self.long && self.is_empty() => GLANCE,
            0 => usize::MAX,
            frame => (frame as usize).saturating_sub(self.len() + missing) + BEHIND,
        }
    }

    /// Bytes beside the buffer.
    #[inline]
    fn beside(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.come())
    }

    /// Room for at least one more byte, and more the longer the frame that is under way.
    fn space(&mut self) -> &mut [u8] {
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

    /// Appends a copy of `bytes`.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let put = self.fill(|room| Ok::<_, Infallible>(room.put(bytes)));
            let n = put.unwrap_or_else(|never| match never {});
            bytes = &bytes[n..];
        }
    }

    /// The bytes that wait, but for those beside the buffer.
    #[inline]
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes wait, those beside the buffer included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end - self.start + self.beside()
    }

    /// Has the payload of the frame at the front, which begins at `at`, come beside the buffer. What of it
    /// has come lies there by now.
    pub(super) fn lend(&mut self, at: usize, aside: Aside) {
        debug_assert_eq!(self.end - self.start - at, aside.come());
        self.end = self.start + at;
        self.aside = Some(Box::new(aside));
    }

    /// Whether a payload comes beside the buffer.
    #[inline]
    pub(super) fn is_lent(&self) -> bool {
        self.aside.is_some()
    }

    /// Notes that a short message may come next.
    #[inline]
    pub(super) fn expect_short(&mut self) {
        self.long = false;
    }

    /// Notes that a long message may come next, like the one that the frame with this header begins.
    pub(super) fn expect_long(&mut self, header: &Header) {
        let now = Layout::of(header);
        (self.long, self.alike) = (true, now.is_some() && now == self.last);
        self.last = now;
    }

    /// Whether a long message was expected, and its beginning alone has been read.
    pub(super) fn has_glanced(&self) -> bool {
        self.long && self.len() <= GLANCE
    }

    /// Has the same happen for the next read, if memory lies ready. What of it has come is little.
    pub(super) fn wish(&mut self, wish: Wish) {
        self.wish = Seldom::with(wish);
    }

    /// Has reads end soon behind the frame at the front, which is so long: what follows is to be read
    /// where it stays.
    pub(super) fn end_soon_behind(&mut self, frame: u32) {
        self.soon_behind = frame;
    }

    /// Takes the payload that lies beside the buffer, all of which has come.
    pub(super) fn take_aside(&mut self) -> Option<Box<Aside>> {
        self.aside.take()
    }

    /// Drops the first `n` waiting bytes and says where they lie until the next [`fill`](Buffer::fill).
    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Range<usize> {
        let taken = self.start..self.start + n;
        self.start += n;
        self.soon_behind = 0;
        debug_assert!(self.start <= self.end);
        taken
    }

    /// Bytes taken just now.
    #[inline]
    pub(super) fn taken(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        *self = Buffer { bytes: std::mem::take(&mut self.bytes), ..Buffer::default() };
    }

    /// Takes the memory of `spare` if that is the larger one.
    pub fn grow_into(&mut self, spare: &mut Buffer) {
        if self.bytes.len() < spare.bytes.len() {
            debug_assert!(spare.is_empty() && !spare.is_lent());
            let old = std::mem::replace(&mut self.bytes, std::mem::take(&mut spare.bytes));
            let waiting = &old[self.start..self.end];
            self.bytes[..waiting.len()].copy_from_slice(waiting);
            (self.start, self.end) = (0, waiting.len());
        }
    }

    /// Gives the memory away and keeps just what waits, unless that is most of it: an idle
    /// connection holds nothing, and a slow one what it has sent.
    pub fn shrink_into(&mut self, spare: &mut Buffer) {
        let waiting = self.end - self.start;
        if waiting < self.bytes.len() / 4 {
            let small = self.waiting().to_vec();
            let bytes = std::mem::replace(&mut self.bytes, small);
            (self.start, self.end) = (0, waiting);
            if bytes.len() >= FIRST {
                spare.bytes = bytes;
            }
        }
    }

    /// One with so much memory, as another connection may leave it.
    #[cfg(test)]
    pub(super) fn with_memory(len: usize) -> Buffer {
        Buffer { bytes: vec![0; len], ..Buffer::default() }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.len() + self.aside.as_ref().map_or(0, |aside| aside.memory())
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
