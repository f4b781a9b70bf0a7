//! Time: what must have happened by when, and what ends the connection if it has not.

use super::connection::{Connection, Phase};
use crate::wire::CloseCode;
use std::time::Instant;

/// A leaky bucket of control frames.
#[derive(Debug)]
pub(super) struct Bucket {
    level: f64,
    seen: Instant,
}

impl Bucket {
    /// An empty one.
    pub(super) fn new(now: Instant) -> Bucket {
        Bucket { level: 0.0, seen: now }
    }

    /// Adds one; false if more than ten seconds' worth have piled up.
    pub(super) fn add(&mut self, now: Instant, per_second: u32) -> bool {
        let rate = f64::from(per_second);
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.level = (self.level - passed * rate).max(0.0) + 1.0;
        self.seen = now;
        self.level <= rate * 10.0
    }
}

impl Connection {
    /// When [`handle_timeout`](Connection::handle_timeout) is due, if at all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let handshake = match self.phase {
            Phase::Closed => return None,
            Phase::Handshake | Phase::Refused { .. } => Some(self.handshake_deadline),
            Phase::Open => None,
        };
        let arriving = [handshake, self.frame_deadline, self.inbound.deadline()];
        arriving.into_iter().chain([self.stall_deadline]).flatten().min()
    }

    /// Closes the connection if something has taken too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let past = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let open = self.phase == Phase::Open;
        match () {
            () if self.phase == Phase::Closed => {}
            () if !open && self.handshake_deadline <= now => {
                self.close(CloseCode::HANDSHAKE_TIMEOUT);
            }
            () if past(self.frame_deadline) || past(self.inbound.deadline()) => {
                self.close(CloseCode::MESSAGE_STALLED);
            }
            () if past(self.stall_deadline) => self.close(CloseCode::NOT_READING),
            () => {}
        }
    }

    /// Notes that the first `n` of these bytes have been handed over.
    pub fn written(&mut self, now: Instant, n: usize) {
        self.output.advance(n);
        self.note_ends();
        let waiting = self.output.len() > 0;
        self.stall_deadline = waiting.then(|| now + self.config.limits.output_stall);
    }

    /// Notes that the other side takes nothing at the moment.
    pub fn write_blocked(&mut self, now: Instant) {
        self.stall_deadline.get_or_insert(now + self.config.limits.output_stall);
    }
}
