//! What a container of so many elements takes on the heap.
//!
//! The guard can't ask a container for its layout, so it goes by what serde lets it
//! see: the size of the finished container, and whether it asked how many elements
//! would come. Upper bounds for the containers of std, what is copied while they grow
//! included. Pure arithmetic.

use std::mem::size_of;

/// How a container keeps its elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Container {
    /// One block: `Vec`, `BinaryHeap`.
    Block {
        /// For how many elements it was told to reserve room.
        hint: usize,
    },
    /// A hash table, or the block of a `VecDeque`, which can't be told from one.
    Table {
        /// For how many elements it was told to reserve room.
        hint: usize,
    },
    /// Nodes, for it never asked: `BTreeMap`, `BTreeSet`, `LinkedList`.
    Nodes,
}

impl Container {
    /// The container that is wide or not, and was told what to expect if it asked.
    #[inline]
    pub(super) fn told(wide: bool, hint: Option<usize>) -> Self {
        match hint {
            None => Self::Nodes,
            Some(hint) if wide => Self::Table { hint },
            Some(hint) => Self::Block { hint },
        }
    }

    /// The most that it takes for `len` elements of `size` bytes, in bytes.
    #[inline]
    pub(super) fn bytes(self, len: usize, size: usize) -> usize {
        match self {
            // Nothing is stored, but each still takes a turn of the loop.
            Self::Block { .. } if size == 0 => len,
            // A turn that hashes; and no honest set has two elements that are alike.
            _ if size == 0 => len.saturating_mul(64),
            Self::Block { hint } if reserved(hint, size) >= len => len.saturating_mul(size),
            Self::Block { hint } => growing_block(len, size, reserved(hint, size)),
            Self::Table { hint } => table(len, size, reserved(hint, size)),
            Self::Nodes => nodes(len, size),
        }
    }
}

/// Whether a container of type `C` may be a hash table: none is as small as a `Vec`.
pub(super) const fn is_wide<C>() -> bool {
    size_of::<C>() > size_of::<Vec<u8>>()
}

/// For how many elements serde reserves room when it is told `hint`.
#[inline]
fn reserved(hint: usize, size: usize) -> usize {
    const MOST_BYTES: usize = 1 << 20;
    hint.min(MOST_BYTES / size)
}

/// A block doubles until all fit, and the last time the one before it is still there.
fn growing_block(len: usize, size: usize, reserved: usize) -> usize {
    let last = match reserved {
        // The first steps are larger: a vector without room makes some for up to eight.
        0..=7 => len.saturating_mul(2).max(8),
        _ => match len.div_ceil(reserved).checked_next_power_of_two() {
            Some(doubled) => reserved.saturating_mul(doubled),
            None => usize::MAX,
        },
    };
    last.saturating_add(last / 2).saturating_mul(size)
}

/// A power of two of buckets, at most 7/8 full, with a control byte each.
fn table(len: usize, size: usize, reserved: usize) -> usize {
    let buckets = match len {
        0 => return 0,
        1..=3 => 4,
        4..=7 => 8,
        _ => (len.saturating_mul(8) / 7).checked_next_power_of_two().unwrap_or(usize::MAX),
    };
    // 48: the control bytes' tail, and the larger minimum for the smallest elements.
    let table = buckets.saturating_mul(size.saturating_add(1)).saturating_add(48);
    if reserved >= len {
        return table;
    }
    table.saturating_add(table / 2).max(growing_block(len, size, reserved))
}

/// B-tree nodes hold 11 elements, and at least 5 except for the last one; a list's
/// node holds one. 24 bytes an element covers the links of either.
fn nodes(len: usize, size: usize) -> usize {
    let slots = match len {
        0 => return 0,
        1..=11 => 11,
        _ => len.saturating_mul(9) / 4 + 11,
    };
    slots.saturating_mul(size).saturating_add(len.saturating_mul(24)).saturating_add(16)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const ALL: [Container; 5] = [
        Container::Block { hint: 0 },
        Container::Block { hint: usize::MAX },
        Container::Table { hint: 0 },
        Container::Table { hint: usize::MAX },
        Container::Nodes,
    ];

    #[test]
    fn no_length_overflows() {
        for container in ALL {
            assert_eq!(container.bytes(usize::MAX, 0), usize::MAX, "{container:?}");
            assert_eq!(container.bytes(usize::MAX, 8), usize::MAX, "{container:?}");
            assert!(container.bytes(usize::MAX / 8, 8) >= usize::MAX - 7, "{container:?}");
        }
    }

    #[test]
    fn an_empty_container_that_was_reserved_is_free() {
        assert_eq!(Container::Block { hint: 0 }.bytes(0, 8), 0);
        assert_eq!(Container::Table { hint: 0 }.bytes(0, 8), 0);
        assert_eq!(Container::Nodes.bytes(0, 8), 0);
    }

    #[test]
    fn a_reserved_vec_costs_its_elements_and_nothing_else() {
        assert_eq!(Container::Block { hint: 100 }.bytes(100, 8), 800);
        assert_eq!(Container::Block { hint: 131_072 }.bytes(131_072, 8), 1 << 20);
    }

    #[test]
    fn a_vec_beyond_what_serde_reserves_costs_its_growth() {
        // 1 MiB, doubled once, and still there while the elements move over.
        let reserved_in_full = Container::Block { hint: 131_073 };
        assert_eq!(reserved_in_full.bytes(131_073, 8), 3 << 20);
    }

    #[test]
    fn hash_tables_are_told_from_vecs_by_their_size() {
        assert!(is_wide::<HashSet<u8>>());
        assert!(is_wide::<HashMap<u8, u8>>());
        assert!(!is_wide::<Vec<u8>>());
        assert!(!is_wide::<Box<[u8]>>());
    }
}
