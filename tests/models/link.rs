//! Callers that share a connection, one of whom reads for all.

use crate::{
    address::Address,
    limits::Limits,
    net::{
        bell::Bell,
        flow::{Conduit, Driver, Flow, Received},
        link::{Link, Refused, Started},
        pending::Ended,
        polling::Polling,
        stream::{CallerStream, PATIENCE},
        watch::{watch, Purpose, Watched},
    },
    pair::Unpark,
    proto::{Closed, Config, NewCall, SharedBody},
    wire::{name_hash, CallHead, Credit, InstanceId},
};
use isock_models::{
    model,
    std::{
        sync::{
            atomic::{AtomicBool, Ordering},
            Arc,
        },
        thread,
        time::{pass, until, until_at_rest, Duration, Instant},
    },
};

/// A connection whose other end echoes each call: at once, or when it is told to.
pub(crate) fn connected(holds: bool) -> (Arc<Link>, CallerStream) {
    let away = CallerStream::echo(holds);
    let config = Config::new(Limits::default(), InstanceId([1; 16]));
    let link = Link::new(away.clone(), Address, config, Polling::default(), None);
    link.handshake(late()).unwrap();
    (link, away)
}

pub(crate) fn late() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(crate) fn new_call(input: u8) -> NewCall {
    let head = CallHead { name: name_hash("model"), ..CallHead::default() };
    NewCall { head, body: SharedBody::new(vec![input]) }
}

/// Starts a call.
pub(crate) fn start(link: &Arc<Link>, input: u8) -> Result<Started, Refused> {
    let NewCall { head, body } = new_call(input);
    link.start(Instant::now(), &head, &body)
}

/// Calls, and waits for the answer.
fn call(link: &Arc<Link>, input: u8) {
    let started = start(link, input).unwrap();
    let ended = link.wait(started.call, late()).unwrap();
    assert!(matches!(ended, Some(Ended::Small(value)) if *value == [input]));
}

/// Two callers: whichever reads, each has its own answer.
#[test]
fn each_of_two_callers_has_its_own_answer() {
    model(2, || {
        let (link, away) = connected(false);
        let other = Arc::clone(&link);
        let caller = thread::spawn(move || call(&other, 1));
        call(&link, 2);
        caller.join().unwrap();
        assert_eq!(away.seen().len(), 2);
    });
}

/// Three callers whose answers come later: whoever leaves hands the role on.
#[test]
fn the_role_is_handed_on_while_anybody_waits() {
    model(1, || {
        let (link, away) = connected(true);
        let callers = [1, 2].map(|input| {
            let link = Arc::clone(&link);
            thread::spawn(move || call(&link, input))
        });
        let server = thread::spawn(move || [3, 1, 2].map(|input| away.answer(&[input])));
        call(&link, 3);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        server.join().unwrap();
    });
}

/// Who is to read next gives up at that moment: it has the role all the same, and hands it on.
#[test]
fn a_next_reader_that_gives_up_hands_the_role_on() {
    model(1, || {
        let (link, away) = connected(true);
        let (first, impatient) = (Arc::clone(&link), Arc::clone(&link));
        let first = thread::spawn(move || call(&first, 1));
        let has_left = Arc::new(AtomicBool::new(false));
        let leaves = Arc::clone(&has_left);
        let soon = Instant::now() + Duration::from_millis(5);
        let impatient = thread::spawn(move || {
            let started = start(&impatient, 2).unwrap();
            assert!(impatient.wait(started.call, soon).unwrap().is_none());
            leaves.store(true, Ordering::SeqCst);
        });
        let server = thread::spawn(move || {
            pass(Duration::from_millis(5));
            away.answer(&[1]);
            away.answer(&[3]);
        });
        call(&link, 3);
        [first, server].into_iter().for_each(|thread| thread.join().unwrap());
        // It may have begun to read just before its time was over.
        until(PATIENCE, || has_left.load(Ordering::SeqCst));
        impatient.join().unwrap();
    });
}

/// The connection ends while callers wait and another one comes: each hears of it.
#[test]
fn each_caller_hears_of_the_end() {
    model(2, || {
        let (link, away) = connected(true);
        let callers = [1, 2].map(|input| {
            let link = Arc::clone(&link);
            thread::spawn(move || {
                let Ok(started) = start(&link, input) else { return };
                let ended = link.wait(started.call, late()).unwrap();
                assert!(matches!(ended, Some(Ended::Lost(_, Closed::Eof))), "{ended:?}");
            })
        });
        away.end();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert!(!link.is_usable());
    });
}

/// A call is given up while its answer is being read: whichever comes first, nothing is left of it, and
/// the next call has its own answer.
#[test]
fn a_call_that_is_given_up_leaves_nothing_to_the_next() {
    model(3, || {
        let (link, away) = connected(true);
        let started = start(&link, 1).unwrap();
        link.uncork();
        let (other, server) = (Arc::clone(&link), away.clone());
        let reader = thread::spawn(move || {
            server.answer(&[1]);
            other.glance();
        });
        link.cancel(started.call);
        let next = start(&link, 2).unwrap();
        reader.join().unwrap();
        link.uncork();
        away.answer(&[2]);
        assert!(link.take(started.call).is_none());
        let ended = link.wait(next.call, late()).unwrap();
        assert!(matches!(ended, Some(Ended::Small(value)) if *value == [2]));
    });
}

/// A thread sends on a stream and waits for credit, another one calls: whichever reads, both go on.
#[test]
fn a_stream_goes_on_while_another_caller_reads() {
    model(2, || {
        let (link, away) = connected(false);
        let flow = Flow::of_call();
        let credit = Credit { bytes: 1000, items: 1 };
        let head = CallHead { items: true, credit, ..new_call(9).head };
        link.open(NewCall { head, ..new_call(9) }, &flow).unwrap();
        let conduit = Conduit::new(Driver::Near(Arc::clone(&link)), flow);
        let caller = thread::spawn(move || call(&link, 1));
        for item in [1, 2] {
            conduit.send(&[item], late).unwrap();
        }
        conduit.finish();
        assert!(matches!(conduit.receive(late()), Some(Received::End)));
        let ended = conduit.take_end();
        assert!(matches!(ended, Some(Ended::Small(value)) if *value == [1, 2]));
        caller.join().unwrap();
        assert_eq!(away.items(), [1, 2]);
        until_at_rest();
    });
}

/// A future has nobody who reads for it but the watcher, which stands back while a caller reads.
#[test]
fn a_future_is_woken_although_callers_come_and_go() {
    model(2, || {
        let (link, away) = connected(true);
        let bell = Arc::<Bell>::default();
        let over = Arc::new(AtomicBool::new(false));
        let watcher = thread::spawn({
            let (link, bell, over) = (Arc::clone(&link), Arc::clone(&bell), Arc::clone(&over));
            move || {
                let watched = [Watched { link, purpose: Purpose::Futures }];
                while !over.load(Ordering::SeqCst) {
                    watch(&bell, &watched, None);
                }
            }
        });
        let started = start(&link, 1).unwrap();
        link.uncork();
        let future = Arc::clone(&link);
        let caller = thread::spawn(move || {
            let server = away.clone();
            let started = start(&link, 2).unwrap();
            link.uncork();
            server.answer(&[2]);
            assert!(link.wait(started.call, late()).unwrap().is_some());
            away.answer(&[1]);
        });
        while future.wake_with(started.call, &Unpark::here()) {
            thread::park();
        }
        caller.join().unwrap();
        over.store(true, Ordering::SeqCst);
        bell.ring();
        watcher.join().unwrap();
    });
}

/// Calls that stay behind leave within a moment although nobody waits for them, also when the
/// thread that sees to it has just gone to rest.
#[test]
fn what_stays_behind_is_sent_although_nobody_waits() {
    model(2, || {
        let (link, away) = connected(true);
        let start = |input| {
            let started = start(&link, input).unwrap();
            if started.corked {
                link.watch_cork();
            }
        };
        start(1);
        start(2);
        let time = thread::spawn(|| (0..TICKS).for_each(|_| pass(TICK)));
        start(3);
        time.join().unwrap();
        until(TICK, || away.seen().len() == 3);
        // It ends, and another one comes when there is work again.
        until_at_rest();
        start(4);
        start(5);
        until(TICK, || away.seen().len() == 5);
        until_at_rest();
    });
}

/// A thread that has left a call behind on one connection waits on another one: the call leaves first.
#[test]
fn what_stays_behind_elsewhere_leaves_before_a_wait() {
    model(2, || {
        let (elsewhere, its_server) = connected(true);
        let (link, away) = connected(true);
        let _behind = [1, 2].map(|input| start(&elsewhere, input).unwrap());
        let server = thread::spawn(move || {
            its_server.answer(&[2]);
            away.answer(&[3]);
        });
        call(&link, 3);
        server.join().unwrap();
    });
}

const TICK: Duration = Duration::from_millis(1);
/// So many looks that find nothing, and a connection is left alone.
const TICKS: u32 = 21;
