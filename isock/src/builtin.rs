//! Actions that every server has, unless its reflection is off.
//!
//! Calls of them state no shape, so their types never change: what a later version wants to know
//! gets a name of its own.

use crate::{
    action::{
        Action, ActionDescription, ActionKind, Bytes, Info, Never, PartDescription, Read, Unary,
        RESERVED,
    },
    shape::Shape,
};
use serde::{Deserialize, Serialize};

/// `isock.ping`: nothing in, nothing out, through everything that a call goes through.
#[derive(Debug)]
pub(crate) enum Ping {}

impl Action for Ping {
    type Input = ();
    type Output = ();
    type Error = Never;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("isock.ping").docs("Answers.");
}

/// `isock.actions`: the names of the server's actions, in order.
#[derive(Debug)]
pub(crate) enum Actions {}

impl Action for Actions {
    type Input = ();
    type Output = Vec<String>;
    type Error = Never;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("isock.actions").docs("The names of this server's actions.");
}

/// `isock.shapes`: the encoded shapes of one action's input, output, error, item and upload, found
/// by the number of its name. Of what the action does not have, nothing; and no parts at all if
/// there is no such action.
#[derive(Debug)]
pub(crate) enum ShapesOf {}

impl Action for ShapesOf {
    type Input = u32;
    type Output = Vec<Option<Bytes>>;
    type Error = Never;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("isock.shapes").docs("The shapes of an action's types.");
}

/// `isock.describe`: the actions whose names follow the given one, in the order of their bytes, the
/// library's own left out; as many as fit in a page, and whether there are more.
#[derive(Debug)]
pub(crate) enum Describe {}

impl Action for Describe {
    type Input = String;
    type Output = (Vec<Record>, bool);
    type Error = Never;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("isock.describe").docs("This server's actions, described.");
}

/// A page ends before it passes this many bytes, unless it has one action only. The smallest limit
/// of a message has room for it.
const PAGE: usize = 48 * 1024;

/// An action, described.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    name: String,
    docs: String,
    /// 0 read, 1 idempotent, 2 once, which unknown numbers stand for too.
    kind: u8,
    hash: u64,
    /// Input, output, error, item and upload, as far as there are any.
    parts: Vec<Option<Part>>,
    max_input: Option<u64>,
    max_output: Option<u64>,
    decode_budget: Option<u64>,
}

/// A type of an action, described.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    shape: Option<Bytes>,
    unknown: Vec<String>,
    example: Option<Bytes>,
}

/// A page of the actions, which come in the order of their names.
pub(crate) fn page(
    all: impl IntoIterator<Item = ActionDescription>,
) -> <Describe as Action>::Output {
    let mut records = Vec::new();
    let mut len = 0;
    for action in all.into_iter().filter(|action| !action.name.starts_with(RESERVED)) {
        let record = Record::new(action);
        len += record.len();
        if len > PAGE && !records.is_empty() {
            return (records, true);
        }
        records.push(record);
    }
    (records, false)
}

impl Record {
    fn new(action: ActionDescription) -> Record {
        let kind = match action.kind {
            ActionKind::Read => 0,
            ActionKind::Idempotent => 1,
            ActionKind::Once => 2,
        };
        let parts =
            [Some(action.input), Some(action.output), action.error, action.item, action.upload];
        Record {
            kind,
            name: action.name,
            docs: action.docs,
            hash: action.hash,
            parts: parts.into_iter().map(|part| part.map(Part::new)).collect(),
            max_input: action.max_input,
            max_output: action.max_output,
            decode_budget: action.decode_budget,
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn len(&self) -> usize {
        let parts = self.parts.iter().flatten().map(Part::len).sum::<usize>();
        64 + self.name.len() + self.docs.len() + parts
    }

    /// What it says, as far as this version understands it.
    pub(crate) fn read(self) -> ActionDescription {
        let mut parts = self.parts.into_iter().map(|part| part.map(Part::read));
        let mut next = || parts.next().flatten();
        ActionDescription {
            name: self.name,
            docs: self.docs,
            kind: match self.kind {
                0 => ActionKind::Read,
                1 => ActionKind::Idempotent,
                _ => ActionKind::Once,
            },
            hash: self.hash,
            input: next().unwrap_or_default(),
            output: next().unwrap_or_default(),
            error: next(),
            item: next(),
            upload: next(),
            max_input: self.max_input,
            max_output: self.max_output,
            decode_budget: self.decode_budget,
        }
    }
}

impl Part {
    fn new(part: PartDescription) -> Part {
        Part {
            shape: part.shape.map(|shape| shape.encode().into()),
            unknown: part.unknown,
            example: part.example.map(Bytes::from),
        }
    }

    fn len(&self) -> usize {
        let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let unknown: usize = self.unknown.iter().map(String::len).sum();
        bytes(&self.shape) + bytes(&self.example) + unknown
    }

    fn read(self) -> PartDescription {
        let mut part = PartDescription {
            shape: None,
            unknown: self.unknown,
            example: self.example.map(Vec::from),
        };
        match self.shape.map(|bytes| Shape::decode(&bytes)) {
            Some(Ok(shape)) => part.shape = Some(shape),
            Some(Err(why)) => part.unknown.push(format!("what the server says of it: {why}")),
            None => {}
        }
        part
    }
}
