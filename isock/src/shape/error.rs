//! Why a type has no shape; met by whoever registers an action.

use std::fmt;

/// Why the shape of a type could not be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// The type needs an encoding that describes itself, which postcard's does not.
    Unsupported {
        /// The Rust type that asked, as far as serde tells.
        type_name: String,
        /// Where it was met.
        path: String,
        /// What it did, and most likely because of which serde attribute.
        cause: String,
        /// What to do instead.
        advice: String,
    },
    /// One place asked for two different things, so its form depends on a value.
    Differs {
        /// The Rust type that asked, as far as serde tells.
        type_name: String,
        /// Where it was met.
        path: String,
        /// What it asked for at first.
        first: String,
        /// What it asked for later.
        then: String,
        /// What to do instead.
        advice: String,
    },
    /// The type contains itself in every value, so no value can be sent.
    Endless {
        /// The Rust type.
        type_name: String,
    },
    /// The shape passes a limit.
    TooLarge {
        /// The Rust type.
        type_name: String,
        /// Which limit, in words.
        limit: String,
    },
    /// A sample given for a type cannot be read as that type.
    BadSample {
        /// The Rust type the sample was given for.
        type_name: String,
        /// What went wrong.
        problem: String,
    },
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShapeError::Unsupported { type_name, path, cause, advice } => {
                write!(f, "postcard cannot carry `{type_name}` at `{path}`: {cause}; {advice}")
            }
            ShapeError::Differs { type_name, path, first, then, advice } => write!(
                f,
                "the form of `{type_name}` at `{path}` depends on a value: it was read as {first}, then as {then}; {advice}"
            ),
            ShapeError::Endless { type_name } => write!(
                f,
                "`{type_name}` contains itself in every value, so none can be sent; put an Option, a Vec or another variant in between"
            ),
            ShapeError::TooLarge { type_name, limit } => {
                write!(f, "the shape of `{type_name}` is too large: {limit}; split the type")
            }
            ShapeError::BadSample { type_name, problem } => {
                write!(f, "the sample for `{type_name}` cannot be read back: {problem}")
            }
        }
    }
}

impl std::error::Error for ShapeError {}
