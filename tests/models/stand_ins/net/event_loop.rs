//! The loop that holds the connections, as far as threads see it.

/// Names a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnId(pub(crate) u64);

impl ConnId {
    /// A number of its own.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}
