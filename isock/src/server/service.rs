//! What the event loop does with calls: find the action, give it to a worker, send the answer.

use super::callers::Callers;
use crate::{
    net::{
        self, Account, Cancel, Charge, Command, ConnId, Done, Far, Incoming, Origin, Remote,
        Service,
    },
    pace::Pace,
    peer::{Connection, Home, Peer, Served},
    proto::{Answer, BySlot, Closed, ServedKey},
    router::{Lately, Router},
    serving::{contained, Arrived, Ended, Full, Lane, Lanes, Settings, Task, Way, Work, Workers},
    wire::{CallHead, CloseCode, Ran, Refusal, RefusalCode},
};
use std::{
    collections::VecDeque,
    ptr,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

/// Advice to callers that are turned away, unless more is known, and at least.
const COME_BACK: Duration = Duration::from_millis(100);
/// The same at most.
const LATEST: Duration = Duration::from_secs(5);

/// Serves the calls of one event loop.
pub(crate) struct Dispatch {
    pub(super) router: Arc<Router>,
    pub(super) lately: Lately,
    pub(super) marks: Marks,
    pub(super) workers: Workers,
    pub(super) remote: Remote,
    pub(super) account: Account,
    pub(super) settings: Arc<Settings>,
    pub(super) home: Arc<Home>,
    /// Nothing begins to run any more, in no loop of the server.
    pub(super) given_up: Arc<AtomicBool>,
    pub(super) callers: Callers,
    pub(super) on_connect: Option<Hook>,
    pub(super) on_disconnect: Option<Hook>,
}

/// Hears of connections that come and go.
pub(super) type Hook = Arc<dyn Fn(&Connection, &str) + Send + Sync>;

/// What is kept for a connection.
pub(crate) struct Session {
    served: Arc<Served>,
    running: Running,
    lanes: Option<Box<Lanes>>,
    /// It has been among those that the server lists.
    entered: bool,
}

/// The calls of a connection that run.
#[derive(Default)]
struct Running(BySlot<Place>);

#[derive(Default)]
struct Place {
    /// The number of the call on its slot.
    seq: u32,
    /// Where it hears that nobody waits for it any more; `None` if it has ended.
    cancelled: Option<Arc<Cancel>>,
}

/// Marks of cancels that serve one call after the other, of whichever connection: one that is at rest has
/// none.
#[derive(Default)]
pub(super) struct Marks(Vec<Arc<Cancel>>);

/// Marks that are kept.
const MARKS: usize = 1024;

impl Marks {
    #[inline]
    fn take(&mut self) -> Arc<Cancel> {
        self.0.pop().unwrap_or_default()
    }

    #[inline]
    fn give(&mut self, mut mark: Arc<Cancel>) {
        if self.0.len() < MARKS {
            // Else the call has been answered, and its handler goes on.
            if let Some(cancel) = Arc::get_mut(&mut mark) {
                cancel.renew();
                self.0.push(mark);
            }
        }
    }
}

impl Running {
    fn begin(&mut self, key: ServedKey, mark: &Arc<Cancel>) {
        let place = self.0.take_up(key.slot);
        *place = Place { seq: key.seq, cancelled: Some(Arc::clone(mark)) };
    }

    fn cancel(&self, key: ServedKey) {
        let place = self.0.get(key.slot).filter(|place| place.seq == key.seq);
        place.into_iter().for_each(Place::cancel);
    }

    fn cancel_all(&self) {
        self.0.iter().for_each(Place::cancel);
    }

    /// Gives the mark of a call that has ended.
    fn end(&mut self, key: ServedKey) -> Option<Arc<Cancel>> {
        let place = self.0.get_mut(key.slot).filter(|place| place.seq == key.seq)?;
        place.cancelled.take()
    }
}

impl Place {
    fn cancel(&self) {
        self.cancelled.iter().for_each(|mark| net::run_hooks(mark.tell()));
    }
}

/// A call with everything that it needs to run on any thread.
pub(crate) struct Job {
    task: Task,
    connection: ConnId,
    key: ServedKey,
    /// What the input costs until the job is gone.
    charge: Charge,
    /// Nobody else is kept waiting while it runs.
    alone: bool,
}

impl Service for Dispatch {
    type Session = Session;
    type Job = Job;

    fn opened(&mut self, origin: Origin, far: &Arc<Far>) -> Session {
        let served = Served::new(origin, Arc::clone(far), Arc::clone(&self.home));
        Session { served, running: Running::default(), lanes: None, entered: false }
    }

    fn leaves(&mut self, session: Session) -> Origin {
        session.served.origin().clone()
    }

    fn ready(&mut self, session: &mut Session) {
        session.served.enter();
        session.entered = true;
        self.tell(self.on_connect.as_ref(), session, "");
    }

    fn heard(&mut self, connection: ConnId, now: Instant) {
        self.callers.heard(connection, now);
    }

    fn call(
        &mut self,
        session: &mut Session,
        call: Incoming<'_>,
        jobs: &mut VecDeque<Job>,
        answer: &mut dyn FnMut(ServedKey, Answer),
    ) {
        let found = self.lately.find(&self.router, call.head.name);
        let found = Task::judge(found, &call.head, call.body.len());
        let entry = match found {
            Ok(_) if self.given_up.load(Ordering::Relaxed) => Err(stopping()),
            Ok(_) if self.account.is_overdrawn() => {
                Err(overloaded("the server holds too much for its connections"))
            }
            Ok(_) if call.conduit.is_some() && call.streams > self.settings.streams => {
                Err(overloaded("too many streams on one connection"))
            }
            found => found,
        };
        let entry = match (entry, call.key) {
            (Ok(entry), _) => entry,
            (Err(refusal), Some(key)) => {
                return answer(key, Answer::Refusal(refusal));
            }
            (Err(refusal), None) => {
                return self.log_dropped(session, &call.head, &refusal);
            }
        };
        let cancelled = match call.key {
            Some(key) => {
                let mark = self.marks.take();
                session.running.begin(key, &mark);
                mark
            }
            None => Arc::default(),
        };
        let peer = Peer::of_served(Arc::clone(&session.served));
        let (connection, action) = (call.connection, call.head.name);
        let arrived = Arrived {
            head: call.head,
            at: call.arrived,
            body: call.body.into_block(),
            conduit: call.conduit,
        };
        let task = Task::new(entry, arrived, peer, cancelled, &self.settings);
        let Some(key) = call.key else {
            return self.queue(session, connection, action, task);
        };
        let charge = self.account.charge(task.size());
        self.callers.called(key.slot, call.arrived);
        let alone = task.is_short()
            && self.callers.are_one(call.arrived)
            && call.streams == 0
            && jobs.is_empty();
        let job = Job { task, connection, key, charge, alone };
        if net::Job::is_quick(&job) {
            return jobs.push_back(job);
        }
        if let Some(Done { key, answer: Some(refused), .. }) = self.run_elsewhere(job) {
            self.answered(session, key);
            answer(key, refused);
        }
    }

    fn is_full(&self, session: &Session) -> bool {
        session.lanes.as_ref().is_some_and(|lanes| lanes.are_full())
    }

    fn held(&self, session: &Session) -> usize {
        session.lanes.as_ref().map_or(0, |lanes| lanes.held())
    }

    fn is_idle(&self, session: &Session) -> bool {
        session.lanes.as_ref().is_none_or(|lanes| lanes.are_idle())
    }

    fn run_elsewhere(&mut self, job: Job) -> Option<Done> {
        let (connection, key) = (job.connection, job.key);
        let refused = |refusal| Done { connection, key, answer: Some(Answer::Refusal(refusal)) };
        if self.workers.all_wait(connection.number(), &job.task.waiters()) {
            return Some(refused(Refusal::new(RefusalCode::CYCLE, Ran::No, "")));
        }
        let patience = job.task.patience(Instant::now());
        let work = Box::new(Queued(job));
        let full = self.workers.run_within(patience, connection.number(), work).err();
        full.map(|Full { wait, .. }| {
            let refusal = overloaded("too many calls wait for a worker");
            refused(Refusal { retry_after: wait.clamp(COME_BACK, LATEST), ..refusal })
        })
    }

    fn cancelled(&mut self, session: &mut Session, key: ServedKey) {
        session.running.cancel(key);
    }

    fn cancelled_all(&mut self, session: &mut Session) {
        session.running.cancel_all();
    }

    fn give_up(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.workers.give_up();
    }

    fn stopping(&self) -> Refusal {
        stopping()
    }

    #[inline]
    fn answered(&mut self, session: &mut Session, key: ServedKey) {
        if let Some(mark) = session.running.end(key) {
            self.marks.give(mark);
        }
    }

    fn closed(&mut self, session: Session, why: &Closed) {
        session.running.cancel_all();
        if session.entered {
            session.served.leave();
            self.tell(self.on_disconnect.as_ref(), &session, &words(why));
        }
    }

    fn draining(&mut self) {
        self.home.stop();
    }

    fn log(&mut self, what: &str) {
        (self.settings.log)(what);
    }
}

fn overloaded(text: &str) -> Refusal {
    let refusal = Refusal::new(RefusalCode::OVERLOADED, Ran::No, text);
    Refusal { retry_after: COME_BACK, ..refusal }
}

/// What a call learns that has been accepted and will not run.
fn stopping() -> Refusal {
    Refusal::new(RefusalCode::DRAINING, Ran::No, "the server stops")
}

/// Why a connection ended, for people.
fn words(closed: &Closed) -> String {
    match closed {
        Closed::ByPeer(close) if close.code == CloseCode::DONE => "the client closed it".to_owned(),
        Closed::ByPeer(close) => format!("the client closed it: {}", close.text),
        Closed::ByUs(close) => close.text.clone(),
        _ => "the client went away".to_owned(),
    }
}

impl Dispatch {
    /// Runs a hook, on the loop's own thread: it must not block, and a panic of it harms nobody.
    fn tell(&self, hook: Option<&Hook>, session: &Session, why: &str) {
        let Some(hook) = hook else { return };
        let connection = Connection::new(Arc::clone(&session.served));
        if let Err(text) = contained(|| net::hook(|| hook(&connection, why))) {
            (self.settings.log)(&format!("a hook panicked: {text}"));
        }
    }

    /// Tells the operator of a send that is for nobody: its caller does not wait to be told.
    fn log_dropped(&self, session: &Session, head: &CallHead, refusal: &Refusal) {
        let from = session.served.address();
        let known = self.router.find(head.name);
        let to = match known.map(|entry| entry.registration.info().name) {
            Some(name) => format!("`{name}`"),
            None => format!("an action that is not registered, of name hash {:08x},", head.name),
        };
        let why = match refusal.code {
            RefusalCode::UNKNOWN_ACTION => "",
            RefusalCode::MISMATCH => ": the two builds disagree about its types",
            _ => &format!(": {}", refusal.text),
        };
        (self.settings.log)(&format!("a send to {to} from {from} was dropped{why}"));
    }

    /// Runs a one-way send after those to the same action on the same connection.
    fn queue(&self, session: &mut Session, connection: ConnId, action: u32, task: Task) {
        let lanes = session.lanes.get_or_insert_default();
        let charge = self.account.charge(task.size());
        if let Some(lane) = lanes.push(action, task, Some(charge)) {
            run_lane(&self.workers, &self.remote, connection, lane);
        }
    }
}

fn run_lane(workers: &Workers, remote: &Remote, connection: ConnId, lane: Arc<Lane>) {
    let work = LaneTurn { workers: workers.clone(), remote: remote.clone(), connection, lane };
    if let Err(work) = workers.run(connection.number(), Box::new(work)) {
        work.give_up();
    }
}

/// A call that waits for a worker.
struct Queued(Job);

impl Work for Queued {
    fn run(mut self: Box<Self>) {
        let far = self.0.task.peer().far();
        let began = Instant::now();
        let (Done { key, answer, .. }, ran) = net::Job::run(&mut self.0, began);
        if ran {
            self.0.task.pace().note(began.elapsed());
        }
        // What it holds goes before its caller has the answer.
        drop(self);
        if let (Some(far), Some(answer)) = (far, answer) {
            far.answer(key, answer);
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        self.0.task.patience(now) == Some(Duration::ZERO)
    }

    fn give_up(self: Box<Self>) {
        let far = self.0.task.peer().far();
        let Done { key, answer, .. } = net::Job::give_up(self.0);
        if let (Some(far), Some(answer)) = (far, answer) {
            far.answer_at_once(key, answer);
        }
    }
}

/// One-way sends that wait for a worker.
struct LaneTurn {
    workers: Workers,
    remote: Remote,
    connection: ConnId,
    lane: Arc<Lane>,
}

impl Work for LaneTurn {
    fn run(self: Box<Self>) {
        let LaneTurn { workers, remote, connection, lane } = *self;
        let relieved = || drop(remote.send(Command::Look(connection)));
        if lane.run(relieved) {
            run_lane(&workers, &remote, connection, lane);
        }
    }

    fn give_up(self: Box<Self>) {
        self.lane.give_up();
    }
}

impl net::Pace for Pace {
    fn took(&self, took: Duration, runs: u32) {
        Pace::note_runs(self, took, runs);
    }

    fn held_up(&self) {
        Pace::held_up(self);
    }

    fn blocks(&self) {
        Pace::blocks(self);
    }
}

impl net::Job for Job {
    fn run(&mut self, at_most: Instant) -> (Done, bool) {
        let (outcome, ran) = self.task.run_at(at_most, Way::Far(self.key));
        let answer = match outcome {
            Ended::Now(answer) => Some(answer),
            Ended::Later(deferred) => {
                deferred.keep(self.charge.take());
                None
            }
        };
        (Done { connection: self.connection, key: self.key, answer }, ran)
    }

    fn give_up(self) -> Done {
        let Job { connection, key, .. } = self;
        Done { connection, key, answer: Some(Answer::Refusal(stopping())) }
    }

    fn is_quick(&self) -> bool {
        self.task.is_quick() || self.alone && self.task.is_short()
    }

    fn connection(&self) -> ConnId {
        self.connection
    }

    fn pace(&self) -> Arc<dyn net::Pace> {
        Arc::clone(self.task.pace()) as Arc<dyn net::Pace>
    }

    fn is_of(&self, pace: &Arc<dyn net::Pace>) -> bool {
        ptr::addr_eq(Arc::as_ptr(pace), Arc::as_ptr(self.task.pace()))
    }
}
