//! Keeps panics of the user's code where they happen.

use std::{
    any::Any,
    panic::{catch_unwind, AssertUnwindSafe},
};

/// Runs the user's code; what it leaves behind when it panics is behind its own locks, which say
/// so.
///
/// # Errors
/// The text of its panic.
#[inline]
pub(crate) fn contained<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let text = text(&*panic).to_owned();
        // What was thrown is the user's as well, and may throw again when it is dropped.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(again);
        }
        text
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
