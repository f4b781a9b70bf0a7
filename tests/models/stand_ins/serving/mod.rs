//! What runs handlers.

pub(crate) mod fair;
pub(crate) mod workers;
