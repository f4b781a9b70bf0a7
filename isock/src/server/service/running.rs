//! The calls of a connection that run, and how each hears that nobody waits for it any more.
//!
//! Knows slots and marks. Does not know where a call runs.

use crate::{
    net::{self, Cancel},
    proto::{BySlot, ServedKey},
};
use std::sync::Arc;

/// Marks that are kept.
const MARKS: usize = 1024;

/// Marks of cancels that serve one call after the other, of whichever connection: one that is at rest has
/// none.
#[derive(Default)]
pub(in crate::server) struct Marks(Vec<Arc<Cancel>>);

/// The calls of a connection that run.
#[derive(Default)]
pub(super) struct Running(BySlot<Place>);

#[derive(Default)]
struct Place {
    /// The number of the call on its slot.
    seq: u32,
    /// Nobody waits for it any more.
    given_up: bool,
    /// Where it hears of that; `None` while it waits for the loop's thread or runs there, and when it
    /// has ended.
    cancelled: Option<Arc<Cancel>>,
}

impl Marks {
    #[inline]
    pub(super) fn take(&mut self) -> Arc<Cancel> {
        self.0.pop().unwrap_or_default()
    }

    #[inline]
    pub(super) fn give(&mut self, mut mark: Arc<Cancel>) {
        if self.0.len() < MARKS {
            // Else the call has been answered, and its handler goes on.
            if let Some(cancel) = Arc::get_mut(&mut mark) {
                cancel.renew();
                self.0.push(mark);
            }
        }
    }
}

impl Running {
    /// A call waits for the loop's thread.
    #[inline]
    pub(super) fn wait(&mut self, key: ServedKey) {
        *self.0.take_up(key.slot) = Place { seq: key.seq, given_up: false, cancelled: None };
    }

    /// A call hears through this that nobody waits for it any more.
    pub(super) fn begin(&mut self, key: ServedKey, mark: &Arc<Cancel>) {
        self.wait(key);
        self.mark(key, mark);
    }

    /// Whether nobody waits any more for a call that waits for the loop's thread.
    #[inline]
    pub(super) fn is_given_up(&self, key: ServedKey) -> bool {
        self.0.get(key.slot).is_none_or(|place| place.seq != key.seq || place.given_up)
    }

    /// It hears through this that nobody does any more.
    pub(super) fn mark(&mut self, key: ServedKey, mark: &Arc<Cancel>) {
        if let Some(place) = self.0.get_mut(key.slot).filter(|place| place.seq == key.seq) {
            place.cancelled = Some(Arc::clone(mark));
            if place.given_up {
                place.cancel();
            }
        }
    }

    pub(super) fn cancel(&mut self, key: ServedKey) {
        if let Some(place) = self.0.get_mut(key.slot).filter(|place| place.seq == key.seq) {
            place.given_up = true;
            place.cancel();
        }
    }

    pub(super) fn cancel_all(&self) {
        self.0.iter().for_each(Place::cancel);
    }

    /// Gives the mark of a call that has ended.
    pub(super) fn end(&mut self, key: ServedKey) -> Option<Arc<Cancel>> {
        let place = self.0.get_mut(key.slot).filter(|place| place.seq == key.seq)?;
        place.cancelled.take()
    }
}

impl Place {
    fn cancel(&self) {
        self.cancelled.iter().for_each(|mark| net::run_hooks(mark.tell()));
    }
}
