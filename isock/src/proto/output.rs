//! Bytes on their way out: frames in the order in which they leave.
//!
//! Small frames are copied together, large bodies are shared and never copied, and a message
//! longer than a fragment takes turns with the others, so that nothing waits behind it for long.

use super::body::SharedBody;
use crate::{
    seldom::Seldom,
    wire::{Flags, FrameKind, Header, Shared, HEADER_LEN},
};
use std::{cell::Cell, collections::VecDeque, io::IoSlice, num::NonZeroU64, ops::Range};

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
/// A message that leaves alone is offered to a write up to this, in bytes: what the write does not take
/// has no place in the order yet, and others pass it.
const OFFER: usize = 1024 * 1024;

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

/// Messages that take turns.
#[derive(Debug, Default)]
struct Turns {
    /// Those whose next fragment has no place in the order yet.
    bulk: VecDeque<Bulk>,
    /// Bytes in `bulk`.
    bytes: usize,
    /// The headers of fragments without a place that have been offered to a write.
    offered: Vec<u8>,
    /// Where those end whose last fragment has found its place since anybody asked.
    ended: Vec<(MessageId, Offset)>,
}

impl Turns {
    // Apart: mostly there are none.
    #[inline(never)]
    fn has(&self, id: MessageId) -> bool {
        self.bulk.iter().any(|bulk| bulk.id == id)
    }

    /// The headers that have been offered, each with its fragment.
    fn offered(&self) -> impl Iterator<Item = &[u8]> {
        // The first fragment has its place already, so nothing stands in front of these.
        let fragments = self.bulk.iter().flat_map(|bulk| {
            bulk.fragments().map(|at| {
                let [front, rest] = bulk.body.pieces(at);
                debug_assert!(front.is_empty());
                rest
            })
        });
        self.offered.chunks(HEADER_LEN).zip(fragments).flat_map(|(header, body)| [header, body])
    }
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

    /// The fragments that have no place yet.
    fn fragments(&self) -> impl Iterator<Item = Range<usize>> {
        let (end, fragment) = (self.body.len(), self.fragment);
        (self.at..end).step_by(fragment).map(move |at| at..end.min(at + fragment))
    }

    /// The header of a fragment that is not the first.
    fn header(&self, fragment: &Range<usize>) -> Header {
        let more = if fragment.end < self.body.len() { Flags::MORE } else { Flags::default() };
        let header = Header::new(FrameKind::MORE, self.id.flags().with(more), 0, fragment.len());
        header.of_call(self.id.slot, self.id.seq)
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
        if self.has_offered() {
            self.keep_offered();
        }
        let bytes = match self.chunks.back_mut() {
            Some(Chunk::Copied(bytes)) if bytes.len() < CHUNK => bytes,
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

    /// Whether there is, or just was, a message that takes turns.
    #[inline]
    pub(super) fn takes_turns(&self) -> bool {
        self.turns.get().is_some()
    }

    /// Whether fragments of a message of this call wait for their turn.
    #[inline]
    pub(super) fn is_leaving(&self, id: MessageId) -> bool {
        self.turns.get().is_some_and(|turns| turns.has(id))
    }

    fn put_behind(&mut self, id: MessageId, first: Vec<u8>, body: SharedBody) {
        let Some(turns) = self.turns.get_mut() else { return };
        if let Some(bulk) = turns.bulk.iter_mut().find(|bulk| bulk.id == id) {
            turns.bytes += first.len() + body.len();
            bulk.behind.push_back((first, body));
        }
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
            Some(Chunk::Copied(bytes)) if bytes.len() < CHUNK => bytes,
            _ => open_chunk(&mut self.chunks),
        };
        header.write(out);
        out.extend_from_slice(&words);
        body.copy_to(out);
        self.waiting += HEADER_LEN + N + body.len();
        self.placed()
    }

    /// The same for one that is not copied in one piece, or may have to wait for its turn.
    #[inline(never)]
    fn long_message(
        &mut self,
        id: MessageId,
        body: SharedBody,
        fragment: usize,
        first: impl FnOnce(&mut Vec<u8>, usize, Flags),
    ) -> Option<Offset> {
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
                body.pieces(0..len).iter().for_each(|piece| out.extend_from_slice(piece));
            });
        }
        if !whole {
            let turns = self.turns.or_begin();
            turns.bytes += body.len() - len;
            let (first, behind) = (Vec::new(), VecDeque::new());
            turns.bulk.push_back(Bulk { id, first, body, at: len, fragment, behind });
        }
        whole.then_some(self.placed())
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

    /// Puts further fragments in order, one message after the other, while fewer than `ahead`
    /// bytes wait.
    fn take_turns(&mut self, ahead: usize) {
        while self.waiting < ahead {
            let next = self.turns.get_mut().and_then(|turns| turns.bulk.pop_front());
            let Some(mut bulk) = next else { return };
            let last = self.one_turn(&mut bulk);
            let placed = self.placed();
            let turns = self.turns.or_begin();
            if last {
                turns.ended.push((bulk.id, placed));
                let Some((first, body)) = bulk.behind.pop_front() else { continue };
                bulk = Bulk { first, body, at: 0, ..bulk };
            }
            turns.bulk.push_back(bulk);
        }
    }

    /// Puts the next fragment of a message in order; says whether it was the last one.
    fn one_turn(&mut self, bulk: &mut Bulk) -> bool {
        let end = bulk.body.len().min(bulk.at + bulk.fragment);
        let fragment = bulk.at..end;
        let first = std::mem::take(&mut bulk.first);
        self.turns.or_begin().bytes -= first.len() + fragment.len();
        if first.is_empty() {
            self.copy(|out| bulk.header(&fragment).write(out));
        } else {
            self.copy(|out| out.extend_from_slice(&first));
        }
        self.body(&bulk.body, fragment);
        bulk.at = end;
        end == bulk.body.len()
    }

    /// Forgets the fragments of a message that have no place in the order yet; says whether there
    /// were any, in which case the other side will never have the message whole.
    pub(super) fn truncate(&mut self, id: MessageId) -> bool {
        if self.has_offered() {
            self.keep_offered();
        }
        let Some(turns) = self.turns.get_mut() else { return false };
        let Some(at) = turns.bulk.iter().position(|bulk| bulk.id == id) else { return false };
        if let Some(bulk) = turns.bulk.remove(at) {
            turns.bytes -= bulk.len();
        }
        true
    }

    /// Messages whose last fragment has found its place, and where they end.
    #[inline]
    pub(super) fn take_ended(&mut self) -> Vec<(MessageId, Offset)> {
        let Some(turns) = self.turns.get_mut() else { return Vec::new() };
        let ended = std::mem::take(&mut turns.ended);
        self.turns.drop_if(|turns| turns.bulk.is_empty());
        ended
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

    /// Makes the headers of at most so many fragments that may leave with what waits: of a message that is
    /// alone, since several take turns.
    fn offer(&mut self, most: usize) {
        let Some(Turns { bulk, offered, .. }) = self.turns.get_mut() else { return };
        let Some(bulk) = bulk.front().filter(|bulk| bulk.first.is_empty()) else { return };
        let mut waiting = self.waiting;
        for fragment in bulk.fragments().take(most) {
            // A short end is not worth a write of its own.
            if waiting >= OFFER && fragment.len() > COPY_UP_TO {
                return;
            }
            waiting += fragment.len();
            bulk.header(&fragment).write(offered);
        }
    }

    #[inline]
    fn has_offered(&self) -> bool {
        self.turns.get().is_some_and(|turns| !turns.offered.is_empty())
    }

    /// Takes back what the last write was offered and has not taken.
    #[inline]
    pub(super) fn take_back(&mut self) {
        if let Some(turns) = self.turns.get_mut() {
            turns.offered = Vec::new();
        }
    }

    /// Gives all that has been offered to a write its place: something is to follow it.
    #[cold]
    fn keep_offered(&mut self) {
        let Some(turns) = self.turns.get_mut() else { return };
        let fragments = std::mem::take(&mut turns.offered).len() / HEADER_LEN;
        (0..fragments).for_each(|_| self.take_turns(self.waiting + 1));
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
    let open = matches!(chunks.back(), Some(Chunk::Copied(bytes)) if bytes.len() < CHUNK);
    if !open {
        chunks.push_back(Chunk::Copied(Vec::new()));
    }
    let Some(Chunk::Copied(bytes)) = chunks.back_mut() else {
        unreachable!("the last chunk is a copied one, see the lines above")
    };
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Block, Encoder};

    fn id(slot: u16) -> MessageId {
        MessageId { initiator: false, slot, seq: 1 }
    }

    fn reply(output: &mut Output, slot: u16, body: &SharedBody) {
        output.message(id(slot), body, 10_000, |out, len, flags| {
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

    /// A body that shared bytes end, and where those lie.
    fn ending(len: usize) -> (SharedBody, Range<*const u8>) {
        let end = Shared::from(Block::from((0..len).map(|n| (n / 7) as u8).collect::<Vec<u8>>()));
        let mut out = Encoder::of_message(usize::MAX);
        out.push_shared(&end).unwrap();
        (SharedBody::encoded(out), end.as_ptr_range())
    }

    #[test]
    fn bytes_that_end_a_message_leave_from_where_they_lie() {
        let mut output = Output::default();
        let (body, place) = ending(3 * LONG);
        output.message(id(1), &body, LONG, |out, len, flags| {
            Header::new(FrameKind::REPLY, flags, 0, len).of_call(1, 1).write(out);
        });
        let mut copied = 0;
        let mut all = Vec::new();
        while output.len() > 0 {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = output.slices(&mut slices);
            let before = all.len();
            for slice in &slices[..count] {
                all.extend_from_slice(slice);
                let stays = slice.is_empty() || place.contains(&slice.as_ptr());
                copied += if stays { 0 } else { slice.len() };
            }
            output.advance(all.len() - before);
        }
        // Four headers, and the length in front of the bytes.
        assert_eq!(copied, 4 * HEADER_LEN + 3);
        let mut payloads = Vec::new();
        let mut rest = &all[..];
        while let Some(header) = rest.first_chunk() {
            let header = Header::parse(header).unwrap();
            payloads.extend_from_slice(&rest[HEADER_LEN..header.len as usize]);
            rest = &rest[header.len as usize..];
        }
        let mut whole = Vec::new();
        body.copy_to(&mut whole);
        assert!(payloads == whole);
    }

    const LONG: usize = 256 * 1024;

    fn long_reply(output: &mut Output, slot: u16, len: usize) {
        let body = SharedBody::new((0..len).map(|n| (n / 7) as u8).collect());
        output.message(id(slot), &body, LONG, |out, len, flags| {
            Header::new(FrameKind::REPLY, flags, 0, len).of_call(slot, 1).write(out);
        });
    }

    /// What a write is offered.
    fn offered(output: &mut Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 32];
        let count = output.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn a_message_that_is_alone_leaves_with_one_write_and_its_short_end_with_it() {
        let mut output = Output::default();
        long_reply(&mut output, 1, 4 * LONG + 3);
        let bytes = offered(&mut output);
        assert_eq!(bytes.len(), 4 * LONG + 3 + 5 * HEADER_LEN);
        output.advance(bytes.len());
        assert_eq!((output.len(), output.take_ended().len()), (0, 1));
    }

    #[test]
    fn what_was_offered_to_a_write_that_took_less_lets_others_pass() {
        const FRAME: usize = HEADER_LEN + LONG;
        // How much the write takes, and behind how many fragments what comes then will leave.
        for (taken, behind) in [(0, 1), (1, 1), (FRAME, 1), (FRAME + 1, 2), (3 * FRAME - 1, 3)] {
            let mut output = Output::default();
            long_reply(&mut output, 1, 6 * LONG);
            let mut bytes = offered(&mut output);
            assert_eq!(bytes.len(), 4 * FRAME);
            bytes.truncate(taken);
            output.advance(taken);
            reply(&mut output, 2, &SharedBody::new(vec![8; 3]));
            bytes.extend(drain(&mut output, 100_000));
            let order = slots(&bytes);
            assert_eq!(order.iter().position(|slot| *slot == 2), Some(behind), "{taken}");
            assert_eq!((order.len(), output.sent()), (7, bytes.len() as u64));
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_holds_nobody_up() {
        let mut output = Output::default();
        long_reply(&mut output, 1, 6 * LONG);
        offered(&mut output);
        output.take_back();
        reply(&mut output, 2, &SharedBody::new(vec![8; 3]));
        assert_eq!(slots(&drain(&mut output, usize::MAX)), [1, 2, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn what_comes_while_a_write_is_under_way_leaves_behind_what_that_was_offered() {
        let close = Header::new(FrameKind::CLOSE, Flags::default(), 0, 0);
        for (what, left) in [(0, &[2][..]), (1, &[]), (2, &[0])] {
            let mut output = Output::default();
            long_reply(&mut output, 1, 4 * LONG);
            let bytes = offered(&mut output);
            match what {
                0 => reply(&mut output, 2, &SharedBody::new(vec![8; 3])),
                1 => assert!(!output.truncate(id(1)), "all of it may leave"),
                _ => output.seal(close, |_| (), &[]),
            }
            output.advance(bytes.len());
            assert_eq!(slots(&drain(&mut output, usize::MAX)), left);
        }
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
