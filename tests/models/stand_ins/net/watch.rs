//! For whom a connection is read.

/// For whom a connection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A future.
    Futures,
    /// The other side.
    Calls,
}
