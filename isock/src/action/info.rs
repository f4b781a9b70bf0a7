//! What tools and messages say about an action.

/// Name, documentation and kind of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The name on the wire: the type's own name unless `#[action(name = "…")]` says otherwise.
    pub name: &'static str,
    /// The doc comment, line by line as written.
    pub docs: &'static str,
    /// Whether it may be repeated.
    pub kind: ActionKind,
}

/// Whether an action may run again for the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// Changes nothing.
    Read,
    /// Repeating it changes nothing more.
    Idempotent,
    /// Every run counts.
    Once,
}

impl Info {
    /// An action called `name`, without documentation, that is to run once.
    pub const fn new(name: &'static str) -> Info {
        Info { name, docs: "", kind: ActionKind::Once }
    }

    /// The same with documentation, whose first line is the summary.
    #[must_use]
    pub const fn docs(self, docs: &'static str) -> Info {
        Info { docs, ..self }
    }

    /// The same with the kind `K`.
    #[must_use]
    pub const fn kind<K: super::Kind>(self) -> Info {
        Info { kind: K::VALUE, ..self }
    }

    /// The first line of the documentation that is not empty.
    pub fn summary(&self) -> &'static str {
        self.docs.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_the_first_line_that_says_something() {
        assert_eq!(Info::new("A").docs("\n Sends it back.\n\n More.").summary(), "Sends it back.");
        assert_eq!(Info::new("A").summary(), "");
    }
}
