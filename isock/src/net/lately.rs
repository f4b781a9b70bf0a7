//! A look at the clock for who need not know the time exactly.
//!
//! Knows when this thread last looked, and whether the system's clock has ticked since.

use super::timing::Ticks;
use std::{cell::Cell, sync::OnceLock, time::Instant};

thread_local! {
    /// An exact look, and the tick before it.
    static LOOKED: Cell<Option<(u64, Instant)>> = const { Cell::new(None) };
}

/// The time, at most a [`TICK`](super::timing::TICK) ago: one exact look is enough for all of a tick.
pub(crate) fn lately() -> Instant {
    static TICKS: OnceLock<Ticks> = OnceLock::new();
    let tick = TICKS.get_or_init(Ticks::of_the_system).last();
    match (LOOKED.get(), tick) {
        (Some((before, looked)), Some(tick)) if before == tick => looked,
        (_, tick) => {
            let now = Instant::now();
            LOOKED.set(tick.map(|tick| (tick, now)));
            now
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::timing::TICK, *};

    #[test]
    fn it_is_never_ahead_and_little_behind() {
        for _ in 0..100_000 {
            let (before, lately, after) = (Instant::now(), lately(), Instant::now());
            assert!(lately <= after);
            // A thread may be stopped between two looks; the tick then is another one.
            let behind = before.saturating_duration_since(lately);
            assert!(behind <= 4 * TICK, "{behind:?}");
        }
    }
}
