//! Messages longer than a fragment: they take turns, one fragment after the other, so that none waits
//! behind another one for long.
//!
//! Knows which fragments have no place in the order yet, and which a write has been offered all the same.
//! Does not know the order itself.

use super::{MessageId, Offset, Output, COPY_UP_TO};
use crate::{
    proto::body::SharedBody,
    wire::{Flags, FrameKind, Header, HEADER_LEN},
};
use std::{collections::VecDeque, ops::Range};

/// A message that leaves alone is offered to a write up to this, in bytes: what the write does not take
/// has no place in the order yet, and others pass it.
const OFFER: usize = 1024 * 1024;

/// Messages that take turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Those whose next fragment has no place in the order yet.
    pub(super) bulk: VecDeque<Bulk>,
    /// Bytes in `bulk`.
    pub(super) bytes: usize,
    /// The headers of fragments without a place that have been offered to a write.
    offered: Vec<u8>,
    /// Where those end whose last fragment has found its place since anybody asked.
    pub(super) ended: Vec<(MessageId, Offset)>,
}

impl Turns {
    // Apart: mostly there are none.
    #[inline(never)]
    fn has(&self, id: MessageId) -> bool {
        self.bulk.iter().any(|bulk| bulk.id == id)
    }

    /// The headers that have been offered, each with its fragment.
    pub(super) fn offered(&self) -> impl Iterator<Item = &[u8]> {
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
pub(super) struct Bulk {
    pub(super) id: MessageId,
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
    pub(super) fn len(&self) -> usize {
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

impl Output {
    /// Whether there is, or just was, a message that takes turns.
    #[inline]
    pub(in crate::proto) fn takes_turns(&self) -> bool {
        self.turns.get().is_some()
    }

    /// Whether fragments of a message of this call wait for their turn.
    #[inline]
    pub(in crate::proto) fn is_leaving(&self, id: MessageId) -> bool {
        self.turns.get().is_some_and(|turns| turns.has(id))
    }

    /// Appends a message that is not copied in one piece, or may have to wait for its turn.
    #[inline(never)]
    pub(super) fn long_message(
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

    pub(super) fn put_behind(&mut self, id: MessageId, first: Vec<u8>, body: SharedBody) {
        let Some(turns) = self.turns.get_mut() else { return };
        if let Some(bulk) = turns.bulk.iter_mut().find(|bulk| bulk.id == id) {
            turns.bytes += first.len() + body.len();
            bulk.behind.push_back((first, body));
        }
    }

    /// Puts further fragments in order, one message after the other, while fewer than `ahead`
    /// bytes wait.
    pub(super) fn take_turns(&mut self, ahead: usize) {
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
    pub(in crate::proto) fn truncate(&mut self, id: MessageId) -> bool {
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
    pub(in crate::proto) fn take_ended(&mut self) -> Vec<(MessageId, Offset)> {
        let Some(turns) = self.turns.get_mut() else { return Vec::new() };
        let ended = std::mem::take(&mut turns.ended);
        self.turns.drop_if(|turns| turns.bulk.is_empty());
        ended
    }

    /// Makes the headers of at most so many fragments that may leave with what waits: of a message that is
    /// alone, since several take turns.
    pub(super) fn offer(&mut self, most: usize) {
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
    pub(super) fn has_offered(&self) -> bool {
        self.turns.get().is_some_and(|turns| !turns.offered.is_empty())
    }

    /// Takes back what the last write was offered and has not taken.
    #[inline]
    pub(in crate::proto) fn take_back(&mut self) {
        if let Some(turns) = self.turns.get_mut() {
            turns.offered = Vec::new();
        }
    }

    /// Gives all that has been offered to a write its place: something is to follow it.
    #[cold]
    pub(super) fn keep_offered(&mut self) {
        let Some(turns) = self.turns.get_mut() else { return };
        let fragments = std::mem::take(&mut turns.offered).len() / HEADER_LEN;
        (0..fragments).for_each(|_| self.take_turns(self.waiting + 1));
    }
}
