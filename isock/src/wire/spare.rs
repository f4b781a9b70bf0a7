//! Memory of messages that have passed, for those that follow: of long ones here, and of short ones in
//! `short`.
//!
//! A long block that goes back to the system comes again page by page, which takes longer than all
//! that is done with its bytes. One pool for the process, within a bound; the drivers release it
//! when it has been quiet.

use super::{block::LEAD, short, Block};
use crate::process::OfProcess;
use std::sync::{
    atomic::{AtomicBool, Ordering},
    Mutex, MutexGuard, PoisonError,
};

/// Blocks from this size on are kept, in bytes: the allocator is quick with shorter ones.
pub(super) const LONG: usize = 32 * 1024;
/// Up to this size they are lent by the thread, and hold as much, in bytes.
pub const SHORT: usize = short::LEN;
/// What is kept in all, in bytes and in blocks.
const MOST: usize = 48 << 20;
const BLOCKS: usize = 16;
/// A block is not lent to a message of less than this part of it.
const WASTE: usize = 4;
/// What is lent to a message of which a part has come may be longer than it by this part of it.
const MARGIN: usize = 4;

static SPARE: OfProcess<Spare> = OfProcess::new(Spare::new(), Spare::new);

#[derive(Debug)]
struct Spare {
    pool: Mutex<Pool>,
    /// Something is kept, or will be once it is given: known without the lock.
    held: AtomicBool,
}

/// The blocks, each with at most as many bytes as may stand in front of a message, and the one given last at
/// the end.
#[derive(Debug)]
struct Pool {
    blocks: Vec<Vec<u8>>,
    bytes: usize,
    /// Bytes that were asked for and not there, since the last release: no more than that is kept on
    /// top.
    missed: usize,
}

/// An empty block with room for at least `len` bytes if one is kept; one that is asked for is kept the next time.
pub fn ready(len: usize) -> Option<Block> {
    ready_within(len, len.saturating_mul(WASTE))
}

/// The same for a message of which a part has come: its sender is not to hold much more than it announced.
pub fn ready_for_part(len: usize) -> Option<Block> {
    ready_within(len, len + len / MARGIN)
}

fn ready_within(len: usize, most: usize) -> Option<Block> {
    if len < LONG {
        return None;
    }
    let spare = SPARE.get();
    let mut pool = spare.lock();
    let known = pool.take(LEAD.saturating_add(len), LEAD.saturating_add(most));
    spare.held.store(pool.is_used(), Ordering::Relaxed);
    drop(pool);
    known.map(Block::led)
}

/// Keeps the memory of a block that nobody needs any more, if it is worth it.
#[inline]
pub fn give(block: Vec<u8>) {
    if block.capacity() == SHORT {
        short::give(block);
    } else if block.capacity() >= LONG {
        give_long(block);
    }
}

// Apart: what it needs of the stack and of registers a short one does not pay for.
#[inline(never)]
fn give_long(block: Vec<u8>) {
    // What does not fit is dropped, and not under the lock.
    let spare = SPARE.get();
    let mut pool = spare.lock();
    let dropped = pool.give(block);
    spare.held.store(pool.is_used(), Ordering::Relaxed);
    drop(pool);
    drop(dropped);
}

/// Whether something is kept, or may soon be, that [`release`] is for.
#[inline]
pub fn is_held() -> bool {
    SPARE.get().held.load(Ordering::Relaxed)
}

/// Gives back what is kept, and keeps nothing until somebody asks again.
pub fn release() {
    let spare = SPARE.get();
    let mut pool = spare.lock();
    let blocks = std::mem::take(&mut pool.blocks);
    (pool.bytes, pool.missed) = (0, 0);
    spare.held.store(false, Ordering::Relaxed);
    drop(pool);
    drop(blocks);
}

/// Bytes that are kept now, for who counts a program's memory.
pub fn kept() -> usize {
    SPARE.get().lock().bytes
}

impl Spare {
    const fn new() -> Spare {
        let pool = Pool { blocks: Vec::new(), bytes: 0, missed: 0 };
        Spare { pool: Mutex::new(pool), held: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn is_used(&self) -> bool {
        self.bytes > 0 || self.missed > 0
    }

    /// A block of at least that length, and at most this one.
    fn take(&mut self, len: usize, most: usize) -> Option<Vec<u8>> {
        let fits = |block: &Vec<u8>| (len..=most).contains(&block.capacity());
        let Some(at) = self.blocks.iter().rposition(fits) else {
            self.missed = self.missed.saturating_add(len).min(MOST);
            return None;
        };
        let block = self.blocks.remove(at);
        self.bytes -= block.capacity();
        self.missed = (self.missed + block.capacity()).min(MOST);
        Some(block)
    }

    /// Keeps a block in place of the oldest ones; gives back what has no place.
    fn give(&mut self, mut block: Vec<u8>) -> Vec<Vec<u8>> {
        if block.capacity() > MOST.min(self.missed * WASTE) {
            return vec![block];
        }
        self.missed = self.missed.saturating_sub(block.capacity());
        // Where the next message begins behind the same lead, that need not be written once more.
        block.truncate(LEAD);
        self.bytes += block.capacity();
        self.blocks.push(block);
        let mut dropped = Vec::new();
        while self.bytes > MOST || self.blocks.len() > BLOCKS {
            let oldest = self.blocks.remove(0);
            self.bytes -= oldest.capacity();
            dropped.push(oldest);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pool: &mut Pool, len: usize) -> Option<Vec<u8>> {
        pool.take(len, len * WASTE)
    }

    fn pool() -> Pool {
        Pool { blocks: Vec::new(), bytes: 0, missed: MOST }
    }

    #[test]
    fn a_block_is_lent_to_messages_of_about_its_size() {
        let mut pool = pool();
        assert!(pool.give(Vec::with_capacity(8 * LONG)).is_empty());
        assert!(take(&mut pool, LONG).is_none(), "it would hold eight times as much");
        assert!(take(&mut pool, 8 * LONG + 1).is_none());
        assert!(take(&mut pool, 8 * LONG).is_some());
        assert_eq!((pool.bytes, pool.blocks.len()), (0, 0));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut pool = pool();
        for n in 1..60 {
            pool.missed = MOST;
            pool.give(Vec::with_capacity(n * LONG));
            assert!(pool.bytes <= MOST);
        }
        assert_eq!(pool.bytes, pool.blocks.iter().map(Vec::capacity).sum());
        assert_eq!(pool.give(Vec::with_capacity(MOST + 1)).len(), 1);
        assert!(take(&mut pool, 59 * LONG).is_some(), "the youngest are kept");
    }

    #[test]
    fn what_nobody_has_asked_for_is_not_kept() {
        let mut pool = Pool { missed: 0, ..pool() };
        assert_eq!(pool.give(Vec::with_capacity(LONG)).len(), 1);
        assert!(take(&mut pool, LONG).is_none());
        assert_eq!(pool.give(Vec::with_capacity(LONG)).len(), 0);
        assert_eq!(pool.give(Vec::with_capacity(LONG)).len(), 1);
        assert!(take(&mut pool, LONG).is_some());
        assert_eq!(pool.give(Vec::with_capacity(LONG)).len(), 0);
    }

    #[test]
    fn a_block_comes_back_with_nothing_but_its_lead() {
        for (len, left) in [(LONG, LEAD), (10, 10)] {
            let mut pool = pool();
            let mut block = Vec::with_capacity(LONG);
            block.resize(len, 7);
            pool.give(block);
            let block = take(&mut pool, LONG).unwrap();
            assert_eq!(block.len(), left);
            assert!(Block::led(block).is_empty());
        }
    }

    #[test]
    fn what_comes_in_part_is_lent_hardly_more_than_it_announced() {
        for _ in 0..100 {
            let len = 5 * LONG;
            drop(Block::with_room(2 * len));
            drop(Block::with_room(len));
            // Other tests take what lies ready as well.
            let held = ready_for_part(len).map_or(len, |block| block.held());
            assert!((len..=len + len / MARGIN).contains(&held), "{held}");
        }
    }
}
