//! Paths into a shape, as people read them: `Order.items[].qty`.
//!
//! A walk may reach thousands of places and name few of them, so a path is kept
//! as a chain of steps and written only when somebody reads it.

use std::borrow::Cow;
use std::fmt::Write;

use super::display::printable;
use super::{Contents, Node, NodeId, Shape};

/// Lists of paths stop here.
pub(super) const MAX_LISTED: usize = 64;
/// Longer paths lose their middle, in characters.
const MAX_PATH: usize = 512;

/// One step from a value to a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'s> {
    Field(&'s str),
    Index(usize),
    Element,
    Key,
    Value,
    Some,
    /// Into a newtype, which people do not count as a step.
    Inside,
    Variant(&'s str),
}

impl Step<'_> {
    pub(super) fn write(self, path: &mut String) {
        // Writing to a String does not fail.
        let _ = match self {
            Step::Field(name) => write!(path, ".{}", printable(name)),
            Step::Index(index) => write!(path, ".{index}"),
            Step::Element | Step::Value => write!(path, "[]"),
            Step::Key => write!(path, "{{key}}"),
            Step::Some => write!(path, "?"),
            Step::Inside => Ok(()),
            Step::Variant(name) => write!(path, "::{}", printable(name)),
        };
    }
}

/// The places a walk has been to, each with the way it came.
pub(super) struct Trail<'s> {
    root: Cow<'s, str>,
    steps: Vec<(usize, Step<'s>)>,
}

/// A place on a [`Trail`]; 0 is the root.
pub(super) type At = usize;

impl<'s> Trail<'s> {
    pub(super) fn from(shape: &'s Shape) -> Trail<'s> {
        let root = shape.node(shape.root()).name().map_or(Cow::Borrowed("value"), printable);
        Trail { root, steps: Vec::new() }
    }

    pub(super) fn step(&mut self, from: At, step: Step<'s>) -> At {
        self.steps.push((from, step));
        self.steps.len()
    }

    /// How many steps were taken in all.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn path(&self, mut at: At) -> String {
        let mut steps = Vec::new();
        while let Some((from, step)) = at.checked_sub(1).map(|index| self.steps[index]) {
            steps.push(step);
            at = from;
        }
        let mut path = self.root.to_string();
        steps.into_iter().rev().for_each(|step| step.write(&mut path));
        shorten(path)
    }
}

/// Keeps both ends of a text that is too long to read.
pub(super) fn shorten(text: String) -> String {
    let length = text.chars().count();
    if length <= MAX_PATH {
        return text;
    }
    let head: String = text.chars().take(MAX_PATH / 2).collect();
    let tail: String = text.chars().skip(length - MAX_PATH / 2).collect();
    format!("{head}…{tail}")
}

/// The parts of a node, each with the variant it is in and the step to it.
pub(super) fn steps(node: &Node) -> Vec<(Option<Step<'_>>, Step<'_>, NodeId)> {
    let mut out = Vec::new();
    match node {
        Node::Optional(inner) => out.push((None, Step::Some, *inner)),
        Node::Seq(element) | Node::Array(element, _) => out.push((None, Step::Element, *element)),
        Node::Map(key, value) => {
            out.push((None, Step::Key, *key));
            out.push((None, Step::Value, *value));
        }
        Node::Newtype(_, inner) => out.push((None, Step::Inside, *inner)),
        Node::Tuple(parts) | Node::TupleStruct(_, parts) => {
            out.extend(parts.iter().enumerate().map(|(i, part)| (None, Step::Index(i), *part)));
        }
        Node::Struct(_, fields) => {
            out.extend(
                fields.iter().map(|field| (None, Step::Field(field.name.as_str()), field.node)),
            );
        }
        Node::Enum(_, variants) => {
            for variant in variants {
                let first = Some(Step::Variant(&variant.name));
                match &variant.payload {
                    Contents::Unit | Contents::Opaque(_) => {}
                    Contents::Newtype(inner) => out.push((first, Step::Inside, *inner)),
                    Contents::Tuple(parts) => {
                        out.extend(
                            parts
                                .iter()
                                .enumerate()
                                .map(|(i, part)| (first, Step::Index(i), *part)),
                        );
                    }
                    Contents::Struct(fields) => {
                        out.extend(
                            fields
                                .iter()
                                .map(|field| (first, Step::Field(&field.name), field.node)),
                        );
                    }
                }
            }
        }
        Node::Leaf(_) | Node::UnitStruct(_) | Node::Opaque(_) => {}
    }
    out
}

/// The shortest path to each place that could not be learnt.
pub(super) fn opaque(shape: &Shape) -> Vec<String> {
    let mut trail = Trail::from(shape);
    let mut found = Vec::new();
    let mut seen = vec![false; shape.nodes.len()];
    let mut ahead = std::collections::VecDeque::from([(shape.root(), 0)]);
    while let Some((id, at)) = ahead.pop_front() {
        if found.len() >= MAX_LISTED {
            break;
        }
        let node = shape.node(id);
        // All unknown places may be one node: each is a finding, none leads on.
        if let Node::Opaque(_) = node {
            found.push(trail.path(at));
            continue;
        }
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        if let Node::Enum(_, variants) = node {
            for variant in variants.iter().filter(|v| matches!(v.payload, Contents::Opaque(_))) {
                let at = trail.step(at, Step::Variant(&variant.name));
                found.push(trail.path(at));
            }
        }
        for (variant, step, child) in steps(node) {
            let at = variant.map_or(at, |variant| trail.step(at, variant));
            let at = trail.step(at, step);
            ahead.push_back((child, at));
        }
    }
    found.truncate(MAX_LISTED);
    found
}
