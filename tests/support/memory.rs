//! An allocator that counts: what is held, and the most that was, by all threads and by each.
//!
//! A test program names it once: `#[global_allocator] static MEMORY: Counting = Counting;`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Memory that moves counts twice while it does, since `realloc` is left to its default.
#[derive(Debug)]
pub struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Blocks that are held, by their size in steps of [`STEP`]; the last is for all that are larger.
static BLOCKS: [AtomicUsize; STEPS] = [const { AtomicUsize::new(0) }; STEPS];

const STEP: usize = 8;
const STEPS: usize = 1024;

thread_local! {
    static HELD_HERE: Cell<usize> = const { Cell::new(0) };
    static PEAK_HERE: Cell<usize> = const { Cell::new(0) };
    static TAKEN_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that the whole program holds.
pub fn held() -> usize {
    HELD.load(Relaxed)
}

/// The peak of the whole program begins anew; returns what is held now.
pub fn watch() -> usize {
    let now = held();
    PEAK.store(now, Relaxed);
    now
}

/// The most bytes that the whole program has held since [`watch`].
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// The blocks that the whole program holds.
pub fn blocks() -> Blocks {
    Blocks(BLOCKS.iter().map(|held| held.load(Relaxed) as isize).collect())
}

/// Blocks by their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks(Vec<isize>);

impl Blocks {
    /// What has come since `before`: so many blocks of at most so many bytes. Those that have gone count
    /// below zero.
    pub fn since(&self, before: &Blocks) -> Vec<(isize, usize)> {
        let changes = self.0.iter().zip(&before.0).map(|(now, then)| now - then);
        let sized = changes.zip(0..).map(|(count, step)| (count, step * STEP));
        sized.filter(|(count, _)| *count != 0).collect()
    }
}

/// How often the whole program has asked for memory.
pub fn requests() -> usize {
    TAKEN.load(Relaxed)
}

/// How often this thread has asked for memory.
pub fn requests_here() -> usize {
    TAKEN_HERE.get()
}

/// What `work` returns, and the most bytes that this thread held for it at once.
pub fn of_thread<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD_HERE.get();
    PEAK_HERE.set(before);
    let value = work();
    // A thread that frees what another one allocated counts below zero.
    (value, PEAK_HERE.get().wrapping_sub(before))
}

fn of_size(len: usize) -> &'static AtomicUsize {
    &BLOCKS[len.div_ceil(STEP).min(STEPS - 1)]
}

fn add(len: usize) {
    of_size(len).fetch_add(1, Relaxed);
    TAKEN.fetch_add(1, Relaxed);
    TAKEN_HERE.set(TAKEN_HERE.get().wrapping_add(1));
    let held = HELD.fetch_add(len, Relaxed).wrapping_add(len);
    PEAK.fetch_max(held, Relaxed);
    let here = HELD_HERE.get().wrapping_add(len);
    HELD_HERE.set(here);
    // By the signed difference: the count can be below zero, see `of_thread`.
    if (here.wrapping_sub(PEAK_HERE.get()) as isize) > 0 {
        PEAK_HERE.set(here);
    }
}

fn remove(len: usize) {
    of_size(len).fetch_sub(1, Relaxed);
    HELD.fetch_sub(len, Relaxed);
    HELD_HERE.set(HELD_HERE.get().wrapping_sub(len));
}

// SAFETY: every request goes to the system's allocator as it came; the counters are numbers and
// cells of the thread without a destructor, and never allocate.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: the caller keeps `dealloc`'s contract, and `System` gave the memory.
        unsafe { System.dealloc(memory, layout) }
    }
}
