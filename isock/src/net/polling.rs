//! Busy polling: whoever waits for bytes looks again and again for a while before it sleeps.
//!
//! Knows for how long, when others get the processor, and when they need it more. Does not know what is
//! looked at.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

/// Looks between two at the clock. With more of them two sides that share a core wait for each other,
/// with fewer most of the time goes into yields that nobody needs.
const LOOKS: u32 = 8;
/// Who gets the processor back this late after a yield has kept others from it: no interrupt takes as
/// long, and others run for longer where they have work.
const CROWDED: Duration = Duration::from_micros(500);
/// For how long nobody looks then. Each yield in vain costs as much as hundreds of wake-ups, so the pause
/// doubles while others go on, up to the longest.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// For how long after the last byte a reader looks without sleeping; not at all by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polling {
    window: Duration,
    /// What a yield takes where others need the processor.
    crowded: Duration,
    /// Others needed the processor: nobody looks until then.
    paused: Option<Instant>,
    /// For how long, the last time.
    pause: Duration,
}

impl Polling {
    /// Looks for this long. With one processor it never does: whoever polls there keeps what it
    /// waits for from running.
    pub(crate) fn new(window: Duration) -> Polling {
        let alone = || thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        match window.is_zero() || alone() {
            true => Polling::default(),
            false => Polling { window, crowded: CROWDED, ..Polling::default() },
        }
    }

    /// Looks for this long, with one processor too, and whoever needs it.
    #[cfg(test)]
    pub(super) fn always(window: Duration) -> Polling {
        Polling { window, crowded: Duration::MAX, ..Polling::default() }
    }

    /// Whether anybody looks at all.
    pub(super) fn is_on(&self) -> bool {
        !self.window.is_zero()
    }

    /// Whether nobody looks by this time.
    pub(super) fn is_off(&self, now: Instant) -> bool {
        !self.is_on() || self.paused.is_some_and(|until| now < until)
    }

    /// Until when to look; `None` if that is over, without a look at the clock if it never is.
    pub(super) fn until(&self, last_byte: Instant) -> Option<Instant> {
        if !self.is_on() {
            return None;
        }
        let (until, now) = (last_byte + self.window, Instant::now());
        (now < until && !self.is_off(now)).then_some(until)
    }

    /// Looks until there is something, or it is that late, or others need the processor.
    pub(super) fn look<T>(
        &mut self,
        until: Instant,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        loop {
            for _ in 0..LOOKS {
                if let Some(found) = look() {
                    return Some(found);
                }
                hint::spin_loop();
            }
            let now = Instant::now();
            if until <= now || self.is_off(now) {
                return None;
            }
            // Whoever else is ready goes first: it may be what brings the bytes.
            thread::yield_now();
            let back = Instant::now();
            if back.saturating_duration_since(now) >= self.crowded {
                self.give_way(back);
            }
        }
    }

    /// Others have had the processor.
    fn give_way(&mut self, now: Instant) {
        let again = self.paused.is_some_and(|until| now < until + self.pause);
        self.pause = if again { (2 * self.pause).min(LONGEST) } else { PAUSE };
        self.paused = Some(now + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_window_begins_with_the_last_byte_and_ends() {
        let now = Instant::now();
        let polling = Polling::always(LONG);
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
        assert_eq!(Polling::always(LONG).look(Instant::now() + LONG, third), Some("found"));
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(Polling::always(LONG).look::<()>(soon, || None), None);
        assert!(Instant::now() < soon + LONG);
    }

    #[test]
    fn who_gives_way_pauses_for_longer_while_others_go_on() {
        let (mut polling, mut now) = (Polling::always(LONG), Instant::now());
        for pause in [10, 20, 40, 80, 160, 320, 640, 1000, 1000].map(Duration::from_millis) {
            assert!(!polling.is_off(now));
            polling.give_way(now);
            assert!(polling.is_off(now));
            now += pause;
            assert!(polling.is_off(now - Duration::from_nanos(1)));
        }
        now += LONGEST;
        polling.give_way(now);
        assert!(!polling.is_off(now + PAUSE), "they have left meanwhile");
    }
}
