//! Bytes on their way out: frames in the order in which they leave.
//!
//! Small frames are copied together, large bodies are shared and never copied, and a message
//! longer than a fragment takes turns with the others, so that nothing waits behind it for long.

use super::body::{LongBody, SharedBody};
use crate::wire::{Flags, FrameKind, Header, HEADER_LEN};
use std::{cell::Cell, collections::VecDeque, io::IoSlice, ops::Range};

/// Bodies up to this length are copied next to their header, in bytes.
pub(super) const COPY_UP_TO: usize = 4 * 1024;
/// A copied chunk is not grown past this, in bytes.
const CHUNK: usize = 64 * 1024;
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
    /// Messages whose next fragment has no place in the order yet.
    bulk: VecDeque<Bulk>,
    /// Bytes in `bulk`.
    bulk_bytes: usize,
    /// Where messages end whose last fragment has found its place since anybody asked.
    ended: Vec<(MessageId, Offset)>,
    placed: Offset,
    sent: Offset,
    /// Where the last pong begins.
    pong: Option<Offset>,
    /// Whatever is appended from now on is dropped: the connection is over.
    sealed: bool,
}

#[derive(Debug)]
enum Chunk {
    Copied(Vec<u8>),
    Shared(LongBody, Range<usize>),
}

#[derive(Debug)]
struct Bulk {
    id: MessageId,
    /// Its first header and words, if even the first fragment has no place yet.
    first: Vec<u8>,
    body: SharedBody,
    at: usize,
    fragment: usize,
    /// Messages of the same call that follow this one: each whole first header, and a body.
    behind: VecDeque<(Vec<u8>, SharedBody)>,
}

impl Bulk {
    /// Bytes that have no place yet, without the headers to come.
    fn len(&self) -> usize {
        let behind = self.behind.iter().map(|(first, body)| first.len() + body.len());
        self.first.len() + self.body.len() - self.at + behind.sum::<usize>()
    }
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
        if self.chunks.capacity() == 0 {
            self.chunks = RESTING.try_with(Cell::take).unwrap_or_default();
        }
        let open = matches!(self.chunks.back(), Some(Chunk::Copied(bytes)) if bytes.len() < CHUNK);
        if !open {
            self.chunks.push_back(Chunk::Copied(Vec::new()));
        }
        let Some(Chunk::Copied(bytes)) = self.chunks.back_mut() else {
            unreachable!("the last chunk is a copied one, see the lines above")
        };
        let before = bytes.len();
        write(bytes);
        self.waiting += bytes.len() - before;
        self.placed += (bytes.len() - before) as u64;
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
                self.pong = Some(self.placed);
                let header = Header::new(FrameKind::PONG, Flags::default(), 0, payload.len());
                self.frame(header, |_| (), payload);
            }
        }
    }

    /// The payload of a pong of which no byte has left.
    fn waiting_pong(&mut self) -> Option<&mut [u8]> {
        let pong = self.pong.filter(|&pong| pong >= self.sent)?;
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

    /// Whether fragments of a message of this call wait for their turn.
    #[inline]
    pub(super) fn is_leaving(&self, id: MessageId) -> bool {
        self.bulk.iter().any(|bulk| bulk.id == id)
    }

    fn put_behind(&mut self, id: MessageId, first: Vec<u8>, body: SharedBody) {
        if let Some(bulk) = self.bulk.iter_mut().find(|bulk| bulk.id == id) {
            self.bulk_bytes += first.len() + body.len();
            bulk.behind.push_back((first, body));
        }
    }

    /// Appends a whole message: in one frame, or its first fragment now and the others in turn.
    /// `first` makes the first header and its words for a payload of this length. Messages of one
    /// call keep their order. Returns where the message ends, if that is known already.
    pub(super) fn message(
        &mut self,
        id: MessageId,
        body: SharedBody,
        fragment: usize,
        first: impl FnOnce(&mut Vec<u8>, usize, Flags),
    ) -> Option<Offset> {
        if self.sealed {
            return None;
        }
        let len = body.len().min(fragment);
        let whole = len == body.len();
        let flags = if whole { id.flags() } else { id.flags().with(Flags::MORE) };
        if self.is_leaving(id) {
            let mut head = Vec::new();
            first(&mut head, len, flags);
            self.put_behind(id, head, body);
            return None;
        }
        if len > COPY_UP_TO {
            self.copy(|out| first(out, len, flags));
            self.body(&body, 0..len);
        } else {
            self.copy(|out| {
                first(out, len, flags);
                out.extend_from_slice(&body[..len]);
            });
        }
        if !whole {
            self.bulk_bytes += body.len() - len;
            let (first, behind) = (Vec::new(), VecDeque::new());
            self.bulk.push_back(Bulk { id, first, body, at: len, fragment, behind });
        }
        whole.then_some(self.placed)
    }

    fn body(&mut self, body: &SharedBody, range: Range<usize>) {
        let shared = if range.len() > COPY_UP_TO { body.shared() } else { None };
        match shared {
            Some(long) => {
                self.waiting += range.len();
                self.placed += range.len() as u64;
                self.chunks.push_back(Chunk::Shared(long, range));
            }
            None => self.copy(|out| out.extend_from_slice(&body[range])),
        }
    }

    /// Puts further fragments in order, one message after the other, while fewer than `ahead`
    /// bytes wait.
    fn take_turns(&mut self, ahead: usize) {
        while self.waiting < ahead {
            let Some(mut bulk) = self.bulk.pop_front() else { return };
            let last = self.one_turn(&mut bulk);
            if last {
                self.ended.push((bulk.id, self.placed));
                let Some((first, body)) = bulk.behind.pop_front() else { continue };
                bulk = Bulk { first, body, at: 0, ..bulk };
            }
            self.bulk.push_back(bulk);
        }
    }

    /// Puts the next fragment of a message in order; says whether it was the last one.
    fn one_turn(&mut self, bulk: &mut Bulk) -> bool {
        let len = bulk.fragment.min(bulk.body.len() - bulk.at);
        let last = bulk.at + len == bulk.body.len();
        let first = std::mem::take(&mut bulk.first);
        self.bulk_bytes -= first.len() + len;
        if first.is_empty() {
            let more = if last { Flags::default() } else { Flags::MORE };
            let header = Header::new(FrameKind::MORE, bulk.id.flags().with(more), 0, len);
            self.copy(|out| header.of_call(bulk.id.slot, bulk.id.seq).write(out));
        } else {
            self.copy(|out| out.extend_from_slice(&first));
        }
        self.body(&bulk.body, bulk.at..bulk.at + len);
        bulk.at += len;
        last
    }

    /// Forgets the fragments of a message that have no place in the order yet; says whether there
    /// were any, in which case the other side will never have the message whole.
    pub(super) fn truncate(&mut self, id: MessageId) -> bool {
        let Some(at) = self.bulk.iter().position(|bulk| bulk.id == id) else { return false };
        if let Some(bulk) = self.bulk.remove(at) {
            self.bulk_bytes -= bulk.len();
        }
        true
    }

    /// Messages whose last fragment has found its place, and where they end.
    pub(super) fn ended(&mut self) -> impl Iterator<Item = (MessageId, Offset)> + '_ {
        self.ended.drain(..)
    }

    /// The bytes to write next, in order, in at most `slices.len()` pieces; returns how many.
    pub(super) fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.take_turns(AHEAD);
        let mut skip = self.gone;
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk.bytes()[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// Notes that `n` bytes have left.
    pub(super) fn advance(&mut self, n: usize) {
        self.sent += n as u64;
        self.waiting -= n;
        self.gone += n;
        loop {
            let only = self.chunks.len() == 1;
            let Some(chunk) = self.chunks.front_mut() else { break };
            let len = chunk.bytes().len();
            if self.gone < len {
                return;
            }
            self.gone -= len;
            match chunk {
                Chunk::Copied(bytes) if only && bytes.capacity() <= 2 * CHUNK => {
                    bytes.clear();
                    break;
                }
                _ => self.chunks.pop_front(),
            };
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
        self.bulk.retain(|bulk| !bulk.id.initiator);
        self.bulk_bytes = self.bulk.iter().map(Bulk::len).sum();
        self.take_turns(usize::MAX);
        self.frame(last, words, payload);
        self.sealed = true;
    }

    /// Drops what has not left and what would come: nobody takes it.
    pub(super) fn discard(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        let (sent, placed) = (self.sent, self.sent);
        *self = Output { ended, sent, placed, sealed: true, ..Output::default() };
    }

    /// Bytes that have not left, whether they have a place yet or not.
    pub(super) fn len(&self) -> usize {
        self.waiting + self.bulk_bytes
    }

    /// How far the bytes have left, or will unless they are discarded.
    pub(super) fn placed(&self) -> Offset {
        self.placed
    }

    /// How far the bytes have left.
    pub(super) fn sent(&self) -> Offset {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u16) -> MessageId {
        MessageId { initiator: false, slot, seq: 1 }
    }

    fn reply(output: &mut Output, slot: u16, body: &SharedBody) {
        output.message(id(slot), body.clone(), 10_000, |out, len, flags| {
            Header::new(FrameKind::REPLY, flags, 0, len).of_call(slot, 1).write(out);
        });
    }

    /// Takes everything in writes of at most `step` bytes.
    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while output.len() > 0 {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = output.slices(&mut slices);
            let before = all.len();
            for slice in &slices[..count] {
                let room = step - (all.len() - before);
                all.extend_from_slice(&slice[..slice.len().min(room)]);
            }
            output.advance(all.len() - before);
        }
        all
    }

    fn slots(mut bytes: &[u8]) -> Vec<u16> {
        let mut slots = Vec::new();
        while let Some(header) = bytes.first_chunk() {
            let header = Header::parse(header).unwrap();
            slots.push(header.slot);
            bytes = &bytes[header.len as usize..];
        }
        slots
    }

    #[test]
    fn long_messages_take_turns_fragment_by_fragment() {
        let mut output = Output::default();
        let body = SharedBody::new(vec![7; 25_000]);
        reply(&mut output, 1, &body);
        reply(&mut output, 2, &body);
        assert_eq!(slots(&drain(&mut output, usize::MAX)), [1, 2, 1, 2, 1, 2]);
    }

    #[test]
    fn the_bytes_do_not_depend_on_how_much_each_write_takes() {
        let body = SharedBody::new((0..30_000).map(|n| n as u8).collect());
        let mut whole = Vec::new();
        for step in [usize::MAX, 1, 777, 4096] {
            let mut output = Output::default();
            reply(&mut output, 1, &body);
            output.frame(Header::new(FrameKind::PING, Flags::default(), 0, 3), |_| (), b"abc");
            reply(&mut output, 2, &SharedBody::new(vec![1; 10]));
            let bytes = drain(&mut output, step);
            assert_eq!((output.sent(), output.placed()), (bytes.len() as u64, bytes.len() as u64));
            whole.push(bytes);
        }
        assert!(whole.iter().all(|bytes| *bytes == whole[0]));
    }

    #[test]
    fn what_has_left_holds_no_memory() {
        let mut output = Output::default();
        for len in [3, 5000, 300_000] {
            reply(&mut output, 1, &SharedBody::new(vec![7; len]));
            drain(&mut output, 1000);
            assert_eq!(output.chunks.capacity(), 0, "{len}");
        }
    }

    #[test]
    fn what_follows_a_shared_body_begins_with_its_own_bytes() {
        let mut output = Output::default();
        reply(&mut output, 1, &SharedBody::new(vec![7; 5000]));
        drain(&mut output, usize::MAX);
        reply(&mut output, 2, &SharedBody::new(vec![8; 3]));
        assert_eq!(slots(&drain(&mut output, usize::MAX)), [2]);
    }

    #[test]
    fn messages_of_one_call_keep_their_order_and_let_others_pass() {
        let mut output = Output::default();
        let header =
            |slot| Header::new(FrameKind::REFUSAL, Flags::default(), 0, 3).of_call(slot, 1);
        for len in [25_000, 5, 12_000] {
            reply(&mut output, 1, &SharedBody::new(vec![len as u8; len]));
        }
        output.last_frame(id(1), header(1), |_| (), b"end");
        output.last_frame(id(2), header(2), |_| (), b"end");
        let len = output.len();
        let bytes = drain(&mut output, usize::MAX);
        assert_eq!(slots(&bytes), [1, 2, 1, 1, 1, 1, 1, 1]);
        let more_headers = 3 * 16;
        assert_eq!(len + more_headers, bytes.len());
        assert!(bytes.ends_with(b"end"));
    }

    #[test]
    fn a_truncated_message_is_never_completed() {
        let mut output = Output::default();
        reply(&mut output, 1, &SharedBody::new(vec![7; 25_000]));
        reply(&mut output, 1, &SharedBody::new(vec![7; 25_000]));
        assert!(output.truncate(id(1)));
        assert_eq!(output.len(), 16 + 10_000);
        assert!(!output.truncate(id(1)));
        assert_eq!(drain(&mut output, usize::MAX).len(), 16 + 10_000);
    }
}
