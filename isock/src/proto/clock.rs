//! Time: what must have happened by when, and what ends the connection if it has not.

use super::{
    connection::{Connection, Phase},
    inbound::patience,
    NewCall,
};
use crate::{limits::Limits, wire::CloseCode};
use std::time::Instant;

/// A connection whose other side has not shown its preface.
#[derive(Debug)]
pub(super) struct Opening {
    /// When it ends if that does not come.
    deadline: Instant,
    /// Sends that wait for it.
    pub(super) early: Vec<NewCall>,
}

impl Opening {
    pub(super) fn until(deadline: Instant) -> Opening {
        Opening { deadline, early: Vec::new() }
    }
}

/// What is left unread at the other side.
#[derive(Debug)]
pub(super) struct Unread {
    /// When the connection ends if nothing of it is taken.
    deadline: Instant,
    /// Since when this side does not read because of it.
    paused: Option<Instant>,
}

impl Unread {
    fn until(deadline: Instant) -> Unread {
        Unread { deadline, paused: None }
    }
}

/// Frames of the other side that are no work.
#[derive(Debug)]
pub(super) struct Floods {
    pings: Bucket,
    idle_frames: Bucket,
}

impl Floods {
    fn new(now: Instant) -> Floods {
        Floods { pings: Bucket::new(now), idle_frames: Bucket::new(now) }
    }

    /// Whether nothing is left of them.
    fn are_over(&self, now: Instant, limits: &Limits) -> bool {
        self.pings.is_empty(now, limits.pings_per_second)
            && self.idle_frames.is_empty(now, limits.idle_frames_per_second)
    }
}

/// A leaky bucket of frames that are no work.
#[derive(Debug)]
struct Bucket {
    level: f64,
    seen: Instant,
}

impl Bucket {
    /// An empty one.
    fn new(now: Instant) -> Bucket {
        Bucket { level: 0.0, seen: now }
    }

    /// Adds one; false if more than ten seconds' worth have piled up.
    fn add(&mut self, now: Instant, per_second: u32) -> bool {
        self.level = self.left(now, per_second) + 1.0;
        self.seen = now;
        self.level <= f64::from(per_second) * 10.0
    }

    /// What has not leaked out yet.
    fn left(&self, now: Instant, per_second: u32) -> f64 {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        (self.level - passed * f64::from(per_second)).max(0.0)
    }

    fn is_empty(&self, now: Instant, per_second: u32) -> bool {
        self.left(now, per_second) <= 0.0
    }

    /// Takes one away: something useful has happened.
    fn drain(&mut self) {
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
    len: u32,
    have: u32,
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Connection {
    /// A frame has come that does nothing by itself.
    pub(super) fn note_idle(&mut self, now: Instant) -> Result<(), CloseCode> {
        let rate = self.config.limits.idle_frames_per_second;
        let floods = self.floods.or_make(|| Floods::new(now));
        floods.idle_frames.add(now, rate).then_some(()).ok_or(CloseCode::FLOOD)
    }

    /// A ping has come.
    pub(super) fn note_ping(&mut self, now: Instant) -> Result<(), CloseCode> {
        let rate = self.config.limits.pings_per_second;
        let floods = self.floods.or_make(|| Floods::new(now));
        floods.pings.add(now, rate).then_some(()).ok_or(CloseCode::FLOOD)
    }

    /// A call, a final frame or items have come.
    #[inline]
    pub(super) fn note_work(&mut self) {
        self.settings_read = 0;
        if let Some(floods) = self.floods.get_mut() {
            floods.idle_frames.drain();
        }
    }

    /// The clock of a frame starts with its first byte and does not stop; a longer frame may take
    /// longer, once its length is known.
    pub(super) fn wait_for(&mut self, now: Instant, have: usize, len: usize) {
        if have > 0 {
            // The length of a frame is such a number.
            let (have, len) = (have as u32, len as u32);
            let since = self.unfinished.map_or(now, |frame| frame.since);
            if self.unfinished.is_none_or(|before| before.have < have) {
                self.note_heard(now);
            }
            self.unfinished = Some(Unfinished { since, len, have });
        }
    }

    /// When what has begun to arrive must be complete; never while this side does not read.
    fn arrival_deadline(&self) -> Option<Instant> {
        if self.unfinished.is_none() && !self.inbound.collects_any() || !self.wants_input() {
            return None;
        }
        let patience = |frame: Unfinished| patience(&self.config.limits, frame.len as usize);
        let frame = self.unfinished.map(|frame| frame.since + patience(frame));
        sooner(frame, self.inbound.deadline())
    }

    fn handshake_deadline(&self) -> Option<Instant> {
        self.opening.get().map(|opening| opening.deadline)
    }

    fn stall_deadline(&self) -> Option<Instant> {
        self.unread.get().map(|unread| unread.deadline)
    }

    /// When [`handle_timeout`](Connection::handle_timeout) is due, if at all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Closed {
            return None;
        }
        let rest = [self.arrival_deadline(), self.stall_deadline(), self.handshake_deadline()];
        rest.into_iter().fold(self.silence_deadline(), sooner)
    }

    /// Closes the connection if something has taken too long; asks the other side whether it is
    /// there if it has been silent. What has come must have been read before.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.floods.drop_if(|floods| floods.are_over(now, &self.config.limits));
        let past = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        match () {
            () if self.phase == Phase::Closed => {}
            () if past(self.handshake_deadline()) => self.close(CloseCode::HANDSHAKE_TIMEOUT),
            () if past(self.arrival_deadline()) => self.close(CloseCode::MESSAGE_STALLED),
            () if past(self.stall_deadline()) => self.close(CloseCode::NOT_READING),
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
            return self.all_is_taken(now);
        }
        let deadline = now + self.config.limits.output_stall;
        let unread = self.unread.or_make(|| Unread::until(deadline));
        if n > 0 {
            unread.deadline = deadline;
        }
        self.note_pause(now);
    }

    /// Notes that the other side takes nothing at the moment.
    pub fn write_blocked(&mut self, now: Instant) {
        self.output.take_back();
        let deadline = now + self.config.limits.output_stall;
        self.unread.or_make(|| Unread::until(deadline));
        self.note_pause(now);
    }

    #[inline]
    fn note_pause(&mut self, now: Instant) {
        let reads = self.wants_input();
        let Some(unread) = self.unread.get_mut() else { return };
        if !reads {
            unread.paused.get_or_insert(now);
        } else if let Some(since) = unread.paused.take() {
            self.go_on_reading(now, since);
        }
    }

    #[inline]
    fn all_is_taken(&mut self, now: Instant) {
        if let Some(Unread { paused: Some(since), .. }) = self.unread.take() {
            self.go_on_reading(now, since);
        }
    }

    /// Time in which this side does not read is not the other side's: messages under way have as long
    /// as they had before.
    fn go_on_reading(&mut self, now: Instant, since: Instant) {
        let pause = now.saturating_duration_since(since);
        self.note_heard(now);
        self.inbound.postpone(pause);
        if let Some(frame) = &mut self.unfinished {
            frame.since += pause;
        }
    }
}
