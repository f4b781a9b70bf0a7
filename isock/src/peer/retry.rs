//! Whether there is another attempt, and when.
//!
//! Pure arithmetic: time and chance are parameters. Does not know how an attempt is made, nor how long
//! it takes.

use super::backoff;
use crate::{
    action::ActionKind,
    wire::{Ran, Refusal, RefusalCode},
};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// What a further attempt costs, in tenths of a token.
const COST: u32 = 10;
/// What a success earns.
const EARNED: u32 = 1;
/// What there is at the beginning, and at most.
const MOST: u32 = 10 * COST;

/// What all calls of a client together may spend on further attempts, so that a server in trouble
/// does not get several times its usual load: 10 attempts, and one for every ten successes.
#[derive(Debug)]
pub(super) struct Bucket(AtomicU32);

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket(AtomicU32::new(MOST))
    }
}

impl Bucket {
    /// A handler has answered.
    pub(super) fn succeeded(&self) {
        // While it is full, which is nearly always, the calls share nothing that changes.
        if self.0.load(Ordering::Relaxed) < MOST {
            let more = |tenths: u32| Some((tenths + EARNED).min(MOST));
            let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    fn take(&self) -> bool {
        let less = |tenths: u32| tenths.checked_sub(COST);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// Why an attempt did not end the call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failed {
    /// There was no connection, or it was lost under way.
    Lost { pause: bool },
    /// The server has too much to do, and may say when to come back.
    Overloaded(Duration),
    /// The server is going, or the connection ended before anything was sent: nobody is in trouble.
    Moved,
}

impl Failed {
    /// The connection was lost under an attempt; `None` if the call may not be made again.
    pub(super) fn by_loss(kind: ActionKind, ran: Ran) -> Option<Failed> {
        match ran {
            Ran::No => Some(Failed::Moved),
            Ran::Yes | Ran::Unknown => is_repeatable(kind).then_some(Failed::Lost { pause: false }),
        }
    }

    /// The server said no; `None` if it would say so again, or the call may not be made again.
    pub(super) fn by_refusal(kind: ActionKind, refusal: &Refusal) -> Option<Failed> {
        let failed = match refusal.code {
            RefusalCode::DRAINING => Failed::Moved,
            RefusalCode::OVERLOADED => Failed::Overloaded(refusal.retry_after),
            _ => return None,
        };
        (refusal.ran == Ran::No || is_repeatable(kind)).then_some(failed)
    }
}

fn is_repeatable(kind: ActionKind) -> bool {
    kind != ActionKind::Once
}

/// The attempts of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    most: u32,
    made: u32,
    /// It has been sent elsewhere once, which costs nothing.
    moved: bool,
}

impl Attempts {
    #[inline]
    pub(super) fn new(most: u32) -> Attempts {
        Attempts { most, made: 0, moved: false }
    }

    /// One more begins.
    pub(super) fn begin(&mut self) {
        self.made += 1;
    }

    pub(super) fn made(self) -> u32 {
        self.made
    }

    /// How many there may be.
    pub(super) fn most(self) -> u32 {
        self.most
    }

    /// When the next one begins; `None` if there have been enough, there is no time for it before the
    /// deadline, or the client has spent what its calls may. `chance` is from 0 up to 1.
    pub(super) fn again(
        &mut self,
        (now, deadline): (Instant, Instant),
        failed: Failed,
        chance: f64,
        bucket: &Bucket,
    ) -> Option<Instant> {
        let pause = match failed {
            Failed::Lost { pause: false } | Failed::Moved => Duration::ZERO,
            Failed::Lost { pause: true } => backoff::pause_by(self.made, chance),
            Failed::Overloaded(advice) => advice.max(backoff::pause_by(self.made, chance)),
        };
        let at = now.checked_add(pause).filter(|at| *at < deadline)?;
        if self.made >= self.most {
            return None;
        }
        let free = matches!(failed, Failed::Moved) && !std::mem::replace(&mut self.moved, true);
        (free || bucket.take()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cmp::Reverse, collections::BinaryHeap};

    const SECOND: Duration = Duration::from_secs(1);
    const DOWN: Failed = Failed::Lost { pause: true };

    /// Numbers that look random.
    fn chance(state: &mut u32) -> f64 {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(*state >> 8) / f64::from(1 << 24)
    }

    /// Calls that begin evenly over a minute and all fail; counts their attempts.
    fn attempts_in_a_minute(calls: u32, most: u32, failed: Failed, bucket: &Bucket) -> u32 {
        let start = Instant::now();
        let mut state = calls;
        let mut all: Vec<_> = Vec::new();
        let mut due = BinaryHeap::new();
        for call in 0..calls {
            let begins = start + 60 * SECOND * call / calls;
            all.push((Attempts::new(most), begins + 30 * SECOND));
            due.push(Reverse((begins, call as usize)));
        }
        let mut made = 0;
        while let Some(Reverse((now, call))) = due.pop() {
            let (attempts, deadline) = &mut all[call];
            assert!(now < *deadline);
            attempts.begin();
            made += 1;
            if let Some(at) = attempts.again((now, *deadline), failed, chance(&mut state), bucket) {
                assert!(at >= now);
                due.push(Reverse((at, call)));
            }
        }
        assert!(all.iter().all(|(attempts, _)| (1..=most).contains(&attempts.made)));
        made
    }

    #[test]
    fn a_minute_of_failure_costs_ten_attempts_beyond_the_calls() {
        for failed in [DOWN, Failed::Lost { pause: false }, Failed::Overloaded(SECOND)] {
            for calls in [1, 5, 100, 10_000] {
                let made = attempts_in_a_minute(calls, 100, failed, &Bucket::default());
                assert_eq!(made, calls + 10, "{calls} calls, {failed:?}");
                let made = attempts_in_a_minute(calls, 3, failed, &Bucket::default());
                assert_eq!(made, calls + 10.min(2 * calls), "{calls} calls, {failed:?}");
            }
        }
    }

    #[test]
    fn ten_successes_earn_an_attempt_and_no_more_than_ten_are_kept() {
        let bucket = Bucket::default();
        assert_eq!(attempts_in_a_minute(100, 3, DOWN, &bucket), 110);
        assert_eq!(attempts_in_a_minute(100, 3, DOWN, &bucket), 100);
        (0..25).for_each(|_| bucket.succeeded());
        assert_eq!(attempts_in_a_minute(100, 3, DOWN, &bucket), 102);
        (0..100_000).for_each(|_| bucket.succeeded());
        assert_eq!(attempts_in_a_minute(100, 3, DOWN, &bucket), 110);
    }

    #[test]
    fn a_server_that_goes_costs_each_call_nothing_once() {
        let bucket = Bucket::default();
        let made = attempts_in_a_minute(1000, 2, Failed::Moved, &bucket);
        assert_eq!(made, 2000);
        assert!(bucket.take(), "nothing has been spent");
        let made = attempts_in_a_minute(1000, 50, Failed::Moved, &Bucket::default());
        assert_eq!(made, 2000 + 10, "one that goes on and on is in trouble");
    }

    #[test]
    fn pauses_double_are_drawn_below_their_ceiling_and_follow_advice() {
        let (now, bucket) = (Instant::now(), Bucket::default());
        for (made, advice, chance, millis) in [
            (1, 0, 1.0, 100),
            (2, 0, 1.0, 200),
            (5, 0, 1.0, 1000),
            (9, 0, 0.5, 500),
            (3, 0, 0.0, 0),
            (1, 700, 1.0, 700),
            (5, 700, 1.0, 1000),
        ] {
            let mut attempts = Attempts { made, ..Attempts::new(20) };
            let failed = Failed::Overloaded(Duration::from_millis(advice));
            let at = attempts.again((now, now + 60 * SECOND), failed, chance, &bucket).unwrap();
            assert_eq!(at - now, Duration::from_millis(millis), "after {made}");
        }
    }

    /// How an attempt ends, one after the other, by a number that looks random.
    fn failed_of(kind: ActionKind, state: &mut u32) -> (Ran, Option<Failed>) {
        let ran = [Ran::No, Ran::No, Ran::Unknown, Ran::Yes][(chance(state) * 4.0) as usize];
        let codes = [RefusalCode::DRAINING, RefusalCode::OVERLOADED, RefusalCode::PANICKED];
        let failed = match codes.get((chance(state) * 6.0) as usize) {
            Some(code) => Failed::by_refusal(kind, &Refusal::new(*code, ran, "")),
            None => Failed::by_loss(kind, ran),
        };
        (ran, failed)
    }

    #[test]
    fn what_may_have_run_is_not_run_again_if_every_run_counts() {
        let (start, mut state) = (Instant::now(), 7);
        let (mut again, mut again_after_a_run) = (0, 0);
        for call in 0..30_000 {
            let kind = [ActionKind::Once, ActionKind::Idempotent, ActionKind::Read][call % 3];
            let (bucket, mut now) = (Bucket::default(), start);
            let mut attempts = Attempts::new(6);
            let mut runs = 0;
            loop {
                attempts.begin();
                now += SECOND.mul_f64(chance(&mut state));
                let (ran, failed) = failed_of(kind, &mut state);
                runs += u32::from(ran != Ran::No);
                let next = failed.and_then(|failed| {
                    attempts.again((now, start + 3 * SECOND), failed, chance(&mut state), &bucket)
                });
                let Some(at) = next else { break };
                assert!(kind != ActionKind::Once || runs == 0, "a second run of a `once` call");
                assert!((now..start + 3 * SECOND).contains(&at));
                now = at;
                again += 1;
                again_after_a_run += u32::from(runs > 0);
            }
            assert!((1..=6).contains(&attempts.made()));
        }
        assert!(again > 10_000 && again_after_a_run > 3000, "{again} and {again_after_a_run}");
    }

    #[test]
    fn an_attempt_that_would_begin_too_late_is_not_made_and_costs_nothing() {
        let (now, bucket) = (Instant::now(), Bucket::default());
        for advice in [2 * SECOND, SECOND, Duration::MAX] {
            let mut attempts = Attempts::new(3);
            attempts.begin();
            assert_eq!(
                attempts.again((now, now + SECOND), Failed::Overloaded(advice), 0.0, &bucket),
                None
            );
        }
        assert_eq!(bucket.0.into_inner(), MOST);
    }
}
