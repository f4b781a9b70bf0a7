//! What can go wrong, by audience: the caller, and whoever starts a program.
//!
//! A caller asks whose fault it is, whether the handler ran and whether to try again; the types
//! answer. What the operator should know goes to the log instead.

mod call;
mod problem;
mod start;

pub use call::CallError;
pub use problem::{Problem, ProblemKind};
pub use start::{BadName, ConnectError, ExpectError, RegisterError, ServeError};
