//! Bytes on their way out: frames in the order in which they leave.
//!
//! Small frames are copied together, large bodies are shared and never copied, and a message
//! longer than a fragment takes turns with the others (`turns`), so that nothing waits behind it for long.

mod turns;

use self::turns::{Bulk, Turns};
use super::body::SharedBody;
use crate::{
    seldom::Seldom,
    wire::{Flags, FrameKind, Header, Shared, HEADER_LEN},
};
use std::{cell::Cell, collections::VecDeque, io::IoSlice, num::NonZeroU64, ops::Range};

/// Bodies up to this length are copied next to their header, in bytes.
pub(super) const COPY_UP_TO: usize = 4 * 1024;
/// Room in a copied chunk behind a full one, in bytes.
const CHUNK: usize = 64 * 1024;
/// A chunk of so many bytes takes no further ones: what is copied at once fits behind fewer, so that what
/// waits in many chunks takes hardly more memory than it is long.
const FULL: usize = CHUNK - 2 * COPY_UP_TO;
/// A queue of more chunks is not kept when it is empty.
const MOST_CHUNKS: usize = 64;
/// The payload of a pong, in bytes.
const PONG_LEN: usize = 8;
/// Fragments are put in order while fewer bytes than this wait.
const AHEAD: usize = 256 * 1024;

thread_local! {
    /// The memory of the connection that was emptied last by this thread, with at most one chunk,
    /// an empty one: connections that have nothing to say hold none.
    static RESTING: Cell<VecDeque<Chunk>> = const { Cell::new(VecDeque::new()) };
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub(super) struct Output {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that have left.
    gone: usize,
    /// Bytes in `chunks` that have not left.
    waiting: usize,
    sent: Offset,
    /// Messages longer than a fragment.
    turns: Seldom<Turns>,
    /// Where the last pong begins: never in front of everything, where the preface is.
    pong: Option<NonZeroU64>,
    /// Whatever is appended from now on is dropped: the connection is over.
    sealed: bool,
}

#[derive(Debug)]
enum Chunk {
    Copied(Vec<u8>),
    Shared(Shared, Range<usize>),
}

/// Which message a fragment belongs to: the sender's side of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageId {
    pub(super) initiator: bool,
    pub(super) slot: u16,
    pub(super) seq: u32,
}

impl MessageId {
    /// The one that the frame with this header is a part of.
    pub(super) fn of(header: &Header) -> MessageId {
        let initiator = header.flags.has(Flags::INITIATOR);
        MessageId { initiator, slot: header.slot, seq: header.seq }
    }

    pub(super) fn flags(self) -> Flags {
        if self.initiator {
            Flags::INITIATOR
        } else {
            Flags::default()
        }
    }
}

/// A place in the stream of bytes that leaves: compare it with [`Output::sent`].
pub(super) type Offset = u64;

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Copied(bytes) => bytes,
            Chunk::Shared(body, range) => &body[range.clone()],
        }
    }
}

impl Output {
    /// Appends bytes to the order.
    pub(super) fn copy(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.sealed {
            return;
        }
        if self.has_offered() {
            self.keep_offered();
        }
        let bytes = match self.chunks.back_mut() {
            Some(Chunk::Copied(bytes)) if bytes.len() < FULL => bytes,
            _ => open_chunk(&mut self.chunks),
        };
        let before = bytes.len();
        write(bytes);
        self.waiting += bytes.len() - before;
    }

    /// Appends a frame with a short payload.
    pub(super) fn frame(
        &mut self,
        header: Header,
        words: impl FnOnce(&mut Vec<u8>),
        payload: &[u8],
    ) {
        self.copy(|out| {
            header.write(out);
            words(out);
            out.extend_from_slice(payload);
        });
    }

    /// Appends the answer to a ping. One that waits to leave answers this ping instead of its own,
    /// and so both: a peer that does not read has one at most.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        match self.waiting_pong() {
            Some(waiting) => waiting.copy_from_slice(payload),
            None => {
                self.pong = NonZeroU64::new(self.placed());
                let header = Header::new(FrameKind::PONG, Flags::default(), 0, payload.len());
                self.frame(header, |_| (), payload);
            }
        }
    }

    /// The payload of a pong of which no byte has left.
    fn waiting_pong(&mut self) -> Option<&mut [u8]> {
        let pong = self.pong.map(NonZeroU64::get).filter(|&pong| pong >= self.sent)?;
        let mut begin = self.sent - self.gone as u64;
        for chunk in &mut self.chunks {
            let len = chunk.bytes().len() as u64;
            match chunk {
                Chunk::Copied(bytes) if pong < begin + len => {
                    let at = (pong - begin) as usize + HEADER_LEN;
                    return bytes.get_mut(at..at + PONG_LEN);
                }
                _ => begin += len,
            }
        }
        None
    }

    /// Appends the last frame of a call, behind what of it still waits for its turn.
    pub(super) fn last_frame(
        &mut self,
        id: MessageId,
        header: Header,
        words: impl FnOnce(&mut Vec<u8>),
        payload: &[u8],
    ) {
        if !self.is_leaving(id) {
            return self.frame(header, words, payload);
        }
        let mut first = Vec::new();
        header.write(&mut first);
        words(&mut first);
        self.put_behind(id, first, SharedBody::new(payload.to_vec()));
    }

    /// Appends a whole message: in one frame, or its first fragment now and the others in turn.
    /// `first` makes the first header and its words for a payload of this length. Messages of one
    /// call keep their order. Returns where the message ends, if that is known already.
    #[inline]
    pub(super) fn message(
        &mut self,
        id: MessageId,
        body: &SharedBody,
        fragment: usize,
        first: impl FnOnce(&mut Vec<u8>, usize, Flags),
    ) -> Option<Offset> {
        if self.sealed {
            return None;
        }
        let len = body.len();
        if len <= COPY_UP_TO.min(fragment) && !self.is_leaving(id) {
            self.copy(|out| {
                first(out, len, id.flags());
                body.copy_to(out);
            });
            return Some(self.placed());
        }
        self.long_message(id, body.clone(), fragment, first)
    }

    /// Whether a message of `len` bytes may leave in one piece, behind all that waits.
    #[inline(always)]
    pub(super) fn takes_short(&self, len: usize, fragment: usize) -> bool {
        len <= COPY_UP_TO.min(fragment) && !self.takes_turns() && !self.sealed
    }

    /// Appends such a message, and says where it ends.
    #[inline(always)]
    pub(super) fn short<const N: usize>(
        &mut self,
        header: Header,
        words: [u8; N],
        body: &SharedBody,
    ) -> Offset {
        debug_assert!(self.takes_short(body.len(), usize::MAX));
        let out = match self.chunks.back_mut() {
            Some(Chunk::Copied(bytes)) if bytes.len() < FULL => bytes,
            _ => open_chunk(&mut self.chunks),
        };
        header.write(out);
        out.extend_from_slice(&words);
        body.copy_to(out);
        self.waiting += HEADER_LEN + N + body.len();
        self.placed()
    }

    fn body(&mut self, body: &SharedBody, range: Range<usize>) {
        let [front, rest] = body.pieces(range.clone());
        let shared = if rest.len() > COPY_UP_TO { body.share(range) } else { None };
        let Some((long, range)) = shared else {
            return self
                .copy(|out| [front, rest].iter().for_each(|piece| out.extend_from_slice(piece)));
        };
        if !front.is_empty() {
            self.copy(|out| out.extend_from_slice(front));
        }
        self.waiting += range.len();
        self.chunks.push_back(Chunk::Shared(long, range));
    }

    /// The bytes to write next, in order, in at most `slices.len()` pieces; returns how many.
    pub(super) fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.take_back();
        self.take_turns(AHEAD);
        if self.turns.get().is_some_and(|turns| turns.bulk.len() == 1) {
            self.offer(slices.len().saturating_sub(self.chunks.len()) / 2);
        }
        let mut skip = self.gone;
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk.bytes()[skip..]);
            skip = 0;
            count += 1;
        }
        if let Some(turns) = self.turns.get() {
            for (slice, bytes) in slices[count..].iter_mut().zip(turns.offered()) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
        }
        count
    }

    /// Notes that `n` bytes have left.
    pub(super) fn advance(&mut self, n: usize) {
        self.take_back();
        while self.waiting < n && self.turns.get().is_some_and(|turns| !turns.bulk.is_empty()) {
            self.take_turns(self.waiting + 1);
        }
        self.sent += n as u64;
        self.waiting -= n;
        self.gone += n;
        let mut open = Vec::new();
        while let Some(chunk) = self.chunks.front() {
            let len = chunk.bytes().len();
            if self.gone < len {
                return;
            }
            self.gone -= len;
            match self.chunks.pop_front() {
                // What comes next is copied there.
                Some(Chunk::Copied(bytes)) if bytes.capacity() <= 2 * CHUNK => open = bytes,
                _ => {}
            }
        }
        if open.capacity() > 0 {
            open.clear();
            self.chunks.push_back(Chunk::Copied(open));
        }
        let chunks = std::mem::take(&mut self.chunks);
        if (1..=MOST_CHUNKS).contains(&chunks.capacity()) {
            // At the end of its thread nothing is kept.
            let _ = RESTING.try_with(|resting| resting.set(chunks));
        }
    }

    /// Nothing is to follow but one last frame: calls that are not wholly in order never will be,
    /// answers are put in order to their end.
    pub(super) fn seal(&mut self, last: Header, words: impl FnOnce(&mut Vec<u8>), payload: &[u8]) {
        self.keep_offered();
        if let Some(turns) = self.turns.get_mut() {
            turns.bulk.retain(|bulk| !bulk.id.initiator);
            turns.bytes = turns.bulk.iter().map(Bulk::len).sum();
        }
        self.take_turns(usize::MAX);
        self.frame(last, words, payload);
        self.sealed = true;
    }

    /// Drops what has not left and what would come: nobody takes it.
    pub(super) fn discard(&mut self) {
        let ended = self.turns.take().map(|turns| turns.ended);
        *self = Output { sent: self.sent, sealed: true, ..Output::default() };
        if let Some(ended) = ended {
            self.turns.or_begin().ended = ended;
        }
    }

    /// Bytes that have not left, whether they have a place yet or not.
    pub(super) fn len(&self) -> usize {
        self.waiting + self.turns.get().map_or(0, |turns| turns.bytes)
    }

    /// How far the bytes have left, or will unless they are discarded.
    pub(super) fn placed(&self) -> Offset {
        self.sent + self.waiting as u64
    }

    /// How far the bytes have left.
    pub(super) fn sent(&self) -> Offset {
        self.sent
    }
}

/// A chunk that can be added to, at the end.
#[inline(never)]
fn open_chunk(chunks: &mut VecDeque<Chunk>) -> &mut Vec<u8> {
    if chunks.capacity() == 0 {
        *chunks = RESTING.try_with(Cell::take).unwrap_or_default();
    }
    let open = matches!(chunks.back(), Some(Chunk::Copied(bytes)) if bytes.len() < FULL);
    if !open {
        // The first one is mostly the only one, and short; behind a full one others follow.
        let room = if matches!(chunks.back(), Some(Chunk::Copied(_))) { CHUNK } else { 0 };
        chunks.push_back(Chunk::Copied(Vec::with_capacity(room)));
    }
    let Some(Chunk::Copied(bytes)) = chunks.back_mut() else {
        unreachable!("the last chunk is a copied one, see the lines above")
    };
    bytes
}

#[cfg(test)]
mod tests;
