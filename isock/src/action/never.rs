//! The type of what cannot be.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Has no value: the error of an action that cannot fail, the item of one that does not stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
