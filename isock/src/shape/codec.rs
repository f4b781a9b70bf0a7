//! Shapes as bytes, for the exchange between peers and for lock files.
//!
//! The format is ours and spelled out here, so that neither postcard nor a
//! change of these Rust types alters it.
//!
//! ```text
//! shape    = version:u8 (1)  count:varint  node × count        the first node is the root
//! node     = tag:u8, then by tag
//!   0      opaque        name (why)
//!   1..=17 leaf          bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes unit
//!   32     option        id
//!   33     seq           id
//!   34     map           id id
//!   35     tuple         ids
//!   36     array         id  length:varint
//!   37     unit struct   name
//!   38     newtype       name  id
//!   39     tuple struct  name  ids
//!   40     struct        name  fields
//!   41     enum          name  count:varint  (name  payload) × count
//! payload  = 0 unit | 1 newtype id | 2 tuple ids | 3 struct fields | 4 opaque name (why)
//! fields   = count:varint  (name  id) × count
//! ids      = count:varint  id × count
//! id       = varint, the place of a node in the list, from 0
//! name     = length:varint  UTF-8
//! varint   = 7 bits a byte, lowest first, the top bit set on all bytes but the last
//! ```
//!
//! A shape has exactly one encoding: anything that is not in normal form, such
//! as two equal nodes, a node nobody points at or a padded varint, is refused.

use std::collections::HashSet;
use std::fmt;

use super::normal::normalise;
use super::{Contents, Field, Leaf, Node, NodeId, Shape, Variant};

/// The largest encoded shape, in bytes.
pub const MAX_ENCODED: usize = 64 * 1024;
/// The most nodes in one shape.
pub const MAX_NODES: usize = 4096;
/// The longest name of a type, field or variant, in bytes.
pub const MAX_NAME: usize = 256;

const VERSION: u8 = 1;
const FIRST_LEAF: u8 = 1;
const TUPLE: u8 = 35;

/// Why bytes are not a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeDecodeError {
    /// Written by a version of the format that this build does not know.
    Version(u8),
    /// The bytes end too early, or hold something the format has no meaning for.
    Malformed,
    /// A limit is passed; the text says which.
    TooLarge(&'static str),
    /// A node that is not in the table is pointed at.
    Dangling,
    /// A part contains itself in every value.
    Endless,
    /// Two fields of one struct, or two variants of one enum, have the same name.
    Repeated,
    /// The shape is sound but not in normal form.
    NotCanonical,
}

impl fmt::Display for ShapeDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShapeDecodeError::Version(version) => {
                write!(f, "shape format {version} is not known here, only {VERSION}")
            }
            ShapeDecodeError::Malformed => f.write_str("malformed shape"),
            ShapeDecodeError::TooLarge(limit) => write!(f, "shape too large: {limit}"),
            ShapeDecodeError::Dangling => f.write_str("shape points at a node that is not there"),
            ShapeDecodeError::Endless => f.write_str("shape contains itself in every value"),
            ShapeDecodeError::Repeated => f.write_str("shape has two parts of one name"),
            ShapeDecodeError::NotCanonical => f.write_str("shape is not in normal form"),
        }
    }
}

impl std::error::Error for ShapeDecodeError {}

impl Shape {
    /// The bytes of this shape, at most [`MAX_ENCODED`].
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.nodes)
    }

    /// Reads a shape that a peer sent.
    ///
    /// Takes time and memory in proportion to the bytes, whatever they are.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`encode`](Shape::encode) makes of some shape.
    pub fn decode(bytes: &[u8]) -> Result<Shape, ShapeDecodeError> {
        if bytes.len() > MAX_ENCODED {
            return Err(ShapeDecodeError::TooLarge("at most 64 KiB encoded"));
        }
        let shape = Shape::from_nodes(Reader { bytes }.shape()?, NodeId::new(0))?;
        if shape.encode() != bytes {
            return Err(ShapeDecodeError::NotCanonical);
        }
        Ok(shape)
    }

    /// Checks a table and brings it into normal form.
    pub(super) fn from_nodes(nodes: Vec<Node>, root: NodeId) -> Result<Shape, ShapeDecodeError> {
        check(&nodes)?;
        let nodes = normalise(nodes, root);
        if nodes.len() > MAX_NODES {
            return Err(ShapeDecodeError::TooLarge("at most 4096 nodes"));
        }
        let shape = Shape { nodes };
        if shape.encode().len() > MAX_ENCODED {
            return Err(ShapeDecodeError::TooLarge("at most 64 KiB encoded"));
        }
        Ok(shape)
    }
}

fn check(nodes: &[Node]) -> Result<(), ShapeDecodeError> {
    for node in nodes {
        if node.children().iter().any(|child| child.index() >= nodes.len()) {
            return Err(ShapeDecodeError::Dangling);
        }
        if names(node).iter().any(|name| name.len() > MAX_NAME) {
            return Err(ShapeDecodeError::TooLarge("names of at most 256 bytes"));
        }
        let distinct = match node {
            Node::Struct(_, fields) => distinct_fields(fields),
            Node::Enum(_, variants) => {
                distinct(variants.iter().map(|variant| &variant.name))
                    && variants.iter().all(|variant| match &variant.payload {
                        Contents::Struct(fields) => distinct_fields(fields),
                        _ => true,
                    })
            }
            _ => true,
        };
        if !distinct {
            return Err(ShapeDecodeError::Repeated);
        }
    }
    if has_endless_value(nodes) {
        return Err(ShapeDecodeError::Endless);
    }
    Ok(())
}

fn distinct_fields(fields: &[Field]) -> bool {
    distinct(fields.iter().map(|field| &field.name))
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> bool {
    let mut seen = HashSet::new();
    names.into_iter().all(|name| seen.insert(name))
}

fn names(node: &Node) -> Vec<&str> {
    let mut names: Vec<&str> = node.name().into_iter().collect();
    match node {
        Node::Struct(_, fields) => names.extend(fields.iter().map(|field| field.name.as_str())),
        Node::Opaque(why) => names.push(why),
        Node::Enum(_, variants) => {
            for variant in variants {
                names.push(&variant.name);
                match &variant.payload {
                    Contents::Struct(fields) => {
                        names.extend(fields.iter().map(|field| field.name.as_str()))
                    }
                    Contents::Opaque(why) => names.push(why),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    names
}

/// Whether following what values always hold leads back to where it began.
fn has_endless_value(nodes: &[Node]) -> bool {
    // Takes away, again and again, the nodes that hold no others; a cycle remains.
    let mut holders: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut holds: Vec<usize> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let held = node.always_holds();
        holds.push(held.len());
        held.iter().for_each(|child| holders[child.index()].push(index));
    }
    let mut settled: Vec<usize> = (0..nodes.len()).filter(|index| holds[*index] == 0).collect();
    let mut count = 0;
    while let Some(index) = settled.pop() {
        count += 1;
        for holder in &holders[index] {
            holds[*holder] -= 1;
            if holds[*holder] == 0 {
                settled.push(*holder);
            }
        }
    }
    count < nodes.len()
}

pub(super) fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut writer = Writer { bytes: vec![VERSION], with_ids: true };
    writer.varint(nodes.len() as u64);
    nodes.iter().for_each(|node| writer.node(node));
    writer.bytes
}

/// What distinguishes a node from others, its children aside: an array is a tuple here.
pub(super) fn label(node: &Node) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::new(), with_ids: false };
    match node {
        Node::Array(_, len) => drop(writer.tag(TUPLE).varint(*len)),
        other => writer.node(other),
    }
    writer.bytes
}

struct Writer {
    bytes: Vec<u8>,
    with_ids: bool,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Opaque(why) => self.tag(0).name(why),
            Node::Leaf(leaf) => {
                // Every leaf is in the list, which the macro makes of the enum itself.
                let place = Leaf::ALL.iter().position(|other| other == leaf).unwrap_or(0);
                self.tag(FIRST_LEAF + place as u8)
            }
            Node::Optional(inner) => self.tag(32).id(*inner),
            Node::Seq(element) => self.tag(33).id(*element),
            Node::Map(key, value) => self.tag(34).id(*key).id(*value),
            Node::Tuple(parts) => self.tag(TUPLE).ids(parts),
            Node::Array(element, len) => self.tag(36).id(*element).varint(*len),
            Node::UnitStruct(name) => self.tag(37).name(name),
            Node::Newtype(name, inner) => self.tag(38).name(name).id(*inner),
            Node::TupleStruct(name, parts) => self.tag(39).name(name).ids(parts),
            Node::Struct(name, fields) => self.tag(40).name(name).fields(fields),
            Node::Enum(name, variants) => {
                self.tag(41).name(name).varint(variants.len() as u64);
                for variant in variants {
                    self.name(&variant.name).payload(&variant.payload);
                }
                self
            }
        };
    }

    fn payload(&mut self, payload: &Contents) -> &mut Self {
        match payload {
            Contents::Unit => self.tag(0),
            Contents::Newtype(inner) => self.tag(1).id(*inner),
            Contents::Tuple(parts) => self.tag(2).ids(parts),
            Contents::Struct(fields) => self.tag(3).fields(fields),
            Contents::Opaque(why) => self.tag(4).name(why),
        }
    }

    fn fields(&mut self, fields: &[Field]) -> &mut Self {
        self.varint(fields.len() as u64);
        for field in fields {
            self.name(&field.name).id(field.node);
        }
        self
    }

    fn ids(&mut self, ids: &[NodeId]) -> &mut Self {
        self.varint(ids.len() as u64);
        for id in ids {
            self.id(*id);
        }
        self
    }

    fn id(&mut self, id: NodeId) -> &mut Self {
        if self.with_ids {
            self.varint(u64::from(id.0));
        }
        self
    }

    fn name(&mut self, name: &str) -> &mut Self {
        self.varint(name.len() as u64);
        self.bytes.extend_from_slice(name.as_bytes());
        self
    }

    fn tag(&mut self, tag: u8) -> &mut Self {
        self.bytes.push(tag);
        self
    }

    fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
}

impl Reader<'_> {
    fn shape(mut self) -> Result<Vec<Node>, ShapeDecodeError> {
        match self.byte()? {
            VERSION => {}
            other => return Err(ShapeDecodeError::Version(other)),
        }
        let count = self.count()?;
        if count > MAX_NODES {
            return Err(ShapeDecodeError::TooLarge("at most 4096 nodes"));
        }
        if count == 0 {
            return Err(ShapeDecodeError::Dangling);
        }
        let nodes = (0..count).map(|_| self.node()).collect::<Result<_, _>>()?;
        if !self.bytes.is_empty() {
            return Err(ShapeDecodeError::Malformed);
        }
        Ok(nodes)
    }

    fn node(&mut self) -> Result<Node, ShapeDecodeError> {
        Ok(match self.byte()? {
            0 => Node::Opaque(self.name()?),
            32 => Node::Optional(self.id()?),
            33 => Node::Seq(self.id()?),
            34 => Node::Map(self.id()?, self.id()?),
            TUPLE => Node::Tuple(self.ids()?),
            36 => match (self.id()?, self.varint()?) {
                (_, 0 | 1) => return Err(ShapeDecodeError::NotCanonical),
                (element, len) => Node::Array(element, len),
            },
            37 => Node::UnitStruct(self.name()?),
            38 => Node::Newtype(self.name()?, self.id()?),
            39 => Node::TupleStruct(self.name()?, self.ids()?),
            40 => Node::Struct(self.name()?, self.fields()?),
            41 => {
                let name = self.name()?;
                let count = self.count()?;
                Node::Enum(name, (0..count).map(|_| self.variant()).collect::<Result<_, _>>()?)
            }
            tag => {
                let place = usize::from(tag - FIRST_LEAF);
                Node::Leaf(*Leaf::ALL.get(place).ok_or(ShapeDecodeError::Malformed)?)
            }
        })
    }

    fn variant(&mut self) -> Result<Variant, ShapeDecodeError> {
        let name = self.name()?;
        let payload = match self.byte()? {
            0 => Contents::Unit,
            1 => Contents::Newtype(self.id()?),
            2 => Contents::Tuple(self.ids()?),
            3 => Contents::Struct(self.fields()?),
            4 => Contents::Opaque(self.name()?),
            _ => return Err(ShapeDecodeError::Malformed),
        };
        Ok(Variant { name, payload })
    }

    fn fields(&mut self) -> Result<Vec<Field>, ShapeDecodeError> {
        let count = self.count()?;
        (0..count).map(|_| Ok(Field { name: self.name()?, node: self.id()? })).collect()
    }

    fn ids(&mut self) -> Result<Vec<NodeId>, ShapeDecodeError> {
        let count = self.count()?;
        (0..count).map(|_| self.id()).collect()
    }

    fn id(&mut self) -> Result<NodeId, ShapeDecodeError> {
        let id = u32::try_from(self.varint()?).map_err(|_| ShapeDecodeError::Dangling)?;
        Ok(NodeId(id))
    }

    fn name(&mut self) -> Result<String, ShapeDecodeError> {
        let len = self.count()?;
        if len > MAX_NAME {
            return Err(ShapeDecodeError::TooLarge("names of at most 256 bytes"));
        }
        let (name, rest) = self.bytes.split_at_checked(len).ok_or(ShapeDecodeError::Malformed)?;
        self.bytes = rest;
        String::from_utf8(name.to_vec()).map_err(|_| ShapeDecodeError::Malformed)
    }

    /// A number of things that take at least a byte each, so more than the bytes
    /// that are left is a lie, and nothing is allocated for it.
    fn count(&mut self) -> Result<usize, ShapeDecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| ShapeDecodeError::Malformed)?;
        if count > self.bytes.len() {
            return Err(ShapeDecodeError::Malformed);
        }
        Ok(count)
    }

    fn varint(&mut self) -> Result<u64, ShapeDecodeError> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ShapeDecodeError::Malformed)
    }

    fn byte(&mut self) -> Result<u8, ShapeDecodeError> {
        let (byte, rest) = self.bytes.split_first().ok_or(ShapeDecodeError::Malformed)?;
        self.bytes = rest;
        Ok(*byte)
    }
}
