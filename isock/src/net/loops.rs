//! The event loops of one server: which of them takes a connection, and what they have together.
//!
//! Knows how many connections each of them has. Does not know what these are used for.

use super::{
    newcomer::Newcomer,
    remote::{Command, Remote, Running},
};
use std::{
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc,
    },
    time::Instant,
};

/// The place of the loop that accepts, and deals out.
pub(super) const FIRST: usize = 0;

/// All loops of a server, as each of them sees them.
#[derive(Clone, Debug)]
pub(super) struct Loops(Arc<Together>);

#[derive(Debug)]
struct Together {
    all: Vec<Remote>,
    /// The number of the newest connection.
    newest: AtomicU64,
    /// The first loop waits for a descriptor to come free.
    starved: AtomicBool,
}

impl Loops {
    pub(super) fn new(all: Vec<Remote>) -> Loops {
        Loops(Arc::new(Together {
            all,
            newest: AtomicU64::new(0),
            starved: AtomicBool::new(false),
        }))
    }

    /// The number of the next connection: of all loops together, so that the one with the highest
    /// number is the latest of the server.
    pub(super) fn number(&self) -> u64 {
        self.0.newest.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The place of the loop that has the fewest connections, the first one of several.
    pub(super) fn fewest(&self) -> usize {
        if self.are_alone() {
            return FIRST;
        }
        let open = self.0.all.iter().enumerate().filter(|(_, remote)| !remote.is_closed());
        open.min_by_key(|(_, remote)| remote.connections()).map_or(FIRST, |(place, _)| place)
    }

    /// Whether there is only one: nothing has to be counted.
    pub(super) fn are_alone(&self) -> bool {
        self.0.all.len() == 1
    }

    /// Has another loop go on with a connection, which counts as one of its own from now on.
    pub(super) fn hand_over(&self, place: usize, newcomer: Newcomer) {
        let remote = &self.0.all[place];
        remote.joined();
        // A loop that has returned takes none: the server ends, and the connection with it.
        let _ = remote.send(Command::TakeIn(Box::new(newcomer)));
    }

    /// Tells the others that the server ends. Those that were handed over before are there before.
    pub(super) fn drain_others(&self, until: Instant, running: Running) {
        for other in self.others() {
            // One that has returned needs no telling.
            let _ = other.send(Command::Drain { until, running });
        }
    }

    /// Whether all but the first have returned.
    pub(super) fn others_have_ended(&self) -> bool {
        self.others().all(Remote::is_closed)
    }

    fn others(&self) -> impl Iterator<Item = &Remote> {
        self.0.all.iter().skip(FIRST + 1)
    }

    /// One that is not the first has returned.
    pub(super) fn note_end(&self) {
        let _ = self.0.all[FIRST].send(Command::Ended);
    }

    /// The system has no room for another connection.
    pub(super) fn note_no_room(&self) {
        self.0.starved.store(true, Ordering::Relaxed);
    }

    /// A descriptor of a loop that is not the first has come free. If that comes to pass between the
    /// failure and the note of it, the next try goes by its timer.
    pub(super) fn note_room(&self) {
        let starved = &self.0.starved;
        if starved.load(Ordering::Relaxed) && starved.swap(false, Ordering::Relaxed) {
            let _ = self.0.all[FIRST].send(Command::Room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token, Waker};

    fn loops(many: usize) -> (Loops, Vec<Poll>) {
        let polls: Vec<_> = (0..many).map(|_| Poll::new().unwrap()).collect();
        let waker = |poll: &Poll| Waker::new(poll.registry(), Token(0)).unwrap();
        (Loops::new(polls.iter().map(|poll| Remote::new(waker(poll))).collect()), polls)
    }

    #[test]
    fn the_loop_with_the_fewest_connections_is_the_first_of_them_that_serves() {
        let (loops, _polls) = loops(3);
        let all = &loops.0.all;
        let dealt: Vec<_> = (0..5)
            .map(|_| {
                let place = loops.fewest();
                all[place].joined();
                place
            })
            .collect();
        assert_eq!(dealt, [0, 1, 2, 0, 1]);
        all[0].left();
        all[1].left();
        all[1].left();
        assert_eq!(loops.fewest(), 1);
        all[1].close();
        assert_eq!(loops.fewest(), 0);
        assert!(!loops.others_have_ended());
        all[2].close();
        assert!(loops.others_have_ended());
    }

    #[test]
    fn a_loop_that_is_alone_is_always_the_one_and_waits_for_no_other() {
        let (loops, _polls) = loops(1);
        assert!(loops.are_alone() && loops.others_have_ended());
        assert_eq!([loops.fewest(), loops.fewest()], [FIRST; 2]);
        assert_eq!([loops.number(), loops.number()], [1, 2]);
    }
}
