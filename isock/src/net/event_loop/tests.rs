//! Several loops of one server.

use super::*;
use crate::{
    limits::Limits,
    net::{far::Far, handover::serve, memory_pair, origin::Origin, random_id, stream::LoopStream},
    proto::{Answer, ServedKey},
    wire::{Ran, Refusal, RefusalCode},
};
use std::{
    panic::resume_unwind,
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
};

/// How long a loop may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells what it hears, and serves nothing. A loop panics if it gets more connections than `most`.
struct Frail {
    tell: Sender<String>,
    place: usize,
    connections: usize,
    most: usize,
}

enum NoJob {}

impl Service for Frail {
    type Session = ();
    type Quick = NoJob;
    type Job = NoJob;

    fn opened(&mut self, _: Origin, _: &Arc<Far>) {
        self.connections += 1;
        if self.connections > self.most {
            // Without the hook, which would tell of it.
            resume_unwind(Box::new("one too many"));
        }
    }

    fn leaves(&mut self, (): ()) -> Origin {
        Origin::memory()
    }

    fn ready(&mut self, (): &mut ()) {}

    fn call(
        &mut self,
        (): &mut (),
        _: Incoming<'_>,
        _: &mut VecDeque<NoJob>,
        _: &mut dyn FnMut(ServedKey, Answer),
    ) {
    }

    fn is_full(&self, (): &()) -> bool {
        false
    }

    fn held(&self, (): &()) -> usize {
        0
    }

    fn is_idle(&self, (): &()) -> bool {
        true
    }

    fn is_quick(&self, call: &NoJob) -> bool {
        match *call {}
    }

    fn begin(&mut self, (): &mut (), call: NoJob, _: Option<NoJob>) -> NoJob {
        match call {}
    }

    fn ended(&mut self, _: Option<&mut ()>, _: Reply) {}

    fn rest(&mut self, _: Option<NoJob>) {}

    fn begun(&self) -> Option<ConnId> {
        None
    }

    fn left_behind(&mut self, (): &mut ()) {}

    fn run_elsewhere(&mut self, (): &mut (), call: NoJob) -> Option<Done> {
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

    fn cancelled(&mut self, (): &mut (), _: ServedKey) {}

    fn cancelled_all(&mut self, (): &mut ()) {}

    fn give_up(&mut self) {}

    fn stopping(&self) -> Refusal {
        Refusal::new(RefusalCode::DRAINING, Ran::No, "")
    }

    fn answered(&mut self, (): &mut (), _: ServedKey) {}

    fn closed(&mut self, (): (), why: &Closed) {
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
    let (tell, told) = mpsc::channel();
    let config = Config::new(Limits::default(), random_id().unwrap());
    let mut places = 0..;
    let service = |_: &Remote| {
        let place = places.next().unwrap();
        let most = if place == frail { 1 } else { usize::MAX };
        Frail { tell: tell.clone(), place, connections: 0, most }
    };
    let (account, polling) = (Account::new(1 << 20), Polling::default());
    (EventLoop::several(3, config, &account, polling, Vec::new(), service).unwrap(), told)
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
