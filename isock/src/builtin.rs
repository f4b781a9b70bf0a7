//! Actions that every server has.

use crate::action::{Action, Info, Never, Read, Unary};

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
