//! What runs handlers.

pub(crate) mod backlog;
pub(crate) mod fair;
pub(crate) mod workers;
