//! The wire shape of a type, learnt from serde itself.
//!
//! postcard writes values by position and says nothing about itself, so two
//! builds that disagree about a type read garbage. A [`Shape`] is what they have
//! to agree on: kinds, order, and the names of fields and variants. [`Shape::of`]
//! learns it by running the type's own `Deserialize` impl and noting what it asks
//! for, so no derive beyond serde's is needed and types of other crates work.
//!
//! ```
//! use isock::shape::Shape;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     id: u64,
//!     note: Option<String>,
//! }
//!
//! let shape = Shape::of::<Order>()?;
//! assert_eq!(shape.to_string(), "struct Order {\n    id: u64,\n    note: Option<String>,\n}");
//! # Ok::<(), isock::shape::ShapeError>(())
//! ```
//!
//! | question | answer |
//! |---|---|
//! | what does this type look like on the wire? | [`Shape::of`], [`Tracer`], [`Samples`] |
//! | do two builds agree? | [`Shape::hash`], [`ShapeHash`] |
//! | if not, where? | [`diff()`] |
//! | how does a peer learn it? | [`Shape::encode`], [`Shape::decode`] |
//! | may decoding skip its guard? | [`Learnt::can_blow_up`] |
//! | do `Serialize` and `Deserialize` agree? | [`check_roundtrip`] |
//!
//! Knows serde's data model and postcard's rules. Does not know actions, frames
//! or sockets, and never reads a user's value.

mod codec;
mod diff;
mod display;
mod driver;
mod error;
mod hash;
mod normal;
mod path;
mod roundtrip;
mod sample;
mod show;
mod trace;
mod view;

#[cfg(test)]
mod tests;

pub use codec::{ShapeDecodeError, MAX_ENCODED, MAX_NAME, MAX_NODES};
pub use diff::{diff, Difference, DifferenceKind};
pub(crate) use display::{printable, Group};
pub use error::ShapeError;
pub use hash::ShapeHash;
pub use roundtrip::{check_roundtrip, RoundtripError};
pub use sample::Samples;
pub(crate) use show::show;
pub use trace::{Learnt, Refusal, Tracer};
pub(crate) use view::{compare_view, incomparable, no_view};

use serde::de::DeserializeOwned;

// No public item here is called as one of the prelude's or one at the root of the crate: the
// compiler would write `std::string::String` in every message of a program that uses isock.

/// What a type looks like on the wire.
///
/// A table of [`Node`]s that name each other by [`NodeId`], so that recursion is
/// a cycle in the table and never an endless tree. Every shape is in *normal
/// form*: equal nodes are one node, numbered in the order in which a walk from
/// the root meets them. Two shapes with the same content are therefore `==`,
/// however they were learnt. `==` also compares the names of types, which
/// [`Shape::hash`] and [`diff()`] leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// In normal form and within the limits of the codec; the root is first.
    nodes: Vec<Node>,
}

/// Names a node within one [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    pub(crate) fn new(index: usize) -> NodeId {
        // Tables are far smaller: `MAX_NODES` for shapes, the step budget while tracing.
        NodeId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One part of a shape, in serde's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Node {
    /// A value without parts.
    Leaf(Leaf),
    /// One byte, then the content if it is 1.
    Optional(NodeId),
    /// A length, then the elements. Sets look the same.
    Seq(NodeId),
    /// A length, then keys and values in turn.
    Map(NodeId, NodeId),
    /// Fixed parts of different shapes, one after the other.
    Tuple(Vec<NodeId>),
    /// A fixed number of parts of one shape, at least 2. serde does not tell
    /// arrays from tuples, so `(u8, u8)` is here too.
    Array(NodeId, u64),
    /// A name and no bytes.
    UnitStruct(String),
    /// A name around one value; no bytes of its own.
    Newtype(String, NodeId),
    /// A name around parts without names.
    TupleStruct(String, Vec<NodeId>),
    /// A name around parts with names.
    Struct(String, Vec<Field>),
    /// The number of the variant, then its payload.
    Enum(String, Vec<Variant>),
    /// Could not be learnt; the text says why, for people only.
    Opaque(String),
}

/// A part with a name, of a struct or of a struct variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As serde reads it, so after `rename`; aliases are not part of a shape.
    pub name: String,
    /// What the field holds.
    pub node: NodeId,
}

/// One case of an enum; its number on the wire is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// As serde reads it, so after `rename`.
    pub name: String,
    /// What follows the number.
    pub payload: Contents,
}

/// What a variant carries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contents {
    /// `Ping`
    Unit,
    /// `Moved(Place)`
    Newtype(NodeId),
    /// `Resized(u32, u32)`
    Tuple(Vec<NodeId>),
    /// `Failed { reason: String }`
    Struct(Vec<Field>),
    /// Could not be learnt; the text says why, for people only.
    Opaque(String),
}

macro_rules! leaves {
    ($($(#[$doc:meta])* $leaf:ident $name:literal $fewest:literal)*) => {
        /// A value without parts. `usize` and `isize` travel as 64 bits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Leaf { $($(#[$doc])* $leaf,)* }

        impl Leaf {
            /// All of them, in the order of their tags in the encoding.
            pub(crate) const ALL: &'static [Leaf] = &[$(Leaf::$leaf),*];

            /// What a person calls it.
            pub fn name(self) -> &'static str {
                match self { $(Leaf::$leaf => $name,)* }
            }

            /// The fewest bytes that it takes on the wire.
            pub(crate) fn fewest_bytes(self) -> u64 {
                match self { $(Leaf::$leaf => $fewest,)* }
            }
        }
    };
}

leaves! {
    /// One byte, 0 or 1.
    Bool "bool" 1
    /// One byte.
    I8 "i8" 1
    /// A zigzag varint.
    I16 "i16" 1
    /// A zigzag varint.
    I32 "i32" 1
    /// A zigzag varint.
    I64 "i64" 1
    /// A zigzag varint.
    I128 "i128" 1
    /// One byte.
    U8 "u8" 1
    /// A varint.
    U16 "u16" 1
    /// A varint.
    U32 "u32" 1
    /// A varint.
    U64 "u64" 1
    /// A varint.
    U128 "u128" 1
    /// Four bytes, little-endian.
    F32 "f32" 4
    /// Eight bytes, little-endian.
    F64 "f64" 8
    /// A length, then UTF-8.
    Char "char" 2
    /// A length, then UTF-8.
    Text "String" 1
    /// A length, then bytes; what `serde_bytes` makes of a `Vec<u8>`.
    Bytes "Bytes" 1
    /// No bytes.
    Unit "()" 0
}

impl Shape {
    /// Learns the shape of `T` without samples of the user's.
    ///
    /// [`Tracer`] takes samples and tells more about what it found.
    ///
    /// # Errors
    /// When postcard cannot carry `T`, when `T` has no finite value, or when the
    /// shape passes a limit.
    pub fn of<T: DeserializeOwned>() -> Result<Shape, ShapeError> {
        Tracer::new().trace::<T>().map(|learnt| learnt.shape)
    }

    /// Where the shape begins.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// All nodes; a [`NodeId`] is a place in this list.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of that id.
    ///
    /// # Panics
    /// When the id comes from another shape and is out of range here.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Whether every part of the shape is known.
    pub fn is_complete(&self) -> bool {
        self.nodes.iter().all(|node| match node {
            Node::Opaque(_) => false,
            Node::Enum(_, variants) => {
                !variants.iter().any(|v| matches!(v.payload, Contents::Opaque(_)))
            }
            _ => true,
        })
    }

    /// The paths of the parts that could not be learnt, at most 64 of them.
    ///
    /// A type whose values are all refused needs a sample; see [`Samples`].
    pub fn opaque_paths(&self) -> Vec<String> {
        path::opaque(self)
    }
}

impl Node {
    /// The name that serde was told, for structs and enums.
    pub fn name(&self) -> Option<&str> {
        match self {
            Node::UnitStruct(name)
            | Node::Newtype(name, _)
            | Node::TupleStruct(name, _)
            | Node::Struct(name, _)
            | Node::Enum(name, _) => Some(name),
            _ => None,
        }
    }

    /// The nodes that this one contains, in order.
    pub(crate) fn children(&self) -> Vec<NodeId> {
        match self {
            Node::Leaf(_) | Node::UnitStruct(_) | Node::Opaque(_) => Vec::new(),
            Node::Optional(a) | Node::Seq(a) | Node::Array(a, _) | Node::Newtype(_, a) => vec![*a],
            Node::Map(key, value) => vec![*key, *value],
            Node::Tuple(parts) | Node::TupleStruct(_, parts) => parts.clone(),
            Node::Struct(_, fields) => fields.iter().map(|field| field.node).collect(),
            Node::Enum(_, variants) => variants.iter().flat_map(|v| v.payload.children()).collect(),
        }
    }

    /// The nodes that every value of this one holds: a cycle of these has no end.
    pub(crate) fn always_holds(&self) -> Vec<NodeId> {
        match self {
            Node::Optional(_) | Node::Seq(_) | Node::Map(..) | Node::Enum(..) => Vec::new(),
            _ => self.children(),
        }
    }

    /// Points at other nodes instead, in place.
    pub(crate) fn redirect(&mut self, to: impl Fn(NodeId) -> NodeId) {
        let fields = |fields: &mut Vec<Field>| fields.iter_mut().for_each(|f| f.node = to(f.node));
        let parts = |parts: &mut Vec<NodeId>| parts.iter_mut().for_each(|p| *p = to(*p));
        match self {
            Node::Leaf(_) | Node::UnitStruct(_) | Node::Opaque(_) => {}
            Node::Optional(a) | Node::Seq(a) | Node::Array(a, _) | Node::Newtype(_, a) => {
                *a = to(*a)
            }
            Node::Map(key, value) => (*key, *value) = (to(*key), to(*value)),
            Node::Tuple(list) | Node::TupleStruct(_, list) => parts(list),
            Node::Struct(_, list) => fields(list),
            Node::Enum(_, variants) => {
                for variant in variants {
                    match &mut variant.payload {
                        Contents::Unit | Contents::Opaque(_) => {}
                        Contents::Newtype(a) => *a = to(*a),
                        Contents::Tuple(list) => parts(list),
                        Contents::Struct(list) => fields(list),
                    }
                }
            }
        }
    }
}

impl Contents {
    pub(crate) fn children(&self) -> Vec<NodeId> {
        match self {
            Contents::Unit | Contents::Opaque(_) => Vec::new(),
            Contents::Newtype(a) => vec![*a],
            Contents::Tuple(parts) => parts.clone(),
            Contents::Struct(fields) => fields.iter().map(|field| field.node).collect(),
        }
    }
}
