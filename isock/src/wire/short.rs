//! Memory of short messages that have been read, for those that follow on the same thread.
//!
//! A message lies in a block of its own from where it is read to where it is decoded, which is mostly
//! the same thread. Within a bound its memory serves the next one; the allocator is slower at that,
//! since it keeps but a few blocks at hand. A thread that only decodes what others read keeps nothing.

use std::cell::RefCell;

/// What a block holds, in bytes: most messages fit.
pub(super) const LEN: usize = 128;
/// Blocks that a thread keeps: as many as calls come with one read, mostly.
const BLOCKS: usize = 256;

/// What a thread keeps.
struct Kept {
    blocks: Vec<Vec<u8>>,
    /// As many as it was ever short of.
    wanted: usize,
}

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept { blocks: Vec::new(), wanted: 0 }) };
}

/// An empty block.
#[inline]
pub(super) fn take() -> Vec<u8> {
    let mut block = None;
    // At the end of its thread nothing is kept.
    let _ = KEPT.try_with(|kept| block = kept.borrow_mut().blocks.pop());
    match block {
        Some(block) => block,
        None => another(),
    }
}

#[cold]
fn another() -> Vec<u8> {
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.wanted = (kept.wanted + 1).min(BLOCKS);
    });
    Vec::with_capacity(LEN)
}

/// Keeps a block of this size that nobody needs any more.
#[inline]
pub(super) fn give(mut block: Vec<u8>) {
    debug_assert_eq!(block.capacity(), LEN);
    block.clear();
    // At the end of its thread nothing is kept.
    let _ = KEPT.try_with(|kept| kept.borrow_mut().give(block));
}

impl Kept {
    #[inline(always)]
    fn give(&mut self, block: Vec<u8>) {
        if self.blocks.len() < self.wanted {
            self.blocks.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_empty_and_few_are_kept() {
        let mut block = take();
        block.extend_from_slice(&[7; LEN]);
        let place = block.as_ptr();
        give(block);
        let again = take();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        let many: Vec<_> = (0..2 * BLOCKS).map(|_| take()).collect();
        many.into_iter().for_each(give);
        assert_eq!(KEPT.with_borrow(|kept| kept.blocks.len()), BLOCKS);
    }

    #[test]
    fn a_thread_keeps_no_more_than_it_has_needed() {
        (0..10).map(|_| Vec::with_capacity(LEN)).for_each(give);
        assert_eq!(KEPT.with_borrow(|kept| kept.blocks.len()), 0);
        let (first, second) = (take(), take());
        (0..10).map(|_| Vec::with_capacity(LEN)).for_each(give);
        assert_eq!(KEPT.with_borrow(|kept| kept.blocks.len()), 2);
        drop((first, second));
    }
}
