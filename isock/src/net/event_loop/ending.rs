//! How an event loop ends: it accepts nothing more, finishes what it has, and tells who is left.

use super::{EventLoop, Service};
use crate::{
    net::{accept::Accepted, listen::BACKLOG, remote::Running},
    wire::CloseCode,
};
use std::time::{Duration, Instant};

/// How long a loop that ends with calls still running waits for its last words to leave.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How a loop comes to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    /// When it goes on to the next step, however much is left of this one.
    pub(super) until: Instant,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Calls that were accepted are answered.
    Finishing,
    /// Every connection is closed, and its last words leave.
    Leaving,
}

impl<S: Service> EventLoop<S> {
    /// Whether it has been drained.
    pub(in crate::net) fn is_done(&self) -> bool {
        self.stopping.is_some_and(|stopping| {
            let late = || stopping.step == Step::Leaving && stopping.until <= Instant::now();
            late() || (self.connections.is_empty() && self.is_last())
        })
    }

    /// The first loop waits for the others: whoever stops the server speaks to it.
    fn is_last(&self) -> bool {
        !self.is_first() || self.loops.others_have_ended()
    }

    pub(super) fn drain(&mut self, until: Instant, running: Running) {
        match &mut self.stopping {
            Some(before) => before.until = before.until.min(until),
            None => self.stopping = Some(Stopping { until, step: Step::Finishing }),
        }
        self.service.draining();
        self.stop_listening();
        if self.is_first() {
            // From now on nobody is dealt out: all who will ever be there are there before it.
            self.loops.drain_others(until, running);
        }
        if running == Running::Cancel {
            self.give_up();
        }
        for (_, conn) in &mut self.connections {
            conn.drain(&self.service);
        }
        self.all().into_iter().for_each(|id| self.touch(id));
    }

    /// Accepts nothing more. Whom the system has connected already is taken in, to be told so:
    /// closing the listener would reset those connections, and leave their clients to guess.
    fn stop_listening(&mut self) {
        for mut accepting in std::mem::take(&mut self.listeners) {
            accepting.hide();
            for _ in 0..=BACKLOG {
                let Accepted::Connection(stream, origin, _) = accepting.accept() else { break };
                self.come_in(stream, origin);
            }
            accepting.deregister(self.poll.registry());
        }
    }

    /// What has not begun is refused, and what runs learns that nobody waits.
    fn give_up(&mut self) {
        let mut jobs = std::mem::take(&mut self.jobs);
        for id in self.all() {
            if let Some(conn) = self.get(id) {
                jobs.extend(conn.held.take().into_iter().flatten());
            }
        }
        for call in jobs {
            let refused = self.service.refuse(call);
            self.finish(refused);
        }
        self.service.give_up();
        for (_, conn) in &mut self.connections {
            if let Some(session) = &mut conn.session {
                self.service.cancelled_all(session);
            }
        }
    }

    /// Once the grace is over: whatever still runs, every connection is told why it ends.
    pub(super) fn end_grace(&mut self) {
        let Some(stopping) = self.stopping else { return };
        let now = Instant::now();
        if stopping.step != Step::Finishing || now < stopping.until {
            return;
        }
        self.stopping = Some(Stopping { until: now + LAST_WORDS, step: Step::Leaving });
        self.give_up();
        // The refusals are among them.
        self.take_commands();
        let refusal = self.service.stopping();
        for id in self.all() {
            if let Some(conn) = self.get(id) {
                conn.proto.refuse_partial(&refusal);
            }
            self.close(id, CloseCode::STOPPING);
        }
        self.flush_touched();
    }
}
