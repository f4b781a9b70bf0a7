//! Messages that have arrived in part.

use super::{aside::Aside, output::MessageId};
use crate::{
    limits::Limits,
    wire::{spare, Block, CallHead, Flags, FrameKind, Header},
};
use std::time::{Duration, Instant};

/// A message whose fragments are being collected.
#[derive(Debug)]
pub(super) struct Partial {
    /// As the *receiver* sees it: whether the other side started the call.
    pub(super) id: MessageId,
    pub(super) kind: FrameKind,
    /// Those of its first frame.
    pub(super) flags: Flags,
    pub(super) head: CallHead,
    /// `None` if the message is to be dropped: it was refused, or nobody waits. Empty while it is lent.
    body: Option<Block>,
    received: usize,
    total: usize,
    deadline: Instant,
}

/// The table of a connection: few messages are under way at once, so a list is enough.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    partial: Vec<Partial>,
}

/// Memory that lies ready for a message is lent to it once this part of it has come: it would be held anyway.
/// What came before is moved there.
const READY: usize = 4;

/// How a message that begins is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Copy,
    /// Where its first fragment lies, which is [adopted](Inbound::adopt) next.
    Place,
}

/// A fragment that has come.
#[derive(Debug)]
pub(super) enum Fragment<'b> {
    Input(&'b [u8]),
    /// Behind what had come of the message before.
    Aside(Box<Aside>),
}

/// What a fragment did.
#[derive(Debug)]
pub(super) enum Collected {
    /// More is to come.
    Partly,
    /// The message is complete; `None` if it is to be dropped.
    Whole(Partial, Option<Block>),
    /// No such message, or more bytes than it announced, or fewer at its end.
    Violation,
}

/// How long a message of `len` bytes may take from its first byte on.
pub(super) fn patience(limits: &Limits, len: usize) -> Duration {
    limits.message_stall + Duration::from_millis(len as u64 * 1000 / (64 * 1024))
}

impl Partial {
    /// How much will have come with a fragment of `len` bytes; `None` if it breaks the announced length.
    fn with(&self, len: usize, last: bool) -> Option<usize> {
        let received = self.received + len;
        let full = received == self.total;
        (len > 0 && received <= self.total && full == last).then_some(received)
    }
}

impl Inbound {
    /// Begins a message with its first fragment. A wanted body grows as bytes arrive: what a peer
    /// announces costs nothing.
    #[cold]
    pub(super) fn begin(
        &mut self,
        id: MessageId,
        (kind, flags, head): (FrameKind, Flags, CallHead),
        (first, total): (&[u8], usize),
        deadline: Instant,
        keep: Keep,
    ) {
        let received = first.len();
        let body = match keep {
            Keep::Nothing => None,
            Keep::Place => Some(Block::default()),
            Keep::Copy => {
                let mut body = Block::default();
                reserve(&mut body, first.len(), first.len(), total);
                body.push(first);
                Some(body)
            }
        };
        self.partial.push(Partial { id, kind, flags, head, body, received, total, deadline });
    }

    /// The message that has just begun stays where its first fragment lies.
    pub(super) fn adopt(&mut self, id: MessageId, first: Aside) {
        let begun = |p: &&mut Partial| p.id == id && p.received == first.come();
        let body = self.partial.iter_mut().find(begun).and_then(|p| p.body.as_mut());
        if let Some(body) = body.filter(|body| body.is_empty()) {
            *body = first.into_body();
        }
    }

    /// Whether this message is under way.
    pub(super) fn contains(&self, id: MessageId) -> bool {
        self.partial.iter().any(|partial| partial.id == id)
    }

    /// What kind of message is under way, if it is to be kept.
    pub(super) fn begun(&self, id: MessageId) -> Option<FrameKind> {
        let partial = self.partial.iter().find(|partial| partial.id == id)?;
        partial.body.as_ref().map(|_| partial.kind)
    }

    /// Whether a message of this direction is under way on its slot. A slot carries one at a time,
    /// so the grants bound the table.
    pub(super) fn is_taken(&self, id: MessageId) -> bool {
        let same = |other: MessageId| (other.initiator, other.slot) == (id.initiator, id.slot);
        self.partial.iter().any(|partial| same(partial.id))
    }

    /// Lends the memory of a message for a fragment with this header of which `come` has come. `None` if
    /// the message is not wanted, or the fragment is none of it, or longer than all that has
    /// arrived: room for it would be more than twice that.
    pub(super) fn lend(&mut self, header: &Header, come: &[u8]) -> Option<Aside> {
        let (id, len) = (MessageId::of(header), header.payload_len());
        let partial = self.partial.iter_mut().find(|partial| partial.id == id)?;
        partial.with(len, !header.flags.has(Flags::MORE))?;
        if len > partial.received + come.len() {
            return None;
        }
        let mut body = std::mem::take(partial.body.as_mut()?);
        reserve(&mut body, len, come.len(), partial.total);
        let mut aside = Aside::new(body, len, partial.total);
        aside.put(come);
        Some(aside)
    }

    /// Adds a fragment.
    pub(super) fn collect(
        &mut self,
        id: MessageId,
        fragment: Fragment<'_>,
        last: bool,
    ) -> Collected {
        let Some(at) = self.partial.iter().position(|partial| partial.id == id) else {
            return Collected::Violation;
        };
        let partial = &mut self.partial[at];
        let len = match &fragment {
            Fragment::Input(bytes) => bytes.len(),
            Fragment::Aside(aside) => aside.come(),
        };
        let Some(received) = partial.with(len, last) else { return Collected::Violation };
        partial.received = received;
        if let Some(body) = &mut partial.body {
            append(body, fragment, partial.total);
        }
        if !last {
            return Collected::Partly;
        }
        let mut partial = self.partial.swap_remove(at);
        let body = partial.body.take();
        Collected::Whole(partial, body)
    }

    /// Forgets a message; says what it was if it was to be kept.
    pub(super) fn forget(&mut self, id: MessageId) -> Option<FrameKind> {
        let at = self.partial.iter().position(|partial| partial.id == id)?;
        let partial = self.partial.swap_remove(at);
        partial.body.map(|_| partial.kind)
    }

    /// What follows of a message is dropped as it comes.
    pub(super) fn ignore(&mut self, id: MessageId) {
        if let Some(partial) = self.partial.iter_mut().find(|partial| partial.id == id) {
            partial.body = None;
        }
    }

    /// Calls that are being collected.
    pub(super) fn calls(&self) -> usize {
        self.partial.iter().filter(|p| p.kind == FrameKind::CALL && p.body.is_some()).count()
    }

    /// Their names.
    pub(super) fn names_of_calls(&self) -> Vec<MessageId> {
        let call = |p: &&Partial| p.kind == FrameKind::CALL && p.body.is_some();
        self.partial.iter().filter(call).map(|p| p.id).collect()
    }

    /// Whether the call on this slot is one of them.
    pub(super) fn collects(&self, slot: u16) -> bool {
        let call = |p: &&Partial| p.kind == FrameKind::CALL && p.body.is_some();
        self.partial.iter().filter(call).any(|p| p.id.slot == slot)
    }

    /// Whether a part of any message is here.
    #[inline]
    pub(super) fn collects_any(&self) -> bool {
        !self.partial.is_empty()
    }

    /// When the first of the messages has taken too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.partial.iter().map(|partial| partial.deadline).min()
    }

    /// Gives every message this much more time.
    pub(super) fn postpone(&mut self, by: Duration) {
        self.partial.iter_mut().for_each(|partial| partial.deadline += by);
    }

    /// Bytes of memory held, but for what is lent: for each message as many as it is long at most. What
    /// memory that lay ready holds beyond that is at most a quarter.
    pub(super) fn memory(&self) -> usize {
        let held = |p: &Partial| p.body.as_ref().map_or(0, |body| body.held().min(p.total));
        self.partial.iter().map(held).sum()
    }
}

fn append(body: &mut Block, fragment: Fragment<'_>, total: usize) {
    match fragment {
        Fragment::Aside(aside) => *body = aside.into_body(),
        Fragment::Input(bytes) => {
            reserve(body, bytes.len(), bytes.len(), total);
            body.push(bytes);
        }
    }
}

/// Makes room for `more` bytes, of which `come` have come. Doubles, but never past what was announced: at
/// most twice what has been received. Memory that lies ready for all of it is taken once a
/// [part](READY) has come.
fn reserve(body: &mut Block, more: usize, come: usize, total: usize) {
    if body.room() < more {
        if total / READY <= body.len() + come {
            if let Some(ready) = spare::ready_for_part(total) {
                return body.move_to(ready);
            }
        }
        let want = (body.len() * 2).max(body.len() + more).min(total);
        body.grow_to(want);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MessageId = MessageId { initiator: true, slot: 0, seq: 1 };

    fn here(bytes: &[u8]) -> Fragment<'_> {
        Fragment::Input(bytes)
    }

    fn begun(total: usize) -> Inbound {
        let mut inbound = Inbound::default();
        let kind = (FrameKind::CALL, Flags::INITIATOR, CallHead::default());
        inbound.begin(ID, kind, (&[1, 2], total), Instant::now(), Keep::Copy);
        inbound
    }

    #[test]
    fn fragments_become_the_message() {
        let mut inbound = begun(5);
        assert!(matches!(inbound.collect(ID, here(&[3]), false), Collected::Partly));
        match inbound.collect(ID, here(&[4, 5]), true) {
            Collected::Whole(_, body) => assert_eq!(body, Some(vec![1, 2, 3, 4, 5].into())),
            other => panic!("{other:?}"),
        }
        assert!(!inbound.contains(ID));
    }

    #[test]
    fn a_message_keeps_to_the_length_that_it_announced() {
        for (bytes, last) in [(&[0; 4][..], true), (&[0; 3], false), (&[0; 2], true), (&[], false)]
        {
            let collected = begun(5).collect(ID, here(bytes), last);
            assert!(matches!(collected, Collected::Violation), "{bytes:?} {last}");
        }
    }

    #[test]
    fn memory_follows_what_has_arrived_and_not_what_was_announced() {
        let mut inbound = begun(8 << 20);
        inbound.collect(ID, here(&[0; 1000]), false);
        assert!(inbound.memory() <= 2 * 1002);
    }

    #[test]
    fn memory_that_lies_ready_is_taken_once_a_quarter_has_come() {
        let total = 7 << 20;
        let body = |inbound: &Inbound| inbound.partial[0].body.as_ref().map_or(0, Block::held);
        // Other tests take what lies ready as well.
        let taken = (0..100).any(|_| {
            drop(Block::with_room(total));
            let mut inbound = begun(total);
            inbound.collect(ID, here(&vec![1; total / 4 - 100]), false);
            assert!(body(&inbound) <= total / 2, "{}", body(&inbound));
            inbound.collect(ID, here(&vec![1; total / 4]), false);
            assert!(inbound.memory() <= total, "{}", inbound.memory());
            body(&inbound) >= total
        });
        assert!(taken);
    }

    #[test]
    fn an_ignored_message_holds_no_memory() {
        let mut inbound = begun(2000);
        inbound.ignore(ID);
        assert!(matches!(inbound.collect(ID, here(&[0; 1998]), true), Collected::Whole(_, None)));
        assert_eq!(inbound.memory(), 0);
    }
}
