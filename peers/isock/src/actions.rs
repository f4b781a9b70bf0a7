//! What both programs know.

use isock::Action;
use kit::data::{Msg, Record};
use serde::{Deserialize, Serialize};

/// The small message, back.
#[derive(Action)]
#[action(input = Msg, output = Msg)]
pub(crate) struct Echo;

/// Bytes, back.
#[derive(Action)]
#[action(input = isock::Bytes, output = isock::Bytes)]
pub(crate) struct Bulk;

/// Records, back.
#[derive(Action)]
#[action(input = Vec<Record>, output = Vec<Record>)]
#[action(input_view = Vec<RecordView<'_>>, output_view = Vec<RecordView<'_>>)]
pub(crate) struct Records;

/// A record that is read in place.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecordView<'a> {
    id: u64,
    name: &'a str,
    score: f64,
    group: Option<u32>,
    samples: Vec<u16>,
}

impl PartialEq<Record> for RecordView<'_> {
    fn eq(&self, other: &Record) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.score == other.score
            && self.group == other.group
            && self.samples == other.samples
    }
}

/// Sleeps for so many milliseconds.
#[derive(Action)]
#[action(input = u32)]
pub(crate) struct Nap;

/// So many small messages.
#[derive(Action)]
#[action(input = u64, stream = Msg)]
pub(crate) struct Count;
