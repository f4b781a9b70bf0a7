//! The name on the wire.

use crate::errors::Errors;
use syn::{ext::IdentExt, Ident, LitStr};

/// The longest name of an action, in bytes.
const MAX_NAME: usize = 128;

/// Begins the names of the actions that every server has.
const RESERVED: &str = "isock.";

/// The name that was given, or else the type's own.
pub(crate) fn choose(ident: &Ident, given: Option<LitStr>, errors: &mut Errors) -> String {
    let own = ident.unraw().to_string();
    let Some(given) = given else {
        if own.len() > MAX_NAME {
            let message = format!("a name has at most {MAX_NAME} bytes: set `name = \"…\"`");
            errors.at(ident, message);
        }
        return own;
    };
    let value = given.value();
    match flaw(&value) {
        None => value,
        Some(flaw) => {
            errors.at(given, flaw);
            own
        }
    }
}

/// Why `name` is no name.
fn flaw(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name is not empty: leave `name` out to take the type's".to_owned());
    }
    if name.len() > MAX_NAME {
        return Some(format!("a name has at most {MAX_NAME} bytes; this one has {}", name.len()));
    }
    if name.starts_with(RESERVED) {
        let message = "is kept for built-in actions: begin the name with another word";
        return Some(format!("`{RESERVED}` {message}"));
    }
    let bad = name.chars().find(|&c| c.is_whitespace() || !printable(c))?;
    Some(format!("a name is printable and without spaces; {bad:?} is not: write `.`, `-` or `_`"))
}

/// Whether it is shown as it is; quotes and the backslash are, though Rust escapes them.
fn printable(c: char) -> bool {
    c.escape_debug().count() == 1 || matches!(c, '"' | '\'' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        for name in
            ["Echo", "shop.place", "isock", "isockets.a", "größe", "a'b\"c\\", &"x".repeat(128)]
        {
            assert_eq!(flaw(name), None, "{name}");
        }
        for name in
            ["", "isock.ping", "a b", "a\tb", "a\u{a0}b", "a\u{200b}b", "a\0", &"x".repeat(129)]
        {
            assert!(flaw(name).is_some(), "{name:?}");
        }
    }
}
