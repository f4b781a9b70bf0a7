//! Texts of a peer, as a terminal may show them.

use std::fmt::{self, Write};

/// A text without what a terminal would act on: it is escaped, line breaks too.
pub(crate) struct Plain<'t>(pub(crate) &'t str);

/// Whether a terminal shows it and does nothing else.
pub(super) fn is_harmless(c: char) -> bool {
    let turns_text_around =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c == '\t' || !(c.is_control() || turns_text_around)
}

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match is_harmless(c) {
            true => f.write_char(c),
            false => write!(f, "{}", c.escape_unicode()),
        })
    }
}
