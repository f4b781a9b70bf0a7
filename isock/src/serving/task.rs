//! A call with all that its handler needs, on whichever thread it runs.

use super::{contained, Log};
use crate::{
    action::{CallInfo, Decoding, Directions, Handled, Info, Shapes},
    net::{serving, Cancel, Conduit},
    pace::Pace,
    peer::{ItemStream, Peer},
    proto::{Answer, SharedBody},
    router::{Entry, Router},
    wire::{CallHead, EncodeError, Encoder, Ran, Refusal, RefusalCode, ITEM_LEN},
};
use std::{
    sync::Arc,
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

/// A call as it has arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) head: CallHead,
    /// When its first byte had been read.
    pub(crate) at: Instant,
    /// Metadata, then the encoded input.
    pub(crate) body: Vec<u8>,
    /// Its items, if it carries any.
    pub(crate) conduit: Option<Conduit>,
}

/// A call whose action is known.
pub(crate) struct Task {
    pace: Arc<Pace>,
    /// Empty once the handler has it.
    input: Vec<u8>,
    size: usize,
    metadata: usize,
    /// When its caller stops waiting for it to begin.
    deadline: Option<Instant>,
    info: CallInfo,
    settings: Arc<Settings>,
}

impl Task {
    /// Finds the action of a call of `len` bytes.
    ///
    /// # Errors
    /// What the caller is told if the action cannot be run with it.
    pub(crate) fn find(router: &Router, head: &CallHead, len: usize) -> Result<Entry, Refusal> {
        let Some(entry) = router.find(head.name) else {
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
        let stream = call.conduit.map(|conduit| ItemStream::new(conduit, settings.stream_idle));
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
            },
            pace,
            metadata: metadata as usize,
            size: call.body.capacity(),
            input: call.body,
            settings: Arc::clone(settings),
        }
    }

    /// Whether it is expected to end at once, and may run where others wait for it.
    pub(crate) fn is_quick(&self) -> bool {
        self.info.stream.is_none() && self.pace.is_quick()
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

    /// Runs the handler. Does not panic.
    pub(crate) fn run(&mut self) -> Answer {
        self.run_at(Instant::now()).0
    }

    /// The same where the time is known already; says when it was done.
    pub(crate) fn run_at(&mut self, began: Instant) -> (Answer, Instant) {
        // Before the pace: what never runs says nothing about how long a run takes.
        if let Some(refusal) = self.comes_too_late(began) {
            return (Answer::Refusal(refusal), began);
        }
        let answer = self.answer();
        let ended = Instant::now();
        self.pace.note(ended.saturating_duration_since(began));
        (answer, ended)
    }

    /// Why the handler does not begin any more.
    fn comes_too_late(&self, now: Instant) -> Option<Refusal> {
        let (code, text) = match () {
            () if self.deadline.is_some_and(|deadline| deadline <= now) => {
                (RefusalCode::EXPIRED, "the deadline passed before the handler began")
            }
            () if self.info.cancelled.is_told() => {
                (RefusalCode::CANCELLED, "cancelled before the handler began")
            }
            () => return None,
        };
        Some(Refusal::new(code, Ran::No, text))
    }

    fn answer(&mut self) -> Answer {
        let most = self.info.action().max_output.unwrap_or(self.settings.max_output);
        let mut out = Encoder::new(most.min(self.settings.max_output));
        let mut input = std::mem::take(&mut self.input);
        input.drain(..self.metadata);
        let stream = self.info.stream.as_ref();
        if let Some(stream) = stream.filter(|_| self.info.registration.directions().uploads) {
            stream.conduit().welcome();
        }
        // What a handler leaves behind when it panics is behind its own locks, which say so.
        let handle = || self.info.registration.handle(input, &self.info, &mut out);
        let answer = match contained(|| serving(self.info.deadline, handle)) {
            Ok(handled) => self.sort(handled, out),
            Err(text) => self.panicked(&text),
        };
        self.info.cancelled.over();
        if let Some(stream) = stream {
            // The answer comes after the last item.
            stream.conduit().drain();
        }
        answer
    }

    fn sort(&self, handled: Handled, out: Encoder) -> Answer {
        match handled {
            Handled::Reply => Answer::Value(SharedBody::encoded(out)),
            Handled::Error => Answer::Error(SharedBody::encoded(out)),
            Handled::Hidden(text) => {
                self.log(&format!("failed: {text}"));
                Answer::Error(SharedBody::encoded(out))
            }
            Handled::Undecodable(error) => {
                Answer::Refusal(Refusal::new(RefusalCode::UNDECODABLE, Ran::No, error.to_string()))
            }
            Handled::Unsendable(error) => {
                self.log(&format!("its answer cannot be sent: {error}"));
                Answer::Refusal(unsendable(&error))
            }
        }
    }

    /// The text of a panic is the operator's: it can hold anything.
    fn panicked(&self, text: &str) -> Answer {
        self.log(&format!("panicked: {text}"));
        Answer::Refusal(Refusal::new(RefusalCode::PANICKED, Ran::Yes, ""))
    }

    /// Tells the operator about this call.
    pub(crate) fn log(&self, what: &str) {
        let Info { name, .. } = self.info.action();
        (self.settings.log)(&format!("`{name}` called from {} {what}", self.info.peer.address()));
    }
}

fn unsendable(error: &EncodeError) -> Refusal {
    let code = match error {
        EncodeError::TooLarge { .. } => RefusalCode::OUTPUT_TOO_LARGE,
        EncodeError::Unsupported(_) => RefusalCode::UNENCODABLE,
    };
    Refusal::new(code, Ran::Yes, error.to_string())
}
