//! How a client comes to a connection.

/// Why there is none.
#[derive(Clone, Debug)]
pub(crate) enum NoLink {
    Closed,
}
