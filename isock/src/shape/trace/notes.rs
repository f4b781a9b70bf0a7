//! What a pass learns from how its answers were taken.
//!
//! An error means something only to the innermost place that saw it first: a
//! refused value, an alias, a variant that is not there, or a name that was asked
//! for on purpose. Everything further out just passes it on.

use super::super::driver::{Ask, DriveError, Place, Request};
use super::super::error::ShapeError;
use super::super::path::{shorten, Step};
use super::super::sample::ATTEMPTS;
use super::super::Leaf;
use super::pass::{Doing, Frame, Pass};
use super::table::{Carries, Form, Naming, PartId, SlotId};
use super::{words, Refusal};

/// Passes spent on finding the name that a field has beside its aliases.
const NAME_TRIES: usize = 4;

impl Pass<'_, '_> {
    pub(super) fn note_made(&mut self, slot: SlotId, frame: &Frame, replayed: Option<bool>) {
        if frame.part.is_none() && self.table.slots[slot].part.is_none() {
            // Made without asking for anything, so of no bytes.
            let leaf = Request::Leaf(Leaf::Unit);
            let ask = Ask { request: leaf, visitor: "", value: "", size: 0 };
            let _ = self.table.place(slot, ask, std::iter::empty());
        }
        if replayed == Some(false) && self.fatal.is_none() {
            let type_name = self.table.slots[slot].sample.clone().unwrap_or_default();
            let problem = "bytes are left over, so Serialize and Deserialize disagree".to_owned();
            self.fatal = Some(ShapeError::BadSample { type_name, problem });
        }
    }

    /// A type refused what it was given, and nobody further in is the cause.
    pub(super) fn blame(
        &mut self,
        slot: SlotId,
        frame: &Frame,
        error: &DriveError,
        is_replaying: bool,
    ) {
        if is_replaying {
            let depth = self.frames.len();
            let known = self.table.slots[slot].sample.clone();
            let type_name = known.or_else(|| self.sample_above(depth)).unwrap_or_default();
            self.fatal.get_or_insert(ShapeError::BadSample {
                type_name,
                problem: error.message().to_owned(),
            });
            return;
        }
        let known = &mut self.table.slots[slot];
        known.attempts += 1;
        if known.attempts < ATTEMPTS {
            // Each new value may be the one, so it counts as learnt.
            self.table.progress += 1;
        } else if known.refusal.is_none() {
            self.table.progress += 1;
            let type_name = self.presentable(frame);
            let path = self.path_to(Some(frame.seat.place));
            let message = shorten(error.message().to_owned());
            self.table.slots[slot].refusal = Some(Refusal { path, type_name, message });
        }
    }

    pub(super) fn sample_above(&self, depth: usize) -> Option<String> {
        self.frames[..depth]
            .iter()
            .rev()
            .find_map(|frame| self.table.slots[frame.slot?].sample.clone())
    }

    /// A struct was read in order, to its end.
    pub(super) fn note_count(&mut self, part: PartId, read: usize) {
        let Some(fields) = self.table.fields_mut(part) else {
            return;
        };
        if fields.count.is_none() {
            fields.count = Some(read);
        }
        if let Naming::Plain = fields.naming {
            fields.naming = if read == fields.declared.len() {
                Naming::Settled(fields.declared.to_vec())
            } else {
                Naming::Asking(Vec::new())
            };
            self.table.progress += 1;
        }
    }

    /// The visitor reads no fields by name, or its names make no sense.
    pub(super) fn settle_plainly(&mut self, part: PartId) -> Option<()> {
        self.table.progress += 1;
        let fields = self.table.fields_mut(part)?;
        let count = fields.count.unwrap_or(fields.declared.len());
        fields.no_keys = true;
        fields.naming = Naming::Settled(fields.declared[..count].to_vec());
        fields.slots.truncate(count);
        Some(())
    }

    /// What became of a struct that was read by name; often this was known to fail.
    pub(super) fn note_keyed_error(&mut self, part: PartId, read: usize, error: &DriveError) {
        let is_own = !self.unwinding;
        let Some(fields) = self.table.fields_mut(part) else {
            return;
        };
        if read == 0 && is_own {
            fields.no_keys = true;
        }
        let Naming::Choosing { groups, next, tries } = &mut fields.naming else {
            return;
        };
        *tries += 1;
        let primary = error.duplicate().filter(|name| groups[*next].contains(name));
        if primary.is_none() && *tries < NAME_TRIES && !fields.no_keys {
            return;
        }
        let primary = primary.unwrap_or(groups[*next][0]);
        groups[*next] = vec![primary];
        fields.naming = next_choice(std::mem::take(groups));
        self.table.progress += 1;
    }

    /// A name was read; `token` says what it means.
    pub(super) fn learn_name(
        &mut self,
        part: PartId,
        token: Option<u64>,
    ) -> Result<(), DriveError> {
        self.table.progress += 1;
        match &mut self.table.parts[part].form {
            Form::Struct(fields) => {
                if let Naming::Asking(tokens) = &mut fields.naming {
                    tokens.push(token);
                    if tokens.len() == fields.declared.len() {
                        let groups = Naming::groups(fields.declared, tokens);
                        match groups
                            .filter(|groups| fields.count.is_none_or(|count| count == groups.len()))
                        {
                            Some(groups) => {
                                fields.slots.truncate(groups.len());
                                fields.naming = next_choice(groups);
                            }
                            None => drop(self.settle_plainly(part)),
                        }
                    }
                }
            }
            Form::Enum(cases) => {
                if let Naming::Asking(tokens) = &mut cases.naming {
                    tokens.push(token);
                    if tokens.len() == cases.declared.len() {
                        let groups = Naming::groups(cases.declared, tokens).unwrap_or_else(|| {
                            cases.declared.iter().map(|name| vec![*name]).collect()
                        });
                        // Only Serialize knows which alias is the name; the first one stays
                        // the same for as long as the list does.
                        cases.naming =
                            Naming::Settled(groups.iter().map(|names| names[0]).collect());
                        cases.cases.truncate(groups.len());
                    }
                }
            }
            _ => {}
        }
        self.leave()
    }

    /// The identifier refused the number of a variant, or a name.
    pub(super) fn note_unknown_identifier(&mut self) {
        self.unwinding = true;
        let Ok(&mut Frame { ref doing, part, case, .. }) = self.top() else {
            return;
        };
        match (doing, part, case) {
            (Doing::Asking { part }, _, _) => {
                let part = *part;
                let _ = self.learn_name(part, None);
            }
            (Doing::Case { .. }, Some(part), Some(case)) => {
                match &mut self.table.cases_mut(part).naming {
                    Naming::Asking(_) => drop(self.learn_name(part, None)),
                    naming => {
                        // More names than numbers: there are aliases among them.
                        if let Naming::Plain = naming {
                            *naming = Naming::Asking(Vec::new());
                        }
                        self.table.case_mut(part, case).carries =
                            Carries::Refused("its number is refused".to_owned());
                        self.table.progress += 1;
                    }
                }
            }
            _ => {}
        }
    }

    /// The variant was accepted, and refused before it asked for its payload.
    pub(super) fn refuse_case(&mut self, part: PartId, case: usize, error: &DriveError) {
        let case = self.table.case_mut(part, case);
        if let Carries::Unknown = case.carries {
            case.carries = Carries::Refused(error.message().to_owned());
            self.table.progress += 1;
            self.unwinding = true;
        }
    }
}

/// Names and paths, for people.
impl Pass<'_, '_> {
    /// The innermost type that a person knows, for a request that failed.
    pub(super) fn culprit(&self, ask: Ask) -> String {
        let own = self.frames.last().map_or("", |frame| words::seeded(frame.seat.of));
        if ask.request != Request::Any
            && ask.request != Request::Identifier
            && words::is_presentable(ask.value)
        {
            return ask.value.to_owned();
        }
        match self.frames.last() {
            Some(frame) if frame.seat.place == Place::Content && self.frames.len() > 1 => {
                words::optional(own).unwrap_or(own).to_owned()
            }
            _ if words::is_presentable(own) && !matches!(ask.request, Request::Identifier) => {
                own.to_owned()
            }
            _ => self.presentable_above(self.frames.len().saturating_sub(1)),
        }
    }

    pub(super) fn presentable(&self, frame: &Frame) -> String {
        let of = words::seeded(frame.seat.of);
        let of = if self.frames.is_empty() { of } else { words::optional(of).unwrap_or(of) };
        if words::is_presentable(of) {
            return words::unwrapped(of).to_owned();
        }
        self.presentable_above(self.frames.len())
    }

    pub(super) fn presentable_above(&self, depth: usize) -> String {
        let parts = self.frames[..depth].iter().rev().filter_map(|frame| frame.part);
        let mut names = parts.map(|part| self.table.parts[part].ask.value);
        names.find(|name| words::is_presentable(name)).unwrap_or(self.root).to_owned()
    }

    pub(super) fn path(&self) -> String {
        self.path_to(None)
    }

    /// Where the innermost frame is; or one that was just left, at `last` in it.
    pub(super) fn path_to(&self, last: Option<Place>) -> String {
        let mut path = words::without_paths(self.root);
        let places = self.frames.iter().skip(1).map(|frame| frame.seat.place).chain(last);
        for (frame, place) in self.frames.iter().zip(places) {
            self.write_step(frame, place, &mut path);
        }
        shorten(path)
    }

    pub(super) fn write_step(&self, frame: &Frame, place: Place, path: &mut String) {
        let form = frame.part.map(|part| &self.table.parts[part].form);
        if let (Some(Form::Enum(cases)), Some(case)) = (form, frame.case) {
            if let Some(name) = cases.declared.get(case) {
                Step::Variant(name).write(path);
            }
        }
        match (&frame.doing, place) {
            (Doing::Elements { part, next }, _) => match &self.table.parts[*part].form {
                Form::Struct(fields) => {
                    Step::Field(fields.declared[next.saturating_sub(1)]).write(path)
                }
                _ => Step::Index(next.saturating_sub(1)).write(path),
            },
            (Doing::Keyed { keys, next, .. }, _) if *next > 0 => {
                Step::Field(keys[*next - 1].0).write(path)
            }
            (Doing::Repeat { .. }, Place::Key) => Step::Key.write(path),
            (Doing::Repeat { .. }, _) => Step::Element.write(path),
            (Doing::Content(_), _) if matches!(form, Some(Form::Option(_))) => {
                Step::Some.write(path)
            }
            _ => {}
        }
    }
}

/// Skips the parts that have one name.
fn next_choice(groups: Vec<Vec<&'static str>>) -> Naming {
    match groups.iter().position(|names| names.len() > 1) {
        Some(next) => Naming::Choosing { groups, next, tries: 0 },
        None => Naming::Settled(groups.into_iter().flatten().collect()),
    }
}
