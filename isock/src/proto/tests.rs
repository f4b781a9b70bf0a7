//! Claims about whole connections.
