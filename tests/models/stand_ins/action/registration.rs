//! What a handler has come to.

use super::{Action, CallInfo};
use crate::wire::{EncodeError, Encoder};

/// What an answer is.
#[derive(Debug)]
pub(crate) enum Handled {
    Reply,
    Error,
    Unsendable(EncodeError),
}

pub(super) fn answered<A: Action>(
    answer: Result<A::Output, A::Error>,
    _call: &CallInfo,
    out: &mut Encoder,
) -> Handled {
    let (encoded, handled) = match &answer {
        Ok(output) => (out.push(output), Handled::Reply),
        Err(error) => (out.push(error), Handled::Error),
    };
    encoded.map_or_else(Handled::Unsendable, |()| handled)
}
