//! Answers that wait until the other side has read what is before them.

use crate::{
    net::{
        event_loop::ConnId,
        far::Far,
        remote::{Command, Remote},
    },
    pair::{call, served_key},
    proto::{Answer, SharedBody, WAITER},
    wire::{CallHead, ConnectionToken},
};
use isock_models::{
    mio::Waker,
    model,
    std::{
        sync::Arc,
        thread::{self, JoinHandle},
        time::{pass, until, Duration},
    },
};

/// Longer than an answer waits while nothing is read.
const UNREAD: Duration = Duration::from_millis(250);

/// As much as may wait before calls are turned away.
const QUEUE: usize = 8 << 20;

/// A connection where no answer has room behind another one, and its loop.
struct Loop {
    far: Arc<Far>,
    remote: Remote,
    waker: Waker,
    /// Lengths of values, or that there was a refusal, in the order in which they came.
    came: Vec<Option<usize>>,
    unsaid: usize,
    /// The connection is about to close: nothing is added to its output.
    sealed: bool,
}

impl Loop {
    fn new() -> Loop {
        let waker = Waker::default();
        let remote = Remote::new(waker.clone());
        let far = Arc::new(Far::new(ConnId(1), ConnectionToken([1; 16]), remote.clone(), 1));
        Loop { far, remote, waker, came: Vec::new(), unsaid: 0, sealed: false }
    }

    /// A thread that answers, in so many bytes.
    fn answers(&self, len: usize) -> JoinHandle<()> {
        let (far, key) = (Arc::clone(&self.far), served_key());
        let answer = Answer::Value(SharedBody::new(vec![0; len]));
        thread::spawn(move || far.answer(key, answer))
    }

    /// Takes what there is, as a loop does, and writes as much of it as the other side reads.
    fn turn(&mut self, reads: usize) {
        self.waker.poll();
        let mut commands = Vec::new();
        self.remote.take(&mut commands);
        commands.into_iter().for_each(|command| self.take(command));
        self.read(reads);
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Answer { answer, room, .. } => {
                self.unsaid += if self.sealed { 0 } else { answer.len() };
                self.came.push(matches!(answer, Answer::Value(_)).then_some(answer.len()));
                self.far.carries(room, self.unsaid);
            }
            Command::Call { call, .. } => self.far.carries_call(call.body.len(), self.unsaid),
            Command::Send { call, .. } => self.far.carries_send(call.body.len(), self.unsaid),
            other => panic!("{other:?}"),
        }
    }

    /// The other side reads so much.
    fn read(&mut self, most: usize) {
        self.unsaid -= self.unsaid.min(most);
        self.far.note_unsaid(self.unsaid);
    }
}

/// Two answers come while the loop takes what there is and the other side reads all at once: the
/// second one leaves without a wait that only its time would end.
#[test]
fn an_answer_that_waits_for_room_leaves_as_soon_as_there_is_some() {
    model(3, || {
        let mut looping = Loop::new();
        let answers = [2, 3].map(|len| looping.answers(len));
        while looping.came.len() < 2 {
            looping.turn(usize::MAX);
        }
        answers.into_iter().for_each(|answer| answer.join().unwrap());
        looping.came.sort_unstable();
        assert_eq!(looping.came, [Some(2), Some(3)]);
        assert_eq!(looping.far.waiting(), 0);
    });
}

/// The same where the connection drops what it is given, since it is about to close: what was dropped
/// makes room too.
#[test]
fn an_answer_does_not_wait_for_one_that_is_dropped() {
    model(3, || {
        let mut looping = Loop { sealed: true, ..Loop::new() };
        let answers = [2, 3].map(|len| looping.answers(len));
        while looping.came.len() < 2 {
            looping.turn(0);
        }
        answers.into_iter().for_each(|answer| answer.join().unwrap());
        assert_eq!((looping.unsaid, looping.far.waiting()), (0, 0));
    });
}

/// A call that is turned away takes up room for a moment: an answer that saw that goes on.
#[test]
fn an_answer_does_not_wait_for_a_call_that_is_turned_away() {
    model(2, || {
        let mut looping = Loop::new();
        looping.far.set_attended(true);
        looping.answers(QUEUE + 1).join().unwrap();
        let far = Arc::clone(&looping.far);
        let call = thread::spawn(move || drop(far.start(call(CallHead::default()))));
        let answer = looping.answers(3);
        while looping.came.len() < 2 {
            looping.turn(usize::MAX);
        }
        answer.join().unwrap();
        call.join().unwrap();
    });
}

/// The other side reads nothing, and then the connection ends or time passes: an answer that waits
/// goes on in either case, as a refusal if nobody ever made room.
#[test]
fn an_answer_that_waits_for_room_in_vain_goes_on() {
    for ends in [true, false] {
        model(5, move || {
            let mut looping = Loop::new();
            looping.answers(2).join().unwrap();
            looping.turn(1);
            let answer = looping.answers(3);
            match ends {
                true => looping.far.leave(),
                false => pass(UNREAD),
            }
            let far = Arc::clone(&looping.far);
            let time = thread::spawn(move || until(UNREAD, || far.is_gone() || far.waiting() > 0));
            answer.join().unwrap();
            time.join().unwrap();
            looping.turn(0);
            assert!(looping.came == [Some(2), None] || ends && looping.came == [Some(2), Some(3)]);
        });
    }
}

/// What waits for a loop that is held up counts as what it holds: a call with who waits for its answer.
#[test]
fn a_call_takes_more_room_than_a_send_until_the_loop_has_it() {
    model(1, || {
        let mut looping = Loop::new();
        looping.far.set_attended(true);
        looping.far.send(&call(CallHead::default())).unwrap();
        let send = looping.far.waiting();
        looping.far.start(call(CallHead::default())).unwrap();
        assert!(looping.far.waiting() >= 2 * send + WAITER);
        looping.turn(0);
        assert_eq!(looping.far.waiting(), 0);
    });
}
