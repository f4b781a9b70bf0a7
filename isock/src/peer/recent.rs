//! The connections that this thread's calls have taken last.
//!
//! The connection of the moment lies under a lock that all callers of a client share. Who has called
//! before finds it here instead. Keeps no connection, and does not know how one is made.

use crate::net::Link;
use std::{
    cell::RefCell,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Weak,
    },
};

/// Clients that a thread keeps in mind, each at one place.
const PLACES: usize = 4;

/// Tells clients of a program apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(u64);

type Recent = [Option<(Number, Weak<Link>)>; PLACES];

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new([const { None }; PLACES]) };
}

impl Number {
    /// One that no other client has.
    pub(super) fn next() -> Number {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Number(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn place(self) -> usize {
        self.0 as usize % PLACES
    }

    /// The connection that the last call of this thread took, if it takes further ones: a client moves
    /// on from one that does not, and from no other.
    #[inline(always)]
    pub(super) fn recent(self) -> Option<Arc<Link>> {
        let find = |recent: &RefCell<Recent>| match &recent.borrow()[self.place()] {
            Some((number, link)) if *number == self => link.upgrade(),
            _ => None,
        };
        // At the end of its thread nothing is kept.
        RECENT.try_with(find).ok().flatten().filter(|link| link.is_usable())
    }

    /// Keeps this connection in mind; none, so that the memory of the last one is let go.
    pub(super) fn note(self, link: Option<&Arc<Link>>) {
        let note = |recent: &RefCell<Recent>| {
            let place = &mut recent.borrow_mut()[self.place()];
            match link {
                Some(link) => *place = Some((self, Arc::downgrade(link))),
                // Another client may have it by now.
                None => drop(place.take_if(|(number, _)| *number == self)),
            }
        };
        let _ = RECENT.try_with(note);
    }
}
