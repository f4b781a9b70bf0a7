//! What an action is, as far as its responder knows.

mod registration;
mod responder;

pub(crate) use registration::Handled;
pub use responder::{RespondError, Responder};
pub(crate) use responder::{Later, Outlet};

use crate::{net::cancel::Cancel, peer::Peer};
use isock_models::std::sync::Arc;

/// Numbers are its answers.
pub trait Action {
    type Output: serde::Serialize;
    type Error: serde::Serialize;
}

/// A call that has come.
#[derive(Clone, Debug)]
pub struct CallInfo {
    pub(crate) peer: Peer,
    pub(crate) cancelled: Arc<Cancel>,
}

impl CallInfo {
    pub(crate) fn for_later(&self) -> CallInfo {
        self.clone()
    }

    /// Whether nobody waits any more.
    pub fn cancelled(&self) -> bool {
        self.cancelled.is_told()
    }
}

/// A responder as a handler gets one.
pub(crate) fn responder<A: Action>(later: &dyn Later) -> Responder<A> {
    Responder::new(later.defer())
}
