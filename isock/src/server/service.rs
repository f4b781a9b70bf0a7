//! What the event loop does with calls: find the action, give it to a worker, send the answer.

use super::{workers::Workers, Log};
use crate::{
    action::{CallInfo, Handled, Info, Peer, Registration},
    address::Address,
    net::{Account, Charge, Command, ConnId, Incoming, Remote, Service},
    proto::{Answer, Closed, ServedKey},
    router::Router,
    wire::{CallHead, EncodeError, Encoder, Ran, Refusal, RefusalCode},
};
use std::{
    panic::{catch_unwind, AssertUnwindSafe},
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
}

/// What is kept for a connection.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Peer,
    running: Vec<(ServedKey, Arc<AtomicBool>)>,
}

/// A call with everything that it needs to run on any thread.
struct Job {
    registration: Registration,
    input: Vec<u8>,
    metadata: usize,
    info: CallInfo,
    reply_to: Option<(ConnId, ServedKey)>,
    remote: Remote,
    settings: Arc<Settings>,
    /// What the input costs until the job is gone.
    _charge: Charge,
}

impl Service for Dispatch {
    type Session = Session;

    fn opened(&mut self, address: &Address) -> Session {
        Session { peer: Peer { address: address.clone() }, running: Vec::new() }
    }

    fn call(
        &mut self,
        session: &mut Session,
        call: Incoming<'_>,
        answer: &mut dyn FnMut(ServedKey, Answer),
    ) {
        let (connection, key) = (call.connection, call.key);
        let mut refuse = |refusal: Refusal| match key {
            Some(key) => answer(key, Answer::Refusal(refusal)),
            None => (self.settings.log)(&format!("a one-way call was dropped: {}", refusal.text)),
        };
        let Some(registration) = self.router.find(call.head.name) else {
            return refuse(Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, ""));
        };
        if self.account.is_overdrawn() {
            return refuse(overloaded("the server holds too much for its connections"));
        }
        let cancelled = Arc::new(AtomicBool::new(false));
        let job = self.job(session, registration, call, Arc::clone(&cancelled));
        match self.workers.run(connection, Box::new(move || job.run())) {
            Ok(()) => session.running.extend(key.map(|key| (key, cancelled))),
            Err(_) => refuse(overloaded("too many calls wait")),
        }
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
        registration: Registration,
        call: Incoming<'_>,
        cancelled: Arc<AtomicBool>,
    ) -> Job {
        let CallHead { remaining, metadata, .. } = call.head;
        let input = call.body.into_vec();
        Job {
            info: CallInfo {
                action: registration.info(),
                peer: session.peer.clone(),
                deadline: remaining.and_then(|left| call.arrived.checked_add(left)),
                cancelled,
                hide_failures: self.settings.hide_failures,
            },
            registration,
            metadata: metadata as usize,
            _charge: self.account.charge(input.capacity()),
            input,
            reply_to: call.key.map(|key| (call.connection, key)),
            remote: self.remote.clone(),
            settings: Arc::clone(&self.settings),
        }
    }
}

impl Job {
    fn run(self) {
        let answer = self.answer();
        if let Some((connection, key)) = self.reply_to {
            // A loop that has returned has no connection left that could carry the answer.
            let _ = self.remote.send(Command::Answer { connection, key, answer });
        }
    }

    fn answer(&self) -> Answer {
        if self.info.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            let text = "the deadline passed before the handler began";
            return Answer::Refusal(Refusal::new(RefusalCode::EXPIRED, Ran::No, text));
        }
        if self.info.cancelled.load(Ordering::Relaxed) {
            let text = "cancelled before the handler began";
            return Answer::Refusal(Refusal::new(RefusalCode::CANCELLED, Ran::No, text));
        }
        let mut out = Encoder::new(self.settings.max_output);
        let input = &self.input[self.metadata..];
        // What a handler leaves behind when it panics is behind its own locks, which say so.
        let handled = catch_unwind(AssertUnwindSafe(|| {
            self.registration.handle(input, &self.info, &mut out)
        }));
        match handled {
            Ok(handled) => self.sort(handled, out),
            Err(panic) => self.panicked(&*panic),
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
    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> Answer {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        self.log(&format!("panicked: {}", text.unwrap_or("(no text)")));
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
