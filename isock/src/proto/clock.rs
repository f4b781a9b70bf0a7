//! Time: what must have happened by when, and what ends the connection if it has not.

use super::{
    connection::{Connection, Phase},
    inbound::patience,
};
use crate::wire::CloseCode;
use std::time::Instant;

/// A leaky bucket of frames that are no work.
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

    /// Takes one away: something useful has happened.
    pub(super) fn drain(&mut self) {
        if self.level > 0.0 {
            self.level = (self.level - 1.0).max(0.0);
        }
    }
}

/// A frame of which only a part has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfinished {
    since: Instant,
    /// Its whole length, as far as it is known.
    len: usize,
    have: usize,
}

impl Connection {
    /// A frame has come that does nothing by itself.
    pub(super) fn note_idle(&mut self, now: Instant) -> Result<(), CloseCode> {
        let rate = self.config.limits.idle_frames_per_second;
        self.idle_frames.add(now, rate).then_some(()).ok_or(CloseCode::FLOOD)
    }

    /// A call, a final frame or items have come.
    pub(super) fn note_work(&mut self) {
        self.settings_read = 0;
        self.idle_frames.drain();
    }

    /// The clock of a frame starts with its first byte and does not stop; a longer frame may take
    /// longer, once its length is known.
    pub(super) fn wait_for(&mut self, now: Instant, have: usize, len: usize) {
        if have > 0 {
            let since = self.unfinished.map_or(now, |frame| frame.since);
            if self.unfinished.is_none_or(|before| before.have < have) {
                self.note_heard(now);
            }
            self.unfinished = Some(Unfinished { since, len, have });
        }
    }

    /// When what has begun to arrive must be complete; never while this side does not read.
    fn arrival_deadline(&self) -> Option<Instant> {
        if !self.wants_input() {
            return None;
        }
        let patience = |frame: Unfinished| patience(&self.config.limits, frame.len);
        let frame = self.unfinished.map(|frame| frame.since + patience(frame));
        [frame, self.inbound.deadline()].into_iter().flatten().min()
    }

    fn handshake_deadline(&self) -> Option<Instant> {
        let open = self.phase == Phase::Open;
        (!open).then_some(self.handshake_deadline)
    }

    /// When [`handle_timeout`](Connection::handle_timeout) is due, if at all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Closed {
            return None;
        }
        let arrival = self.handshake_deadline().into_iter().chain(self.arrival_deadline());
        arrival.chain(self.stall_deadline).chain(self.silence_deadline()).min()
    }

    /// Closes the connection if something has taken too long; asks the other side whether it is
    /// there if it has been silent. What has come must have been read before.
    pub fn handle_timeout(&mut self, now: Instant) {
        let past = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        match () {
            () if self.phase == Phase::Closed => {}
            () if past(self.handshake_deadline()) => self.close(CloseCode::HANDSHAKE_TIMEOUT),
            () if past(self.arrival_deadline()) => self.close(CloseCode::MESSAGE_STALLED),
            () if past(self.stall_deadline) => self.close(CloseCode::NOT_READING),
            () if past(self.silence_deadline()) && self.is_silent(now) => {
                self.close(CloseCode::SILENT);
            }
            () => {}
        }
    }

    /// Notes that the first `n` of these bytes have been handed over.
    pub fn written(&mut self, now: Instant, n: usize) {
        self.output.advance(n);
        self.note_said(now, n);
        self.note_ends();
        if self.output.len() == 0 {
            self.stall_deadline = None;
        } else if n > 0 {
            self.stall_deadline = Some(now + self.config.limits.output_stall);
        } else {
            self.write_blocked(now);
        }
        self.note_pause(now);
    }

    /// Notes that the other side takes nothing at the moment.
    pub fn write_blocked(&mut self, now: Instant) {
        self.output.take_back();
        self.stall_deadline.get_or_insert(now + self.config.limits.output_stall);
        self.note_pause(now);
    }

    /// Time in which this side does not read is not the other side's: once reading goes on,
    /// messages under way have as long as they had before.
    fn note_pause(&mut self, now: Instant) {
        if !self.wants_input() {
            self.paused.get_or_insert(now);
        } else if let Some(since) = self.paused.take() {
            let pause = now.saturating_duration_since(since);
            self.note_heard(now);
            self.inbound.postpone(pause);
            if let Some(frame) = &mut self.unfinished {
                frame.since += pause;
            }
        }
    }
}
