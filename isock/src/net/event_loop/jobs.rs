//! Quick calls that a loop has read, one after the other, and the answers of those that have run.
//!
//! Knows whose turn it is and which answers leave together. Does not know threads: whoever has the loop
//! runs what is begun here.

use super::{ConnId, Done, EventLoop, Job, Quick, Reply, Service};

/// Answers that leave before other calls run, in bytes: to write more is work of its own, and would
/// count as time of the handlers between which it is done.
const EARLY: usize = 4 * 1024;

/// Where quick calls run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Run {
    /// On the loop's thread.
    Here,
    /// On any other: nobody would see that one of them holds the loop up.
    Elsewhere,
}

impl<S: Service> EventLoop<S> {
    /// Begins the next quick call. Those whose action has become slow meanwhile go elsewhere, and
    /// those of a connection that leaves its replies unread wait there. What the one before is
    /// answered leaves first, unless both are of one connection: then the answers leave together.
    #[inline]
    pub(in crate::net) fn next_job(&mut self, run: Run, last: Option<S::Job>) -> Option<S::Job> {
        while let Some(call) = self.jobs.pop_front() {
            let id = call.connection();
            if let Some(answered) = self.answered.take_if(|answered| *answered != id) {
                self.write_early(answered);
            }
            // Not through `get`: the service is borrowed beside the connection.
            let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
            if let Some(conn) = conn.filter(|conn| run == Run::Here && conn.may_answer()) {
                let quick = self.service.is_quick(&call);
                if let Some(session) = conn.session.as_mut().filter(|_| quick) {
                    return Some(self.service.begin(session, call, last));
                }
            }
            self.put_off_job(call);
        }
        if let Some(answered) = self.answered.take() {
            self.write_early(answered);
        }
        self.service.rest(last);
        None
    }

    /// Has the next quick call wait, or run elsewhere.
    fn put_off_job(&mut self, mut call: S::Quick) {
        let id = call.connection();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let unread = conn.as_ref().is_some_and(|conn| !conn.may_answer());
        match conn.and_then(|conn| Some((conn.session.as_mut()?, &mut conn.held))) {
            Some((_, held)) if unread => {
                self.service.hold(&mut call);
                held.push_back(call);
            }
            Some((session, _)) => {
                if let Some(done) = self.service.run_elsewhere(session, call) {
                    self.finish(done);
                }
            }
            // With its connection it was cancelled.
            None => self.service.forget(call),
        }
    }

    /// Takes the answer of a quick call that has run.
    #[inline]
    pub(in crate::net) fn end_job(&mut self, job: &mut S::Job) {
        let (id, key) = job.key();
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        let Some(conn) = conn else {
            drop(job.take_answer());
            return self.service.ended(None, Reply::Given);
        };
        match job.take_answer() {
            Some(answer) => {
                self.service.ended(conn.session.as_mut(), Reply::Given);
                self.answered = Some(id);
                conn.answer(key, answer);
                conn.touch(&mut self.touched);
            }
            None => self.service.ended(conn.session.as_mut(), Reply::Later),
        }
    }

    /// Whether one lies ready, be it for elsewhere.
    pub(in crate::net) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Others have their turn before the next one begins, which may use what this one has left.
    pub(in crate::net) fn keep_job(&mut self, last: S::Job) {
        self.service.rest(Some(last));
    }

    /// What has begun goes on without the loop.
    pub(in crate::net) fn leave_job(&mut self) {
        let Some(id) = self.service.begun() else { return };
        let conn = self.connections.get_mut(id.index).filter(|conn| conn.id == id);
        if let Some(session) = conn.and_then(|conn| conn.session.as_mut()) {
            self.service.left_behind(session);
        }
    }

    /// Writes short answers without the rest of what becomes due on a connection: its caller goes on
    /// while others are served, and the memory that they lay in serves the next connection.
    pub(super) fn write_early(&mut self, id: ConnId) {
        let heard = self.heard;
        self.service.relieve();
        let Some(conn) = self.get(id) else { return };
        if conn.proto.output_len() <= EARLY {
            // If the other side is gone, so it is for whoever flushes.
            let _ = conn.write(heard);
        }
    }

    /// Takes the answer of a call.
    pub(in crate::net) fn finish(&mut self, done: Done) {
        if let Some(answer) = done.answer {
            self.answer(done.connection, done.key, answer);
        }
    }
}
