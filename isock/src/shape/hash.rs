//! A number that two builds compare instead of their shapes.

use std::fmt;

use super::codec;
use super::normal::normalise;
use super::{Contents, Leaf, Node, NodeId, Shape};

/// The hash of a shape, or of several; never 0, which means "not stated" on the wire.
///
/// Equal hashes mean equal bytes for equal values, and equal names for the parts.
/// **In** the hash: kinds, the order of parts, the names of fields and variants,
/// lengths of arrays, and where something is opaque. **Not** in it: names of types,
/// newtypes (they have no bytes, so `Id(u64)` hashes like `u64`), aliases, why
/// something is opaque, and anything of Rust's own such as module paths or
/// `type_name`. A unit struct hashes like `()`, a tuple struct like a tuple.
///
/// It is the 64-bit FNV-1a of the [encoding](Shape::encode) of the shape after all
/// that is left out has been removed and the rest is brought into normal form, so
/// recursion that is unrolled once more hashes the same, and another language can
/// compute it from a shape it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeHash(u64);

impl ShapeHash {
    /// One hash for several shapes in this order, such as an action's input,
    /// output and error; `None` is a part that is not there.
    pub fn of_parts(parts: &[Option<&Shape>]) -> ShapeHash {
        let mut fnv = Fnv::new();
        for part in parts {
            // 0 is free: no shape hashes to it.
            fnv.write(&part.map_or(0, |shape| shape.hash()).to_le_bytes());
        }
        ShapeHash(fnv.finish())
    }

    /// The hash as it travels.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ShapeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Shape {
    /// The hash of this shape; what is in it is told at [`ShapeHash`]. Never 0.
    pub fn hash(&self) -> u64 {
        self.shape_hash().get()
    }

    /// [`hash`](Shape::hash) as a type of its own, which prints as 16 hex digits.
    pub fn shape_hash(&self) -> ShapeHash {
        let mut fnv = Fnv::new();
        fnv.write(&codec::encode(&erased(self)));
        ShapeHash(fnv.finish())
    }
}

/// The shape without what is not hashed, in normal form.
fn erased(shape: &Shape) -> Vec<Node> {
    let nodes = shape.nodes.iter().map(|node| erase(shape, node)).collect();
    normalise(nodes, shape.content(shape.root()))
}

fn erase(shape: &Shape, node: &Node) -> Node {
    let mut node = match node.clone() {
        Node::UnitStruct(_) => Node::Leaf(Leaf::Unit),
        Node::TupleStruct(_, parts) => Node::Tuple(parts),
        Node::Struct(_, fields) => Node::Struct(String::new(), fields),
        Node::Opaque(_) => Node::Opaque(String::new()),
        Node::Enum(_, mut variants) => {
            for variant in &mut variants {
                if let Contents::Opaque(why) = &mut variant.payload {
                    why.clear();
                }
            }
            Node::Enum(String::new(), variants)
        }
        other => other,
    };
    node.redirect(|id| shape.content(id));
    node
}

impl Shape {
    /// What is inside the newtypes at `id`.
    pub(super) fn content(&self, mut id: NodeId) -> NodeId {
        // Ends: a cycle of newtypes has no finite value, and no `Shape` holds one.
        while let Node::Newtype(_, inner) = self.node(id) {
            id = *inner;
        }
        id
    }
}

struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(self) -> u64 {
        self.0.max(1)
    }
}
