//! Whether bytes of a shape can cost far more than their number.
//!
//! Decoding untrusted bytes runs under a guard that counts depth and charges
//! memory. It may be left out where nothing can be gained by lying: a fixed depth,
//! and no sequence whose elements take much more memory than bytes. serde knows
//! the size of an element's Rust type, skipped fields included, and so does the
//! tracer; a shape alone does not, so this is a property of a [`Learnt`].

use std::collections::HashMap;

use super::{Contents, Learnt, Node, NodeId};

/// Memory per byte that needs no guard: what the largest message (8 MiB) may then
/// cost is what the guard would allow at most (64 MiB).
const MEMORY_PER_BYTE: u64 = 8;
/// Sequences within sequences that need no guard: serde sets aside up to 1 MiB
/// for each one whose length is a lie, before it reads the first element.
const NESTED: u32 = 2;

impl Learnt {
    /// Whether bytes that pretend to be of this type can make decoding them recurse
    /// without end, or take memory or time far beyond their number.
    ///
    /// False only if the depth is fixed, all of it is known, there are no maps, and
    /// the elements of every sequence take at least one byte, and at most 8 bytes of
    /// memory for each byte. Decoding may then do without its guard; it must still
    /// refuse bytes that are left over. What a type allocates in its own
    /// `From` conversion is beyond what can be seen here, and beyond the guard.
    pub fn can_blow_up(&self) -> bool {
        self.can_blow_up
    }
}

/// `sizes` are those of the elements of each sequence.
pub(super) fn can_blow_up(nodes: &[Node], root: NodeId, sizes: &HashMap<NodeId, usize>) -> bool {
    let Some(order) = inside_out(nodes, root) else {
        return true;
    };
    let mut known: HashMap<NodeId, Measure> = HashMap::new();
    for id in order {
        let node = &nodes[id.index()];
        let children: Vec<Measure> = node.children().iter().map(|child| known[child]).collect();
        if let Node::Seq(element) = node {
            let size = sizes.get(&id).copied().unwrap_or(usize::MAX) as u64;
            let fewest = known[element].fewest_bytes;
            if fewest == 0 || size > fewest.saturating_mul(MEMORY_PER_BYTE) {
                return true;
            }
        }
        let nested = children.iter().map(|child| child.nested).max().unwrap_or(0);
        let nested = nested + u32::from(matches!(node, Node::Seq(_)));
        if nested > NESTED || !is_plain(node) {
            return true;
        }
        let of = |ids: &[NodeId]| {
            ids.iter().fold(0, |sum: u64, id| sum.saturating_add(known[id].fewest_bytes))
        };
        let fewest_bytes = match node {
            Node::Leaf(leaf) => leaf.fewest_bytes(),
            Node::Optional(_) | Node::Seq(_) => 1,
            Node::Array(part, len) => known[part].fewest_bytes.saturating_mul(*len),
            Node::Enum(_, variants) => {
                1 + variants
                    .iter()
                    .map(|variant| of(&variant.payload.children()))
                    .min()
                    .unwrap_or(0)
            }
            other => of(&other.children()),
        };
        known.insert(id, Measure { fewest_bytes, nested });
    }
    false
}

#[derive(Clone, Copy)]
struct Measure {
    fewest_bytes: u64,
    nested: u32,
}

fn is_plain(node: &Node) -> bool {
    match node {
        // Hash maps hash, and set aside twice what they are told.
        Node::Map(..) | Node::Opaque(_) => false,
        Node::Enum(_, variants) => {
            !variants.iter().any(|v| matches!(v.payload, Contents::Opaque(_)))
        }
        _ => true,
    }
}

/// What the root reaches, contents before containers; none if there is recursion.
fn inside_out(nodes: &[Node], root: NodeId) -> Option<Vec<NodeId>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; nodes.len()];
    let mut order = Vec::new();
    let mut ahead = vec![(root, false)];
    while let Some((id, is_left)) = ahead.pop() {
        if is_left {
            marks[id.index()] = Mark::Done;
            order.push(id);
            continue;
        }
        match marks[id.index()] {
            Mark::Done => {}
            // Its leaving is still on the stack, so the way here came from inside it.
            Mark::Open => return None,
            Mark::New => {
                marks[id.index()] = Mark::Open;
                ahead.push((id, true));
                ahead.extend(nodes[id.index()].children().into_iter().map(|child| (child, false)));
            }
        }
    }
    Some(order)
}
