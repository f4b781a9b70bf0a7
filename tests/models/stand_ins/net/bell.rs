//! A bell without descriptors.

/// x
#[derive(Debug, Default)]
pub(crate) struct Bell;
impl Bell { pub(crate) fn ring(&self) {} }
