//! What the event loop does with calls: find the action, give it to a worker, send the answer.

use super::{panics::contained, workers::Workers, Log};
use crate::{
    action::{CallInfo, Decoding, Handled, Info, Peer, Registration, Shapes},
    net::{self, Account, Charge, Command, ConnId, Done, Incoming, Origin, Remote, Service},
    pace::Pace,
    proto::{Answer, Closed, ServedKey},
    router::{Entry, Router},
    wire::{CallHead, EncodeError, Encoder, Ran, Refusal, RefusalCode},
};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

/// Advice to callers that are turned away.
const COME_BACK: Duration = Duration::from_millis(100);

/// Serves the calls of one event loop.
pub(crate) struct Dispatch {
    pub(super) router: Arc<Router>,
    pub(super) workers: Workers,
    pub(super) remote: Remote,
    pub(super) account: Account,
    pub(super) settings: Arc<Settings>,
}

/// What does not change while a server runs.
pub(super) struct Settings {
    pub(super) log: Log,
    pub(super) hide_failures: bool,
    pub(super) max_output: usize,
    pub(super) decoding: Decoding,
}

/// What is kept for a connection.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Peer,
    running: Vec<(ServedKey, Arc<AtomicBool>)>,
}

/// A call with everything that it needs to run on any thread.
pub(crate) struct Job {
    registration: Registration,
    pace: Arc<Pace>,
    input: Vec<u8>,
    metadata: usize,
    info: CallInfo,
    connection: ConnId,
    key: Option<ServedKey>,
    settings: Arc<Settings>,
    /// What the input costs until the job is gone.
    _charge: Charge,
}

impl Service for Dispatch {
    type Session = Session;
    type Job = Job;

    fn opened(&mut self, origin: Origin) -> Session {
        let peer = Peer {
            address: origin.address,
            #[cfg(unix)]
            credentials: origin.credentials,
        };
        Session { peer, running: Vec::new() }
    }

    fn call(
        &mut self,
        session: &mut Session,
        call: Incoming<'_>,
        answer: &mut dyn FnMut(ServedKey, Answer),
    ) -> Option<Job> {
        let key = call.key;
        let mut refuse = |refusal: Refusal| {
            match key {
                Some(key) => answer(key, Answer::Refusal(refusal)),
                None => {
                    (self.settings.log)(&format!("a one-way call was dropped: {}", refusal.text));
                }
            }
            None
        };
        let Some(entry) = self.router.find(call.head.name) else {
            return refuse(Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, ""));
        };
        // Unlike at equal hashes, what comes next would read one type's bytes as another's.
        let ours = entry.registration.shapes().map_or(0, Shapes::hash);
        if ours != 0 && call.head.shape != 0 && ours != call.head.shape {
            let text = format!("{ours:016x}");
            return refuse(Refusal::new(RefusalCode::MISMATCH, Ran::No, text));
        }
        let input = call.body.len() - call.head.metadata as usize;
        if let Some(limit) = entry.registration.info().max_input.filter(|limit| input > *limit) {
            let text = format!("{input} bytes, and the action takes {limit}");
            return refuse(Refusal::new(RefusalCode::INPUT_TOO_LARGE, Ran::No, text));
        }
        if self.account.is_overdrawn() {
            return refuse(overloaded("the server holds too much for its connections"));
        }
        let cancelled = Arc::new(AtomicBool::new(false));
        let job = self.job(session, entry, call, Arc::clone(&cancelled));
        session.running.extend(key.map(|key| (key, cancelled)));
        if job.pace.is_quick() {
            return Some(job);
        }
        if let Some(Done { answer: Some((key, refused)), .. }) = self.run_elsewhere(job) {
            self.answered(session, key);
            answer(key, refused);
        }
        None
    }

    fn run_elsewhere(&mut self, job: Job) -> Option<Done> {
        let (connection, key, remote) = (job.connection, job.key, self.remote.clone());
        let work = Box::new(move || {
            let Done { connection, answer } = net::Job::run(job);
            if let Some((key, answer)) = answer {
                // A loop that has returned has no connection left that could carry the answer.
                let _ = remote.send(Command::Answer { connection, key, answer });
            }
        });
        let refused = self.workers.run(connection, work).is_err();
        refused.then(|| {
            let refusal = Answer::Refusal(overloaded("too many calls wait"));
            Done { connection, answer: key.map(|key| (key, refusal)) }
        })
    }

    fn cancelled(&mut self, session: &mut Session, key: ServedKey) {
        session.running.iter().filter(|(k, _)| *k == key).for_each(|(_, flag)| set(flag));
    }

    fn answered(&mut self, session: &mut Session, key: ServedKey) {
        if let Some(at) = session.running.iter().position(|(k, _)| *k == key) {
            session.running.swap_remove(at);
        }
    }

    fn closed(&mut self, session: Session, _why: &Closed) {
        session.running.iter().for_each(|(_, flag)| set(flag));
    }

    fn log(&mut self, what: &str) {
        (self.settings.log)(what);
    }
}

fn overloaded(text: &str) -> Refusal {
    let refusal = Refusal::new(RefusalCode::OVERLOADED, Ran::No, text);
    Refusal { retry_after: COME_BACK, ..refusal }
}

fn set(flag: &AtomicBool) {
    flag.store(true, Ordering::Relaxed);
}

impl Dispatch {
    fn job(
        &self,
        session: &Session,
        entry: Entry,
        call: Incoming<'_>,
        cancelled: Arc<AtomicBool>,
    ) -> Job {
        let Entry { registration, pace } = entry;
        let CallHead { remaining, metadata, .. } = call.head;
        let input = call.body.into_vec();
        Job {
            info: CallInfo {
                action: registration.info(),
                peer: session.peer.clone(),
                deadline: remaining.and_then(|left| call.arrived.checked_add(left)),
                cancelled,
                hide_failures: self.settings.hide_failures,
                decoding: self.settings.decoding,
            },
            registration,
            pace,
            metadata: metadata as usize,
            _charge: self.account.charge(input.capacity()),
            input,
            connection: call.connection,
            key: call.key,
            settings: Arc::clone(&self.settings),
        }
    }
}

impl net::Pace for Pace {
    fn held_up(&self) {
        Pace::held_up(self);
    }
}

impl net::Job for Job {
    fn run(self) -> Done {
        let began = Instant::now();
        let answer = self.answer(began);
        self.pace.note(began.elapsed());
        Done { connection: self.connection, answer: self.key.map(|key| (key, answer)) }
    }

    fn is_quick(&self) -> bool {
        self.pace.is_quick()
    }

    fn connection(&self) -> ConnId {
        self.connection
    }

    fn pace(&self) -> Arc<dyn net::Pace> {
        Arc::clone(&self.pace) as Arc<dyn net::Pace>
    }
}

impl Job {
    fn answer(&self, now: Instant) -> Answer {
        if self.info.deadline.is_some_and(|deadline| deadline <= now) {
            let text = "the deadline passed before the handler began";
            return Answer::Refusal(Refusal::new(RefusalCode::EXPIRED, Ran::No, text));
        }
        if self.info.cancelled.load(Ordering::Relaxed) {
            let text = "cancelled before the handler began";
            return Answer::Refusal(Refusal::new(RefusalCode::CANCELLED, Ran::No, text));
        }
        let most = self.info.action.max_output.unwrap_or(self.settings.max_output);
        let mut out = Encoder::new(most.min(self.settings.max_output));
        let input = &self.input[self.metadata..];
        // What a handler leaves behind when it panics is behind its own locks, which say so.
        match contained(|| self.registration.handle(input, &self.info, &mut out)) {
            Ok(handled) => self.sort(handled, out),
            Err(text) => self.panicked(&text),
        }
    }

    fn sort(&self, handled: Handled, out: Encoder) -> Answer {
        match handled {
            Handled::Reply => Answer::Value(Arc::new(out.into_bytes())),
            Handled::Error => Answer::Error(Arc::new(out.into_bytes())),
            Handled::Hidden(text) => {
                self.log(&format!("failed: {text}"));
                Answer::Error(Arc::new(out.into_bytes()))
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

    fn log(&self, what: &str) {
        let Info { name, .. } = self.info.action;
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
