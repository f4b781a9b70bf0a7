//! Actions that every server has.

use crate::action::{Action, Bytes, Info, Never, Read, Unary};

/// `isock.actions`: the names of the server's actions, in order.
#[derive(Debug)]
pub(crate) enum Actions {}

impl Action for Actions {
    type Input = ();
    type Output = Vec<String>;
    type Error = Never;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("isock.actions").docs("The names of this server's actions.");
}

/// `isock.shapes`: the encoded shapes of one action's input, output, error, item and upload, found
/// by the number of its name. Of what the action does not have, nothing; and no parts at all if
/// there is no such action.
#[derive(Debug)]
pub(crate) enum ShapesOf {}

impl Action for ShapesOf {
    type Input = u32;
    type Output = Vec<Option<Bytes>>;
    type Error = Never;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("isock.shapes").docs("The shapes of an action's types.");
}
