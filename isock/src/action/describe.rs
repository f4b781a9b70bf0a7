//! Actions described: what tools show of a set or of a server.
//!
//! Plain values, whether they come from this program or from a peer: what is in them goes to a
//! terminal without its control characters.

use super::{plain::Plain, shapes::shapes_of, Action, ActionKind, Info, Shapes, Uncarried, PARTS};
use crate::shape::{printable, show, Group, Shape};
use std::fmt::{self, Write};

/// What a set of actions, or a server, offers: made by [`Api::describe`](crate::Api::describe) and
/// [`Client::describe`](crate::Peer::describe).
///
/// Prints as a text for people that stays the same as long as the actions do, so that it may be
/// kept in a file and compared: each action with its documentation, types and limits, then each
/// named type once.
///
/// ```
/// # use isock::Action;
/// # #[derive(Action)] #[action(input = u64, output = u64, kind = read)] struct Square;
/// isock::api! { Maths = [Square] }
///
/// let maths = Maths::describe();
/// let square = maths.action("Square").unwrap();
/// assert_eq!(square.input.shape.as_ref().unwrap().to_string(), "u64");
/// for (part, described) in square.parts() {
///     assert!(described.unknown.is_empty(), "its {part} was not learnt");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// What is described: the name of the set, or where the server was reached.
    pub name: String,
    /// The actions: of a set in the order of their declaration, of a server by name.
    pub actions: Vec<ActionDescription>,
}

/// One action, described.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActionDescription {
    /// The name on the wire.
    pub name: String,
    /// The documentation, line by line as it was written.
    pub docs: String,
    /// Whether it may be repeated.
    pub kind: ActionKind,
    /// The fingerprint of its types, which calls state; 0 if there is none.
    pub hash: u64,
    /// What callers send.
    pub input: PartDescription,
    /// What the handler returns.
    pub output: PartDescription,
    /// What the handler fails with, if it can fail.
    pub error: Option<PartDescription>,
    /// What the handler streams before its output, if it streams.
    pub item: Option<PartDescription>,
    /// What callers stream after the input, if they do.
    pub upload: Option<PartDescription>,
    /// The longest encoded input, in bytes, where it is stated.
    pub max_input: Option<u64>,
    /// The longest encoded output, in bytes, where it is stated.
    pub max_output: Option<u64>,
    /// What decoding may take on the heap, in bytes, where it is stated.
    pub decode_budget: Option<u64>,
}

/// One type of an action, described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartDescription {
    /// What it looks like on the wire; `None` if that could not be learnt.
    pub shape: Option<Shape>,
    /// What could not be learnt, why, and what to do about it.
    pub unknown: Vec<String>,
    /// A value of it, encoded.
    pub example: Option<Vec<u8>>,
}

impl Description {
    /// The action of that name.
    pub fn action(&self, name: &str) -> Option<&ActionDescription> {
        self.actions.iter().find(|action| action.name == name)
    }
}

impl ActionDescription {
    /// The action `A` of this program.
    pub(crate) fn of<A: Action>() -> ActionDescription {
        ActionDescription::new(&A::INFO.kind::<A::Kind>(), shapes_of::<A>())
    }

    pub(crate) fn new(info: &Info, shapes: Result<&Shapes, &Uncarried>) -> ActionDescription {
        let mut parts = described(shapes).into_iter();
        let mut next = || parts.next().flatten();
        let bytes = |bound: Option<usize>| bound.map(|bytes| bytes as u64);
        ActionDescription {
            name: info.name.to_owned(),
            docs: info.docs.to_owned(),
            kind: info.kind,
            hash: shapes.map_or(0, Shapes::hash),
            input: next().unwrap_or_default(),
            output: next().unwrap_or_default(),
            error: next(),
            item: next(),
            upload: next(),
            max_input: bytes(info.max_input),
            max_output: bytes(info.max_output),
            decode_budget: bytes(info.decode_budget),
        }
    }

    /// The first line of the documentation that is not empty.
    pub fn summary(&self) -> &str {
        self.docs.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("")
    }

    /// Its types with what people call them, in the order of their hashes.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &PartDescription)> {
        let parts = [
            Some(&self.input),
            Some(&self.output),
            self.error.as_ref(),
            self.item.as_ref(),
            self.upload.as_ref(),
        ];
        PARTS.into_iter().zip(parts).filter_map(|(name, part)| Some((name, part?)))
    }
}

impl PartDescription {
    /// The example as a person would write it.
    fn shown_example(&self) -> Option<String> {
        show(self.shape.as_ref()?, self.example.as_deref()?)
    }
}

/// In the order of [`PARTS`]; `None` for what the action does not have.
fn described(shapes: Result<&Shapes, &Uncarried>) -> Vec<Option<PartDescription>> {
    let shapes = match shapes {
        Ok(shapes) => shapes,
        Err(Uncarried { part, why }) => {
            let unknown = vec![why.to_string()];
            let told = PartDescription { unknown, ..PartDescription::default() };
            return PARTS.iter().map(|name| (name == part).then(|| told.clone())).collect();
        }
    };
    let mut parts: Vec<_> = shapes
        .parts()
        .map(|shape| {
            let shape = Some(shape?.clone());
            Some(PartDescription { shape, ..PartDescription::default() })
        })
        .into();
    for (name, why) in shapes.unknown() {
        let of_name = PARTS.iter().zip(&mut parts).find(|(part, _)| **part == name);
        of_name.into_iter().for_each(|(_, part)| {
            part.get_or_insert_with(PartDescription::default).unknown.push(why.clone());
        });
    }
    for (part, example) in parts.iter_mut().zip(shapes.examples()) {
        if let Some(part) = part {
            part.example = example.map(<[u8]>::to_vec);
        }
    }
    parts
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.actions.len();
        let plural = if count == 1 { "action" } else { "actions" };
        write!(f, "{}: {count} {plural}", Plain(&self.name))?;
        write_actions(&self.actions, f)
    }
}

impl fmt::Display for ActionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_actions(std::slice::from_ref(self), &mut text)?;
        f.write_str(text.trim_start())
    }
}

/// Each action after an empty line, then the types likewise. Why something is opaque is told once.
fn write_actions(actions: &[ActionDescription], out: &mut dyn Write) -> fmt::Result {
    let parts = || actions.iter().flat_map(ActionDescription::parts).map(|(_, part)| part);
    let shapes = parts().filter_map(|part| Some((part.shape.as_ref()?, part.unknown.is_empty())));
    let group = Group::of(shapes);
    let mut number = 0;
    for action in actions {
        write!(out, "\n\n{} ({})", printable_name(&action.name), kind_name(action.kind))?;
        for line in action.docs.lines() {
            write!(out, "\n{}{}", if line.is_empty() { "" } else { "    " }, Plain(line))?;
        }
        for (name, part) in action.parts() {
            let shape = match part.shape {
                Some(_) => {
                    number += 1;
                    group.expression(number - 1)
                }
                None => "unknown".to_owned(),
            };
            write!(out, "\n  {name}: {shape}")?;
            if let Some(example) = part.shown_example() {
                write!(out, "\n    such as {}", Plain(&example))?;
            }
            for why in &part.unknown {
                write!(out, "\n    {}", Plain(why))?;
            }
        }
        write_limits(action, out)?;
    }
    let mut definitions = group.definitions();
    definitions.try_for_each(|definition| write!(out, "\n\n{definition}"))
}

fn write_limits(action: &ActionDescription, out: &mut dyn Write) -> fmt::Result {
    let limits = [
        ("input", action.max_input),
        ("output", action.max_output),
        ("decoding", action.decode_budget),
    ];
    let mut stated = limits.into_iter().filter_map(|(name, bytes)| Some((name, bytes?)));
    if let Some((name, bytes)) = stated.next() {
        write!(out, "\n  limits in bytes: {name} {bytes}")?;
    }
    stated.try_for_each(|(name, bytes)| write!(out, ", {name} {bytes}"))
}

fn kind_name(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Read => "read",
        ActionKind::Idempotent => "idempotent",
        ActionKind::Once => "once",
    }
}

/// Names may hold dots and dashes; anything else that is no identifier is quoted.
fn printable_name(name: &str) -> String {
    match name.split(['.', '-']).all(|word| printable(word) == word || is_number(word)) {
        true => name.to_owned(),
        false => format!("{name:?}"),
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
