//! What has been learnt so far while tracing.
//!
//! A *slot* is a place where some type is read: the root, a field, an element. A
//! *part* is a form that was asked for; parts with a name are shared by all slots
//! that ask alike, anonymous ones belong to the slot.

use std::collections::HashMap;

use super::super::driver::{Ask, PayloadAsk, Request};
use super::super::Leaf;
use super::pass::Goal;
use super::Refusal;

pub(super) type SlotId = usize;
pub(super) type PartId = usize;

/// Visits after which a place has shown what it can be: two rounds of full and
/// empty, since a value that is refused hides the others of its round.
const OFTEN_ENOUGH: usize = 8;
/// Longer tuples are taken for arrays, whose elements share one slot: serde
/// implements tuples up to 16, and arrays of a million elements exist.
const LONG_TUPLE: usize = 64;

pub(super) struct Table {
    pub slots: Vec<Slot>,
    pub parts: Vec<Part>,
    named: HashMap<Ask, PartId>,
    leaves: HashMap<Leaf, PartId>,
    /// Grows whenever something is learnt; tells a useful pass from a futile one.
    pub progress: u64,
    /// Grows whenever a value is made that may be unlike those before.
    pub made: u64,
}

#[derive(Default)]
pub(super) struct Slot {
    pub part: Option<PartId>,
    /// `size_of` the place.
    pub size: usize,
    /// `size_of` what is read here; larger than the place if that is behind a pointer.
    pub held: usize,
    /// How often what was read here has been refused.
    pub attempts: usize,
    /// All attempts are spent.
    pub refusal: Option<Refusal>,
    /// Name of the type if there is a sample of it.
    pub sample: Option<String>,
    /// How many samples were read here.
    pub turns: usize,
    /// How many values were made here for their own sake.
    pub visits: usize,
    /// How often in a row reading here taught nothing.
    pub futile: usize,
}

pub(super) struct Part {
    pub ask: Ask,
    pub form: Form,
    /// How many frames are reading it right now.
    pub busy: usize,
    /// `size_of` the largest value that it was read as.
    pub size: usize,
    /// A container read it that made no room for its elements in advance.
    pub without_room: bool,
}

impl Part {
    fn new(ask: Ask, form: Form) -> Part {
        Part { ask, form, busy: 0, size: ask.size, without_room: false }
    }
}

pub(super) enum Form {
    Leaf(Leaf),
    Option(SlotId),
    Seq(SlotId),
    Map(SlotId, SlotId),
    Tuple(usize, Vec<SlotId>),
    UnitStruct,
    Newtype(SlotId),
    TupleStruct(Vec<SlotId>),
    Struct(Fields),
    Enum(Cases),
}

/// The fields of a struct or struct variant.
pub(super) struct Fields {
    /// As many as names are declared, until `naming` is settled.
    pub slots: Vec<SlotId>,
    pub declared: &'static [&'static str],
    pub naming: Naming,
    /// How many elements the visitor reads, once it has read them all.
    pub count: Option<usize>,
    /// Whether the visitor refuses to read fields by name.
    pub no_keys: bool,
}

pub(super) struct Cases {
    pub cases: Vec<Case>,
    pub declared: &'static [&'static str],
    pub naming: Naming,
}

/// What the declared names mean.
///
/// serde's derive declares aliases among the names, without a mark. The
/// identifier that it reads gives them away: aliases of one part read as equal
/// identifiers, told apart by their discriminants.
pub(super) enum Naming {
    /// Nothing speaks against one name for each part.
    Plain,
    /// Names are read one by one; a token for each that was accepted.
    Asking(Vec<Option<u64>>),
    /// The names of each part; those of the parts before `next` are single.
    Choosing { groups: Vec<Vec<&'static str>>, next: usize, tries: usize },
    /// One name for each part.
    Settled(Vec<&'static str>),
}

pub(super) struct Case {
    pub carries: Carries,
    /// The fewest steps in which a value of it was made.
    pub cost: Option<u64>,
    pub tries: usize,
    pub futile: usize,
    pub busy: usize,
}

pub(super) enum Carries {
    Unknown,
    /// The variant itself was refused, with this message.
    Refused(String),
    Unit,
    Newtype(SlotId),
    /// A part of its own, a tuple or a struct.
    Parts(PartId),
}

impl Naming {
    pub(super) fn is_settled(&self) -> bool {
        matches!(self, Naming::Settled(_))
    }

    /// Groups names by token; `None` when the tokens make no sense as aliases.
    pub(super) fn groups(
        declared: &[&'static str],
        tokens: &[Option<u64>],
    ) -> Option<Vec<Vec<&'static str>>> {
        let mut groups: Vec<(u64, Vec<&'static str>)> = Vec::new();
        for (name, token) in declared.iter().zip(tokens) {
            let token = (*token)?;
            match groups.iter().position(|(other, _)| *other == token) {
                None => groups.push((token, vec![name])),
                // Aliases are declared beside their name.
                Some(last) if last + 1 == groups.len() => groups[last].1.push(name),
                Some(_) => return None,
            }
        }
        Some(groups.into_iter().map(|(_, names)| names).collect())
    }
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            slots: vec![Slot::default()],
            parts: Vec::new(),
            named: HashMap::new(),
            leaves: HashMap::new(),
            progress: 0,
            made: 0,
        }
    }

    /// The part that `ask` means at `slot`, or what was asked for there before.
    ///
    /// `above` are the parts being read: an anonymous form that contains itself,
    /// as in `#[serde(transparent)] struct Tree(Vec<Tree>)`, is one of them.
    pub(super) fn place(
        &mut self,
        slot: SlotId,
        ask: Ask,
        above: impl Iterator<Item = PartId>,
    ) -> Result<PartId, Ask> {
        if let Some(part) = self.slots[slot].part {
            let known = self.parts[part].ask;
            return if alike(known, ask) { Ok(part) } else { Err(known) };
        }
        let known = match ask.request {
            Request::Leaf(leaf) => self.leaves.get(&leaf).copied(),
            _ if is_named(ask.request) => self.named.get(&ask).copied(),
            _ => above.into_iter().find(|part| self.parts[*part].ask == ask),
        };
        let part = known.unwrap_or_else(|| self.add(ask));
        self.slots[slot].part = Some(part);
        self.progress += 1;
        Ok(part)
    }

    fn add(&mut self, ask: Ask) -> PartId {
        let form = match ask.request {
            Request::Leaf(leaf) => Form::Leaf(leaf),
            Request::Option => Form::Option(self.slot()),
            Request::Seq => Form::Seq(self.slot()),
            Request::Map => Form::Map(self.slot(), self.slot()),
            Request::Tuple(len) if len > LONG_TUPLE => Form::Tuple(len, self.some_slots(1)),
            Request::Tuple(len) => Form::Tuple(len, self.some_slots(len)),
            Request::UnitStruct(_) => Form::UnitStruct,
            Request::Newtype(_) => Form::Newtype(self.slot()),
            Request::TupleStruct(_, len) => Form::TupleStruct(self.some_slots(len)),
            Request::Struct(_, names) => Form::Struct(self.fields(names)),
            Request::Enum(_, names) => Form::Enum(Cases {
                cases: names.iter().map(|_| Case::unknown()).collect(),
                declared: names,
                naming: if names.is_empty() { Naming::Settled(Vec::new()) } else { Naming::Plain },
            }),
            // Answered or refused before they are placed.
            Request::Identifier | Request::Any | Request::IgnoredAny => Form::UnitStruct,
        };
        let part = self.parts.len();
        self.parts.push(Part::new(ask, form));
        match ask.request {
            Request::Leaf(leaf) => drop(self.leaves.insert(leaf, part)),
            request if is_named(request) => drop(self.named.insert(ask, part)),
            _ => {}
        }
        part
    }

    /// The part for a variant's payload, or what it was asked for before.
    pub(super) fn place_payload(
        &mut self,
        part: PartId,
        case: usize,
        ask: PayloadAsk,
    ) -> Result<(), &'static str> {
        let owner = self.parts[part].ask;
        let as_request = |request| Ask { request, ..owner };
        match (&self.case(part, case).carries, ask) {
            (Carries::Unit, PayloadAsk::Unit) | (Carries::Newtype(_), PayloadAsk::Newtype) => {
                return Ok(())
            }
            (Carries::Parts(payload), PayloadAsk::Tuple(len)) => match &self.parts[*payload].form {
                Form::Tuple(known, _) if *known == len => return Ok(()),
                _ => return Err("a payload of another form"),
            },
            (Carries::Parts(payload), PayloadAsk::Struct(names)) => {
                match &self.parts[*payload].form {
                    Form::Struct(fields) if fields.declared == names => return Ok(()),
                    _ => return Err("a payload of another form"),
                }
            }
            (Carries::Unknown | Carries::Refused(_), _) => {}
            _ => return Err("a payload of another form"),
        }
        let carries = match ask {
            PayloadAsk::Unit => Carries::Unit,
            PayloadAsk::Newtype => Carries::Newtype(self.slot()),
            PayloadAsk::Tuple(len) => {
                let form = Form::Tuple(len, self.some_slots(len));
                self.payload_part(as_request(Request::Tuple(len)), form)
            }
            PayloadAsk::Struct(names) => {
                let form = Form::Struct(self.fields(names));
                self.payload_part(as_request(Request::Struct("", names)), form)
            }
        };
        self.case_mut(part, case).carries = carries;
        self.progress += 1;
        Ok(())
    }

    fn payload_part(&mut self, ask: Ask, form: Form) -> Carries {
        self.parts.push(Part::new(ask, form));
        Carries::Parts(self.parts.len() - 1)
    }

    fn fields(&mut self, declared: &'static [&'static str]) -> Fields {
        let naming = if declared.is_empty() { Naming::Settled(Vec::new()) } else { Naming::Plain };
        Fields {
            slots: self.some_slots(declared.len()),
            declared,
            naming,
            count: None,
            no_keys: false,
        }
    }

    fn some_slots(&mut self, count: usize) -> Vec<SlotId> {
        (0..count).map(|_| self.slot()).collect()
    }

    fn slot(&mut self) -> SlotId {
        self.slots.push(Slot::default());
        self.slots.len() - 1
    }

    /// How often values were made at the slot before.
    pub(super) fn visit(&mut self, slot: SlotId, goal: Goal) -> usize {
        if goal == Goal::Learn {
            return 0;
        }
        let visits = &mut self.slots[slot].visits;
        *visits += 1;
        self.made += u64::from(*visits <= OFTEN_ENOUGH);
        *visits - 1
    }

    pub(super) fn try_case(&mut self, part: PartId, case: usize) {
        let tries = &mut self.case_mut(part, case).tries;
        *tries += 1;
        let is_new = *tries <= OFTEN_ENOUGH;
        self.made += u64::from(is_new);
    }

    /// Starts the counts of variants anew, for another purpose.
    pub(super) fn forget_tries(&mut self) {
        for part in &mut self.parts {
            if let Form::Enum(cases) = &mut part.form {
                cases.cases.iter_mut().for_each(|case| case.tries = 0);
            }
        }
    }

    /// All slots of a part, its variants' payloads included.
    pub(super) fn slots_of(&self, part: PartId) -> Vec<SlotId> {
        match &self.parts[part].form {
            Form::Leaf(_) | Form::UnitStruct => Vec::new(),
            Form::Option(slot) | Form::Seq(slot) | Form::Newtype(slot) => vec![*slot],
            Form::Map(key, value) => vec![*key, *value],
            Form::Enum(cases) => {
                let of_case = |case: &Case| match &case.carries {
                    Carries::Newtype(slot) => vec![*slot],
                    Carries::Parts(part) => self.parts[*part].form.elements().to_vec(),
                    Carries::Unknown | Carries::Refused(_) | Carries::Unit => Vec::new(),
                };
                cases.cases.iter().flat_map(of_case).collect()
            }
            other => other.elements().to_vec(),
        }
    }

    /// The cases of a part that is an enum.
    pub(super) fn cases(&self, part: PartId) -> &Cases {
        match &self.parts[part].form {
            Form::Enum(cases) => cases,
            _ => unreachable!("only a part that was asked for as an enum is read by variant"),
        }
    }

    pub(super) fn cases_mut(&mut self, part: PartId) -> &mut Cases {
        match &mut self.parts[part].form {
            Form::Enum(cases) => cases,
            _ => unreachable!("only a part that was asked for as an enum is read by variant"),
        }
    }

    pub(super) fn case(&self, part: PartId, case: usize) -> &Case {
        &self.cases(part).cases[case]
    }

    pub(super) fn case_mut(&mut self, part: PartId, case: usize) -> &mut Case {
        &mut self.cases_mut(part).cases[case]
    }

    pub(super) fn fields_mut(&mut self, part: PartId) -> Option<&mut Fields> {
        match &mut self.parts[part].form {
            Form::Struct(fields) => Some(fields),
            _ => None,
        }
    }
}

impl Fields {
    /// The best that is known about the names, one for each slot.
    pub(super) fn names(&self) -> Vec<&'static str> {
        match &self.naming {
            Naming::Settled(names) => names.clone(),
            Naming::Choosing { groups, .. } => groups.iter().map(|names| names[0]).collect(),
            Naming::Plain | Naming::Asking(_) => self.declared.to_vec(),
        }
    }
}

impl Cases {
    pub(super) fn name(&self, case: usize) -> String {
        let names = match &self.naming {
            Naming::Settled(names) => names,
            _ => self.declared,
        };
        names.get(case).map_or(String::new(), |name| (*name).to_owned())
    }
}

impl Case {
    fn unknown() -> Case {
        Case { carries: Carries::Unknown, cost: None, tries: 0, futile: 0, busy: 0 }
    }
}

impl Form {
    /// The slots that are read one after the other, in order.
    pub(super) fn elements(&self) -> &[SlotId] {
        match self {
            Form::Tuple(_, slots) | Form::TupleStruct(slots) => slots,
            Form::Struct(fields) => &fields.slots,
            _ => &[],
        }
    }

    /// How many elements there are; more than slots in a long tuple.
    pub(super) fn len(&self) -> usize {
        match self {
            Form::Tuple(len, _) => *len,
            other => other.elements().len(),
        }
    }
}

fn is_named(request: Request) -> bool {
    matches!(
        request,
        Request::UnitStruct(_)
            | Request::Newtype(_)
            | Request::TupleStruct(..)
            | Request::Struct(..)
            | Request::Enum(..)
    )
}

/// Whether two asks at one place mean the same. Anonymous ones may come from
/// different visitors of one type; what they ask for decides.
fn alike(known: Ask, ask: Ask) -> bool {
    if is_named(ask.request) {
        known == ask
    } else {
        known.request == ask.request
    }
}
