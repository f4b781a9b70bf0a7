//! Reading many values of one type: what is known of the type is looked up once.

use super::{Decoding, Info, Payload};
use crate::wire::{guard::Ceiling, DecodeError, DecodeLimits};
use std::marker::PhantomData;

/// Up to here most items are, in bytes.
const SHORT: usize = 1024;

/// Reads the items of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<T> {
    info: Info,
    decoding: Decoding,
    /// What is known of the type: it may make a guard unnecessary.
    ceiling: Option<Ceiling>,
    /// No item of up to [`SHORT`] bytes needs one.
    plain: bool,
    items: PhantomData<fn() -> T>,
}

impl<T: Payload> Reader<T> {
    pub(crate) fn new(info: Info, decoding: Decoding, ceiling: Option<Ceiling>) -> Reader<T> {
        // A longer item may take more and is granted no less, so the shortest one's limits and the
        // longest one's needs speak for all.
        let strict: DecodeLimits = decoding.limits(&info, 0);
        let plain = ceiling.is_some_and(|ceiling| ceiling.is_below(strict, SHORT));
        Reader { info, decoding, ceiling, plain, items: PhantomData }
    }

    #[inline]
    pub(crate) fn read(&self, item: &[u8]) -> Result<T, DecodeError> {
        match self.plain && item.len() <= SHORT {
            true => T::decode_plain(item),
            false => T::decode(item, self.decoding.limits(&self.info, item.len()), self.ceiling),
        }
    }
}
