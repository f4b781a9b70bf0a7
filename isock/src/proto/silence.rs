//! Whether the other side is still there: a ping after a silence, and the end after another one.
//!
//! Knows when something came last and whether anything depends on it. Only a side that says that it
//! always reads is asked: nobody else could answer.

use super::connection::{Connection, Phase};
use std::time::{Duration, Instant};

/// The number of the pings that nobody outside asked for.
pub(super) const OWN_PING: u64 = 0;
/// Bytes that have been handed over may lie in between for long. More than this the system does not
/// keep.
const BETWEEN: u32 = 8 << 20;
/// How slow a line may be, in bytes a second.
const SLOWEST: u32 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Silence {
    /// When something came, or began to depend on it, or when the other side was asked.
    since: Instant,
    /// It has been asked, and has not been heard since then.
    asked: bool,
    /// Something has begun to depend on it, and has not left yet.
    begins: bool,
    /// Bytes that have been handed over since it was heard: a ping comes behind them. Counted as far as
    /// they can lie [in between](BETWEEN).
    unheard: u32,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Silence {
        Silence { since: now, asked: false, begins: false, unheard: 0 }
    }
}

impl Connection {
    /// Something has come.
    pub(super) fn note_heard(&mut self, now: Instant) {
        self.silence = Silence { begins: self.silence.begins, ..Silence::new(now) };
    }

    /// These many bytes have been handed over.
    pub(super) fn note_said(&mut self, now: Instant, bytes: usize) {
        let unheard = self.silence.unheard as usize + bytes;
        self.silence.unheard = unheard.min(BETWEEN as usize) as u32;
        if std::mem::take(&mut self.silence.begins) {
            self.silence.since = now;
        }
    }

    /// A call of this side is about to be made: the other side has been quiet before for no reason
    /// that matters.
    pub(super) fn note_need(&mut self) {
        self.silence.begins |= !self.is_needed();
    }

    /// Whether anything here depends on the other side being there.
    fn is_needed(&self) -> bool {
        self.settings.attended || self.in_flight() > 0 || self.serving() > 0
    }

    /// Notes that the driver does not read for now, for a reason of its own: the silence is not the
    /// other side's.
    pub fn not_reading(&mut self, now: Instant) {
        self.note_heard(now);
    }

    /// When to ask, or to give up.
    pub(super) fn silence_deadline(&self) -> Option<Instant> {
        let asks = self.settings_heard.attended && self.is_needed() && !self.silence.begins;
        if self.phase != Phase::Open || !asks || !self.wants_input() {
            return None;
        }
        let limits = &self.config.limits;
        let way = Duration::from_secs((self.silence.unheard / SLOWEST).into());
        let patience =
            if self.silence.asked { limits.ping_patience + way } else { limits.ping_after };
        Some(self.silence.since + patience)
    }

    /// Whether the other side has been asked and the answer is late. Else it is asked now.
    pub(super) fn is_silent(&mut self, now: Instant) -> bool {
        if self.silence.asked {
            return true;
        }
        (self.silence.asked, self.silence.since) = (true, now);
        // One ping at a time: an answer to another one will do.
        if self.pings_sent.is_empty() {
            self.ping(OWN_PING);
        }
        false
    }
}
