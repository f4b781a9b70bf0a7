//! What serves the quick calls of a loop: those that wait for its thread, and the one that runs there.
//!
//! Knows what of one call serves the next one. Does not know when that is: the loop does.

use crate::{
    net::{self, Account, Cancel, Charge, ConnId, Done, Incoming, Tally},
    proto::{Answer, ServedKey},
    router::Known,
    serving::{Brief, Task, Way},
};
use std::{
    ptr,
    sync::{
        atomic::{fence, Ordering},
        Arc,
    },
    time::Instant,
};

/// How many blanks are kept.
const BLANKS: usize = 256;

/// What serves the quick calls, one after the other: those that wait for the loop's thread, and the one
/// that runs there.
pub(in crate::server) struct Desk {
    /// What their inputs cost.
    pub(super) tally: Tally,
    /// Where the one hears that nobody waits for it any more.
    pub(super) mark: Arc<Cancel>,
    /// The one that has begun and not ended, and what the tally has for it.
    pub(super) begun: Option<(ConnId, ServedKey, usize)>,
    /// What the last one has left.
    pub(super) spare: Option<Box<Job>>,
    /// Where others have waited: the next ones are written there.
    #[allow(
        clippy::vec_box,
        reason = "what is moved when it has just been written waits for that"
    )]
    pub(super) blank: Vec<Box<Upcoming>>,
}

/// Why a call runs on the loop's thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stays {
    /// Its action is quick.
    #[default]
    Quick,
    /// It is short, and nobody else is kept waiting while it runs.
    Alone,
}

/// A call that waits for the loop's thread.
pub(crate) struct Upcoming {
    pub(super) connection: ConnId,
    pub(super) key: ServedKey,
    pub(super) known: Known,
    pub(super) stays: Stays,
    pub(super) call: Brief,
    /// What the input costs, if that is not on the tally.
    pub(super) charge: Option<Charge>,
}

impl Default for Upcoming {
    #[inline]
    fn default() -> Upcoming {
        let (connection, known, stays, call, charge) = Default::default();
        Upcoming { connection, key: ServedKey { slot: 0, seq: 0 }, known, stays, call, charge }
    }
}

/// The call that runs on the loop's thread, one after the other; at rest, what they have in common.
pub(crate) struct Job {
    pub(super) task: Task,
    pub(super) known: Known,
    pub(super) connection: ConnId,
    pub(super) key: ServedKey,
    /// What the input costs, as far as that is not on the tally of the loop.
    pub(super) charge: Option<Charge>,
    pub(super) tallied: usize,
    pub(super) account: Account,
}

impl Desk {
    pub(in crate::server) fn new(account: &Account) -> Desk {
        Desk {
            tally: Tally::new(account),
            mark: Arc::default(),
            begun: None,
            spare: None,
            blank: Vec::new(),
        }
    }

    /// A call that is to wait for the loop's thread.
    #[inline]
    pub(super) fn take_in(
        &mut self,
        known: Known,
        stays: Stays,
        key: ServedKey,
        call: Incoming<'_>,
    ) -> Box<Upcoming> {
        let mut upcoming = self.blank.pop().unwrap_or_default();
        upcoming.connection = call.connection;
        (upcoming.key, upcoming.known, upcoming.stays) = (key, known, stays);
        upcoming.call.note(call.head, call.arrived, call.body.into_block());
        self.tally.more(upcoming.call.size());
        upcoming
    }

    /// What serves a call, and those after it.
    pub(super) fn first_job(&self, task: Task, call: &Upcoming) -> Box<Job> {
        let Upcoming { known, connection, key, .. } = *call;
        let account = self.tally.account().clone();
        Box::new(Job { task, known, connection, key, charge: None, tallied: 0, account })
    }

    /// A call runs now, and the next one may be written where it has waited.
    #[inline]
    pub(super) fn begin(&mut self, job: &Job, waited: Box<Upcoming>) {
        self.begun = Some((job.connection, job.key, job.tallied));
        if self.blank.len() < BLANKS {
            self.blank.push(waited);
        }
    }

    /// Where the next one hears that nobody waits for it any more: it has, if it is given up.
    #[inline]
    pub(super) fn renew_mark(&mut self, has_last: bool, given_up: bool) {
        // This, and what the last one has left. A hook, a responder or a session has it else.
        let lone = Arc::strong_count(&self.mark) <= 1 + usize::from(has_last);
        // Whoever had it has done so before this looks at it.
        fence(Ordering::Acquire);
        if !lone || self.mark.is_used() {
            self.mark = Arc::default();
        }
        if given_up {
            net::run_hooks(self.mark.tell());
        }
    }
}

impl Job {
    /// Is this call from now on, of the same action and the same caller.
    #[inline]
    pub(super) fn take_up(&mut self, call: &mut Upcoming) {
        self.charge = call.charge.take();
        self.tallied = if self.charge.is_none() { call.call.size() } else { 0 };
        self.key = call.key;
        self.task.take_up(&mut call.call);
    }
}

impl net::Quick for Box<Upcoming> {
    #[inline]
    fn connection(&self) -> ConnId {
        self.connection
    }
}

impl net::Job for Box<Job> {
    fn run(&mut self, at_most: Instant) -> bool {
        let (later, ran) = self.task.run_at(at_most, Way::Far(self.key));
        let charge = self.charge.take();
        if let Some(deferred) = later {
            deferred.keep(charge.unwrap_or_else(|| self.account.charge(self.task.size())));
        }
        ran
    }

    #[inline]
    fn key(&self) -> (ConnId, ServedKey) {
        (self.connection, self.key)
    }

    #[inline]
    fn take_answer(&mut self) -> Option<Answer> {
        self.task.take_answer()
    }

    fn done_late(mut self) -> Done {
        drop(self.account.take_over(self.tallied));
        Done { connection: self.connection, key: self.key, answer: self.task.take_answer() }
    }

    fn pace(&self) -> Arc<dyn net::Pace> {
        Arc::clone(self.task.pace()) as Arc<dyn net::Pace>
    }

    #[inline]
    fn is_of(&self, pace: &Arc<dyn net::Pace>) -> bool {
        ptr::addr_eq(Arc::as_ptr(pace), Arc::as_ptr(self.task.pace()))
    }
}
