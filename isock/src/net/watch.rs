//! One thread that reads connections for those who cannot: futures, and the calls of other sides.
//!
//! It waits for all of them at once and without ticking, and never holds the right to read while it
//! waits: a blocking caller takes it and reads for itself.

use super::{
    bell::Bell,
    link::{Link, Turn},
};
use std::{sync::Arc, time::Instant};

/// A connection, and for whom it is read.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) link: Arc<Link>,
    pub(crate) purpose: Purpose,
}

/// For whom a connection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A future: as soon as no caller reads.
    Futures,
    /// The other side, which may call at any time: once callers have been quiet for a moment. One
    /// call after the other then costs them no wake-up of this thread.
    Calls,
}

/// A connection that nobody else reads at the moment.
struct Mine<'w> {
    watched: &'w Watched,
    due: Option<Instant>,
    /// The socket is full, and there is something to write.
    full: bool,
}

/// Waits until there is something to do on one of the connections, and does it. Returns then; when
/// the bell is rung; when callers may have left; and at `until`.
pub(crate) fn watch(bell: &Arc<Bell>, watched: &[Watched], until: Option<Instant>) {
    let mut until = until;
    let mut mine = Vec::new();
    for it in watched {
        match it.link.turn(it.purpose, bell) {
            Turn::Mine { due, full } => {
                until = sooner(until, due);
                mine.push(Mine { watched: it, due, full });
            }
            Turn::Theirs { again } => until = sooner(until, again),
        }
    }
    let ready = match mine.is_empty() {
        true => {
            bell.wait(until);
            Vec::new()
        }
        false => wait(bell, &mine, until),
    };
    let now = Instant::now();
    for (it, ready) in mine.iter().zip(ready) {
        if ready || it.due.is_some_and(|due| due <= now) {
            it.watched.link.take_turn(it.watched.purpose);
        }
    }
}

/// Which of them may have something to read or room to write.
#[cfg(unix)]
fn wait(bell: &Arc<Bell>, mine: &[Mine<'_>], until: Option<Instant>) -> Vec<bool> {
    use crate::sys::Wish;
    let mut until = until;
    let mut ready = vec![false; mine.len()];
    let mut sockets = Vec::new();
    for (at, it) in mine.iter().enumerate() {
        let wish = if it.full { Wish::ReadOrWrite } else { Wish::Read };
        match it.watched.link.descriptor() {
            Some(descriptor) => sockets.push((at, (descriptor, wish))),
            // A pipe rings by itself. What has come before is read now.
            None => {
                ready[at] = true;
                if it.watched.link.rings(bell) {
                    until = Some(Instant::now());
                }
            }
        }
    }
    if sockets.is_empty() {
        bell.wait(until);
        return ready;
    }
    let descriptors: Vec<_> = sockets.iter().map(|(_, socket)| *socket).collect();
    match bell.wait_with(&descriptors, until) {
        Ok(found) => sockets.iter().zip(found).for_each(|((at, _), found)| ready[*at] = found),
        Err(_) => {
            bell.wait(sooner(until, Some(Bell::tick())));
            ready.fill(true);
        }
    }
    ready
}

/// Without a way to wait for sockets they are looked at, again and again.
#[cfg(not(unix))]
fn wait(bell: &Arc<Bell>, mine: &[Mine<'_>], until: Option<Instant>) -> Vec<bool> {
    const TICK: std::time::Duration = std::time::Duration::from_millis(2);
    bell.wait(sooner(until, Some(Instant::now() + TICK)));
    vec![true; mine.len()]
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
