//! Encoded values as text, read by their shape: what a person would write in Rust.
//!
//! Shape and bytes may come from a stranger: depth and length are bounded, and a value that is none
//! of its shape shows as nothing.

use std::fmt::Write;

use serde::de::DeserializeOwned;

use super::display::printable;
use super::{Contents, Field, Leaf, Node, NodeId, Shape};

/// Text is cut here, in bytes.
const MAX_TEXT: usize = 1024;
/// Values nested deeper are not shown.
const MAX_DEPTH: usize = 64;

/// The value in `bytes`; `None` if it is none of this shape, or nested too deeply.
pub(crate) fn show(shape: &Shape, bytes: &[u8]) -> Option<String> {
    let mut value = Value { shape, bytes, out: String::new() };
    value.node(shape.root(), 0)?;
    let is_cut = value.is_full();
    (is_cut || value.bytes.is_empty()).then(|| cut(value.out))
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let mut end = MAX_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

struct Value<'v> {
    shape: &'v Shape,
    /// What has not been read.
    bytes: &'v [u8],
    out: String,
}

impl Value<'_> {
    /// What follows would be cut, so it is not read.
    fn is_full(&self) -> bool {
        self.out.len() > MAX_TEXT
    }

    fn take<T: DeserializeOwned>(&mut self) -> Option<T> {
        let (value, rest) = postcard::take_from_bytes(self.bytes).ok()?;
        self.bytes = rest;
        Some(value)
    }

    fn node(&mut self, id: NodeId, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (shape, depth) = (self.shape, depth + 1);
        match shape.node(id) {
            Node::Leaf(leaf) => self.leaf(*leaf)?,
            Node::Optional(content) => match self.take::<Option<()>>()? {
                None => self.out.push_str("None"),
                Some(()) => self.list("Some(", ")", [*content], depth)?,
            },
            Node::Seq(element) => {
                let len: usize = self.take()?;
                self.list("[", "]", (0..len).map(|_| *element), depth)?;
            }
            Node::Map(key, value) => self.map(*key, *value, depth)?,
            Node::Tuple(parts) => self.list("(", ")", parts.iter().copied(), depth)?,
            Node::Array(part, len) => self.list("[", "]", (0..*len).map(|_| *part), depth)?,
            Node::UnitStruct(name) => self.name(name),
            Node::Newtype(name, content) => {
                self.name(name);
                self.list("(", ")", [*content], depth)?;
            }
            Node::TupleStruct(name, parts) => {
                self.name(name);
                self.list("(", ")", parts.iter().copied(), depth)?;
            }
            Node::Struct(name, fields) => {
                self.name(name);
                self.fields(fields, depth)?;
            }
            Node::Enum(_, variants) => {
                let number: u32 = self.take()?;
                let variant = variants.get(number as usize)?;
                self.name(&variant.name);
                match &variant.payload {
                    Contents::Unit => {}
                    Contents::Newtype(content) => self.list("(", ")", [*content], depth)?,
                    Contents::Tuple(parts) => self.list("(", ")", parts.iter().copied(), depth)?,
                    Contents::Struct(fields) => self.fields(fields, depth)?,
                    Contents::Opaque(_) => return None,
                }
            }
            Node::Opaque(_) => return None,
        }
        Some(())
    }

    fn name(&mut self, name: &str) {
        self.out.push_str(&printable(name));
    }

    fn list(
        &mut self,
        open: &str,
        close: &str,
        parts: impl IntoIterator<Item = NodeId>,
        depth: usize,
    ) -> Option<()> {
        self.out.push_str(open);
        for (index, part) in parts.into_iter().enumerate() {
            if self.is_full() {
                return Some(());
            }
            self.out.push_str(if index > 0 { ", " } else { "" });
            self.node(part, depth)?;
        }
        self.out.push_str(close);
        Some(())
    }

    fn fields(&mut self, fields: &[Field], depth: usize) -> Option<()> {
        self.out.push_str(" { ");
        for (index, field) in fields.iter().enumerate() {
            if self.is_full() {
                return Some(());
            }
            self.out.push_str(if index > 0 { ", " } else { "" });
            self.name(&field.name);
            self.out.push_str(": ");
            self.node(field.node, depth)?;
        }
        self.out.push_str(if fields.is_empty() { "}" } else { " }" });
        Some(())
    }

    fn map(&mut self, key: NodeId, value: NodeId, depth: usize) -> Option<()> {
        let len: usize = self.take()?;
        self.out.push('{');
        for index in 0..len {
            if self.is_full() {
                return Some(());
            }
            self.out.push_str(if index > 0 { ", " } else { "" });
            self.node(key, depth)?;
            self.out.push_str(": ");
            self.node(value, depth)?;
        }
        self.out.push('}');
        Some(())
    }

    fn leaf(&mut self, leaf: Leaf) -> Option<()> {
        match leaf {
            Leaf::Bool => self.plain::<bool>(),
            Leaf::I8 => self.plain::<i8>(),
            Leaf::I16 => self.plain::<i16>(),
            Leaf::I32 => self.plain::<i32>(),
            Leaf::I64 => self.plain::<i64>(),
            Leaf::I128 => self.plain::<i128>(),
            Leaf::U8 => self.plain::<u8>(),
            Leaf::U16 => self.plain::<u16>(),
            Leaf::U32 => self.plain::<u32>(),
            Leaf::U64 => self.plain::<u64>(),
            Leaf::U128 => self.plain::<u128>(),
            Leaf::F32 => self.plain::<f32>(),
            Leaf::F64 => self.plain::<f64>(),
            Leaf::Char => self.plain::<char>(),
            Leaf::Text => self.plain::<String>(),
            Leaf::Unit => self.plain::<()>(),
            Leaf::Bytes => {
                let bytes: Vec<u8> = self.take()?;
                write!(self.out, "b\"{}\"", bytes.escape_ascii()).ok()
            }
        }
    }

    /// As `Debug` has it: in quotes and escaped where there is something to escape.
    fn plain<T: DeserializeOwned + std::fmt::Debug>(&mut self) -> Option<()> {
        let value: T = self.take()?;
        write!(self.out, "{value:?}").ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Order {
        items: Vec<(String, u32)>,
        state: State,
        note: Option<Id>,
        counts: BTreeMap<char, [u8; 2]>,
        nothing: Unit,
    }

    #[derive(Serialize, Deserialize)]
    struct Id(i64);

    #[derive(Serialize, Deserialize)]
    struct Unit;

    #[derive(Serialize, Deserialize)]
    enum State {
        New,
        Paid { at: f64 },
        Sent(u8, ()),
    }

    fn shown<T: Serialize + DeserializeOwned>(value: &T) -> Option<String> {
        let shape = Shape::of::<T>().expect("a shape");
        show(&shape, &postcard::to_stdvec(value).expect("it encodes"))
    }

    #[test]
    fn a_value_shows_as_a_person_would_write_it() {
        let order = Order {
            items: vec![("a\n\u{1b}".into(), 2)],
            state: State::Paid { at: 0.5 },
            note: Some(Id(-3)),
            counts: BTreeMap::from([('x', [1, 2])]),
            nothing: Unit,
        };
        assert_eq!(
            shown(&order).as_deref(),
            Some(
                "Order { items: [(\"a\\n\\u{1b}\", 2)], state: Paid { at: 0.5 }, note: Some(Id(-3)), \
                 counts: {'x': [1, 2]}, nothing: Unit }"
            )
        );
        assert_eq!(shown(&State::New).as_deref(), Some("New"));
        assert_eq!(shown(&State::Sent(1, ())).as_deref(), Some("Sent(1, ())"));
        let bytes = crate::shape::show::show;
        assert_eq!(bytes(&shape_of_bytes(), &[2, 0, b'a']).as_deref(), Some("b\"\\x00a\""));
    }

    fn shape_of_bytes() -> Shape {
        Shape::from_nodes(vec![Node::Leaf(Leaf::Bytes)], NodeId::new(0)).expect("a shape")
    }

    #[test]
    fn what_is_no_value_shows_as_nothing_and_what_is_long_is_cut() {
        #[derive(Serialize, Deserialize)]
        struct Tree(Vec<Tree>);
        let numbers = Shape::of::<Vec<u32>>().expect("a shape");
        assert_eq!(show(&numbers, &[2, 1]), None);
        assert_eq!(show(&numbers, &[1, 1, 1]), None);
        let tree = Shape::of::<Tree>().expect("a shape");
        assert_eq!(show(&tree, &[1; 100_000]), None);
        let long = shown(&vec![7_u8; 100_000]).expect("text");
        assert!(long.len() < MAX_TEXT + 4 && long.ends_with('…'), "{long}");
        // A length of u64::MAX, and elements without bytes.
        let units = Shape::of::<Vec<()>>().expect("a shape");
        let endless = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert!(show(&units, &endless).expect("text").ends_with('…'));
    }
}
