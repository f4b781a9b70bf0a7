//! The payload of a frame that is read where it stays: behind what has come of its message.
//!
//! Knows how much of it is still to come. Does not know frames nor budgets: whoever lends the memory has
//! made room in it, and takes it back once the payload is whole.

use crate::wire::Block;

/// The memory of a message, lent to the buffer while one of its frames arrives.
#[derive(Debug)]
pub(super) struct Aside {
    body: Block,
    /// Where the payload begins and ends in it.
    begin: usize,
    end: usize,
    /// The length of the whole message: memory that lies ready holds more.
    total: usize,
    /// Lent for one read, unless it brings a quarter of the message.
    for_one_read: bool,
}

impl Aside {
    /// Takes the next `len` bytes behind `body`, which has room for them, of a message of `total`.
    pub(super) fn new(body: Block, len: usize, total: usize) -> Aside {
        let begin = body.len();
        debug_assert!(body.room() >= len);
        Aside { body, begin, end: begin + len, total, for_one_read: false }
    }

    /// The same for one read alone, unless it brings a quarter of the message.
    pub(super) fn for_one_read(mut self) -> Aside {
        self.for_one_read = true;
        self
    }

    /// Whether it has been lent for that, and less has come.
    pub(super) fn is_over(&self) -> bool {
        self.for_one_read && self.body.len() < self.total / 4
    }

    /// What has come of the payload.
    pub(super) fn payload(&self) -> &[u8] {
        &self.body[self.begin..]
    }

    /// Bytes of the payload that have come.
    pub(super) fn come(&self) -> usize {
        self.body.len() - self.begin
    }

    /// Bytes of it that have not.
    pub(super) fn missing(&self) -> usize {
        self.end - self.body.len()
    }

    /// Takes as much of `bytes` as belongs to the payload, and says how much that is.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.missing());
        self.body.push(&bytes[..n]);
        n
    }

    /// Where the system may write the rest.
    pub(super) fn place(&mut self) -> (&mut Vec<u8>, usize) {
        let missing = self.missing();
        (self.body.behind(), missing)
    }

    /// Bytes of memory held, as many as the message is long at most: what memory that lies ready holds
    /// beyond that was kept before.
    pub(super) fn memory(&self) -> usize {
        self.body.held().min(self.total)
    }

    /// The message with all that has come of it.
    pub(super) fn into_body(self) -> Block {
        self.body
    }
}
