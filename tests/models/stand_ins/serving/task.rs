//! What a call may answer, and what its caller is told.

use super::Settings;
use crate::{
    action::{CallInfo, Handled},
    proto::{Answer, SharedBody},
    wire::{Encoder, Ran, Refusal, RefusalCode},
};

pub(super) fn most(_call: &CallInfo, _settings: &Settings) -> usize {
    1000
}

pub(super) fn sort(
    _call: &CallInfo,
    _settings: &Settings,
    handled: Handled,
    out: Encoder,
) -> Answer {
    match handled {
        Handled::Reply => Answer::Value(SharedBody::encoded(out)),
        Handled::Error => Answer::Error(SharedBody::encoded(out)),
        Handled::Unsendable(error) => {
            let text = error.to_string();
            Answer::Refusal(Refusal::new(RefusalCode::UNENCODABLE, Ran::Yes, text))
        }
    }
}
