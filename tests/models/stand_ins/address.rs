//! Where the other end is: nowhere.

/// An address that nobody looks at.
#[derive(Clone, Debug)]
pub(crate) struct Address;
