//! What a part is read as: which variant, how many elements, which value.
//!
//! Decides from the [`Survey`](super::survey::Survey) and what the pass is reading
//! further out; notes nothing about how it went.

use super::super::driver::{Answer, DriveError};
use super::super::error::ShapeError;
use super::super::sample::{made_up, Replay};
use super::pass::{Doing, Frame, Goal, Pass};
use super::table::{Form, Naming, PartId, SlotId};

impl<'s> Pass<'_, 's> {
    pub(super) fn answer(&mut self, slot: SlotId, part: PartId) -> Result<Answer<'s>, DriveError> {
        let visit = self.table.visit(slot, self.goal);
        match &self.table.parts[part].form {
            Form::Leaf(leaf) => {
                let leaf = *leaf;
                if let Some((replay, _)) = &mut self.replay {
                    let answer = replay.leaf(leaf);
                    return self.replayed(answer);
                }
                // Each third time out of four it is a zero or an empty text: choice 1.
                Ok(made_up(leaf, self.shift() + usize::from(visit % 4 == 2)))
            }
            Form::UnitStruct => Ok(Answer::Unit),
            Form::Newtype(content) => {
                self.top()?.doing = Doing::Content(*content);
                Ok(Answer::Newtype)
            }
            Form::Option(content) => {
                let content = *content;
                let filled = self.how_many(
                    slot,
                    visit,
                    &[content],
                    |replay| replay.is_some().map(usize::from),
                    1,
                )? > 0;
                self.top()?.doing = if filled { Doing::Content(content) } else { Doing::Nothing };
                Ok(if filled { Answer::Some } else { Answer::None })
            }
            Form::Seq(element) => {
                let left = self.how_many(slot, visit, &[*element], Replay::len, 3)?;
                self.top()?.doing = Doing::Repeat { left };
                Ok(Answer::Seq)
            }
            Form::Map(key, value) => {
                let left = self.how_many(slot, visit, &[*key, *value], Replay::len, 3)?;
                self.top()?.doing = Doing::Repeat { left };
                Ok(Answer::Map)
            }
            Form::Tuple(..) | Form::TupleStruct(_) | Form::Struct(_) => self.elements(part),
            Form::Enum(_) => self.variant(part),
        }
    }

    /// Notes a sample that ends too early or holds something else.
    pub(super) fn replayed<T>(&mut self, read: Result<T, DriveError>) -> Result<T, DriveError> {
        match read {
            Ok(value) => Ok(value),
            Err(error) => {
                let error = ShapeError::BadSample {
                    type_name: self.sampled(),
                    problem: error.message().to_owned(),
                };
                self.fail(error)
            }
        }
    }

    /// The type whose sample is being read.
    pub(super) fn sampled(&self) -> String {
        let depth = self.replay.as_ref().map_or(0, |(_, depth)| *depth);
        let slot = self.frames.get(depth).and_then(|frame| frame.slot).unwrap_or(0);
        self.table.slots[slot].sample.clone().unwrap_or_default()
    }

    /// How many contents an option, sequence or map gets.
    pub(super) fn how_many(
        &mut self,
        slot: SlotId,
        visit: usize,
        contents: &[SlotId],
        replayed: impl Fn(&mut Replay<'s>) -> Result<usize, DriveError>,
        most: usize,
    ) -> Result<usize, DriveError> {
        if let Some((replay, _)) = &mut self.replay {
            let count = replayed(replay);
            return self.replayed(count);
        }
        if contents.iter().any(|content| self.is_busy(*content)) {
            return Ok(0);
        }
        let is_dead = contents.iter().any(|content| self.is_dead(*content));
        let full = match self.goal {
            Goal::Learn => contents.iter().any(|content| self.is_open(*content)),
            // Mostly full, or what is deep inside would hardly ever be made.
            Goal::Make => visit % 4 != 1 && !is_dead,
        };
        // Some types want at least one element, or at least two, or none.
        let attempts = self.table.slots[slot].attempts;
        match attempts {
            0 => Ok(usize::from(full)),
            _ if is_dead => Ok(usize::from(full && self.goal == Goal::Learn && attempts % 2 == 0)),
            _ => Ok((usize::from(full) + attempts) % (most + 1)),
        }
    }

    /// Hands out the elements of a tuple or struct, or the fields of a struct by
    /// name where that is the way to learn more.
    pub(super) fn elements(&mut self, part: PartId) -> Result<Answer<'s>, DriveError> {
        let (doing, answer) = match self.by_name(part) {
            Some(by_name) => (by_name, Answer::Map),
            None => (Doing::Elements { part, next: 0 }, Answer::Seq),
        };
        self.top()?.doing = doing;
        Ok(answer)
    }

    pub(super) fn by_name(&mut self, part: PartId) -> Option<Doing> {
        let (table, survey) = (&*self.table, self.survey);
        let Form::Struct(fields) = &table.parts[part].form else {
            return None;
        };
        let is_dead = fields.slots.iter().any(|slot| survey.is_dead(table, *slot));
        match &fields.naming {
            _ if fields.no_keys || self.goal != Goal::Learn => None,
            Naming::Asking(_) => Some(Doing::Asking { part }),
            // It will not be read to its end, so aliases must be looked for.
            Naming::Plain if is_dead => {
                self.table.fields_mut(part)?.naming = Naming::Asking(Vec::new());
                Some(Doing::Asking { part })
            }
            // A sample is read in its own order.
            _ if self.replay.is_some() => None,
            // Twice the same field: the error tells its name.
            Naming::Choosing { groups, next, .. } => {
                let key = (groups[*next][0], fields.slots[*next]);
                Some(Doing::Keyed { part, keys: vec![key, key], next: 0 })
            }
            // In order, nothing after the dead field would be read.
            Naming::Settled(names) if is_dead => {
                let open = |slot: &SlotId| survey.is_open(table, *slot);
                let mut keys: Vec<_> =
                    names.iter().copied().zip(fields.slots.iter().copied()).collect();
                keys.retain(|(_, slot)| open(slot) || !survey.is_dead(table, *slot));
                keys.sort_by_key(|(_, slot)| (survey.is_dead(table, *slot), !open(slot)));
                Some(Doing::Keyed { part, keys, next: 0 })
            }
            Naming::Plain | Naming::Settled(_) => None,
        }
    }

    pub(super) fn variant(&mut self, part: PartId) -> Result<Answer<'s>, DriveError> {
        let choice = if matches!(self.table.cases(part).naming, Naming::Asking(_)) {
            // The answer is a name, whatever the case.
            Some(0)
        } else if let Some((replay, _)) = &mut self.replay {
            let number = replay.variant();
            let number = self.replayed(number)?;
            if number >= self.table.cases(part).cases.len() {
                let unknown =
                    Err(DriveError::new(format!("it holds variant {number}, which is not read")));
                return self.replayed(unknown);
            }
            Some(number)
        } else {
            self.choose(part)
        };
        let Some(choice) = choice else {
            // No variant at all: nothing is wrong with the type, but no value exists.
            return Err(DriveError::new("an enum without variants has no values"));
        };
        self.table.case_mut(part, choice).busy += 1;
        self.table.try_case(part, choice);
        let frame = self.top()?;
        frame.case = Some(choice);
        frame.doing = Doing::Case { accepted: false };
        Ok(Answer::Enum)
    }

    /// The variant to read, by the first of these rules that finds one.
    pub(super) fn choose(&self, part: PartId) -> Option<usize> {
        let cases = &self.table.cases(part).cases;
        let is_dead = |index: &usize| self.survey.is_case_dead(self.table, &cases[*index]);
        let alive = || (0..cases.len()).filter(|index| !is_dead(index));
        let cheapest =
            || alive().filter(|i| cases[*i].cost.is_some()).min_by_key(|i| cases[*i].cost);
        // The least tried ones first, so that all have their turn and a descent
        // without end is not repeated.
        let least_tried = |index: &usize| cases[*index].tries;
        // One frame reads this very enum; another one means recursion.
        let nested = self.table.parts[part].busy > 1;
        let by_goal = || match self.goal {
            Goal::Make => alive().min_by_key(least_tried),
            Goal::Learn => {
                let open = |index: &usize| self.survey.is_case_open(self.table, &cases[*index]);
                alive()
                    .filter(open)
                    .min_by_key(least_tried)
                    .or_else(|| (0..cases.len()).filter(open).min_by_key(least_tried))
            }
        };
        if nested {
            cheapest()
                .or_else(|| alive().filter(|index| cases[*index].busy == 0).min_by_key(least_tried))
                .or_else(|| (0..cases.len()).min_by_key(least_tried))
        } else {
            by_goal().or_else(cheapest).or_else(|| (0..cases.len()).min_by_key(least_tried))
        }
    }

    /// The name or number that the frame below wants to read.
    pub(super) fn identifier(&mut self) -> Result<Answer<'s>, DriveError> {
        let below = self.frames.len().checked_sub(2).map(|index| &self.frames[index]);
        let Some(Frame { doing, part, case, .. }) = below else {
            return Err(DriveError::new("nothing is being read"));
        };
        let name_at = |naming: &Naming, declared: &[&'static str]| match naming {
            Naming::Asking(tokens) => declared.get(tokens.len()).map(|name| Answer::Str(name)),
            _ => None,
        };
        let answer = match doing {
            Doing::Keyed { keys, next, .. } => keys.get(*next).map(|(name, _)| Answer::Str(name)),
            Doing::Asking { part } => match &self.table.parts[*part].form {
                Form::Struct(fields) => name_at(&fields.naming, fields.declared),
                _ => None,
            },
            Doing::Case { .. } => part.and_then(|part| {
                let cases = self.table.cases(part);
                // postcard hands out the number as a u32 as well.
                name_at(&cases.naming, cases.declared)
                    .or_else(|| case.map(|case| Answer::U32(case as u32)))
            }),
            _ => None,
        };
        answer.ok_or_else(|| DriveError::new("no name is being read"))
    }
}
