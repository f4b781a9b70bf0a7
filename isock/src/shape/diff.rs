//! What two shapes disagree about, in words and paths.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::mem::discriminant;

use super::display::{printable, short, Names};
use super::path::{shorten, At, Step, Trail, MAX_LISTED};
use super::{Contents, Field, Leaf, Node, NodeId, Shape, Variant};

/// Pairs of places that are compared before giving up: more than two shapes of
/// honest programs have.
const MAX_PAIRS: usize = 1 << 16;
/// Likewise for the steps between them.
const MAX_STEPS: usize = 1 << 18;

/// One disagreement between two shapes.
///
/// Prints as `Order.items[].qty: u32 here, String there`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Where, from the root here. `[]` is an element or a map's value, `?` the
    /// content of an option, `::Name` a variant.
    pub path: String,
    /// In which way.
    pub kind: DifferenceKind,
    /// What is here, in words.
    pub here: String,
    /// What is there, in words.
    pub there: String,
}

/// In which way two shapes disagree at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// Another kind of value.
    Kind,
    /// Another number of parts.
    Length,
    /// A field that only one side has.
    Field,
    /// A variant that only one side has.
    Variant,
    /// The same fields or variants in another order.
    Order,
    /// One side could not learn this part.
    Opaque,
    /// There is more; the list was cut here.
    More,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DifferenceKind::More => write!(f, "and more"),
            _ => write!(f, "{}: {} here, {} there", self.path, self.here, self.there),
        }
    }
}

/// Every difference between two shapes: none exactly when their hashes are equal.
///
/// Names of types and newtypes are not compared, as they are not in the hash. A
/// pair of types is compared once, at the place where a search in breadth meets
/// it first, so recursion ends and a type used in ten places is told of once. What
/// differs as a whole, in its kind or its number of parts, is told at every place.
/// After 64 differences the list ends with one of kind [`DifferenceKind::More`].
pub fn diff(here: &Shape, there: &Shape) -> Vec<Difference> {
    let mut walk = Walk {
        here: Side { shape: here, names: Names::of(here) },
        there: Side { shape: there, names: Names::of(there) },
        trail: Trail::from(here),
        seen: HashSet::new(),
        ahead: VecDeque::new(),
        found: Vec::new(),
    };
    walk.later(0, here.root(), there.root());
    while let Some((at, a, b)) = walk.ahead.pop_front() {
        if walk.is_spent() {
            break;
        }
        walk.pair(at, a, b);
    }
    if walk.is_spent() {
        walk.found.truncate(MAX_LISTED);
        walk.tell(0, DifferenceKind::More, String::new(), String::new());
    }
    walk.found
}

struct Side<'s> {
    shape: &'s Shape,
    names: Names,
}

impl<'s> Side<'s> {
    fn node(&self, id: NodeId) -> &'s Node {
        self.shape.node(id)
    }

    fn text(&self, id: NodeId, with_keyword: bool) -> String {
        short(self.shape, &self.names, id, with_keyword)
    }
}

struct Walk<'s> {
    here: Side<'s>,
    there: Side<'s>,
    trail: Trail<'s>,
    seen: HashSet<(NodeId, NodeId)>,
    ahead: VecDeque<(At, NodeId, NodeId)>,
    found: Vec<Difference>,
}

impl<'s> Walk<'s> {
    fn is_spent(&self) -> bool {
        self.found.len() > MAX_LISTED || self.seen.len() > MAX_PAIRS || self.trail.len() > MAX_STEPS
    }

    /// Puts a pair on the list unless it was there before and each of its parts is compared
    /// elsewhere.
    fn later(&mut self, at: At, here: NodeId, there: NodeId) {
        let (here, there) = (self.here.shape.content(here), self.there.shape.content(there));
        if self.seen.len() <= MAX_PAIRS
            && (self.seen.insert((here, there)) || self.differ_as_a_whole(here, there))
        {
            self.ahead.push_back((at, here, there));
        }
    }

    /// Ends, however often it is asked for: each such pair is a difference, and those are counted.
    fn differ_as_a_whole(&self, here: NodeId, there: NodeId) -> bool {
        let (a, b) = (self.here.node(here), self.there.node(there));
        match (Parts::of(a), Parts::of(b)) {
            _ if is_unit(a) && is_unit(b) => false,
            (Some(a), Some(b)) => a.len() != b.len(),
            _ => match (a, b) {
                (Node::Leaf(a), Node::Leaf(b)) => a != b,
                _ => discriminant(a) != discriminant(b),
            },
        }
    }

    fn tell(&mut self, at: At, kind: DifferenceKind, here: String, there: String) {
        if self.found.len() <= MAX_LISTED {
            let path = self.trail.path(at);
            self.found.push(Difference { path, kind, here, there });
        }
    }

    fn pair(&mut self, at: At, here: NodeId, there: NodeId) {
        let (a, b) = (self.here.node(here), self.there.node(there));
        match (a, b) {
            (Node::Opaque(_), Node::Opaque(_)) => {}
            (Node::Opaque(_), _) | (_, Node::Opaque(_)) => {
                self.others(at, DifferenceKind::Opaque, here, there)
            }
            (Node::Leaf(a), Node::Leaf(b)) if a == b => {}
            (Node::Optional(a), Node::Optional(b)) => self.child(at, Step::Some, *a, *b),
            (Node::Seq(a), Node::Seq(b)) => self.child(at, Step::Element, *a, *b),
            (Node::Map(ka, va), Node::Map(kb, vb)) => {
                self.child(at, Step::Key, *ka, *kb);
                self.child(at, Step::Value, *va, *vb);
            }
            (Node::Struct(_, a), Node::Struct(_, b)) => self.fields(at, a, b),
            (Node::Enum(_, a), Node::Enum(_, b)) => self.variants(at, a, b),
            _ if is_unit(a) && is_unit(b) => {}
            _ => match (Parts::of(a), Parts::of(b)) {
                (Some(a), Some(b)) => self.parts(at, &a, &b),
                _ => self.others(at, DifferenceKind::Kind, here, there),
            },
        }
    }

    fn child(&mut self, at: At, step: Step<'s>, here: NodeId, there: NodeId) {
        let at = self.trail.step(at, step);
        self.later(at, here, there);
    }

    /// Two parts that have nothing in common.
    fn others(&mut self, at: At, kind: DifferenceKind, here: NodeId, there: NodeId) {
        let (mut a, mut b) = (self.here.text(here, false), self.there.text(there, false));
        if a == b {
            (a, b) = (self.here.text(here, true), self.there.text(there, true));
        }
        self.tell(at, kind, a, b);
    }

    fn parts(&mut self, at: At, here: &Parts<'_>, there: &Parts<'_>) {
        if here.len() != there.len() {
            let words = |parts: &Parts<'_>| match parts.len() {
                1 => "1 part".to_owned(),
                count => format!("{count} parts"),
            };
            self.tell(at, DifferenceKind::Length, words(here), words(there));
        }
        if let (Parts::Array(a, _), Parts::Array(b, _)) = (here, there) {
            return self.child(at, Step::Element, *a, *b);
        }
        for index in 0.. {
            match (here.part(index), there.part(index)) {
                (Some(a), Some(b)) => self.child(at, Step::Index(index), a, b),
                _ => break,
            }
        }
    }

    fn fields(&mut self, at: At, here: &'s [Field], there: &'s [Field]) {
        let (in_here, in_there) = (by_name(here, |f| &f.name), by_name(there, |f| &f.name));
        for field in here {
            let at = self.trail.step(at, Step::Field(&field.name));
            match in_there.get(field.name.as_str()) {
                Some(other) => self.later(at, field.node, other.node),
                None => {
                    let text = self.here.text(field.node, false);
                    self.tell(at, DifferenceKind::Field, text, "missing".to_owned());
                }
            }
        }
        for field in there.iter().filter(|field| !in_here.contains_key(field.name.as_str())) {
            let at = self.trail.step(at, Step::Field(&field.name));
            let text = self.there.text(field.node, false);
            self.tell(at, DifferenceKind::Field, "missing".to_owned(), text);
        }
        let here = here.iter().map(|f| f.name.as_str()).filter(|name| in_there.contains_key(name));
        let there = there.iter().map(|f| f.name.as_str()).filter(|name| in_here.contains_key(name));
        self.order(at, "fields", here.collect(), there.collect());
    }

    fn variants(&mut self, at: At, here: &'s [Variant], there: &'s [Variant]) {
        let (in_here, in_there) = (by_name(here, |v| &v.name), by_name(there, |v| &v.name));
        let tell = |walk: &mut Self, name: &'s str, here: &str, there: &str| {
            let at = walk.trail.step(at, Step::Variant(name));
            walk.tell(at, DifferenceKind::Variant, here.to_owned(), there.to_owned());
        };
        for variant in here {
            match in_there.get(variant.name.as_str()) {
                Some(other) => {
                    let at = self.trail.step(at, Step::Variant(&variant.name));
                    self.payloads(at, &variant.payload, &other.payload);
                }
                None => tell(self, &variant.name, "a variant", "missing"),
            }
        }
        for variant in there.iter().filter(|variant| !in_here.contains_key(variant.name.as_str())) {
            tell(self, &variant.name, "missing", "a variant");
        }
        let here = here.iter().map(|v| v.name.as_str()).filter(|name| in_there.contains_key(name));
        let there = there.iter().map(|v| v.name.as_str()).filter(|name| in_here.contains_key(name));
        self.order(at, "variants", here.collect(), there.collect());
    }

    fn payloads(&mut self, at: At, here: &'s Contents, there: &'s Contents) {
        match (here, there) {
            (Contents::Unit, Contents::Unit) | (Contents::Opaque(_), Contents::Opaque(_)) => {}
            (Contents::Newtype(a), Contents::Newtype(b)) => self.later(at, *a, *b),
            (Contents::Tuple(a), Contents::Tuple(b)) => {
                self.parts(at, &Parts::List(a), &Parts::List(b))
            }
            (Contents::Struct(a), Contents::Struct(b)) => self.fields(at, a, b),
            _ => {
                let kind = match (here, there) {
                    (Contents::Opaque(_), _) | (_, Contents::Opaque(_)) => DifferenceKind::Opaque,
                    _ => DifferenceKind::Kind,
                };
                self.tell(
                    at,
                    kind,
                    payload_words(&self.here, here),
                    payload_words(&self.there, there),
                );
            }
        }
    }

    /// Compares the order of the names that both sides have.
    fn order(&mut self, at: At, what: &str, here: Vec<&str>, there: Vec<&str>) {
        if here != there {
            let words = |names: Vec<&str>| {
                let names: Vec<_> = names.into_iter().map(printable).collect();
                shorten(format!("{what} in the order {}", names.join(", ")))
            };
            self.tell(at, DifferenceKind::Order, words(here), words(there));
        }
    }
}

fn by_name<T>(parts: &[T], name: impl Fn(&T) -> &String) -> HashMap<&str, &T> {
    parts.iter().map(|part| (name(part).as_str(), part)).collect()
}

fn is_unit(node: &Node) -> bool {
    match node {
        Node::Leaf(Leaf::Unit) | Node::UnitStruct(_) => true,
        Node::TupleStruct(_, parts) => parts.is_empty(),
        _ => false,
    }
}

fn payload_words(side: &Side<'_>, payload: &Contents) -> String {
    match payload {
        Contents::Unit => "no payload".to_owned(),
        Contents::Newtype(inner) => side.text(*inner, false),
        Contents::Tuple(parts) if parts.len() == 1 => "a tuple of 1 part".to_owned(),
        Contents::Tuple(parts) => format!("a tuple of {} parts", parts.len()),
        Contents::Struct(fields) if fields.len() == 1 => "1 named field".to_owned(),
        Contents::Struct(fields) => format!("{} named fields", fields.len()),
        Contents::Opaque(_) => "opaque".to_owned(),
    }
}

/// The parts of a tuple, tuple struct or array.
enum Parts<'s> {
    List(&'s [NodeId]),
    Array(NodeId, u64),
}

impl<'s> Parts<'s> {
    fn of(node: &'s Node) -> Option<Parts<'s>> {
        match node {
            Node::Tuple(parts) | Node::TupleStruct(_, parts) => Some(Parts::List(parts)),
            Node::Array(part, len) => Some(Parts::Array(*part, *len)),
            _ => None,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Parts::List(parts) => parts.len() as u64,
            Parts::Array(_, len) => *len,
        }
    }

    fn part(&self, index: usize) -> Option<NodeId> {
        match self {
            Parts::List(parts) => parts.get(index).copied(),
            Parts::Array(part, len) => ((index as u64) < *len).then_some(*part),
        }
    }
}
