//! What both programs know.

use isock::Action;
use kit::data::{Msg, Record};

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
pub(crate) struct Records;

/// Sleeps for so many milliseconds.
#[derive(Action)]
#[action(input = u32)]
pub(crate) struct Nap;

/// So many small messages.
#[derive(Action)]
#[action(input = u64, stream = Msg)]
pub(crate) struct Count;
