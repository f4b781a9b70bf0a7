//! The types of actions that are known by name only.

use super::{Action, Failure, Info, Never, Once, Unary, Value};

/// Stands for every action that [`Registration::named`](super::Registration::named) binds, so that
/// their shapes are learnt once and both sides have the same.
pub(crate) enum Named {}

impl Action for Named {
    type Input = Value;
    type Output = Value;
    type Error = Failure;
    type Item = Never;
    type Upload = Never;
    type Kind = Once;
    type Pattern = Unary;
    const INFO: Info = Info::new("");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{shapes_of, Shapes};

    #[test]
    fn p140_calls_by_name_state_this_hash() {
        assert_eq!(shapes_of::<Named>().map_or(0, Shapes::hash), 0x776b_a20e_63dc_21a9);
    }
}
