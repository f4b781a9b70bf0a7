//! Busy polling: whoever waits for bytes looks again and again for a while before it sleeps.
//!
//! Knows for how long, and when others get the processor. Does not know what is looked at.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

/// Looks between two at the clock. With more of them two sides that share a core wait for each other,
/// with fewer most of the time goes into yields that nobody needs.
const LOOKS: u32 = 8;

/// For how long after the last byte a reader looks without sleeping; not at all by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Polling(Duration);

impl Polling {
    /// Looks for this long. With one processor it never does: whoever polls there keeps what it
    /// waits for from running.
    pub(crate) fn new(window: Duration) -> Polling {
        let alone = || thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        match window.is_zero() || alone() {
            true => Polling::default(),
            false => Polling(window),
        }
    }

    /// Looks for this long, with one processor too.
    #[cfg(test)]
    pub(super) fn always(window: Duration) -> Polling {
        Polling(window)
    }

    /// Whether nobody ever looks.
    pub(super) fn is_off(self) -> bool {
        self.0.is_zero()
    }

    /// Until when to look; `None` if that is over, without a look at the clock if it never is.
    pub(super) fn until(self, last_byte: Instant) -> Option<Instant> {
        if self.0.is_zero() {
            return None;
        }
        let until = last_byte + self.0;
        (Instant::now() < until).then_some(until)
    }
}

/// Looks until there is something, or it is that late.
pub(super) fn poll_busily<T>(until: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        for _ in 0..LOOKS {
            if let Some(found) = look() {
                return Some(found);
            }
            hint::spin_loop();
        }
        if until <= Instant::now() {
            return None;
        }
        // Whoever else is ready goes first: it may be what brings the bytes.
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_window_begins_with_the_last_byte_and_ends() {
        let now = Instant::now();
        let polling = Polling(LONG);
        assert_eq!(polling.until(now), Some(now + LONG));
        assert_eq!(polling.until(now - LONG), None);
        assert_eq!(Polling::default().until(now + LONG), None);
    }

    #[test]
    fn looks_end_with_what_is_found_or_in_time() {
        let mut looks = 0;
        let third = || {
            looks += 1;
            (looks == 3).then_some("found")
        };
        assert_eq!(poll_busily(Instant::now() + LONG, third), Some("found"));
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(poll_busily::<()>(soon, || None), None);
        assert!((soon..soon + LONG).contains(&Instant::now()));
    }
}
