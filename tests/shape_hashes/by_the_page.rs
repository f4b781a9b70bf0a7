//! The hash of a shape, computed as `PROTOCOL.md` says it and in no other way.
//!
//! Slow and plain on purpose: rounds instead of worklists, sets of bytes instead of types.

use isock::shape::{Contents, Field, Leaf, Node, NodeId, Shape};
use std::collections::BTreeMap;

/// Nodes as bytes with holes: what stands between the ids, and where they point.
#[derive(Clone)]
pub struct Table(Vec<Plain>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Plain {
    /// One more than there are ids.
    between: Vec<Vec<u8>>,
    ids: Vec<usize>,
}

const UNIT: u8 = 17;
const TUPLE: u8 = 35;
const ARRAY: u8 = 36;

impl Table {
    /// What is hashed of a shape.
    pub fn of(shape: &Shape) -> Table {
        let nodes = shape.nodes().iter();
        let root = inside_newtypes(shape, shape.root());
        Table(nodes.map(|node| plain(shape, node)).collect()).numbered_from(root)
    }

    /// Every node twice, each pointing at the other's parts.
    pub fn unrolled(&self) -> Table {
        let len = self.0.len();
        let twice = self.0.iter().chain(&self.0).cloned().enumerate();
        let crossed =
            twice.map(|(at, node)| node.pointing(|id| if at < len { id + len } else { id }));
        Table(crossed.collect())
    }

    pub fn hash(&self) -> u64 {
        fnv(&self.normal().encoded()).max(1)
    }

    fn normal(&self) -> Table {
        let merged = self.merged();
        Table(merged.0.into_iter().map(Plain::simple).collect()).merged()
    }

    fn merged(&self) -> Table {
        let mut classes = vec![0; self.0.len()];
        let mut count = 0;
        loop {
            let mut known = BTreeMap::new();
            let seen = |node: &Plain| node.clone().pointing(|id| classes[id]).simple();
            let seen: Vec<Plain> = self.0.iter().map(seen).collect();
            for node in &seen {
                let next = known.len();
                known.entry(node.clone()).or_insert(next);
            }
            classes = seen.iter().map(|node| known[node]).collect();
            if known.len() == count {
                break;
            }
            count = known.len();
        }
        let mut merged = vec![None; count];
        for (node, class) in self.0.iter().zip(&classes) {
            merged[*class].get_or_insert(node.clone().pointing(|id| classes[id]));
        }
        Table(merged.into_iter().flatten().collect()).numbered_from(classes[0])
    }

    fn numbered_from(&self, root: usize) -> Table {
        let mut order = Vec::new();
        self.walk(root, &mut order);
        let place = |id| order.iter().position(|other| *other == id).expect("it was walked to");
        Table(order.iter().map(|id| self.0[*id].clone().pointing(place)).collect())
    }

    fn walk(&self, at: usize, order: &mut Vec<usize>) {
        if !order.contains(&at) {
            order.push(at);
            self.0[at].ids.iter().for_each(|id| self.walk(*id, order));
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend(varint(self.0.len() as u64));
        for node in &self.0 {
            for (between, id) in node.between.iter().zip(&node.ids) {
                bytes.extend(between);
                bytes.extend(varint(*id as u64));
            }
            bytes.extend(node.between.last().expect("one more than ids"));
        }
        bytes
    }
}

impl Plain {
    fn new(tag: u8) -> Plain {
        Plain { between: vec![vec![tag]], ids: Vec::new() }
    }

    fn with(mut self, bytes: Vec<u8>) -> Plain {
        self.between.last_mut().expect("one more than ids").extend(bytes);
        self
    }

    fn id(mut self, id: usize) -> Plain {
        self.ids.push(id);
        self.between.push(Vec::new());
        self
    }

    fn ids(self, ids: &[usize]) -> Plain {
        let counted = self.with(varint(ids.len() as u64));
        ids.iter().fold(counted, |node, id| node.id(*id))
    }

    fn pointing(mut self, to: impl Fn(usize) -> usize) -> Plain {
        self.ids.iter_mut().for_each(|id| *id = to(*id));
        self
    }

    /// A tuple of equal parts as an array, and one without parts as a unit.
    fn simple(self) -> Plain {
        match self.ids[..] {
            _ if self.between[0][0] != TUPLE => self,
            [] => Plain::new(UNIT),
            [first, _, ..] if self.ids.iter().all(|id| *id == first) => {
                Plain::new(ARRAY).id(first).with(varint(self.ids.len() as u64))
            }
            _ => self,
        }
    }
}

fn plain(shape: &Shape, node: &Node) -> Plain {
    let id = |id: NodeId| inside_newtypes(shape, id);
    let ids = |list: &[NodeId]| list.iter().map(|part| id(*part)).collect::<Vec<_>>();
    let fields = |node: Plain, fields: &[Field]| {
        let counted = node.with(varint(fields.len() as u64));
        fields.iter().fold(counted, |node, field| node.with(name(&field.name)).id(id(field.node)))
    };
    match node {
        Node::Leaf(leaf) => Plain::new(tag(*leaf)),
        Node::Optional(inner) => Plain::new(32).id(id(*inner)),
        Node::Seq(element) => Plain::new(33).id(id(*element)),
        Node::Map(key, value) => Plain::new(34).id(id(*key)).id(id(*value)),
        Node::Tuple(parts) | Node::TupleStruct(_, parts) => Plain::new(TUPLE).ids(&ids(parts)),
        Node::Array(element, len) => Plain::new(ARRAY).id(id(*element)).with(varint(*len)),
        Node::UnitStruct(_) => Plain::new(UNIT),
        // Nobody points at it once all look inside.
        Node::Newtype(_, inner) => Plain::new(38).id(id(*inner)),
        Node::Struct(_, list) => fields(Plain::new(40).with(name("")), list),
        Node::Enum(_, variants) => {
            let counted = Plain::new(41).with(name("")).with(varint(variants.len() as u64));
            variants.iter().fold(counted, |node, variant| {
                let node = node.with(name(&variant.name));
                match &variant.payload {
                    Contents::Unit => node.with(vec![0]),
                    Contents::Newtype(inner) => node.with(vec![1]).id(id(*inner)),
                    Contents::Tuple(parts) => node.with(vec![2]).ids(&ids(parts)),
                    Contents::Struct(list) => fields(node.with(vec![3]), list),
                    _ => node.with(vec![4]).with(name("")),
                }
            })
        }
        _ => Plain::new(0).with(name("")),
    }
}

fn inside_newtypes(shape: &Shape, id: NodeId) -> usize {
    match shape.node(id) {
        Node::Newtype(_, inner) => inside_newtypes(shape, *inner),
        _ => {
            let is_it = |node: &Node| std::ptr::eq(node, shape.node(id));
            shape.nodes().iter().position(is_it).expect("a node of the shape")
        }
    }
}

fn tag(leaf: Leaf) -> u8 {
    const LEAVES: [&str; 17] = [
        "bool", "i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128", "f32", "f64",
        "char", "String", "Bytes", "()",
    ];
    let place = LEAVES.iter().position(|name| *name == leaf.name());
    1 + place.expect("a leaf of the page") as u8
}

fn name(text: &str) -> Vec<u8> {
    [varint(text.len() as u64), text.into()].concat()
}

fn varint(value: u64) -> Vec<u8> {
    match value {
        0..=0x7f => vec![value as u8],
        _ => [vec![value as u8 | 0x80], varint(value >> 7)].concat(),
    }
}

/// 64-bit FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
