//! What the event loop does with calls: find the action, give it to a worker, send the answer.
//!
//! Knows which calls run where. Does not know sockets, or when a call that stays has its turn.

mod desk;
mod running;
mod work;

pub(super) use desk::Desk;
pub(super) use running::Marks;

use super::callers::Callers;
use crate::{
    net::{self, Cancel, ConnId, Done, Far, Incoming, Origin, Remote, Reply, Service},
    peer::{Connection, Home, Peer, Served},
    proto::{Answer, Closed, ServedKey},
    router::{Known, Lately, Router},
    serving::{contained, Arrived, Brief, Full, Lanes, Settings, Task, Workers},
    wire::{CallHead, CloseCode, Ran, Refusal, RefusalCode},
};
use desk::{Job, Stays, Upcoming};
use running::Running;
use std::{
    collections::VecDeque,
    mem,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};
use work::{run_lane, Queued};

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
    pub(super) desk: Desk,
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

impl Service for Dispatch {
    type Session = Session;
    type Quick = Box<Upcoming>;
    type Job = Box<Job>;

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
        jobs: &mut VecDeque<Box<Upcoming>>,
        answer: &mut dyn FnMut(ServedKey, Answer),
    ) {
        let known = match self.judge(&call) {
            Ok(known) => known,
            Err(refusal) => {
                return match call.key {
                    Some(key) => answer(key, Answer::Refusal(refusal)),
                    None => self.log_dropped(session, call.head, &refusal),
                };
            }
        };
        let Some(key) = call.key else { return self.queue(session, known, call) };
        self.callers.called(key.slot, call.arrived);
        if let Some(stays) = self.stays(known, &call, jobs.is_empty()) {
            session.running.wait(key);
            jobs.push_back(self.desk.take_in(known, stays, key, call));
        } else if let Some(refusal) = self.call_elsewhere(session, known, key, call) {
            answer(key, Answer::Refusal(refusal));
        }
    }

    fn is_quick(&self, call: &Box<Upcoming>) -> bool {
        Dispatch::is_quick(self, call.known, call.stays)
    }

    #[inline]
    fn begin(
        &mut self,
        session: &mut Session,
        mut call: Box<Upcoming>,
        last: Option<Box<Job>>,
    ) -> Box<Job> {
        let last = last.or_else(|| self.desk.spare.take());
        self.desk.renew_mark(last.is_some(), session.running.is_given_up(call.key));
        let mut job = match last {
            Some(mut job) => {
                self.turn(&mut job, session, &call);
                job
            }
            None => self.first_job(session, &call),
        };
        job.take_up(&mut call);
        self.desk.begin(&job, call);
        job
    }

    #[inline]
    fn ended(&mut self, session: Option<&mut Session>, reply: Reply) {
        let Some((_, key, tallied)) = self.desk.begun.take() else { return };
        self.desk.tally.less(tallied);
        if let Some(session) = session.filter(|_| reply == Reply::Later) {
            session.running.mark(key, &self.desk.mark);
        }
    }

    fn rest(&mut self, last: Option<Box<Job>>) {
        if let Some(mut last) = last {
            last.task.rest();
            self.desk.spare = Some(last);
        }
    }

    fn begun(&self) -> Option<ConnId> {
        self.desk.begun.map(|(connection, ..)| connection)
    }

    fn left_behind(&mut self, session: &mut Session) {
        let Some((_, key, tallied)) = self.desk.begun.take() else { return };
        self.desk.tally.hand_over(tallied);
        session.running.mark(key, &self.desk.mark);
    }

    fn hold(&mut self, call: &mut Box<Upcoming>) {
        let tally = &mut self.desk.tally;
        if call.charge.is_none() {
            call.charge = Some(tally.account().charge(call.call.size()));
            tally.less(call.call.size());
        }
    }

    fn forget(&mut self, call: Box<Upcoming>) {
        if call.charge.is_none() {
            self.desk.tally.less(call.call.size());
        }
    }

    fn refuse(&mut self, call: Box<Upcoming>) -> Done {
        let (connection, key) = (call.connection, call.key);
        self.forget(call);
        Done { connection, key, answer: Some(Answer::Refusal(stopping())) }
    }

    fn settle(&mut self) {
        self.desk.tally.settle();
    }

    fn relieve(&mut self) {
        self.desk.tally.relieve();
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

    fn run_elsewhere(&mut self, session: &mut Session, mut call: Box<Upcoming>) -> Option<Done> {
        self.hold(&mut call);
        let Upcoming { connection, key, known, call, charge, .. } = *call;
        let mark = self.marks.take();
        session.running.mark(key, &mark);
        let peer = Peer::of_served(Arc::clone(&session.served));
        let entry = self.lately.entry(known).clone();
        let task = Task::of_brief(entry, call, peer, mark, &self.settings);
        let refusal = self.work_off(Queued { task, connection, key, charge })?;
        Some(Done { connection, key, answer: Some(Answer::Refusal(refusal)) })
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
        // What is kept for the connection goes with it.
        self.desk.spare.take_if(|job| job.task.peer().is_of(&session.served));
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
    /// The action that a call is for.
    ///
    /// # Errors
    /// Why it does not run.
    #[inline]
    fn judge(&mut self, call: &Incoming<'_>) -> Result<Known, Refusal> {
        let known = self.lately.find(&self.router, call.head.name);
        let known = known.ok_or_else(Task::unknown)?;
        Task::judge(self.lately.entry(known), call.head, call.body.len())?;
        match () {
            () if self.given_up.load(Ordering::Relaxed) => Err(stopping()),
            () if self.desk.tally.is_overdrawn() => {
                Err(overloaded("the server holds too much for its connections"))
            }
            () if call.conduit.is_some() && call.streams > self.settings.streams => {
                Err(overloaded("too many streams on one connection"))
            }
            () => Ok(known),
        }
    }

    /// Whether a call runs on the loop's thread, and how it comes to that.
    #[inline]
    fn stays(&self, known: Known, call: &Incoming<'_>, is_next: bool) -> Option<Stays> {
        if call.conduit.is_some() {
            return None;
        }
        if self.lately.entry(known).pace.is_quick() {
            return Some(Stays::Quick);
        }
        let alone = call.streams == 0 && is_next && self.callers.are_one(call.arrived);
        (alone && self.is_quick(known, Stays::Alone)).then_some(Stays::Alone)
    }

    /// What the call before has left serves one of this action and this caller.
    #[inline]
    fn turn(&self, job: &mut Job, session: &Session, call: &Upcoming) {
        if mem::replace(&mut job.known, call.known) != call.known {
            job.task.turn_to(self.lately.entry(call.known));
        }
        if mem::replace(&mut job.connection, call.connection) != call.connection {
            job.task.serve(Peer::of_served(Arc::clone(&session.served)));
        }
        job.task.heed(&self.desk.mark);
    }

    #[cold]
    fn first_job(&self, session: &Session, call: &Upcoming) -> Box<Job> {
        let (entry, mark) = (self.lately.entry(call.known).clone(), Arc::clone(&self.desk.mark));
        let peer = Peer::of_served(Arc::clone(&session.served));
        let task = Task::of_brief(entry, Brief::default(), peer, mark, &self.settings);
        self.desk.first_job(task, call)
    }

    /// Whether a call of an action may run where others wait for it, or is alone there.
    #[inline]
    fn is_quick(&self, known: Known, stays: Stays) -> bool {
        let pace = &self.lately.entry(known).pace;
        pace.is_quick() || stays == Stays::Alone && pace.is_short()
    }

    /// A call that is ready to run on a worker.
    fn task(&self, session: &Session, known: Known, mark: Arc<Cancel>, call: Incoming<'_>) -> Task {
        let peer = Peer::of_served(Arc::clone(&session.served));
        let arrived = Arrived {
            head: *call.head,
            at: call.arrived,
            body: call.body.into_block(),
            conduit: call.conduit,
        };
        Task::new(self.lately.entry(known).clone(), arrived, peer, mark, &self.settings)
    }

    /// Has a call run on a worker; a refusal comes back if it cannot run.
    fn call_elsewhere(
        &mut self,
        session: &mut Session,
        known: Known,
        key: ServedKey,
        call: Incoming<'_>,
    ) -> Option<Refusal> {
        let mark = self.marks.take();
        session.running.begin(key, &mark);
        let connection = call.connection;
        let task = self.task(session, known, mark, call);
        let charge = Some(self.desk.tally.account().charge(task.size()));
        let refusal = self.work_off(Queued { task, connection, key, charge })?;
        self.answered(session, key);
        Some(refusal)
    }

    fn work_off(&mut self, call: Queued) -> Option<Refusal> {
        let turn = call.connection.number();
        if self.workers.all_wait(turn, &call.task.waiters()) {
            return Some(Refusal::new(RefusalCode::CYCLE, Ran::No, ""));
        }
        let patience = call.task.patience(Instant::now());
        let Full { wait, .. } = self.workers.run_within(patience, turn, Box::new(call)).err()?;
        let refusal = overloaded("too many calls wait for a worker");
        Some(Refusal { retry_after: wait.clamp(COME_BACK, LATEST), ..refusal })
    }

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
    fn queue(&self, session: &mut Session, known: Known, call: Incoming<'_>) {
        let (connection, action) = (call.connection, call.head.name);
        let task = self.task(session, known, Arc::default(), call);
        let lanes = session.lanes.get_or_insert_default();
        let charge = self.desk.tally.account().charge(task.size());
        if let Some(lane) = lanes.push(action, task, Some(charge)) {
            run_lane(&self.workers, &self.remote, connection, lane);
        }
    }
}
