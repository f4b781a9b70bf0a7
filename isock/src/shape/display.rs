//! Shapes as text: what a person would have written in Rust.
//!
//! serde does not keep all that the person wrote. A set prints as the `Vec` that
//! it is on the wire, a map as `HashMap`, `serde_bytes` as `Bytes`, two or more
//! equal parts as an array (two as a tuple); instances of one generic type print
//! as `Page`, `Page2`. Names that are no identifiers print in quotes, with control
//! characters escaped: a shape may come from a stranger and end on a terminal.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use super::normal::normalise;
use super::{Contents, Field, Leaf, Node, NodeId, Shape, Variant};

/// Text is cut here, in bytes: a few shared nodes can unfold to more than memory holds.
const MAX_TEXT: usize = 256 * 1024;
/// Anonymous parts nested deeper get a name of their own.
const MAX_NESTED: usize = 24;

/// The root's definition, or the root itself when it has no name; then, each
/// after an empty line, the definitions that it needs.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Names::of(self);
        let mut text = Text { shape: self, names: &names, out: String::new(), limit: MAX_TEXT };
        let mut first = true;
        if !names.defined.contains(&self.root()) {
            text.expression(self.root());
            first = false;
        }
        for id in &names.defined {
            if !std::mem::take(&mut first) {
                text.push("\n\n");
            }
            text.definition(*id);
        }
        f.write_str(&text.out)
    }
}

/// Shapes that are shown together, so that a type that several of them have is shown once.
pub(crate) struct Group {
    /// The root is made up, and holds those of the group in order.
    shape: Shape,
    roots: Vec<NodeId>,
    names: Names,
}

impl Group {
    /// Shapes, and of each whether it says why parts of it are opaque.
    pub(crate) fn of<'s>(shapes: impl Iterator<Item = (&'s Shape, bool)>) -> Group {
        let mut nodes = vec![Node::Leaf(Leaf::Unit)];
        let mut fields = Vec::new();
        for (number, (shape, says_why)) in shapes.enumerate() {
            let before = nodes.len();
            let there = |id: NodeId| NodeId::new(before + id.index());
            fields.push(Field { name: number.to_string(), node: there(shape.root()) });
            nodes.extend(shape.nodes().iter().map(|node| {
                let mut node = node.clone();
                node.redirect(there);
                match node {
                    Node::Opaque(_) if !says_why => Node::Opaque(String::new()),
                    node => node,
                }
            }));
        }
        nodes[0] = Node::Struct(String::new(), fields);
        let shape = Shape { nodes: normalise(nodes, NodeId::new(0)) };
        let roots = shape.node(shape.root()).children();
        let names = Names::from(&shape, &roots);
        Group { shape, roots, names }
    }

    /// The shape with this number, as it is written where it is used.
    pub(crate) fn expression(&self, number: usize) -> String {
        let mut text = self.text();
        text.expression(self.roots[number]);
        text.out
    }

    /// Each named type.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = String> + '_ {
        self.names.defined.iter().map(|id| {
            let mut text = self.text();
            text.definition(*id);
            text.out
        })
    }

    fn text(&self) -> Text<'_> {
        Text { shape: &self.shape, names: &self.names, out: String::new(), limit: MAX_TEXT }
    }
}

/// A name as it is, or quoted and escaped when it is no identifier.
pub(crate) fn printable(name: &str) -> Cow<'_, str> {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if starts && chars.all(|c| c.is_alphanumeric() || c == '_') {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{name:?}"))
    }
}

/// The nodes that print as definitions, in order, and what each is called.
pub(super) struct Names {
    defined: Vec<NodeId>,
    of: HashMap<NodeId, String>,
}

impl Names {
    pub(super) fn of(shape: &Shape) -> Names {
        Names::from(shape, &[shape.root()])
    }

    fn from(shape: &Shape, roots: &[NodeId]) -> Names {
        let mut names = Names { defined: Vec::new(), of: HashMap::new() };
        let mut taken = Taken::default();
        let mut ahead: VecDeque<NodeId> = roots.iter().copied().collect();
        let mut heights = HashMap::new();
        while let Some(from) = ahead.pop_front() {
            let mut found = Vec::new();
            names.height(shape, from, &mut Vec::new(), &mut found, &mut heights);
            for id in found {
                if let Entry::Vacant(vacant) = names.of.entry(id) {
                    vacant.insert(taken.unique(shape.node(id)));
                    names.defined.push(id);
                    ahead.extend(shape.node(id).children());
                }
            }
        }
        names
    }

    /// How deep `id` nests where it is printed in place; 0 for a name.
    ///
    /// On the way finds the nodes that need one: declared ones, and anonymous ones
    /// that contain themselves or nest too deep to read, or to print recursively.
    fn height(
        &self,
        shape: &Shape,
        id: NodeId,
        above: &mut Vec<NodeId>,
        found: &mut Vec<NodeId>,
        heights: &mut HashMap<NodeId, usize>,
    ) -> usize {
        let node = shape.node(id);
        let declared = node.name().is_some() && as_result(node).is_none();
        if self.of.contains_key(&id) {
            return 0;
        }
        if let Some(height) = heights.get(&id) {
            return *height;
        }
        if declared || above.contains(&id) || above.len() >= MAX_NESTED {
            found.push(id);
            return 0;
        }
        above.push(id);
        let below = node
            .children()
            .into_iter()
            .map(|child| self.height(shape, child, above, found, heights))
            .max();
        above.pop();
        let mut height = below.map_or(0, |below| below + 1);
        if height > MAX_NESTED {
            found.push(id);
            height = 0;
        }
        heights.insert(id, height);
        height
    }
}

/// The names that are given away, and how often each stem was.
#[derive(Default)]
struct Taken {
    names: HashSet<String>,
    stems: HashMap<String, usize>,
}

impl Taken {
    fn unique(&mut self, node: &Node) -> String {
        let stem = node.name().map_or(Cow::Borrowed("Part"), printable);
        let number = self.stems.entry(stem.to_string()).or_default();
        loop {
            *number += 1;
            let name = match (*number, stem.strip_suffix('"')) {
                (1, _) => stem.to_string(),
                (_, Some(open)) => format!("{open}{number}\""),
                (_, None) => format!("{stem}{number}"),
            };
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// What a `Result` carries; it has a name, but people write it in place.
fn as_result(node: &Node) -> Option<(NodeId, NodeId)> {
    match node {
        Node::Enum(name, variants) if name == "Result" => match &variants[..] {
            [Variant { name: a, payload: Contents::Newtype(ok) }, Variant { name: b, payload: Contents::Newtype(err) }]
                if a == "Ok" && b == "Err" =>
            {
                Some((*ok, *err))
            }
            _ => None,
        },
        _ => None,
    }
}

/// One line for a part of a shape: `Vec<Item>`, or `struct Item` where a name
/// alone would not do.
pub(super) fn short(shape: &Shape, names: &Names, id: NodeId, with_keyword: bool) -> String {
    let mut text = Text { shape, names, out: String::new(), limit: 160 };
    if with_keyword {
        text.push(match shape.node(id) {
            Node::Enum(..) => "enum ",
            node if node.name().is_some() => "struct ",
            _ => "",
        });
    }
    text.expression(id);
    text.out
}

struct Text<'s> {
    shape: &'s Shape,
    names: &'s Names,
    out: String,
    limit: usize,
}

impl Text<'_> {
    fn push(&mut self, text: &str) {
        if self.out.len() + text.len() <= self.limit {
            self.out.push_str(text);
        } else if !self.is_full() {
            self.out.push('…');
            self.limit = 0;
        }
    }

    fn is_full(&self) -> bool {
        self.limit == 0
    }

    /// A part where it is used: by name if it has one.
    fn expression(&mut self, id: NodeId) {
        match self.names.of.get(&id) {
            Some(name) => self.push(name),
            None => self.anonymous(id),
        }
    }

    fn anonymous(&mut self, id: NodeId) {
        if self.is_full() {
            return;
        }
        let node = self.shape.node(id);
        if let Some((ok, err)) = as_result(node) {
            return self.around("Result<", &[ok, err], ">");
        }
        match node {
            Node::Leaf(leaf) => self.push(leaf.name()),
            Node::Optional(inner) => self.around("Option<", &[*inner], ">"),
            Node::Seq(element) => self.around("Vec<", &[*element], ">"),
            Node::Map(key, value) => self.around("HashMap<", &[*key, *value], ">"),
            Node::Array(part, 2) => self.around("(", &[*part, *part], ")"),
            Node::Array(part, len) => self.around("[", &[*part], &format!("; {len}]")),
            Node::Tuple(parts) if parts.len() == 1 => self.around("(", parts, ",)"),
            Node::Tuple(parts) => self.around("(", parts, ")"),
            Node::Opaque(why) => self.opaque(why),
            // Reached only for a node that `Names` did not list: it lists all of these.
            Node::UnitStruct(name)
            | Node::Newtype(name, _)
            | Node::TupleStruct(name, _)
            | Node::Struct(name, _)
            | Node::Enum(name, _) => self.push(&printable(name)),
        }
    }

    fn around(&mut self, open: &str, parts: &[NodeId], close: &str) {
        self.push(open);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.expression(*part);
        }
        self.push(close);
    }

    fn opaque(&mut self, why: &str) {
        self.push("opaque");
        if !why.is_empty() {
            self.push(&format!("({why:?})"));
        }
    }

    fn definition(&mut self, id: NodeId) {
        let name = self.names.of.get(&id).map_or("", String::as_str).to_owned();
        match self.shape.node(id) {
            Node::UnitStruct(_) => self.push(&format!("struct {name};")),
            Node::Newtype(_, inner) => self.around(&format!("struct {name}("), &[*inner], ");"),
            Node::TupleStruct(_, parts) => self.around(&format!("struct {name}("), parts, ");"),
            Node::Struct(_, fields) if fields.is_empty() => {
                self.push(&format!("struct {name} {{}}"))
            }
            Node::Struct(_, fields) => {
                self.push(&format!("struct {name} {{\n"));
                for field in fields {
                    self.push("    ");
                    self.field(field);
                    self.push(",\n");
                }
                self.push("}");
            }
            Node::Enum(_, variants) if variants.is_empty() => {
                self.push(&format!("enum {name} {{}}"))
            }
            Node::Enum(_, variants) => {
                self.push(&format!("enum {name} {{\n"));
                variants.iter().for_each(|variant| self.variant(variant));
                self.push("}");
            }
            _ => {
                self.push(&format!("type {name} = "));
                self.anonymous(id);
                self.push(";");
            }
        }
    }

    fn variant(&mut self, variant: &Variant) {
        self.push("    ");
        self.push(&printable(&variant.name));
        match &variant.payload {
            Contents::Unit => {}
            Contents::Newtype(inner) => self.around("(", &[*inner], ")"),
            // A comma tells the tuple of one from the newtype.
            Contents::Tuple(parts) if parts.len() == 1 => self.around("(", parts, ",)"),
            Contents::Tuple(parts) => self.around("(", parts, ")"),
            Contents::Struct(fields) if fields.is_empty() => self.push(" {}"),
            Contents::Struct(fields) => {
                self.push(" { ");
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 {
                        self.push(", ");
                    }
                    self.field(field);
                }
                self.push(" }");
            }
            Contents::Opaque(why) => {
                self.push(" ");
                self.opaque(why);
            }
        }
        self.push(",\n");
    }

    fn field(&mut self, field: &Field) {
        self.push(&printable(&field.name));
        self.push(": ");
        self.expression(field.node);
    }
}
