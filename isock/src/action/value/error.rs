//! Why a value was not made or not read.

use crate::action::plain::Plain;
use std::fmt::{self, Write};

/// Why [`Value::of`](crate::Value::of) has no value, or [`Value::to`](crate::Value::to) no `T`.
///
/// Prints with the path of what was wrong, as `` `items[2].qty`: invalid type: … ``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// From the inside out.
    steps: Vec<Step>,
    why: String,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Place(usize),
}

impl ValueError {
    pub(super) fn new(why: impl fmt::Display) -> ValueError {
        ValueError { steps: Vec::new(), why: why.to_string() }
    }

    /// The same, seen from one step further out.
    pub(super) fn within(mut self, step: Step) -> ValueError {
        self.steps.push(step);
        self
    }

    /// Where it was, as `items[2].qty`; empty for the whole value.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            step.write_after(&mut path);
        }
        path
    }

    /// What was wrong, without the path.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl Step {
    fn write_after(&self, path: &mut String) {
        let result = match self {
            Step::Key(key) if !is_word(key) => write!(path, "[{key:?}]"),
            Step::Key(key) if path.is_empty() => write!(path, "{key}"),
            Step::Key(key) => write!(path, ".{key}"),
            Step::Place(place) => write!(path, "[{place}]"),
        };
        result.expect("a string takes all that is written to it");
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// The value may be a peer's, and serde quotes it.
impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.steps.is_empty() {
            write!(f, "`{}`: ", Plain(&self.path()))?;
        }
        write!(f, "{}", Plain(&self.why))
    }
}

impl std::error::Error for ValueError {}

impl serde::ser::Error for ValueError {
    fn custom<T: fmt::Display>(why: T) -> ValueError {
        ValueError::new(why)
    }
}

impl serde::de::Error for ValueError {
    fn custom<T: fmt::Display>(why: T) -> ValueError {
        ValueError::new(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_from_the_outside_in_and_quotes_what_is_no_word() {
        let error = ValueError::new("odd\u{1b}[31m")
            .within(Step::Key("a b".into()))
            .within(Step::Place(2))
            .within(Step::Key("items".into()));
        assert_eq!(error.path(), r#"items[2]["a b"]"#);
        assert_eq!(error.to_string(), r#"`items[2]["a b"]`: odd\u{1b}[31m"#);
    }
}
