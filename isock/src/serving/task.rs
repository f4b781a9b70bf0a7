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
    mem,
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
    /// When its first byte had been read, or a few short reads before.
    pub(crate) at: Instant,
    /// Metadata, then the encoded input.
    pub(crate) body: Block,
    /// Its items, if it carries any.
    pub(crate) conduit: Option<Conduit>,
}

/// What is kept of a call without items until it runs.
#[derive(Debug, Default)]
pub(crate) struct Brief {
    /// When its caller stops waiting for it to begin.
    deadline: Option<Instant>,
    /// Bytes in front of the input.
    metadata: u32,
    /// Metadata, then the encoded input.
    body: Block,
}

impl Brief {
    /// Of a call whose first byte had been read at this time.
    #[inline]
    pub(crate) fn new(head: &CallHead, at: Instant, body: Block) -> Brief {
        let mut brief = Brief::default();
        brief.note(head, at, body);
        brief
    }

    /// Is that from now on.
    #[inline]
    pub(crate) fn note(&mut self, head: &CallHead, at: Instant, body: Block) {
        self.deadline = head.remaining.and_then(|left| at.checked_add(left));
        self.metadata = head.metadata;
        self.body = body;
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.body.held()
    }
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
    /// From the handler's end on, unless it comes from elsewhere.
    answer: Option<Answer>,
}

impl Task {
    /// Whether a call of `len` bytes can be run as one of this action.
    ///
    /// # Errors
    /// What the caller is told if it cannot.
    #[inline]
    pub(crate) fn judge(entry: &Entry, head: &CallHead, len: usize) -> Result<(), Refusal> {
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
        Ok(())
    }

    /// What the caller is told if no action was found.
    pub(crate) fn unknown() -> Refusal {
        Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, "")
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
        let Arrived { head, at, body, conduit } = call;
        let mut task =
            Task::of_brief(entry, Brief::new(&head, at, body), peer, cancelled, settings);
        if let Some(conduit) = conduit {
            task.info.stream = Some(Box::new(ItemStream::new(conduit, settings.stream_idle)));
            // That of a stream is for its beginning.
            task.info.deadline = None;
        }
        task
    }

    /// The same for a call without items.
    pub(crate) fn of_brief(
        entry: Entry,
        mut call: Brief,
        peer: Peer,
        cancelled: Arc<Cancel>,
        settings: &Arc<Settings>,
    ) -> Task {
        let Entry { registration, pace } = entry;
        let mut task = Task {
            deadline: None,
            info: CallInfo {
                registration,
                peer,
                deadline: None,
                cancelled,
                hide_failures: settings.hide_failures,
                decoding: settings.decoding,
                stream: None,
                max_item: settings.max_output - ITEM_LEN,
                metadata: Vec::new(),
            },
            pace,
            metadata: 0,
            malformed: false,
            chain: Vec::new(),
            size: 0,
            input: Block::default(),
            settings: Arc::clone(settings),
            answer: None,
        };
        task.take_up(&mut call);
        task
    }

    /// Is another call without items from now on, and else the same as before.
    #[inline]
    pub(crate) fn take_up(&mut self, call: &mut Brief) {
        // Most calls have none.
        if call.metadata > 0 || self.metadata > 0 {
            self.read_metadata(call);
        }
        (self.deadline, self.info.deadline) = (call.deadline, call.deadline);
        (self.size, self.input) = (call.size(), mem::take(&mut call.body));
    }

    /// No other call follows for now: nothing of the last one stays.
    #[inline]
    pub(crate) fn rest(&mut self) {
        // The rest of it has gone where it is needed.
        if self.metadata > 0 {
            (self.info.metadata, self.chain, self.metadata) = (Vec::new(), Vec::new(), 0);
            self.malformed = false;
        }
    }

    fn read_metadata(&mut self, call: &Brief) {
        let len = call.metadata as usize;
        let read = call.body.get(..len).and_then(Metadata::parse);
        self.malformed = read.is_none();
        let Metadata { own, chain } = read.unwrap_or_default();
        (self.info.metadata, self.chain) = (own, chain);
        self.metadata = len;
    }

    /// The next call is of this action.
    pub(crate) fn turn_to(&mut self, entry: &Entry) {
        let Entry { registration, pace } = entry.clone();
        (self.info.registration, self.pace) = (registration, pace);
    }

    /// The next call is of this caller.
    pub(crate) fn serve(&mut self, peer: Peer) {
        self.info.peer = peer;
    }

    /// The next call hears through this that nobody waits for it any more.
    #[inline]
    pub(crate) fn heed(&mut self, cancelled: &Arc<Cancel>) {
        if !Arc::ptr_eq(&self.info.cancelled, cancelled) {
            self.info.cancelled = Arc::clone(cancelled);
        }
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

    /// Runs the handler. Does not panic. If its answer comes later, or has come already, gives where
    /// from.
    pub(crate) fn run(&mut self, way: Way<'_>) -> Option<Arc<Deferred>> {
        let began = Instant::now();
        let (later, ran) = self.run_at(began, way);
        if ran {
            self.pace.note(began.elapsed());
        }
        later
    }

    /// The same where others see how long it takes, and know that it is no later than this. Says
    /// whether the handler has run: what never runs says nothing about how long a run takes.
    pub(crate) fn run_at(
        &mut self,
        at_most: Instant,
        way: Way<'_>,
    ) -> (Option<Arc<Deferred>>, bool) {
        match self.refusal(at_most) {
            Some(refusal) => {
                // What serves the next call as well keeps nothing of this one.
                self.input = Block::default();
                self.answer = Some(Answer::Refusal(refusal));
                (None, false)
            }
            None => (self.handle(way), true),
        }
    }

    /// The answer of a call that has run.
    #[inline]
    pub(crate) fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
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

    fn handle(&mut self, way: Way<'_>) -> Option<Arc<Deferred>> {
        let mut out = Encoder::of_message(most(&self.info, &self.settings));
        let mut input = mem::take(&mut self.input);
        if self.metadata > 0 {
            input.skip(self.metadata);
        }
        let stream = self.info.stream.as_ref();
        if let Some(stream) = stream.filter(|_| self.info.registration.directions().uploads) {
            stream.conduit().welcome();
        }
        // What a handler leaves behind when it panics is behind its own locks, which say so.
        let (call, settings, chain) = (&self.info, &self.settings, mem::take(&mut self.chain));
        let deferring = Deferring { call, settings, way, deferred: OnceLock::new() };
        let handle = || call.registration.handle(input, call, &deferring, &mut out);
        let handled = contained(|| net::serving(call.deadline, || net::handling(chain, handle)));
        if let Some(deferred) = deferring.deferred.into_inner() {
            // An error that it returns, or a panic, is the answer if there is none yet.
            if matches!(handled, Ok(Handled::Later)) || !deferred.take() {
                return Some(deferred);
            }
        }
        // Put straight where it stays: what is moved on when it has just been written waits for that.
        self.answer = Some(match handled {
            Ok(handled) => sort(call, settings, handled, out),
            Err(text) => self.panicked(&text),
        });
        self.info.cancelled.over();
        if let Some(stream) = stream {
            // The answer comes after the last item.
            stream.conduit().drain();
        }
        None
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
#[inline]
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
