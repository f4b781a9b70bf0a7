//! What an action can be called.
//!
//! The derive has the same rules, for names that are known when a program is compiled.

use crate::error::BadName;
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The longest name of an action, in bytes.
const MAX_NAME: usize = 128;

/// So many names can be made at run time; 8 MiB, were all of them as long as they may be.
const MAX_KEPT: usize = 65_536;

/// Why an action cannot be called `name`, the library's own prefix left aside.
pub(super) fn flaw(name: &str) -> Option<BadName> {
    if name.is_empty() {
        return Some(BadName::Empty);
    }
    if name.len() > MAX_NAME {
        return Some(BadName::TooLong { len: name.len() });
    }
    let letter = name.chars().find(|&c| c.is_whitespace() || !is_printable(c))?;
    Some(BadName::Letter { name: name.to_owned(), letter })
}

/// Whether it is shown as it is; quotes and the backslash are, though Rust escapes them.
fn is_printable(c: char) -> bool {
    c.escape_debug().count() == 1 || matches!(c, '"' | '\'' | '\\')
}

/// The name, kept for as long as the program runs: an action's name is handed around as freely as
/// one that was compiled in. The same name is kept once.
pub(super) fn keep(name: &str) -> Result<&'static str, BadName> {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    match flaw(name) {
        None => kept_in(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner), name),
        Some(flaw) => Err(flaw),
    }
}

fn kept_in(kept: &mut BTreeSet<&'static str>, name: &str) -> Result<&'static str, BadName> {
    if let Some(known) = kept.get(name) {
        return Ok(known);
    }
    if kept.len() >= MAX_KEPT {
        return Err(BadName::TooMany);
    }
    let name: &'static str = Box::leak(name.into());
    kept.insert(name);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        for name in ["Echo", "shop.place", "isock", "größe", "a'b\"c\\", &"x".repeat(128)] {
            assert_eq!(flaw(name), None, "{name}");
        }
        for name in ["", "a b", "a\tb", "a\u{a0}b", "a\u{200b}b", "a\0", &"x".repeat(129)] {
            assert!(flaw(name).is_some(), "{name:?}");
        }
        let text = r#""a\u{1b}b" cannot be the name of an action because of '\u{1b}'; write `.`, `-` or `_` instead"#;
        assert_eq!(flaw("a\u{1b}b").map(|flaw| flaw.to_string()).as_deref(), Some(text));
    }

    #[test]
    fn a_name_is_kept_once_and_there_is_an_end_to_them() {
        let (one, again) = (keep("kept-once"), keep(&["kept", "once"].join("-")));
        assert_eq!(one.map(str::as_ptr), again.map(str::as_ptr));

        let mut kept = BTreeSet::new();
        let names = |at: usize| format!("n{at}");
        for at in 0..MAX_KEPT {
            assert!(kept_in(&mut kept, &names(at)).is_ok());
        }
        assert_eq!(kept_in(&mut kept, "one-more"), Err(BadName::TooMany));
        assert_eq!(kept_in(&mut kept, "n0"), Ok("n0"));
    }
}
