//! A call with all that its handler needs, on whichever thread it runs.

use super::{
    contained,
    deferred::{unanswered, Deferred, Deferring, Way},
    Log,
};
use crate::{
    action::{CallInfo, Decoding, Directions, Handled, Info, Shapes},
    net::{self, Cancel, Conduit, Place},
    pace::Pace,
    peer::{ItemStream, Peer},
    proto::{Answer, SharedBody},
    router::Entry,
    wire::{
        Block, CallHead, ChainStep, EncodeError, Encoder, Metadata, Ran, Refusal, RefusalCode,
        ITEM_LEN,
    },
};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// What does not change while handlers run.
pub(crate) struct Settings {
    pub(crate) log: Log,
    pub(crate) hide_failures: bool,
    pub(crate) max_output: usize,
    pub(crate) decoding: Decoding,
    /// Streams that the other side may have on one connection.
    pub(crate) streams: usize,
    /// How long one of them may rest.
    pub(crate) stream_idle: Duration,
}

impl Settings {
    /// Tells the operator about a call.
    pub(super) fn tell(&self, call: &CallInfo, what: &str) {
        let Info { name, .. } = call.action();
        (self.log)(&format!("`{name}` called from {} {what}", call.peer.address()));
    }
}

/// A call as it has arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) head: CallHead,
    /// When its first byte had been read.
    pub(crate) at: Instant,
    /// Metadata, then the encoded input.
    pub(crate) body: Block,
    /// Its items, if it carries any.
    pub(crate) conduit: Option<Conduit>,
}

/// A call whose action is known.
pub(crate) struct Task {
    pace: Arc<Pace>,
    /// Empty once the handler has it.
    input: Block,
    size: usize,
    /// Bytes in front of the input.
    metadata: usize,
    /// Why it cannot be run with its metadata.
    malformed: bool,
    /// The calls that wait for it.
    chain: Vec<ChainStep>,
    /// When its caller stops waiting for it to begin.
    deadline: Option<Instant>,
    info: CallInfo,
    settings: Arc<Settings>,
}

/// What a handler has come to.
pub(crate) enum Ended {
    /// The answer.
    Now(Answer),
    /// It comes later, or has come already.
    Later(Arc<Deferred>),
}

impl Task {
    /// The action that was found for a call of `len` bytes.
    ///
    /// # Errors
    /// What the caller is told if none was, or it cannot be run with it.
    #[inline]
    pub(crate) fn judge(
        found: Option<Entry>,
        head: &CallHead,
        len: usize,
    ) -> Result<Entry, Refusal> {
        let Some(entry) = found else {
            return Err(Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, ""));
        };
        // Unlike at equal hashes, what comes next would read one type's bytes as another's.
        let ours = entry.registration.shapes().map_or(0, Shapes::hash);
        if ours != 0 && head.shape != 0 && ours != head.shape {
            return Err(Refusal::new(RefusalCode::MISMATCH, Ran::No, format!("{ours:016x}")));
        }
        let carries = Directions { items: !head.credit.is_zero(), uploads: head.items };
        if carries != entry.registration.directions() {
            let text = "one build streams in this action and the other does not";
            return Err(Refusal::new(RefusalCode::WRONG_PATTERN, Ran::No, text));
        }
        let input = len - head.metadata as usize;
        if let Some(limit) = entry.registration.info().max_input.filter(|limit| input > *limit) {
            let text = format!("{input} bytes, and the action takes {limit}");
            return Err(Refusal::new(RefusalCode::INPUT_TOO_LARGE, Ran::No, text));
        }
        Ok(entry)
    }

    /// The call, ready to run.
    #[inline]
    pub(crate) fn new(
        entry: Entry,
        call: Arrived,
        peer: Peer,
        cancelled: Arc<Cancel>,
        settings: &Arc<Settings>,
    ) -> Task {
        let Entry { registration, pace } = entry;
        let CallHead { remaining, metadata, .. } = call.head;
        let deadline = remaining.and_then(|left| call.at.checked_add(left));
        let read = match metadata {
            // Most calls have none.
            0 => Some(Metadata::default()),
            len => call.body.get(..len as usize).and_then(Metadata::parse),
        };
        let malformed = read.is_none();
        let Metadata { own, chain } = read.unwrap_or_default();
        let idle = settings.stream_idle;
        let stream = call.conduit.map(|conduit| Box::new(ItemStream::new(conduit, idle)));
        Task {
            deadline,
            info: CallInfo {
                registration,
                peer,
                // The deadline of a stream is for its beginning.
                deadline: deadline.filter(|_| stream.is_none()),
                cancelled,
                hide_failures: settings.hide_failures,
                decoding: settings.decoding,
                stream,
                max_item: settings.max_output - ITEM_LEN,
                metadata: own,
            },
            pace,
            metadata: metadata as usize,
            malformed,
            chain,
            size: call.body.held(),
            input: call.body,
            settings: Arc::clone(settings),
        }
    }

    /// Whether it is expected to end at once, and may run where others wait for it.
    pub(crate) fn is_quick(&self) -> bool {
        self.info.stream.is_none() && self.pace.is_quick()
    }

    /// Whether it is not, and yet expected to end soon enough where nobody else waits.
    pub(crate) fn is_short(&self) -> bool {
        self.info.stream.is_none() && !self.pace.is_quick() && self.pace.is_short()
    }

    /// How long its caller waits for it to begin.
    pub(crate) fn patience(&self, now: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Who calls.
    pub(crate) fn peer(&self) -> &Peer {
        &self.info.peer
    }

    /// How long its action usually takes.
    pub(crate) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Bytes that its input holds, or held until the handler had it.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The threads that wait for it: they are in calls that end when this one has.
    pub(crate) fn waiters(&self) -> Vec<Place> {
        net::waiters(&self.chain)
    }

    /// Runs the handler. Does not panic.
    pub(crate) fn run(&mut self, way: Way<'_>) -> Ended {
        let began = Instant::now();
        let (ended, ran) = self.run_at(began, way);
        if ran {
            self.pace.note(began.elapsed());
        }
        ended
    }

    /// The same where others see how long it takes, and know that it is no later than this. Says
    /// whether the handler has run: what never runs says nothing about how long a run takes.
    pub(crate) fn run_at(&mut self, at_most: Instant, way: Way<'_>) -> (Ended, bool) {
        match self.refusal(at_most) {
            Some(refusal) => (Ended::Now(Answer::Refusal(refusal)), false),
            None => (self.answer(way), true),
        }
    }

    /// Why the handler does not begin any more.
    fn refusal(&self, at_most: Instant) -> Option<Refusal> {
        let (code, text) = match () {
            () if self.is_late(at_most) => {
                (RefusalCode::EXPIRED, "the deadline passed before the handler began")
            }
            () if self.info.cancelled.is_told() => {
                (RefusalCode::CANCELLED, "cancelled before the handler began")
            }
            () if self.malformed => {
                (RefusalCode::UNDECODABLE, "the entries of its metadata do not add up")
            }
            () => return None,
        };
        Some(Refusal::new(code, Ran::No, text))
    }

    /// Whether its deadline has passed: near it only an exact look at the clock tells.
    fn is_late(&self, at_most: Instant) -> bool {
        let passed = |deadline: &Instant| *deadline <= at_most && *deadline <= Instant::now();
        self.deadline.as_ref().is_some_and(passed)
    }

    fn answer(&mut self, way: Way<'_>) -> Ended {
        let mut out = Encoder::of_message(most(&self.info, &self.settings));
        let mut input = std::mem::take(&mut self.input);
        if self.metadata > 0 {
            input.skip(self.metadata);
        }
        let stream = self.info.stream.as_ref();
        if let Some(stream) = stream.filter(|_| self.info.registration.directions().uploads) {
            stream.conduit().welcome();
        }
        // What a handler leaves behind when it panics is behind its own locks, which say so.
        let (call, settings, chain) = (&self.info, &self.settings, std::mem::take(&mut self.chain));
        let deferring = Deferring { call, settings, way, deferred: OnceLock::new() };
        let handle = || call.registration.handle(input, call, &deferring, &mut out);
        let handled = contained(|| net::serving(call.deadline, || net::handling(chain, handle)));
        let answer = match (handled, deferring.deferred.into_inner()) {
            (Ok(Handled::Later), Some(deferred)) => return Ended::Later(deferred),
            // An error that it returns, or a panic, is the answer if there is none yet.
            (_, Some(deferred)) if !deferred.take() => return Ended::Later(deferred),
            (Ok(handled), _) => sort(call, settings, handled, out),
            (Err(text), _) => self.panicked(&text),
        };
        self.info.cancelled.over();
        if let Some(stream) = stream {
            // The answer comes after the last item.
            stream.conduit().drain();
        }
        Ended::Now(answer)
    }

    /// The text of a panic is the operator's: it can hold anything.
    fn panicked(&self, text: &str) -> Answer {
        self.log(&format!("panicked: {text}"));
        Answer::Refusal(Refusal::new(RefusalCode::PANICKED, Ran::Yes, ""))
    }

    /// Tells the operator about this call.
    pub(crate) fn log(&self, what: &str) {
        self.settings.tell(&self.info, what);
    }
}

/// The longest answer of a call, in bytes.
pub(super) fn most(call: &CallInfo, settings: &Settings) -> usize {
    call.action().max_output.map_or(settings.max_output, |most| most.min(settings.max_output))
}

/// What the caller is told.
pub(super) fn sort(call: &CallInfo, settings: &Settings, handled: Handled, out: Encoder) -> Answer {
    match handled {
        Handled::Reply => Answer::Value(SharedBody::encoded(out)),
        Handled::Error => Answer::Error(SharedBody::encoded(out)),
        Handled::Hidden(text) => {
            settings.tell(call, &format!("failed: {text}"));
            Answer::Error(SharedBody::encoded(out))
        }
        Handled::Later => Answer::Refusal(unanswered(call, settings)),
        Handled::Undecodable(error) => {
            Answer::Refusal(Refusal::new(RefusalCode::UNDECODABLE, Ran::No, error.to_string()))
        }
        Handled::Unsendable(error) => {
            settings.tell(call, &format!("its answer cannot be sent: {error}"));
            Answer::Refusal(unsendable(&error))
        }
    }
}

fn unsendable(error: &EncodeError) -> Refusal {
    let code = match error {
        EncodeError::TooLarge { .. } => RefusalCode::OUTPUT_TOO_LARGE,
        EncodeError::Unsupported(_) => RefusalCode::UNENCODABLE,
    };
    Refusal::new(code, Ran::Yes, error.to_string())
}
