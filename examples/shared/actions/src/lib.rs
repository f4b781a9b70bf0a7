//! What server and client have in common: the actions, and nothing of either program.
//!
//! The server takes the whole set [`Notes`] with one value that handles every action of it; the
//! client asks at its start whether the server has them all.

use isock::Action;
use serde::{Deserialize, Serialize};

isock::api! {
    /// A list of notes.
    pub Notes = [Add, List]
}

/// Where the server listens unless it is told otherwise.
pub const PORT: u16 = 4440;

/// Adds a note, and returns its number.
#[derive(Action, Serialize, Deserialize)]
#[action(output = usize, error = AddError)]
pub struct Add {
    /// The note.
    pub text: String,
}

/// All notes, oldest first.
#[derive(Action)]
#[action(output = Vec<Note>, kind = read)]
pub struct List;

/// A note as the server keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Counts from 1.
    pub number: usize,
    /// The note.
    pub text: String,
}

/// Why a note was not taken.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum AddError {
    /// It says nothing.
    #[error("the note is empty")]
    Empty,
}
