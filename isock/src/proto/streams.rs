//! What a stream has beyond its call: credit in each direction that it uses.
//!
//! Knows balances and windows. Does not know frames, slots or what items mean. A plain call has no
//! entry here, and a connection without streams has no tables.

use super::{CallKey, ServedKey};
use crate::{
    seldom::Seldom,
    wire::{items, CallHead, CloseCode, Credit, ITEM_LEN, MAX_CREDIT},
};
use std::collections::BTreeMap;

/// Names a stream, whichever side started its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKey {
    /// A call of this side.
    Own(CallKey),
    /// A call of the other side.
    Served(ServedKey),
}

impl From<CallKey> for StreamKey {
    fn from(key: CallKey) -> StreamKey {
        StreamKey::Own(key)
    }
}

impl From<ServedKey> for StreamKey {
    fn from(key: ServedKey) -> StreamKey {
        StreamKey::Served(key)
    }
}

/// What is left of the credit that the other side has granted. An item may be sent while some of
/// both is left; it costs its bytes and [`ITEM_LEN`], and the last one may cost more than is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Bytes; below zero after an item that cost more than was left.
    pub bytes: i64,
    /// Items.
    pub items: u32,
}

impl Balance {
    /// Whether an item may be sent.
    pub fn allows_one(self) -> bool {
        self.bytes > 0 && self.items > 0
    }
}

/// Items that were not sent. Nothing of them has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The other side takes fewer items at the moment; [`Event::Credit`](super::Event::Credit)
    /// says when it takes more.
    NoCredit,
    /// The other side leaves too much unread; go on when
    /// [`output_len`](super::Connection::output_len) has fallen.
    Full,
    /// The call has ended, was given up, or carries no items in this direction any more.
    Ended,
    /// The other side accepts messages of items of at most this many bytes.
    TooLarge {
        /// The limit, in bytes, each item's length included.
        limit: usize,
    },
}

/// Both directions of one stream; `None` where the call carries no items.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) outgoing: Option<Outgoing>,
    pub(super) intake: Option<Intake>,
}

/// The streams among the calls of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams(Seldom<Tables>);

#[derive(Debug, Default)]
struct Tables {
    /// By the call's place in the table of calls.
    own: BTreeMap<u32, Stream>,
    /// By slot.
    served: BTreeMap<u16, Stream>,
}

impl Streams {
    /// Opens a stream of this side, whose head says what it takes and whether it sends.
    pub(super) fn open_own(&mut self, call: u32, head: &CallHead, most: Credit) {
        let intake = (!head.credit.is_zero()).then(|| Intake::new(head.credit, most));
        let outgoing = head.items.then(Outgoing::default);
        self.0.or_begin().own.insert(call, Stream { outgoing, intake });
    }

    /// Opens a stream of the other side. Its items get no credit yet.
    pub(super) fn open_served(
        &mut self,
        slot: u16,
        head: &CallHead,
        most: Credit,
    ) -> Result<(), CloseCode> {
        let mut outgoing = (!head.credit.is_zero()).then(Outgoing::default);
        if let Some(outgoing) = &mut outgoing {
            outgoing.add(head.credit)?;
        }
        let intake = head.items.then(|| Intake::new(Credit::default(), most));
        self.0.or_begin().served.insert(slot, Stream { outgoing, intake });
        Ok(())
    }

    /// The stream of a call that is known to be under way.
    pub(super) fn get(&self, stream: StreamKey) -> Option<&Stream> {
        let tables = self.0.get()?;
        match stream {
            StreamKey::Own(call) => tables.own.get(&call.index),
            StreamKey::Served(key) => tables.served.get(&key.slot),
        }
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, stream: StreamKey) -> Option<&mut Stream> {
        let tables = self.0.get_mut()?;
        match stream {
            StreamKey::Own(call) => tables.own.get_mut(&call.index),
            StreamKey::Served(key) => tables.served.get_mut(&key.slot),
        }
    }

    /// What leaves on it, if anything may.
    pub(super) fn outgoing(&mut self, stream: StreamKey) -> Option<&mut Outgoing> {
        self.get_mut(stream)?.outgoing.as_mut()
    }

    /// What comes on it, if anything may.
    pub(super) fn intake(&mut self, stream: StreamKey) -> Option<&mut Intake> {
        self.get_mut(stream)?.intake.as_mut()
    }

    /// Forgets a stream of this side, if the call was one.
    pub(super) fn close_own(&mut self, call: u32) {
        self.forget(|tables| tables.own.remove(&call));
    }

    /// Forgets a stream of the other side, if the call was one; says whether items came with it.
    #[inline]
    pub(super) fn close_served(&mut self, slot: u16) -> bool {
        let stream = self.forget(|tables| tables.served.remove(&slot)).flatten();
        stream.is_some_and(|stream| stream.intake.is_some())
    }

    /// Forgets the streams of this side whose calls are gone.
    pub(super) fn keep_own(&mut self, is_there: impl Fn(u32) -> bool) {
        self.forget(|tables| tables.own.retain(|call, _| is_there(*call)));
    }

    /// Forgets some of them, if there are any, and the tables with the last.
    #[inline]
    fn forget<T>(&mut self, some: impl FnOnce(&mut Tables) -> T) -> Option<T> {
        match self.0.get() {
            None => None,
            Some(_) => self.forget_there(some),
        }
    }

    // Apart, since it is asked for at the end of every call.
    #[inline(never)]
    fn forget_there<T>(&mut self, some: impl FnOnce(&mut Tables) -> T) -> Option<T> {
        let forgotten = some(self.0.get_mut()?);
        self.0.drop_if(|tables| tables.own.is_empty() && tables.served.is_empty());
        Some(forgotten)
    }

    pub(super) fn has_own(&self) -> bool {
        self.0.get().is_some_and(|tables| !tables.own.is_empty())
    }

    /// The slots of those of the other side whose items have not all come.
    pub(super) fn awaiting(&self) -> impl Iterator<Item = u16> + '_ {
        let awaits = |stream: &Stream| stream.intake.as_ref().is_some_and(|it| !it.ended);
        let served = self.0.get().into_iter().flat_map(|tables| &tables.served);
        served.filter(move |(_, stream)| awaits(stream)).map(|(slot, _)| *slot)
    }

    /// Streams of the other side that have not ended.
    #[inline]
    pub(super) fn serving(&self) -> usize {
        self.0.get().map_or(0, |tables| tables.served.len())
    }
}

/// Items that leave.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) left: Balance,
    /// No further item follows.
    pub(super) ended: bool,
}

impl Outgoing {
    /// Adds what the other side grants.
    pub(super) fn add(&mut self, credit: Credit) -> Result<(), CloseCode> {
        let bytes = self.left.bytes + i64::from(credit.bytes);
        let items = self.left.items.checked_add(credit.items);
        match items {
            Some(items) if bytes <= i64::from(MAX_CREDIT) && items <= MAX_CREDIT => {
                self.left = Balance { bytes, items };
                Ok(())
            }
            _ => Err(CloseCode::BAD_CREDIT),
        }
    }

    /// Whether this many items may go, the last of which begins behind `before_last` bytes.
    pub(super) fn allows(&self, items: u32, before_last: usize) -> bool {
        items == 0 || (items <= self.left.items && (before_last as i64) < self.left.bytes)
    }

    pub(super) fn spend(&mut self, items: u32, bytes: usize) {
        self.left.items -= items;
        self.left.bytes -= bytes as i64;
    }
}

/// Items that come.
#[derive(Debug)]
pub(super) struct Intake {
    bytes: Gauge,
    items: Gauge,
    /// No further item may come.
    pub(super) ended: bool,
}

/// One kind of credit, as its receiver keeps it.
#[derive(Debug)]
struct Gauge {
    /// What the sender may use before anything is consumed.
    window: i64,
    most: i64,
    /// Received and not consumed.
    held: i64,
    /// Consumed, or added to the window, and not granted again yet.
    owed: i64,
    /// Received since the window grew last.
    used: i64,
}

impl Intake {
    fn new(window: Credit, most: Credit) -> Intake {
        Intake {
            bytes: Gauge::new(window.bytes, most.bytes),
            items: Gauge::new(window.items, most.items),
            ended: false,
        }
    }

    /// Whether the sender may begin an item.
    pub(super) fn allows_one(&self) -> bool {
        self.bytes.left() > 0 && self.items.left() > 0
    }

    /// Books a whole message; says how many items it has.
    // Apart, so that the loop over items has the registers for itself.
    #[inline(never)]
    pub(super) fn take(&mut self, message: &[u8]) -> Result<u32, CloseCode> {
        let mut count = 0;
        let mut items = items(message);
        for item in items.by_ref() {
            if !self.allows_one() {
                return Err(CloseCode::BAD_CREDIT);
            }
            self.book(ITEM_LEN + item.len());
            count += 1;
        }
        if items.rest().is_empty() {
            Ok(count)
        } else {
            Err(CloseCode::BAD_FRAME)
        }
    }

    /// Books one item of so many bytes.
    pub(super) fn book(&mut self, bytes: usize) {
        self.bytes.take(bytes as i64);
        self.items.take(1);
    }

    /// Makes the window at least this large; what that adds is granted with the rest.
    pub(super) fn widen(&mut self, first: Credit) {
        self.bytes.widen(first.bytes.into());
        self.items.widen(first.items.into());
    }

    /// Notes that items have been consumed. If the consumer waits for more, and the sender makes
    /// use of its window, the window grows: it was what held the stream up.
    pub(super) fn consumed(&mut self, bytes: usize, items: u32, starving: bool) {
        self.bytes.consumed(bytes as i64);
        self.items.consumed(items.into());
        if starving {
            self.bytes.grow();
            self.items.grow();
        }
    }

    /// What is to be granted now, if it is worth a frame.
    pub(super) fn due(&mut self) -> Option<Credit> {
        let due = !self.ended && (self.bytes.is_due() || self.items.is_due());
        due.then(|| Credit { bytes: self.bytes.grant(), items: self.items.grant() })
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> Credit {
        Credit { bytes: self.bytes.window as u32, items: self.items.window as u32 }
    }
}

impl Gauge {
    fn new(window: u32, most: u32) -> Gauge {
        Gauge { window: window.into(), most: most.into(), held: 0, owed: 0, used: 0 }
    }

    /// What the sender may still use.
    fn left(&self) -> i64 {
        self.window - self.held - self.owed
    }

    fn take(&mut self, n: i64) {
        self.held += n;
        self.used += n;
    }

    /// No more than was received: a driver that counts wrongly grants nothing out of thin air.
    fn consumed(&mut self, n: i64) {
        let n = n.min(self.held);
        self.held -= n;
        self.owed += n;
    }

    fn widen(&mut self, window: i64) {
        let more = (window - self.window).max(0);
        self.window += more;
        self.owed += more;
    }

    fn grow(&mut self) {
        if self.used > self.window / 2 && self.window < self.most {
            self.widen((self.window * 2).min(self.most));
            self.used = 0;
        }
    }

    fn is_due(&self) -> bool {
        self.owed > 0 && self.owed >= self.window / 2
    }

    /// What is owed, and from here on granted.
    fn grant(&mut self) -> u32 {
        let owed = u32::try_from(self.owed).unwrap_or(MAX_CREDIT).min(MAX_CREDIT);
        self.owed -= i64::from(owed);
        owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Credit = Credit { bytes: 1000, items: 10 };
    const MOST: Credit = Credit { bytes: 4000, items: 40 };

    /// A message of so many items of `len` bytes each, their lengths included.
    fn message(count: usize, len: usize) -> Vec<u8> {
        let mut item = vec![0; len];
        item[..4].copy_from_slice(&(len as u32 - 4).to_le_bytes());
        item.repeat(count)
    }

    fn credit(bytes: u32, items: u32) -> Option<Credit> {
        Some(Credit { bytes, items })
    }

    #[test]
    fn the_last_item_may_cost_more_bytes_than_are_left() {
        let mut outgoing = Outgoing::default();
        assert!(!outgoing.allows(1, 0));
        outgoing.add(FIRST).unwrap();
        assert!(outgoing.allows(2, 999) && !outgoing.allows(2, 1000) && !outgoing.allows(11, 0));
        outgoing.spend(2, 5000);
        assert_eq!(outgoing.left, Balance { bytes: -4000, items: 8 });
        assert!(!outgoing.left.allows_one());
        outgoing.add(Credit { bytes: 4001, items: 0 }).unwrap();
        assert!(outgoing.left.allows_one());
    }

    #[test]
    fn credit_adds_up_to_its_limit_and_not_beyond() {
        for (bytes, items) in [(MAX_CREDIT, 0), (0, MAX_CREDIT)] {
            let mut outgoing = Outgoing::default();
            outgoing.add(Credit { bytes, items }).unwrap();
            let one = Credit { bytes: bytes.min(1), items: items.min(1) };
            assert_eq!(outgoing.add(one), Err(CloseCode::BAD_CREDIT));
        }
        let huge = Credit { bytes: u32::MAX, items: 0 };
        assert_eq!(Outgoing::default().add(huge), Err(CloseCode::BAD_CREDIT));
    }

    #[test]
    fn credit_is_returned_at_half_a_window() {
        let mut intake = Intake::new(FIRST, FIRST);
        assert_eq!(intake.take(&message(4, 10)), Ok(4));
        intake.consumed(40, 4, true);
        assert_eq!(intake.due(), None);
        assert_eq!(intake.take(&message(1, 10)), Ok(1));
        intake.consumed(10, 1, true);
        assert_eq!((intake.due(), intake.due()), (credit(50, 5), None));
    }

    #[test]
    fn a_window_doubles_with_use_while_its_consumer_starves() {
        let mut intake = Intake::new(FIRST, MOST);
        for (starving, items, window) in [(false, 6, 10), (true, 1, 20), (true, 10, 20)] {
            intake.take(&message(items, 10)).unwrap();
            intake.consumed(items * 10, items as u32, starving);
            intake.due();
            assert_eq!(intake.window(), Credit { bytes: 1000, items: window }, "{items}");
        }
        for window in [40, 40] {
            intake.take(&message(20, 10)).unwrap();
            intake.consumed(200, 20, true);
            intake.due();
            assert_eq!(intake.window().items, window);
        }
    }

    #[test]
    fn an_item_without_credit_is_not_booked() {
        let mut intake = Intake::new(FIRST, MOST);
        assert_eq!(intake.take(&message(11, 10)), Err(CloseCode::BAD_CREDIT));
        let mut intake = Intake::new(FIRST, MOST);
        assert_eq!(intake.take(&message(2, 999)), Ok(2));
        assert_eq!(intake.take(&message(1, 4)), Err(CloseCode::BAD_CREDIT));
    }

    #[test]
    fn a_message_that_does_not_add_up_is_a_violation() {
        for cut in [1, 3, 5, 9, 11, 19] {
            let mut intake = Intake::new(FIRST, MOST);
            let cut = intake.take(&message(2, 10)[..cut]);
            assert_eq!(cut, Err(CloseCode::BAD_FRAME));
        }
    }

    #[test]
    fn nothing_is_granted_for_what_never_came() {
        let mut intake = Intake::new(FIRST, FIRST);
        intake.consumed(100_000, 100_000, true);
        assert_eq!(intake.due(), None);
    }
}
