//! What decoding bytes of a type can cost at most, whatever the bytes say.
//!
//! Decoding untrusted bytes runs under a guard that counts depth and charges memory
//! while it reads. It may be left out where the type alone keeps within what the guard
//! would grant: a fixed depth, and sequences whose elements take little more memory
//! than bytes. The guard goes by what serde lets it see, the sizes of values and of
//! the places they go to, and whether a container asks how many elements follow; so
//! does this, from what the tracer has seen.
//!
//! Every byte is paid for once. An element takes at least so many bytes of its own; what
//! a sequence in it holds takes further bytes, and is paid for by those. So the memory
//! that a message takes is at most its length times the worst ratio of all sequences.

use super::super::Learnt;
use super::table::{Carries, Form, PartId, SlotId, Table};
use crate::wire::guard::{Ceiling, DecodeLimits};

/// What a vector takes at most while it grows, in sizes of its elements: it has doubled
/// to twice what it holds, and the block before it is still there.
const GROWTH: u64 = 3;
/// What text and bytes take: a copy, and one more where they are shared.
const COPIES: u64 = 2;
/// What an `Arc` or `Rc` adds to the value it holds.
const POINTEE_HEADER: u64 = 16;

impl Learnt {
    /// Whether bytes that pretend to be of this type can make decoding them recurse
    /// without end, or take memory or time far beyond their number.
    ///
    /// False only if all of it is known, its depth is fixed, and what it holds takes at
    /// most 32 bytes of memory for each byte. Decoding then does without its guard, and
    /// still refuses bytes that are left over. Maps and sets are never let through, nor
    /// sequences of empty elements. What a type allocates in its own `From` conversion
    /// is beyond what can be seen here, and beyond the guard.
    ///
    /// ```
    /// use isock::shape::Tracer;
    ///
    /// let can_blow_up = |learnt: isock::shape::Learnt| learnt.can_blow_up();
    /// assert!(!can_blow_up(Tracer::new().trace::<Vec<(u64, f64)>>()?));
    /// assert!(can_blow_up(Tracer::new().trace::<Vec<Option<[u64; 32]>>>()?));
    /// # Ok::<(), isock::shape::ShapeError>(())
    /// ```
    pub fn can_blow_up(&self) -> bool {
        self.ceiling.is_none()
    }

    /// What decoding can take at most; `None` if it [can blow up](Learnt::can_blow_up).
    #[doc(hidden)]
    pub fn ceiling(&self) -> Option<Ceiling> {
        self.ceiling
    }
}

/// None if the type alone does not keep within what the guard would grant.
pub(super) fn of(table: &Table) -> Option<Ceiling> {
    let mut walk = Walk { table, known: vec![Known::New; table.parts.len()], per_byte: COPIES };
    let root = walk.slot(0)?;
    let ceiling = Ceiling {
        depth: root.depth,
        fixed: usize::try_from(root.heap).ok()?,
        per_byte: usize::try_from(walk.per_byte).ok()?,
        elements: root.elements,
    };
    // For a message of any length, since the grant grows with it; for a long one, that is
    // looked at again.
    let empty = DecodeLimits::for_len(0);
    let is_low = ceiling.per_byte <= DecodeLimits::PER_BYTE && ceiling.fixed <= empty.budget;
    (is_low && ceiling.depth <= empty.depth).then_some(ceiling)
}

/// What one part of a value costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// The fewest bytes that it takes on the wire.
    fewest: u64,
    /// The most that it holds behind pointers, the elements of sequences aside.
    heap: u64,
    /// Levels within one another, as the guard counts them or more.
    depth: u32,
    /// See [`Ceiling::elements`].
    elements: [usize; Ceiling::MAX_NESTED],
}

#[derive(Clone, Copy)]
enum Known {
    New,
    /// It is being looked at: if it is met now, it contains itself.
    Open,
    Done(Cost),
}

struct Walk<'t> {
    table: &'t Table,
    known: Vec<Known>,
    /// The worst ratio of memory to bytes so far.
    per_byte: u64,
}

impl Walk<'_> {
    fn slot(&mut self, slot: SlotId) -> Option<Cost> {
        let known = &self.table.slots[slot];
        let mut cost = self.part(known.part?)?;
        if known.held > known.size {
            cost.heap = cost.heap.saturating_add(known.held as u64 + POINTEE_HEADER);
        }
        Some(cost)
    }

    fn part(&mut self, part: PartId) -> Option<Cost> {
        match self.known[part] {
            Known::Done(cost) => return Some(cost),
            Known::Open => return None,
            Known::New => self.known[part] = Known::Open,
        }
        let mut cost = self.form(part)?;
        if !matches!(self.table.parts[part].form, Form::Leaf(_)) {
            cost.depth = cost.depth.saturating_add(levels(self.table.parts[part].size));
        }
        self.known[part] = Known::Done(cost);
        Some(cost)
    }

    fn form(&mut self, part: PartId) -> Option<Cost> {
        let table = self.table;
        match &table.parts[part].form {
            Form::Leaf(leaf) => Some(Cost { fewest: leaf.fewest_bytes(), ..Cost::default() }),
            Form::UnitStruct => Some(Cost::default()),
            Form::Newtype(content) => self.slot(*content),
            Form::Option(content) => Some(Cost { fewest: 1, ..self.slot(*content)? }),
            Form::Seq(element) => self.sequence(part, *element),
            // Hash maps set aside twice what they are told, and trees a node for one entry.
            Form::Map(..) => None,
            form @ (Form::Tuple(..) | Form::TupleStruct(_) | Form::Struct(_)) => {
                self.parts(form, table.parts[part].size)
            }
            Form::Enum(cases) => {
                let mut most = Cost { fewest: u64::MAX, ..Cost::default() };
                for case in &cases.cases {
                    let cost = match &case.carries {
                        Carries::Unknown | Carries::Refused(_) => return None,
                        Carries::Unit => Cost::default(),
                        Carries::Newtype(slot) => self.slot(*slot)?,
                        Carries::Parts(payload) => self.part(*payload)?,
                    };
                    most = most.or(cost);
                }
                Some(Cost { fewest: most.fewest.saturating_add(1), ..most })
            }
        }
    }

    /// One after the other, in a value of `size` bytes.
    fn parts(&mut self, form: &Form, size: usize) -> Option<Cost> {
        let slots = form.elements();
        // A long tuple has one slot for all.
        let times = if form.len() > slots.len() { form.len() as u64 } else { 1 };
        let mut sum = Cost::default();
        let mut inline = 0_u64;
        for slot in slots {
            sum = sum.and(self.slot(*slot)?, times);
            let part = self.table.slots[*slot].size as u64;
            inline = inline.saturating_add(part.saturating_mul(times));
        }
        // Parts that the value has no room for are kept on the heap, nobody sees how.
        (inline <= size as u64).then_some(sum)
    }

    fn sequence(&mut self, part: PartId, element: SlotId) -> Option<Cost> {
        let known = &self.table.parts[part];
        // Sets and lists are larger than a vector, or make no room for their elements.
        if known.without_room || known.size > size_of::<Vec<u8>>() {
            return None;
        }
        let cost = self.slot(element)?;
        let size = self.table.slots[element].size as u64;
        let most = size.saturating_mul(GROWTH).saturating_add(cost.heap);
        // Elements without bytes take turns of a loop without end.
        self.per_byte =
            self.per_byte.max(most.checked_next_multiple_of(cost.fewest)? / cost.fewest);
        Some(Cost {
            fewest: 1,
            heap: 0,
            depth: cost.depth,
            elements: with(cost.elements, self.table.slots[element].size)?,
        })
    }
}

impl Cost {
    /// The sum of what both hold, the second so many times.
    fn and(self, other: Cost, times: u64) -> Cost {
        Cost {
            fewest: self.fewest.saturating_add(other.fewest.saturating_mul(times)),
            heap: self.heap.saturating_add(other.heap.saturating_mul(times)),
            ..self.or(other)
        }
    }

    /// The more of both, of bytes the fewer.
    fn or(self, other: Cost) -> Cost {
        Cost {
            fewest: self.fewest.min(other.fewest),
            heap: self.heap.max(other.heap),
            depth: self.depth.max(other.depth),
            elements: std::array::from_fn(|at| self.elements[at].max(other.elements[at])),
        }
    }
}

/// One more size, which stay in order; `None` if there is no room for it.
fn with(
    mut elements: [usize; Ceiling::MAX_NESTED],
    size: usize,
) -> Option<[usize; Ceiling::MAX_NESTED]> {
    let last = elements.last_mut().filter(|last| **last == 0)?;
    *last = size;
    elements.sort_unstable_by(|a, b| b.cmp(a));
    Some(elements)
}

/// At least as many levels as the guard takes for a value of this size.
fn levels(size: usize) -> u32 {
    1 + (size >> 10).min(31) as u32
}
