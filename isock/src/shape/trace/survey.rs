//! What is still open, and which places no value gets past.
//!
//! Looked up by every decision of a pass, so it is worked out once before each.

use super::table::{Carries, Case, Form, Naming, PartId, SlotId, Table};

/// Visits without a discovery after which a place is left alone.
const FUTILE: usize = 16;

#[derive(Default)]
pub(super) struct Survey {
    /// By part: something is left to learn in it or below.
    open: Vec<bool>,
    /// By part: no value of it can be made.
    dead: Vec<bool>,
}

impl Survey {
    pub(super) fn of(table: &Table) -> Survey {
        let count = table.parts.len();
        let mut survey = Survey { open: vec![false; count], dead: vec![false; count] };
        // Both spread from part to part, and only ever grow.
        loop {
            let mut changed = false;
            for part in 0..count {
                let (open, dead) =
                    (survey.is_open_now(table, part), survey.is_dead_now(table, part));
                changed |= open != survey.open[part] || dead != survey.dead[part];
                survey.open[part] = open;
                survey.dead[part] = dead;
            }
            if !changed {
                return survey;
            }
        }
    }

    /// Whether reading at the slot may teach something.
    pub(super) fn is_open(&self, table: &Table, slot: SlotId) -> bool {
        let slot = &table.slots[slot];
        match slot.part {
            _ if slot.futile >= FUTILE => false,
            None => true,
            // Found after the survey was made.
            Some(part) => self.open.get(part).copied().unwrap_or(true),
        }
    }

    /// Whether every value read at the slot is refused.
    pub(super) fn is_dead(&self, table: &Table, slot: SlotId) -> bool {
        table.slots[slot].refusal.is_some()
            || (table.slots[slot].sample.is_none() && self.holds_dead(table, slot))
    }

    /// The same, were there no sample.
    pub(super) fn holds_dead(&self, table: &Table, slot: SlotId) -> bool {
        table.slots[slot].part.is_some_and(|part| self.dead.get(part).copied().unwrap_or(false))
    }

    pub(super) fn is_case_open(&self, table: &Table, case: &Case) -> bool {
        if case.futile >= FUTILE {
            return false;
        }
        match &case.carries {
            Carries::Unknown => true,
            Carries::Refused(_) | Carries::Unit => false,
            Carries::Newtype(slot) => self.is_open(table, *slot),
            Carries::Parts(part) => self.open.get(*part).copied().unwrap_or(true),
        }
    }

    pub(super) fn is_case_dead(&self, table: &Table, case: &Case) -> bool {
        match &case.carries {
            Carries::Unknown | Carries::Unit => false,
            Carries::Refused(_) => true,
            Carries::Newtype(slot) => self.is_dead(table, *slot),
            Carries::Parts(part) => self.dead.get(*part).copied().unwrap_or(false),
        }
    }

    fn is_open_now(&self, table: &Table, part: PartId) -> bool {
        let open = |slot: &SlotId| self.is_open(table, *slot);
        match &table.parts[part].form {
            Form::Leaf(_) | Form::UnitStruct => false,
            Form::Option(slot) | Form::Seq(slot) | Form::Newtype(slot) => open(slot),
            Form::Map(key, value) => open(key) || open(value),
            Form::Tuple(_, slots) | Form::TupleStruct(slots) => slots.iter().any(open),
            Form::Struct(fields) => !fields.naming.is_settled() || fields.slots.iter().any(open),
            Form::Enum(cases) => {
                matches!(cases.naming, Naming::Asking(_))
                    || cases.cases.iter().any(|case| self.is_case_open(table, case))
            }
        }
    }

    fn is_dead_now(&self, table: &Table, part: PartId) -> bool {
        let dead = |slot: &SlotId| self.is_dead(table, *slot);
        match &table.parts[part].form {
            Form::Leaf(_) | Form::UnitStruct | Form::Option(_) | Form::Seq(_) | Form::Map(..) => {
                false
            }
            Form::Newtype(slot) => dead(slot),
            Form::Tuple(_, slots) | Form::TupleStruct(slots) => slots.iter().any(dead),
            Form::Struct(fields) => fields.slots.iter().any(dead),
            Form::Enum(cases) => cases.cases.iter().all(|case| self.is_case_dead(table, case)),
        }
    }
}
