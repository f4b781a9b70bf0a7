//! Where a driver puts the bytes that it reads.

use super::aside::Aside;

/// Three places, to be filled in this order: what a frame is expected to begin with, in the buffer; the
/// memory of a message whose fragment is arriving; and the rest of the buffer. The first two may be empty.
#[derive(Debug)]
pub struct Room<'r> {
    ahead: usize,
    aside: Option<&'r mut Aside>,
    rest: &'r mut [u8],
    /// Bytes of `rest` that have been put there; the first of them are ahead.
    put: usize,
}

/// Those places.
#[derive(Debug)]
pub struct Places<'r> {
    /// In front of the message.
    pub ahead: &'r mut [u8],
    /// The memory of a message, of whose free part so many bytes are meant.
    pub body: Option<(&'r mut Vec<u8>, usize)>,
    /// What takes all behind them.
    pub rest: &'r mut [u8],
}

impl<'r> Room<'r> {
    /// So many bytes of `rest` stand in front of what is aside.
    pub(super) fn new(ahead: usize, aside: Option<&'r mut Aside>, rest: &'r mut [u8]) -> Room<'r> {
        debug_assert!(ahead == 0 || (aside.is_some() && ahead < rest.len()));
        Room { ahead, aside, rest, put: 0 }
    }

    /// One place alone, for bytes that nobody wants.
    pub fn plain(rest: &'r mut [u8]) -> Room<'r> {
        Room::new(0, None, rest)
    }

    /// How much fits.
    pub fn size(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.missing()) + self.rest.len() - self.put
    }

    /// The places, for a read of the system.
    pub fn places(&mut self) -> Places<'_> {
        let left = self.left_ahead();
        let body = self.aside.as_mut().map(|aside| aside.place());
        let (ahead, rest) = self.rest[self.put..].split_at_mut(left);
        Places { ahead, body, rest }
    }

    /// Puts a copy of as many of `bytes` there as fit, and says how many.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let ahead = self.copy(&bytes[..bytes.len().min(self.left_ahead())]);
        let bytes = &bytes[ahead..];
        let straight = self.aside.as_mut().map_or(0, |aside| aside.put(bytes));
        ahead + straight + self.copy(&bytes[straight..])
    }

    /// How much fits in front of what is aside.
    fn left_ahead(&self) -> usize {
        self.ahead.saturating_sub(self.put)
    }

    /// Puts them into the buffer.
    fn copy(&mut self, bytes: &[u8]) -> usize {
        let free = &mut self.rest[self.put..];
        let n = bytes.len().min(free.len());
        free[..n].copy_from_slice(&bytes[..n]);
        self.put += n;
        n
    }
}
