//! Learns a shape by letting a type read made-up values.
//!
//! A type's `Deserialize` is run again and again. Each pass reads one value and
//! notes what was asked for; the next one takes the variants, options and
//! elements that the last did not, until nothing is open. Recursion ends because
//! a part that is being read further out is read with the least it can be: no
//! content, no elements, the variant that is known to be cheapest.
//!
//! `table` holds what is known so far, `survey` what is still open. A `pass` is the
//! driver of one value; its decisions are in `answer`, what it learns from their
//! outcome in `notes`. `finish` turns the table into a [`Shape`], `ceiling` tells
//! what decoding can cost at most, `words` has the errors.
//!
//! `type_name` is used to recognise a type that was met before, and in messages.
//! It never becomes part of a shape.

mod answer;
mod ceiling;
mod finish;
mod notes;
mod pass;
mod survey;
mod table;
mod words;

use std::any::type_name;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned};

use super::driver::{DriveError, Driven};
use super::error::ShapeError;
use super::sample::Samples;
use super::Shape;
use crate::wire::guard::Ceiling;
use pass::{Goal, Pass};
use survey::Survey;
use table::Table;

/// Values a type may be asked for in all; a shape that needs more is refused.
const MAX_STEPS: u64 = 20_000_000;
/// Passes that may end without a discovery before the rest is given up.
const MAX_STALLED: usize = 200;
/// Passes in all; each enum variant takes about one.
const MAX_PASSES: usize = 50_000;
/// Passes that only look whether the form depends on a value.
const FLAVOURS: usize = 8;
/// Rounds of values for a round trip.
const MAX_ROUNDS: usize = 2_000;

/// Learns shapes, with samples for types that refuse made-up values.
///
/// ```
/// use isock::shape::Tracer;
///
/// let learnt = Tracer::new().trace::<Vec<(u32, Option<String>)>>()?;
/// assert_eq!(learnt.shape.to_string(), "Vec<(u32, Option<String>)>");
/// assert!(learnt.refusals.is_empty());
/// # Ok::<(), isock::shape::ShapeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    samples: Samples,
}

/// What was learnt about a type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Learnt {
    /// What the type looks like on the wire.
    pub shape: Shape,
    /// The places where every value was refused. Their own form is known all the
    /// same, since a type asks before it judges; what could not be read because of
    /// them is [opaque](Shape::opaque_paths). A [sample](Samples) helps.
    pub refusals: Vec<Refusal>,
    /// What decoding can take at most, if the type alone bounds it.
    pub(super) ceiling: Option<Ceiling>,
}

/// A place where a type refused every value it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Where it was met first.
    pub path: String,
    /// The Rust type to give a sample for, as far as serde tells.
    pub type_name: String,
    /// What it said to the last value.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at `{}`, {}", self.path, self.in_words())
    }
}

impl Refusal {
    /// Without the place, and without the path of the type: this travels.
    fn in_words(&self) -> String {
        let of = words::without_paths(&self.type_name);
        let Refusal { message, .. } = self;
        // A sample is read back when it is made, and what borrows cannot be.
        let give = match of.contains('\'') {
            true => format!("samples = isock::shape::Samples::new().with_wire::<{of}>(…)"),
            false => format!("isock::sample!({of}, …)"),
        };
        format!("{of} refuses every made-up value ({message}); give one: {give}")
    }
}

impl Tracer {
    /// A tracer without samples.
    pub fn new() -> Tracer {
        Tracer::default()
    }

    /// A tracer with these samples.
    pub fn with_samples(samples: Samples) -> Tracer {
        Tracer { samples }
    }

    /// Adds samples.
    #[must_use]
    pub fn samples(mut self, samples: Samples) -> Tracer {
        self.samples = self.samples.and(&samples);
        self
    }

    /// Learns the shape of `T`.
    ///
    /// # Errors
    /// When postcard cannot carry `T`, when `T` has no finite value, when the shape
    /// passes a limit, or when a sample cannot be read as its type.
    pub fn trace<T: DeserializeOwned>(&self) -> Result<Learnt, ShapeError> {
        self.trace_borrowed::<T>()
    }

    /// The same of a type that may borrow what it reads.
    pub(crate) fn trace_borrowed<'s, T: Deserialize<'s>>(&'s self) -> Result<Learnt, ShapeError> {
        let mut read = |pass: &mut Pass<'_, 's>| Driven::read::<T>(pass).map(drop);
        let mut table = Table::new();
        learn(&mut table, &self.samples, type_name::<T>(), &mut read)?;
        finish::learnt(&table, type_name::<T>())
    }

    /// Learns the shape of `T`, then hands `check` values that between them hold
    /// every variant, filled and empty; stops at the first error.
    pub(super) fn trace_and_check<'s, T: Deserialize<'s>, E: From<ShapeError>>(
        &'s self,
        mut check: impl FnMut(&Shape, T) -> Result<(), E>,
    ) -> Result<Learnt, E> {
        let mut table = Table::new();
        let mut read = |pass: &mut Pass<'_, 's>| Driven::read::<T>(pass).map(drop);
        learn(&mut table, &self.samples, type_name::<T>(), &mut read)?;
        let learnt = finish::learnt(&table, type_name::<T>())?;
        let mut problem = None;
        let mut read = |pass: &mut Pass<'_, 's>| {
            let value = Driven::read::<T>(pass)?;
            if let Err(error) = check(&learnt.shape, value) {
                problem.get_or_insert(error);
            }
            Ok(())
        };
        make_values(&mut table, &self.samples, type_name::<T>(), MAX_ROUNDS, &mut read)?;
        problem.map_or(Ok(learnt), Err)
    }
}

/// Reads one value of the type; the only part that is generic over it.
type Read<'r, 's> = dyn FnMut(&mut Pass<'_, 's>) -> Result<(), DriveError> + 'r;

fn learn<'s>(
    table: &mut Table,
    samples: &'s Samples,
    root: &'static str,
    read: &mut Read<'_, 's>,
) -> Result<(), ShapeError> {
    explore(table, samples, root, read)?;
    // A form that depends on a value shows only once the value differs.
    make_values(table, samples, root, FLAVOURS, read)?;
    explore(table, samples, root, read)
}

fn explore<'s>(
    table: &mut Table,
    samples: &'s Samples,
    root: &'static str,
    read: &mut Read<'_, 's>,
) -> Result<(), ShapeError> {
    let mut steps = 0;
    let mut stalled = 0;
    let mut made_one = false;
    for _ in 0..MAX_PASSES {
        let survey = Survey::of(table);
        if (made_one || table.slots[0].refusal.is_some()) && !survey.is_open(table, 0) {
            break;
        }
        let before = table.progress;
        made_one |=
            run(Pass::new(table, &survey, samples, root, Goal::Learn, steps), &mut steps, read)?;
        stalled = if table.progress == before { stalled + 1 } else { 0 };
        if stalled > MAX_STALLED {
            break;
        }
    }
    Ok(())
}

fn make_values<'s>(
    table: &mut Table,
    samples: &'s Samples,
    root: &'static str,
    rounds: usize,
    read: &mut Read<'_, 's>,
) -> Result<(), ShapeError> {
    let mut steps = 0;
    let mut stalled = 0;
    table.forget_tries();
    let survey = Survey::of(table);
    for _ in 0..rounds {
        let before = table.made;
        run(Pass::new(table, &survey, samples, root, Goal::Make, steps), &mut steps, read)?;
        stalled = if table.made == before { stalled + 1 } else { 0 };
        if stalled > 8 {
            break;
        }
    }
    Ok(())
}

/// Whether a value was made.
fn run<'s>(
    mut pass: Pass<'_, 's>,
    steps: &mut u64,
    read: &mut Read<'_, 's>,
) -> Result<bool, ShapeError> {
    let made = read(&mut pass).is_ok();
    *steps = pass.steps;
    pass.outcome()?;
    Ok(made)
}
