//! What runs handlers.

pub(crate) mod backlog;
pub(crate) mod deferred;
pub(crate) mod fair;
mod task;
pub(crate) mod workers;

use crate::action::CallInfo;
use isock_models::std::sync::atomic::{AtomicUsize, Ordering};

/// What an operator is told.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) told: AtomicUsize,
}

impl Settings {
    fn tell(&self, _call: &CallInfo, _what: &str) {
        self.told.fetch_add(1, Ordering::SeqCst);
    }
}
