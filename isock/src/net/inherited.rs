//! The deadline of the call that a thread serves: calls which its handler makes end by it too.
//!
//! Knows what the current thread is for. Does not know handlers or calls.

use std::{cell::Cell, time::Instant};

thread_local! {
    static SERVED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Brings back what held before, whichever way the code ends.
struct Before(Option<Instant>);

impl Drop for Before {
    fn drop(&mut self) {
        SERVED.set(self.0);
    }
}

/// Runs code on behalf of a caller who waits until `deadline`, or of nobody.
#[inline]
pub(crate) fn serving<T>(deadline: Option<Instant>, run: impl FnOnce() -> T) -> T {
    let _before = Before(SERVED.replace(deadline));
    run()
}

/// When whoever this thread works for stops waiting.
pub(crate) fn inherited() -> Option<Instant> {
    SERVED.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        panic::catch_unwind,
        time::{Duration, Instant},
    };

    #[test]
    fn a_deadline_holds_for_its_handler_alone() {
        let (soon, late) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        assert_eq!(inherited(), None);
        serving(Some(soon), || {
            assert_eq!(inherited(), Some(soon));
            assert_eq!(serving(Some(late), inherited), Some(late));
            assert_eq!(serving(None, inherited), None);
            assert!(catch_unwind(|| serving(None, || panic!("by intention"))).is_err());
            assert_eq!(inherited(), Some(soon));
        });
        assert_eq!(inherited(), None);
    }
}
