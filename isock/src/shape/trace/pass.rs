//! One pass: a value is read, and every decision on the way is made here.

use super::super::driver::{Answer, Ask, DriveError, Driver, PayloadAsk, Place, Request, Seat};
use super::super::error::ShapeError;
use super::super::sample::{Replay, Samples};
use super::survey::Survey;
use super::table::{Carries, Form, Naming, PartId, SlotId, Table};
use super::words;
use super::MAX_STEPS;

/// Values nested deeper are not read: decoding refuses them as well, and a
/// thread of 2 MiB has room for them in a build without optimisation.
const MAX_DEPTH: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Go where something is open.
    Learn,
    /// Make values: of each variant, with each part in turn full and empty.
    Make,
}

pub(super) struct Pass<'t, 's> {
    pub(super) table: &'t mut Table,
    pub(super) survey: &'t Survey,
    pub(super) samples: &'s Samples,
    pub(super) root: &'static str,
    pub(super) goal: Goal,
    pub(super) frames: Vec<Frame>,
    /// The sample that is being read, and the number of frames around it.
    pub(super) replay: Option<(Replay<'s>, usize)>,
    /// An error is on its way out, and its cause is noted: nobody above is to blame.
    pub(super) unwinding: bool,
    pub(super) fatal: Option<ShapeError>,
    pub(super) steps: u64,
}

/// A seat that is taken.
pub(super) struct Frame {
    /// None for an identifier, which is no part of a value.
    pub(super) slot: Option<SlotId>,
    pub(super) seat: Seat,
    pub(super) part: Option<PartId>,
    pub(super) doing: Doing,
    /// `done` is next called for a variant's payload, then for the enum.
    pub(super) in_payload: bool,
    pub(super) case: Option<usize>,
    /// The container has asked how many elements there are.
    pub(super) makes_room: bool,
    pub(super) steps_before: u64,
    pub(super) progress_before: u64,
}

pub(super) enum Doing {
    Nothing,
    Content(SlotId),
    /// Reading the elements of a tuple or struct in order.
    Elements {
        part: PartId,
        next: usize,
    },
    /// Reading the elements of a sequence or map.
    Repeat {
        left: usize,
    },
    /// Reading fields by name.
    Keyed {
        part: PartId,
        keys: Vec<(&'static str, SlotId)>,
        next: usize,
    },
    /// Finding out what a name means.
    Asking {
        part: PartId,
    },
    /// The variant is chosen, its payload not yet asked for.
    Case {
        accepted: bool,
    },
}

impl<'t, 's> Pass<'t, 's> {
    pub(super) fn new(
        table: &'t mut Table,
        survey: &'t Survey,
        samples: &'s Samples,
        root: &'static str,
        goal: Goal,
        steps: u64,
    ) -> Pass<'t, 's> {
        Pass {
            table,
            survey,
            samples,
            root,
            goal,
            frames: Vec::new(),
            replay: None,
            unwinding: false,
            fatal: None,
            steps,
        }
    }

    /// What ends all passes, if anything does.
    pub(super) fn outcome(self) -> Result<(), ShapeError> {
        self.fatal.map_or(Ok(()), Err)
    }

    /// Ends the pass, though nothing is wrong.
    pub(super) fn leave<T>(&mut self) -> Result<T, DriveError> {
        self.unwinding = true;
        Err(DriveError::new("enough was learnt"))
    }

    /// Ends all passes.
    pub(super) fn fail<T>(&mut self, error: ShapeError) -> Result<T, DriveError> {
        self.unwinding = true;
        let error = self.fatal.get_or_insert(error);
        Err(DriveError::new(error))
    }

    pub(super) fn top(&mut self) -> Result<&mut Frame, DriveError> {
        self.frames.last_mut().ok_or_else(|| DriveError::new("nothing is being read"))
    }

    pub(super) fn is_dead(&self, slot: SlotId) -> bool {
        self.survey.is_dead(self.table, slot)
    }

    pub(super) fn is_open(&self, slot: SlotId) -> bool {
        self.survey.is_open(self.table, slot)
    }

    /// Whether the slot's form is being read further out.
    pub(super) fn is_busy(&self, slot: SlotId) -> bool {
        self.table.slots[slot].part.is_some_and(|part| self.table.parts[part].busy > 0)
    }

    /// Refusals of this place or one around it, which shift the values in it.
    pub(super) fn shift(&self) -> usize {
        self.frames
            .iter()
            .filter_map(|frame| frame.slot)
            .map(|slot| self.table.slots[slot].attempts)
            .sum()
    }
}

impl<'s> Driver<'s> for Pass<'_, 's> {
    fn seat(&mut self, seat: Seat) -> Result<(), DriveError> {
        let slot = self.slot_for(seat.place)?;
        if let Some(slot) = slot {
            let known = &mut self.table.slots[slot];
            known.size = known.size.max(seat.size);
        }
        self.frames.push(Frame {
            slot,
            seat,
            part: None,
            doing: Doing::Nothing,
            in_payload: false,
            case: None,
            makes_room: false,
            steps_before: self.steps,
            progress_before: self.table.progress,
        });
        if let Some(slot) = slot {
            self.look_for_sample(slot, seat)?;
        }
        Ok(())
    }

    fn ask(&mut self, ask: Ask) -> Result<Answer<'s>, DriveError> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            let type_name = self.root.to_owned();
            return self.fail(ShapeError::TooLarge {
                type_name,
                limit: "it has too many parts to read".to_owned(),
            });
        }
        let Some(slot) = self.top()?.slot else {
            return self.identifier();
        };
        if self.frames.len() > MAX_DEPTH {
            return self.leave();
        }
        if let Request::Any | Request::IgnoredAny | Request::Identifier = ask.request {
            let above = self.frames.len().checked_sub(2).map(|index| &self.frames[index]);
            let holder =
                above.and_then(|frame| frame.part).map(|part| self.table.parts[part].ask.request);
            let is_key = self.top()?.seat.place == Place::Key;
            let error = words::unsupported(self.culprit(ask), self.path(), ask, is_key, holder);
            return self.fail(error);
        }
        let above: Vec<PartId> = self.frames.iter().rev().filter_map(|frame| frame.part).collect();
        match self.table.place(slot, ask, above.into_iter()) {
            Ok(part) => {
                let known = &mut self.table.parts[part];
                known.busy += 1;
                known.size = known.size.max(ask.size);
                let slot_known = &mut self.table.slots[slot];
                slot_known.held = slot_known.held.max(ask.size);
                self.top()?.part = Some(part);
                self.answer(slot, part)
            }
            Err(known) => {
                let (first, then) =
                    (words::asked_for(known.request), words::asked_for(ask.request));
                // What was read before decided, so the type around is the one to change.
                let type_name = self.presentable_above(self.frames.len() - 1);
                let error = words::differs(type_name, self.path(), first, then);
                self.fail(error)
            }
        }
    }

    fn makes_room(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.makes_room = true;
        }
    }

    fn more(&mut self) -> Result<bool, DriveError> {
        let frame =
            self.frames.last_mut().ok_or_else(|| DriveError::new("nothing is being read"))?;
        Ok(match &mut frame.doing {
            Doing::Elements { part, next } => *next < self.table.parts[*part].form.len(),
            Doing::Repeat { left } => {
                let more = *left > 0;
                if more {
                    *left -= 1;
                }
                more
            }
            Doing::Keyed { keys, next, .. } => *next < keys.len(),
            Doing::Asking { .. } => true,
            Doing::Nothing | Doing::Content(_) | Doing::Case { .. } => false,
        })
    }

    fn identified(&mut self, token: u64) -> Result<(), DriveError> {
        let Ok(Frame { doing, part, .. }) = self.top() else {
            return Ok(());
        };
        match doing {
            Doing::Asking { part } => {
                let part = *part;
                self.learn_name(part, Some(token))
            }
            Doing::Case { accepted } => {
                *accepted = true;
                let part = *part;
                match part {
                    Some(part) if matches!(self.table.cases(part).naming, Naming::Asking(_)) => {
                        self.learn_name(part, Some(token))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn payload(&mut self, ask: PayloadAsk) -> Result<Answer<'s>, DriveError> {
        let Frame { part: Some(part), case: Some(case), .. } = *self.top()? else {
            return Err(DriveError::new("no variant is being read"));
        };
        if let Err(then) = self.table.place_payload(part, case, ask) {
            let type_name = self.table.parts[part].ask.value.to_owned();
            let error =
                words::differs(type_name, self.path(), "one payload".to_owned(), then.to_owned());
            return self.fail(error);
        }
        match self.table.case(part, case).carries {
            Carries::Newtype(slot) => {
                self.top()?.doing = Doing::Content(slot);
                Ok(Answer::Newtype)
            }
            Carries::Parts(payload) => {
                self.top()?.in_payload = true;
                self.elements(payload)
            }
            Carries::Unit | Carries::Unknown | Carries::Refused(_) => {
                self.top()?.doing = Doing::Nothing;
                Ok(Answer::Unit)
            }
        }
    }

    fn done(&mut self, error: Option<&DriveError>) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let in_payload = std::mem::take(&mut frame.in_payload);
        let doing = std::mem::replace(&mut frame.doing, Doing::Nothing);
        let spent = self.steps - frame.steps_before;
        let (part, case) = (frame.part, frame.case);
        if let (Some(part), false) = (part, frame.makes_room) {
            self.table.parts[part].without_room = true;
        }
        match (doing, error) {
            (Doing::Elements { part, next }, None) => self.note_count(part, next),
            (Doing::Keyed { part, next, .. }, Some(error)) => {
                self.note_keyed_error(part, next, error);
                self.unwinding = true;
            }
            (Doing::Asking { part }, Some(_)) if !self.unwinding => {
                // No key was asked for, so fields have no names here.
                let _ = self.settle_plainly(part);
                self.unwinding = true;
            }
            (Doing::Case { accepted: true }, Some(error)) if !self.unwinding => {
                if let (Some(part), Some(case)) = (part, case) {
                    self.refuse_case(part, case, error);
                }
            }
            _ => {}
        }
        if let (false, None, Some(part), Some(case)) = (in_payload, error, part, case) {
            let case = self.table.case_mut(part, case);
            case.cost = Some(case.cost.map_or(spent, |cost| cost.min(spent)));
        }
    }

    fn unseat(&mut self, error: Option<&DriveError>) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if let Some(part) = frame.part {
            self.table.parts[part].busy -= 1;
        }
        let learnt = self.table.progress > frame.progress_before;
        if let (Some(part), Some(case)) = (frame.part, frame.case) {
            let case = self.table.case_mut(part, case);
            case.busy -= 1;
            case.futile = if learnt { 0 } else { case.futile + 1 };
        }
        let replayed = match &self.replay {
            Some((replay, depth)) if *depth == self.frames.len() => Some(replay.is_at_end()),
            _ => None,
        };
        if replayed.is_some() {
            self.replay = None;
        }
        match (frame.slot, error) {
            (Some(slot), None) => {
                self.table.slots[slot].futile =
                    if learnt { 0 } else { self.table.slots[slot].futile + 1 };
                self.note_made(slot, &frame, replayed);
                // Whoever swallowed an error has made its value all the same.
                self.unwinding = self.fatal.is_some();
            }
            (Some(slot), Some(error)) => {
                self.table.slots[slot].futile =
                    if learnt { 0 } else { self.table.slots[slot].futile + 1 };
                if !self.unwinding {
                    self.unwinding = true;
                    self.blame(slot, &frame, error, replayed.is_some() || self.replay.is_some());
                }
            }
            (None, Some(_)) if !self.unwinding => self.note_unknown_identifier(),
            (None, _) => {}
        }
    }
}

/// Placing what is about to be read.
impl Pass<'_, '_> {
    pub(super) fn slot_for(&mut self, place: Place) -> Result<Option<SlotId>, DriveError> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(Some(0));
        };
        let form = frame.part.map(|part| &self.table.parts[part].form);
        let slot = match (&mut frame.doing, place, form) {
            (Doing::Case { .. }, Place::Variant, _)
            | (Doing::Keyed { .. } | Doing::Asking { .. }, Place::Key, _) => return Ok(None),
            (Doing::Content(slot), _, _) => *slot,
            (Doing::Elements { part, next }, Place::Element, _) => {
                let slots = self.table.parts[*part].form.elements();
                *next += 1;
                // A long tuple has one slot for all.
                slots[(*next - 1).min(slots.len() - 1)]
            }
            (Doing::Keyed { keys, next, .. }, Place::Value, _) if *next < keys.len() => {
                *next += 1;
                keys[*next - 1].1
            }
            (Doing::Repeat { .. }, Place::Element, Some(Form::Seq(element))) => *element,
            (Doing::Repeat { .. }, Place::Key, Some(Form::Map(key, _))) => *key,
            (Doing::Repeat { .. }, Place::Value, Some(Form::Map(_, value))) => *value,
            _ => return Err(DriveError::new("a part was read that was not offered")),
        };
        Ok(Some(slot))
    }

    /// Reads a sample of the type instead of made-up values, once those failed.
    pub(super) fn look_for_sample(&mut self, slot: SlotId, seat: Seat) -> Result<(), DriveError> {
        let of = match (seat.place, self.frames.len()) {
            (Place::Content, 1) => seat.of,
            // serde reads the content of an option without naming it, but it names
            // the option; a newtype's content stays unknown.
            (Place::Content, _) => words::optional(seat.of).unwrap_or(words::seeded(seat.of)),
            _ => words::seeded(seat.of),
        };
        let of = words::unwrapped(of);
        if !self.samples.has(of) {
            return Ok(());
        }
        let known = &mut self.table.slots[slot];
        known.sample.get_or_insert_with(|| of.to_owned());
        let is_needed = known.attempts > 0 || self.survey.holds_dead(self.table, slot);
        if self.replay.is_some() || !is_needed {
            return Ok(());
        }
        let turn = self.table.slots[slot].turns;
        self.table.slots[slot].turns += 1;
        match self.samples.bytes(of, turn) {
            Some(Ok(bytes)) => {
                self.replay = Some((Replay::new(bytes), self.frames.len() - 1));
                Ok(())
            }
            Some(Err(problem)) => {
                let error =
                    ShapeError::BadSample { type_name: of.to_owned(), problem: problem.clone() };
                self.frames.pop();
                self.fail(error)
            }
            None => Ok(()),
        }
    }
}
