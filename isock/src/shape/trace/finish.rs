//! From the table of a finished trace to a [`Shape`].

use super::super::codec::{ShapeDecodeError, MAX_NAME};
use super::super::driver::Request;
use super::super::error::ShapeError;
use super::super::{Contents, Field, Node, NodeId, Shape, Variant};
use super::table::{Carries, Case, Fields, Form, PartId, SlotId, Table};
use super::{ceiling, words, Learnt, Refusal};

pub(super) fn learnt(table: &Table, root: &'static str) -> Result<Learnt, ShapeError> {
    if !has_finite_value(table) {
        return Err(ShapeError::Endless { type_name: root.to_owned() });
    }
    let mut writing = Writing { table, nodes: Vec::new() };
    let root_id = writing.all();
    let ceiling = ceiling::of(table);
    let shape = Shape::from_nodes(writing.nodes, root_id).map_err(|error| in_words(error, root))?;
    let refusals = table.slots.iter().filter_map(|slot| slot.refusal.clone()).collect();
    Ok(Learnt { shape, refusals, ceiling })
}

fn in_words(error: ShapeDecodeError, root: &str) -> ShapeError {
    let type_name = root.to_owned();
    match error {
        ShapeDecodeError::Endless => ShapeError::Endless { type_name },
        ShapeDecodeError::Repeated => ShapeError::Unsupported {
            type_name,
            path: words::without_paths(root),
            cause: "two fields or variants in it have the same name".to_owned(),
            advice: "rename one".to_owned(),
        },
        other => ShapeError::TooLarge { type_name, limit: other.to_string() },
    }
}

/// Whether the type has any value, refusals aside. An enum without variants has
/// none, but that is what it is for.
fn has_finite_value(table: &Table) -> bool {
    let mut finite = vec![false; table.parts.len()];
    let of_slot =
        |finite: &[bool], slot: &SlotId| table.slots[*slot].part.is_none_or(|part| finite[part]);
    loop {
        let mut changed = false;
        for (index, part) in table.parts.iter().enumerate() {
            let all = |slots: &[SlotId]| slots.iter().all(|slot| of_slot(&finite, slot));
            let is_finite = match &part.form {
                Form::Newtype(slot) => of_slot(&finite, slot),
                Form::Tuple(_, slots) | Form::TupleStruct(slots) => all(slots),
                Form::Struct(fields) => all(&fields.slots),
                Form::Enum(cases) => {
                    let of_case = |case: &Case| match &case.carries {
                        Carries::Newtype(slot) => of_slot(&finite, slot),
                        Carries::Parts(part) => finite[*part],
                        Carries::Unknown | Carries::Refused(_) | Carries::Unit => true,
                    };
                    cases.cases.is_empty() || cases.cases.iter().any(of_case)
                }
                _ => true,
            };
            changed |= is_finite && !finite[index];
            finite[index] |= is_finite;
        }
        if !changed {
            return of_slot(&finite, &0);
        }
    }
}

/// Parts become nodes of the same number; unknown slots follow.
struct Writing<'t> {
    table: &'t Table,
    nodes: Vec<Node>,
}

impl Writing<'_> {
    fn all(&mut self) -> NodeId {
        let table = self.table;
        let mut unknown = Vec::new();
        for part in 0..table.parts.len() {
            let node = self.node(part, &mut unknown);
            self.nodes.push(node);
        }
        self.nodes.extend(unknown);
        match table.slots[0].part {
            Some(part) => NodeId::new(part),
            None => {
                self.nodes.push(Node::Opaque(reason(table.slots[0].refusal.as_ref())));
                NodeId::new(self.nodes.len() - 1)
            }
        }
    }

    fn node(&mut self, part: PartId, unknown: &mut Vec<Node>) -> Node {
        let table = self.table;
        let mut id = |slot: &SlotId| match table.slots[*slot].part {
            Some(part) => NodeId::new(part),
            None => {
                unknown.push(Node::Opaque(reason(cause(table, part))));
                NodeId::new(table.parts.len() + unknown.len() - 1)
            }
        };
        let mut all = |slots: &[SlotId]| -> Vec<NodeId> { slots.iter().map(&mut id).collect() };
        let known = &table.parts[part];
        let name = declared_name(known.ask.request);
        match &known.form {
            Form::Leaf(leaf) => Node::Leaf(*leaf),
            Form::Option(content) => Node::Optional(id(content)),
            Form::Seq(element) => Node::Seq(id(element)),
            Form::Map(key, value) => Node::Map(id(key), id(value)),
            Form::Tuple(len, slots) if *len > slots.len() => {
                Node::Array(id(&slots[0]), *len as u64)
            }
            Form::Tuple(_, slots) => Node::Tuple(all(slots)),
            Form::UnitStruct => Node::UnitStruct(name),
            Form::Newtype(content) => Node::Newtype(name, id(content)),
            Form::TupleStruct(slots) => Node::TupleStruct(name, all(slots)),
            Form::Struct(fields) => Node::Struct(name, named(fields, &mut id)),
            Form::Enum(cases) => {
                let variant = |(index, case): (usize, &Case)| Variant {
                    name: cases.name(index),
                    payload: match &case.carries {
                        Carries::Unknown => Contents::Opaque(reason(cause(table, part))),
                        Carries::Refused(why) => Contents::Opaque(limited(why)),
                        Carries::Unit => Contents::Unit,
                        Carries::Newtype(slot) => Contents::Newtype(id(slot)),
                        Carries::Parts(payload) => match &table.parts[*payload].form {
                            Form::Struct(fields) => Contents::Struct(named(fields, &mut id)),
                            other => {
                                Contents::Tuple(other.elements().iter().map(&mut id).collect())
                            }
                        },
                    },
                };
                Node::Enum(name, cases.cases.iter().enumerate().map(variant).collect())
            }
        }
    }
}

fn named(fields: &Fields, id: &mut impl FnMut(&SlotId) -> NodeId) -> Vec<Field> {
    let names = fields.names();
    names
        .iter()
        .zip(&fields.slots)
        .map(|(name, slot)| Field { name: (*name).to_owned(), node: id(slot) })
        .collect()
}

fn declared_name(request: Request) -> String {
    match request {
        Request::UnitStruct(name)
        | Request::Newtype(name)
        | Request::TupleStruct(name, _)
        | Request::Struct(name, _)
        | Request::Enum(name, _) => name.to_owned(),
        _ => String::new(),
    }
}

/// The refusal because of which something in `part` was not reached.
fn cause(table: &Table, part: PartId) -> Option<&Refusal> {
    let mut seen = vec![false; table.parts.len()];
    let mut ahead = vec![part];
    while let Some(part) = ahead.pop() {
        if std::mem::replace(&mut seen[part], true) {
            continue;
        }
        for slot in table.slots_of(part) {
            if let Some(refusal) = &table.slots[slot].refusal {
                return Some(refusal);
            }
            ahead.extend(table.slots[slot].part);
        }
    }
    // Not inside it, so around it: the first one is the best guess.
    table.slots.iter().find_map(|slot| slot.refusal.as_ref())
}

fn reason(refusal: Option<&Refusal>) -> String {
    match refusal {
        Some(refusal) => limited(&refusal.in_words()),
        None => "not reached".to_owned(),
    }
}

/// What fits into the encoding.
fn limited(text: &str) -> String {
    let mut end = text.len().min(MAX_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
