//! Items of a stream: how many lie in one message, and how much credit they cost.

use super::{u32_at, WORD_LEN};

/// Bytes in front of each item: its length.
pub const ITEM_LEN: usize = 4;
/// The most bytes, and the most items, of credit that a side may hold.
pub const MAX_CREDIT: u32 = (1 << 31) - 1;

/// What a receiver of items grants: an item costs one of `items`, and its bytes and
/// [`ITEM_LEN`] of `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// Bytes.
    pub bytes: u32,
    /// Items.
    pub items: u32,
}

impl Credit {
    /// Whether there is none of either.
    pub fn is_zero(self) -> bool {
        self == Credit::default()
    }

    /// Appends the header word.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.items.to_le_bytes());
    }

    /// Reads the header word at the front of `words`; `None` if there is none.
    pub fn parse(words: &[u8]) -> Option<Credit> {
        let word = words.get(..WORD_LEN)?;
        Some(Credit { bytes: u32_at(word, 0), items: u32_at(word, 4) })
    }
}

/// The items of a received message, one after the other. A message whose lengths do not add up
/// ends early: [`ItemsIn::rest`] is then not empty.
pub fn items(message: &[u8]) -> ItemsIn<'_> {
    ItemsIn { rest: message }
}

/// An iterator over the items of one message.
#[derive(Clone, Debug)]
pub struct ItemsIn<'m> {
    rest: &'m [u8],
}

impl<'m> ItemsIn<'m> {
    /// What no item has been made of yet.
    pub fn rest(&self) -> &'m [u8] {
        self.rest
    }
}

impl<'m> Iterator for ItemsIn<'m> {
    type Item = &'m [u8];

    #[inline]
    fn next(&mut self) -> Option<&'m [u8]> {
        let rest = self.rest.get(ITEM_LEN..)?;
        let item = rest.get(..u32_at(self.rest, 0) as usize)?;
        self.rest = &rest[item.len()..];
        Some(item)
    }
}

/// Items on their way into one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemBatch {
    bytes: Vec<u8>,
    items: u32,
    /// Where the last item begins.
    last: usize,
}

impl ItemBatch {
    /// An empty batch.
    pub fn new() -> ItemBatch {
        ItemBatch::default()
    }

    /// Appends what `write` appends, as one item. After an error the batch is as it was.
    ///
    /// # Errors
    /// That of `write`.
    pub fn push<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; ITEM_LEN]);
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(at);
            return Err(error);
        }
        // A longer item is refused by its length before it is sent: no message is that long.
        let len = (self.bytes.len() - at - ITEM_LEN) as u32;
        self.bytes[at..at + ITEM_LEN].copy_from_slice(&len.to_le_bytes());
        self.items += 1;
        self.last = at;
        Ok(())
    }

    /// The message: each item behind its length.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many items there are.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// Bytes in front of the last item: while the credit is more than that, all of them may go.
    pub fn before_last(&self) -> usize {
        self.last
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Takes the message out. The batch is empty then, with room for as much again.
    pub fn take(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.bytes.len());
        (self.items, self.last) = (0, 0);
        std::mem::replace(&mut self.bytes, next)
    }

    /// Forgets the items and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.items, self.last) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(items: &[&[u8]]) -> ItemBatch {
        let mut batch = ItemBatch::new();
        for item in items {
            let pushed = batch.push(|out| {
                out.extend_from_slice(item);
                Ok::<_, ()>(())
            });
            pushed.unwrap();
        }
        batch
    }

    #[test]
    fn items_come_out_as_they_went_in() {
        let all: [&[u8]; 4] = [b"one", b"", b"three", &[7; 300]];
        let batch = batch(&all);
        let mut read = items(batch.as_bytes());
        assert_eq!(read.by_ref().collect::<Vec<_>>(), all);
        assert!(read.rest().is_empty());
        assert_eq!((batch.items(), batch.before_last()), (4, 3 * 4 + 8));
    }

    #[test]
    fn a_message_that_does_not_add_up_leaves_a_rest() {
        let whole = batch(&[b"one", b"two"]);
        for cut in 8..14 {
            let mut read = items(&whole.as_bytes()[..cut]);
            assert_eq!(read.by_ref().count(), 1, "cut at {cut}");
            assert_eq!(read.rest().len(), cut - 7);
        }
        assert_eq!(items(&[0xff; 40]).count(), 0);
    }

    #[test]
    fn an_item_that_cannot_be_written_leaves_no_trace() {
        let mut batch = batch(&[b"one"]);
        let before = batch.clone();
        let failed = batch.push(|out| {
            out.extend_from_slice(b"half an it");
            Err("no")
        });
        assert_eq!((failed, &batch), (Err("no"), &before));
        assert_eq!(batch.take(), before.as_bytes());
        assert!(batch.is_empty() && batch.as_bytes().is_empty() && batch.before_last() == 0);
    }
}
