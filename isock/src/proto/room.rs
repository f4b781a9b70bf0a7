//! Where a driver puts the bytes that it reads.

use super::aside::Aside;

/// Two places, to be filled in this order: the memory of a message whose fragment is arriving, if one
/// is, and the buffer.
#[derive(Debug)]
pub struct Room<'r> {
    pub(super) aside: Option<&'r mut Aside>,
    pub(super) rest: &'r mut [u8],
    /// Bytes of `rest` that have been put there.
    put: usize,
}

impl<'r> Room<'r> {
    pub(super) fn new(aside: Option<&'r mut Aside>, rest: &'r mut [u8]) -> Room<'r> {
        Room { aside, rest, put: 0 }
    }

    /// One place alone, for bytes that nobody wants.
    pub fn plain(rest: &'r mut [u8]) -> Room<'r> {
        Room::new(None, rest)
    }

    /// How much fits.
    pub fn size(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.missing()) + self.rest.len() - self.put
    }

    /// The places, for a read of the system: the memory of a message, of whose free part so many bytes
    /// are meant, and what takes all behind them.
    pub fn places(&mut self) -> (Option<(&mut Vec<u8>, usize)>, &mut [u8]) {
        let aside = self.aside.as_mut().map(|aside| aside.place());
        (aside, &mut self.rest[self.put..])
    }

    /// Puts a copy of as many of `bytes` there as fit, and says how many.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let straight = self.aside.as_mut().map_or(0, |aside| aside.put(bytes));
        let free = &mut self.rest[self.put..];
        let n = (bytes.len() - straight).min(free.len());
        free[..n].copy_from_slice(&bytes[straight..straight + n]);
        self.put += n;
        straight + n
    }
}
