//! Several loops of one server, and one that polls.

use super::*;
use crate::{
    limits::Limits,
    net::{
        far::Far, handover::serve, link::Link, memory_pair, origin::Origin, random_id,
        stream::LoopStream, Dialled,
    },
    proto::{Answer, Closed, Connection, Event, ServedKey, SharedBody},
    wire::{CallHead, CloseCode, Ran, Refusal, RefusalCode},
};
use std::{
    hint,
    io::{IoSlice, Read, Write},
    net::{TcpListener, TcpStream},
    panic::resume_unwind,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    time::Duration,
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

    fn relieve(&mut self) {}

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
    let (loops, told, _) = loops_that_are_called(3, frail, Polling::default());
    (loops, told)
}

type Calls = Receiver<(Arc<Far>, ServedKey)>;

/// So many loops, of which one is as frail, what they tell, and the calls that they get.
fn loops_that_are_called(
    many: usize,
    frail: usize,
    polling: Polling,
) -> (Vec<EventLoop<Frail>>, Receiver<String>, Calls) {
    let (tell, told) = mpsc::channel();
    let (calls, called) = mpsc::channel();
    let config = Config::new(Limits::default(), random_id().unwrap());
    let mut places = 0..;
    let service = |_: &Remote| {
        let place = places.next().unwrap();
        let most = if place == frail { 1 } else { usize::MAX };
        Frail { tell: tell.clone(), calls: calls.clone(), place, connections: 0, most }
    };
    let account = Account::new(1 << 20);
    let loops = EventLoop::several(many, config, &account, polling, Vec::new(), service);
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

/// One loop that polls for so long, and what its service tells.
fn polling(window: Duration) -> (EventLoop<Frail>, Receiver<String>) {
    let (mut loops, told, _) = loops_that_are_called(1, usize::MAX, Polling::always(window));
    (loops.remove(0), told)
}

/// The other end of one of its connections.
struct Caller {
    socket: TcpStream,
    proto: Connection,
    input: Buffer,
    pongs: u64,
    closed: Option<CloseCode>,
}

impl Caller {
    fn of(event_loop: &mut EventLoop<Frail>) -> (Caller, ConnId) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = listener.accept().unwrap().0;
        socket.set_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        accepted.set_nonblocking(true).unwrap();
        let stream = LoopStream::Tcp(mio::net::TcpStream::from_std(accepted));
        let id = event_loop.come_in(stream, Origin::memory()).unwrap();
        let config = Config::new(Limits::default(), random_id().unwrap());
        let proto = Connection::client(config, Instant::now());
        let mut caller = Caller { socket, proto, input: Buffer::new(), pongs: 0, closed: None };
        caller.say();
        eventually(event_loop, || caller.hear().proto.is_open());
        (caller, id)
    }

    fn say(&mut self) {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = self.proto.slices(&mut slices);
        let written = self.socket.write_vectored(&slices[..count]).unwrap();
        self.proto.written(Instant::now(), written);
        assert_eq!(self.proto.output_len(), 0);
    }

    fn hear(&mut self) -> &Caller {
        let Caller { socket, proto, input, pongs, closed } = self;
        let _ = input.fill(|room| {
            let mut bytes = [0; 256];
            let n = socket.read(&mut bytes)?;
            Ok::<_, io::Error>(room.put(&bytes[..n]))
        });
        while let Some(event) = proto.read(Instant::now(), input) {
            match event {
                Event::Pong(_) => *pongs += 1,
                Event::Closed(Closed::ByPeer(close)) => *closed = Some(close.code),
                _ => {}
            }
        }
        self
    }

    /// Asks, and has the loop go round until there is an answer.
    fn ping(&mut self, event_loop: &mut EventLoop<Frail>) {
        let before = self.pongs;
        self.proto.ping(before + 1);
        self.say();
        eventually(event_loop, || self.hear().pongs > before);
    }
}

/// Has a loop go round until that is so.
fn eventually(event_loop: &mut EventLoop<Frail>, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE);
        event_loop.gather();
        event_loop.scatter();
    }
}

#[test]
fn one_that_everything_comes_on_is_looked_at_alone_until_others_have_something() {
    let (mut event_loop, _told) = polling(PATIENCE);
    let (mut one, id) = Caller::of(&mut event_loop);
    let (mut other, _) = Caller::of(&mut event_loop);
    for _ in 0..3 {
        (0..20).for_each(|_| one.ping(&mut event_loop));
        assert_eq!(event_loop.alone.apart(), Some(id));
        let asked = Instant::now();
        other.ping(&mut event_loop);
        assert!(asked.elapsed() < Duration::from_secs(1), "they are looked at all the time");
        assert_eq!(event_loop.alone.apart(), None);
    }
    for _ in 0..20 {
        for caller in [&mut one, &mut other] {
            caller.ping(&mut event_loop);
            assert_eq!(event_loop.alone.apart(), None);
        }
    }
}

#[test]
fn one_that_was_looked_at_alone_is_heard_when_the_loop_sleeps() {
    let (mut event_loop, _told) = polling(Duration::from_millis(50));
    let (mut one, id) = Caller::of(&mut event_loop);
    for _ in 0..3 {
        (0..100).find(|_| {
            one.ping(&mut event_loop);
            event_loop.alone.apart() == Some(id)
        });
        one.ping(&mut event_loop);
        let began = Instant::now();
        while event_loop.alone.is_apart() {
            assert!(began.elapsed() < PATIENCE, "it is never put back");
            event_loop.gather();
            event_loop.scatter();
        }
        assert_eq!(event_loop.polling.until(event_loop.active), None, "it would sleep");
        one.ping(&mut event_loop);
    }
}

#[test]
fn who_looks_gives_way_where_others_need_the_processor() {
    let mut polling = Polling::new(PATIENCE);
    let done = AtomicBool::new(false);
    let (gave_way, took) = thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(8, usize::from);
        for _ in 0..2 * cores {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
        }
        let began = Instant::now();
        let found = polling.look::<()>(began + PATIENCE, || None);
        done.store(true, Ordering::Relaxed);
        (found.is_none(), began.elapsed())
    });
    assert!(gave_way && took < PATIENCE, "{took:?}");
}

#[test]
fn one_that_takes_no_more_is_not_looked_at_alone() {
    let (mut event_loop, _told) = polling(10 * PATIENCE);
    let (mut one, id) = Caller::of(&mut event_loop);
    (0..20).for_each(|_| one.ping(&mut event_loop));
    assert_eq!(event_loop.alone.apart(), Some(id));
    // As after a write that was cut short.
    event_loop.get(id).unwrap().writable = false;
    one.ping(&mut event_loop);
}

#[test]
fn the_end_of_one_that_is_looked_at_alone_is_its_end() {
    let (mut event_loop, told) = polling(PATIENCE);
    let (mut one, id) = Caller::of(&mut event_loop);
    (0..20).for_each(|_| one.ping(&mut event_loop));
    assert_eq!(event_loop.alone.apart(), Some(id));
    drop(one);
    eventually(&mut event_loop, || told.try_recv().is_ok_and(|told| told.contains("closes")));
    assert!(event_loop.connections.is_empty());
}

#[test]
fn one_that_the_poll_does_not_take_back_is_told_why_it_ends() {
    let (mut event_loop, told) = polling(PATIENCE);
    let (mut one, id) = Caller::of(&mut event_loop);
    let (mut other, _) = Caller::of(&mut event_loop);
    (0..20).for_each(|_| one.ping(&mut event_loop));
    assert_eq!(event_loop.alone.apart(), Some(id));
    // The poll refuses what it has already, as it does what it has no room for.
    let EventLoop { connections, poll, .. } = &mut event_loop;
    connections[id.index].stream.register(poll.registry(), Token(id.index)).unwrap();
    other.ping(&mut event_loop);
    assert!(event_loop.get(id).is_none());
    assert_eq!(one.hear().closed, Some(CloseCode::OVERLOADED));
    let lines: Vec<_> = told.try_iter().collect();
    let begins = ["0 says: a connection ends, the system cannot watch it:", "0 closes: ByUs("];
    let tells = |begin: &&str| lines.iter().any(|line| line.starts_with(*begin));
    assert!(begins.iter().all(tells) && lines.len() == 2, "{lines:#?}");
}

#[test]
fn what_other_threads_ask_is_no_part_of_the_calls_that_are_read_next() {
    let (mut loops, _told) = loops(usize::MAX);
    let mut busy = |asks: bool| {
        let asked = asks.then(|| loops[FIRST].remote.send(Command::Room).unwrap());
        // It does not wait for longer than for that.
        loops[FIRST].tidy = Some(Instant::now());
        loops[FIRST].gather();
        let was_busy = loops[FIRST].heard() > loops[FIRST].looked;
        asked.is_some() == was_busy
    };
    assert_eq!([false, true, false].map(&mut busy), [true; 3]);
}

#[test]
fn an_answer_that_a_loop_has_taken_has_not_left() {
    let (mut loops, _told, called) = loops_that_are_called(3, usize::MAX, Polling::default());
    let (pipe, Dialled { stream, address }) = memory_pair();
    loops[FIRST].remote.send(Command::Accept(pipe)).unwrap();
    let config = Config::new(Limits::default(), random_id().unwrap());
    let link = Link::new(stream, address, config, Polling::default(), None);
    link.start(Instant::now(), &CallHead::default(), &SharedBody::default()).unwrap();
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
