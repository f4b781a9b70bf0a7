//! Several loops of one server.

use super::*;
use crate::{
    limits::Limits,
    net::{
        far::Far, handover::serve, link::Link, memory_pair, origin::Origin, random_id,
        stream::LoopStream, Dialled,
    },
    proto::{Answer, NewCall, ServedKey, SharedBody},
    wire::{CallHead, Ran, Refusal, RefusalCode},
};
use std::{
    panic::resume_unwind,
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
};

/// How long a loop may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells what it hears, and answers nothing. A loop panics if it gets more connections than `most`.
struct Frail {
    tell: Sender<String>,
    /// Has the calls that have come.
    calls: Sender<(Arc<Far>, ServedKey)>,
    place: usize,
    connections: usize,
    most: usize,
}

enum NoJob {}

impl Service for Frail {
    type Session = Arc<Far>;
    type Quick = NoJob;
    type Job = NoJob;

    fn opened(&mut self, _: Origin, far: &Arc<Far>) -> Arc<Far> {
        self.connections += 1;
        if self.connections > self.most {
            // Without the hook, which would tell of it.
            resume_unwind(Box::new("one too many"));
        }
        Arc::clone(far)
    }

    fn leaves(&mut self, _: Arc<Far>) -> Origin {
        Origin::memory()
    }

    fn ready(&mut self, _: &mut Arc<Far>) {}

    fn call(
        &mut self,
        far: &mut Arc<Far>,
        call: Incoming<'_>,
        _: &mut VecDeque<NoJob>,
        _: &mut dyn FnMut(ServedKey, Answer),
    ) {
        let _ = self.calls.send((Arc::clone(far), call.key.unwrap()));
    }

    fn is_full(&self, _: &Arc<Far>) -> bool {
        false
    }

    fn held(&self, _: &Arc<Far>) -> usize {
        0
    }

    fn is_idle(&self, _: &Arc<Far>) -> bool {
        true
    }

    fn is_quick(&self, call: &NoJob) -> bool {
        match *call {}
    }

    fn begin(&mut self, _: &mut Arc<Far>, call: NoJob, _: Option<NoJob>) -> NoJob {
        match call {}
    }

    fn ended(&mut self, _: Option<&mut Arc<Far>>, _: Reply) {}

    fn rest(&mut self, _: Option<NoJob>) {}

    fn begun(&self) -> Option<ConnId> {
        None
    }

    fn left_behind(&mut self, _: &mut Arc<Far>) {}

    fn run_elsewhere(&mut self, _: &mut Arc<Far>, call: NoJob) -> Option<Done> {
        match call {}
    }

    fn hold(&mut self, call: &mut NoJob) {
        match *call {}
    }

    fn forget(&mut self, call: NoJob) {
        match call {}
    }

    fn refuse(&mut self, call: NoJob) -> Done {
        match call {}
    }

    fn settle(&mut self) {}

    fn cancelled(&mut self, _: &mut Arc<Far>, _: ServedKey) {}

    fn cancelled_all(&mut self, _: &mut Arc<Far>) {}

    fn give_up(&mut self) {}

    fn stopping(&self) -> Refusal {
        Refusal::new(RefusalCode::DRAINING, Ran::No, "")
    }

    fn answered(&mut self, _: &mut Arc<Far>, _: ServedKey) {}

    fn closed(&mut self, _: Arc<Far>, why: &Closed) {
        let _ = self.tell.send(format!("{} closes: {why:?}", self.place));
    }

    fn draining(&mut self) {
        let _ = self.tell.send(format!("{} drains", self.place));
    }

    fn log(&mut self, what: &str) {
        let _ = self.tell.send(format!("{} says: {what}", self.place));
    }
}

impl Quick for NoJob {
    fn connection(&self) -> ConnId {
        match *self {}
    }
}

impl Job for NoJob {
    fn run(&mut self, _: Instant) -> bool {
        match *self {}
    }

    fn key(&self) -> (ConnId, ServedKey) {
        match *self {}
    }

    fn take_answer(&mut self) -> Option<Answer> {
        match *self {}
    }

    fn done_late(self) -> Done {
        match self {}
    }

    fn pace(&self) -> Arc<dyn Pace> {
        match *self {}
    }

    fn is_of(&self, _: &Arc<dyn Pace>) -> bool {
        match *self {}
    }
}

/// Three loops, of which this one panics with its second connection, and what they tell.
fn loops(frail: usize) -> (Vec<EventLoop<Frail>>, Receiver<String>) {
    let (loops, told, _) = loops_that_are_called(frail);
    (loops, told)
}

type Calls = Receiver<(Arc<Far>, ServedKey)>;

/// The same, and the calls that they get.
fn loops_that_are_called(frail: usize) -> (Vec<EventLoop<Frail>>, Receiver<String>, Calls) {
    let (tell, told) = mpsc::channel();
    let (calls, called) = mpsc::channel();
    let config = Config::new(Limits::default(), random_id().unwrap());
    let mut places = 0..;
    let service = |_: &Remote| {
        let place = places.next().unwrap();
        let most = if place == frail { 1 } else { usize::MAX };
        Frail { tell: tell.clone(), calls: calls.clone(), place, connections: 0, most }
    };
    let (account, polling) = (Account::new(1 << 20), Polling::default());
    let loops = EventLoop::several(3, config, &account, polling, Vec::new(), service);
    (loops.unwrap(), told, called)
}

#[test]
fn a_loop_that_panics_ends_the_others_in_good_order() {
    for frail in 0..3 {
        let (loops, told) = loops(frail);
        let first = loops[FIRST].remote().clone();
        let serving = thread::spawn(|| serve(loops));
        // One for each loop, and the second of the one that panics.
        let callers: Vec<_> = (0..=3 + frail)
            .map(|_| {
                let (pipe, caller) = memory_pair();
                first.send(Command::Accept(pipe)).map(|()| caller)
            })
            .collect();
        let mut lines = Vec::new();
        // Each loop has a way to tell, and the last one ends with it.
        while let Ok(line) = told.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected), "all have ended: {lines:#?}");
        serving.join().unwrap();
        drop(callers);
        let tells = |begins: &str| lines.iter().any(|line| line.starts_with(begins));
        let says = format!("{frail} says: an event loop has panicked: the server ends");
        assert!(tells(&says), "{lines:#?}");
        for other in (0..3).filter(|place| *place != frail) {
            assert!(tells(&format!("{other} drains")), "{lines:#?}");
            assert!(tells(&format!("{other} closes: ByUs")), "{lines:#?}");
        }
    }
}

#[test]
fn a_loop_that_closes_a_connection_tells_the_first_one_if_that_waits_for_room() {
    let (mut loops, _told) = loops(usize::MAX);
    let mut told = |starved| {
        let (pipe, _caller) = memory_pair();
        let newcomer = loops[FIRST].newcomer(LoopStream::Pipe(pipe), Origin::memory()).unwrap();
        loops[1].go_on_with(newcomer);
        if starved {
            loops[FIRST].loops.note_no_room();
        }
        let id = loops[1].all()[0];
        loops[1].drop_connection(id);
        let mut commands = Vec::new();
        loops[FIRST].remote.take(&mut commands);
        commands.iter().filter(|command| matches!(command, Command::Room)).count()
    };
    assert_eq!([false, true, false].map(&mut told), [0, 1, 0]);
}

#[test]
fn an_answer_that_a_loop_has_taken_has_not_left() {
    let (mut loops, _told, called) = loops_that_are_called(usize::MAX);
    let (pipe, Dialled { stream, address }) = memory_pair();
    loops[FIRST].remote.send(Command::Accept(pipe)).unwrap();
    let config = Config::new(Limits::default(), random_id().unwrap());
    let link = Link::new(stream, address, config, Polling::default(), None);
    let call = NewCall { head: CallHead::default(), body: SharedBody::new(Vec::new()) };
    link.start(Instant::now(), call).unwrap();
    loops[FIRST].gather();
    loops[FIRST].scatter();
    let (far, key) = called.try_recv().unwrap();
    let hard = Limits::default().output_hard;
    let mut has_room = |then: fn(&mut EventLoop<Frail>)| {
        then(&mut loops[FIRST]);
        far.has_room(hard)
    };
    assert!(has_room(|_| ()));
    far.answer(key, Answer::Value(SharedBody::new(vec![0; 100])));
    // It waits, it has been taken, and it has been written.
    let steps: [fn(&mut EventLoop<Frail>); 3] =
        [|_| (), EventLoop::take_commands, EventLoop::scatter];
    assert_eq!(steps.map(&mut has_room), [false, false, true]);
}
