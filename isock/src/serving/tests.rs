//! Calls that wait for a thread, by a clock that stands still.

use super::{
    deferred::Way,
    task::{Arrived, Settings, Task},
};
use crate::{
    action::{Decoding, Registration},
    limits::Limits,
    net::{self, Cancel},
    peer::{Home, Peer, Served},
    proto::Answer,
    router::Router,
    wire::{name_hash, CallHead, Ran, RefusalCode},
};
use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// An action that counts its runs.
struct Counting {
    router: Router,
    runs: Arc<AtomicUsize>,
    settings: Arc<Settings>,
    peer: Peer,
}

impl Counting {
    fn new() -> Counting {
        let (router, runs) = (Router::default(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&runs);
        let count = Registration::named_bytes("count", move |bytes, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(bytes)
        });
        router.add(count.unwrap()).unwrap();
        let settings = Settings {
            log: Arc::new(|_| ()),
            hide_failures: false,
            max_output: 1000,
            decoding: Decoding { depth: 10, budget: 1000 },
            streams: 0,
            stream_idle: SECOND,
        };
        let (origin, far) = net::far_for_tests();
        let served = Served::new(origin, far, Home::new(Limits::default()));
        Counting { router, runs, settings: settings.into(), peer: Peer::of_served(served) }
    }

    /// A call of it that came at this moment, and whose caller waits for so long.
    fn call(&self, at: Instant, remaining: Option<Duration>, cancelled: &Arc<Cancel>) -> Task {
        let head = CallHead { name: name_hash("count"), remaining, ..CallHead::default() };
        let entry = self.router.find(head.name).unwrap();
        Task::judge(&entry, &head, 3).unwrap();
        let call = Arrived { head, at, body: vec![1, 2, 3].into(), conduit: None };
        Task::new(entry, call, self.peer.clone(), Arc::clone(cancelled), &self.settings)
    }
}

/// What a call has come to that a worker takes then: whether it ran, and why it did not.
fn taken(mut task: Task, now: Instant) -> (bool, Option<(RefusalCode, Ran)>) {
    let (_, ran) = task.run_at(now, Way::Nowhere);
    let refused = match task.take_answer() {
        Some(Answer::Refusal(refusal)) => Some((refusal.code, refusal.ran)),
        _ => None,
    };
    (ran, refused)
}

#[test]
fn a_call_that_has_waited_past_its_deadline_never_starts() {
    let counting = Counting::new();
    // It came a while ago: what is late by this clock is late by every other one.
    let came = Instant::now() - 100 * SECOND;
    let expired = (false, Some((RefusalCode::EXPIRED, Ran::No)));
    for (remaining, waited, outcome) in [
        (Some(10), 0, (true, None)),
        (Some(10), 9_999, (true, None)),
        (Some(10), 10_000, expired),
        (Some(10), 90_000, expired),
        (Some(0), 0, expired),
        (None, 90_000, (true, None)),
    ] {
        let before = counting.runs.load(Ordering::Relaxed);
        let remaining = remaining.map(|seconds| seconds * SECOND);
        let task = counting.call(came, remaining, &Arc::default());
        let now = came + Duration::from_millis(waited);
        let left = remaining.map(|left| left.saturating_sub(now - came));
        assert_eq!(task.patience(now), left);
        assert_eq!(taken(task, now), outcome, "{remaining:?}, after {waited} ms");
        let runs = counting.runs.load(Ordering::Relaxed) - before;
        assert_eq!(runs, usize::from(outcome.0));
    }
}

#[test]
fn a_call_that_was_cancelled_while_it_waited_never_starts() {
    let counting = Counting::new();
    let (now, cancelled) = (Instant::now(), Arc::<Cancel>::default());
    let task = counting.call(now, Some(60 * SECOND), &cancelled);
    net::run_hooks(cancelled.tell());
    assert_eq!(taken(task, now), (false, Some((RefusalCode::CANCELLED, Ran::No))));
    assert_eq!(counting.runs.load(Ordering::Relaxed), 0);
}
