//! Handlers that answer later.

use super::{connect, spawn};
use isock::{
    Bytes, CallError, Limits, ProblemKind, Ran, RespondError, Responder, Server, ServerBuilder,
};
use isock_tests::{
    actions::{Blob, Echo, Hold},
    gate::Gate,
    raw::{self, Raw},
    waiting::{eventually, ms, pass, poll_once},
};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc, Arc, Mutex,
    },
    thread,
    time::Instant,
};

type Held = mpsc::Receiver<(u32, Responder<Hold>)>;

/// Hands the responders of [`Hold`] to the test.
fn deferring() -> (ServerBuilder, Held) {
    let (hand, held) = mpsc::channel();
    let server = Server::builder().on::<Echo>(|text, _| Ok(text));
    (server.on_deferred::<Hold>(move |number, cx| Ok(hand.send((number, cx.defer()))?)), held)
}

fn kind<E: std::fmt::Debug>(error: &CallError<E>) -> Option<ProblemKind> {
    error.problem().map(isock::Problem::kind)
}

#[test]
fn calls_that_are_answered_later_keep_no_thread() {
    let (builder, held) = deferring();
    let server = spawn(builder.workers(1));
    let client = connect(&server);
    let calls: Vec<_> = (0..300).map(|number| client.start::<Hold>(number)).collect();
    let mut responders: Vec<_> = held.iter().take(300).collect();
    assert_eq!(client.run::<Echo>("meanwhile").unwrap(), "meanwhile");
    responders.reverse();
    for (number, responder) in responders {
        assert!(!responder.cancelled() && responder.remaining() > ms(1000));
        responder.respond(Ok(number + 1)).unwrap();
    }
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.wait().unwrap() as usize, number + 1);
    }
}

/// Those that have been quick run where they are read.
#[test]
fn quick_handlers_may_defer_too() {
    let (builder, held) = deferring();
    let server = spawn(builder);
    let client = connect(&server);
    thread::scope(|scope| {
        scope.spawn(move || {
            held.iter().take(400).for_each(|(n, later)| later.respond(Ok(n)).unwrap());
        });
        (0..400).for_each(|n| assert_eq!(client.run::<Hold>(n).unwrap(), n));
    });
}

/// Also where the handlers have run one after the other where they were read.
#[test]
fn a_cancel_is_that_of_one_responder_alone() {
    let (builder, held) = deferring();
    let server = spawn(builder);
    let client = connect(&server);
    for number in 0..100 {
        let call = client.start::<Hold>(number);
        held.recv().unwrap().1.respond(Ok(number)).unwrap();
        assert_eq!(call.wait().unwrap(), number);
    }
    let [first, second] = [1, 2].map(|number| client.start::<Hold>(number));
    client.run::<Echo>("both have been read").unwrap();
    let [one, other] = [0; 2].map(|_| held.recv().unwrap());
    let (gone, stays) = if one.0 == 1 { (one.1, other.1) } else { (other.1, one.1) };
    first.cancel();
    eventually("it is cancelled", ms(5000), || gone.cancelled());
    assert!(!stays.cancelled());
    stays.respond(Ok(7)).unwrap();
    assert_eq!(second.wait().unwrap(), 7);
}

#[test]
fn a_responder_that_is_dropped_is_told() {
    let (told, log) = mpsc::channel();
    let (builder, held) = deferring();
    let server = spawn(builder.log(move |line| drop(told.send(line.to_owned()))));
    let client = connect(&server);
    let call = client.start::<Hold>(1);
    drop(held.recv().unwrap());
    let error = call.wait().unwrap_err();
    assert_eq!((kind(&error), error.ran()), (Some(ProblemKind::Unanswered), Ran::Yes));
    assert!(error.to_string().contains("dropped its responder"), "{error}");
    let line = log.recv().unwrap();
    assert!(line.starts_with("`Hold` called from ") && line.contains("responder"), "{line}");
}

/// It is what whoever would have answered should do then.
#[test]
fn a_responder_that_nobody_waits_for_is_dropped_without_a_word() {
    let (told, log) = mpsc::channel();
    let (builder, held) = deferring();
    let server = spawn(builder.log(move |line| drop(told.send(line.to_owned()))));
    let client = connect(&server);
    client.send::<Hold>(1).unwrap();
    drop(held.recv().unwrap());
    let call = client.start::<Hold>(2);
    let (_, responder) = held.recv().unwrap();
    drop(call);
    eventually("it is cancelled", ms(5000), || responder.cancelled());
    drop(responder);
    assert_eq!(client.run::<Echo>("after it").unwrap(), "after it");
    server.stop();
    assert_eq!(log.try_iter().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_handler_that_neither_defers_nor_fails_leaves_no_answer() {
    let server = spawn(Server::builder().log(|_| ()).on_deferred::<Hold>(|_, _| Ok(())));
    let error = connect(&server).run::<Hold>(1).unwrap_err();
    assert_eq!((kind(&error), error.ran()), (Some(ProblemKind::Unanswered), Ran::Yes));
}

#[test]
fn the_first_answer_counts() {
    let (told, heard) = mpsc::channel();
    let server = spawn(Server::builder().log(|_| ()).on_deferred::<Hold>(move |way, cx| {
        let (first, second) = (cx.defer(), cx.defer());
        match way {
            0 => Err(isock::Failure::new("returned")),
            1 => {
                told.send(first.respond(Ok(7)))?;
                Err(isock::Failure::new("too late"))
            }
            2 => panic!("by intention"),
            3 => {
                told.send(first.respond(Ok(8)))?;
                panic!("too late, by intention")
            }
            _ => {
                told.send(first.respond(Err(isock::Failure::new("an error"))))?;
                Ok(told.send(second.respond(Ok(9)))?)
            }
        }
    }));
    let client = connect(&server);
    let text = |way| match client.run::<Hold>(way).unwrap_err() {
        CallError::Action(failure) => failure.to_string(),
        problem => format!("{:?}", kind(&problem)),
    };
    // After each call: its handler tells when its answer may have arrived already.
    let results = |count| heard.iter().take(count).collect::<Vec<_>>();
    assert_eq!(text(0), "returned");
    assert_eq!(client.run::<Hold>(1).unwrap(), 7);
    assert_eq!(results(1), [Ok(())]);
    assert_eq!(text(2), "Some(Panicked)");
    assert_eq!(client.run::<Hold>(3).unwrap(), 8);
    assert_eq!(results(1), [Ok(())]);
    assert_eq!(text(4), "an error");
    assert_eq!(results(2), [Ok(()), Err(RespondError::Answered)]);
}

#[test]
fn an_answer_that_cannot_travel_is_told_to_both_sides() {
    let (hand, held) = mpsc::channel::<Responder<Blob>>();
    let server = spawn(
        Server::builder()
            .log(|_| ())
            .limits(Limits::default().message(100_000))
            .on_deferred::<Blob>(move |_, cx| Ok(hand.send(cx.defer())?)),
    );
    let client = connect(&server);
    let call = client.start::<Blob>(Bytes::default());
    let told = held.recv().unwrap().respond(Ok(Bytes::from(vec![0; 100_001])));
    assert!(matches!(told, Err(RespondError::Unsendable(_))), "{told:?}");
    let error = call.wait().unwrap_err();
    assert_eq!((kind(&error), error.ran()), (Some(ProblemKind::OutputTooLarge), Ran::Yes));
}

#[test]
fn a_responder_whose_caller_has_gone_says_so() {
    let (builder, held) = deferring();
    let server = spawn(builder);
    let client = connect(&server);
    let call = client.start::<Hold>(1);
    let (_, responder) = held.recv().unwrap();
    let (tell, told) = mpsc::channel();
    responder.on_cancel(move || tell.send(()).unwrap());
    client.close();
    told.recv().unwrap();
    assert!(responder.cancelled() && responder.remaining().is_zero());
    assert!(call.wait().is_err());
    assert_eq!(responder.respond(Ok(1)), Err(RespondError::Gone));
}

#[test]
fn a_cancel_reaches_the_responder_and_the_slot_is_kept_until_it_answers() {
    let (builder, held) = deferring();
    let server = spawn(builder.limits(Limits::default().in_flight(16)));
    let client = connect(&server);
    let calls: Vec<_> = (0..16).map(|n| client.start::<Hold>(n)).collect();
    let mut responders: Vec<_> = held.iter().take(16).map(|(_, responder)| responder).collect();
    calls.into_iter().for_each(drop);
    eventually("they are cancelled", ms(5000), || responders.iter().all(|r| r.cancelled()));
    let mut next = client.start::<Hold>(16);
    assert!(poll_once(&mut next).is_pending());
    pass(ms(50));
    assert!(held.try_recv().is_err(), "a seventeenth call has a slot");
    responders.pop().unwrap().respond(Ok(0)).unwrap();
    assert_eq!(held.recv().unwrap().0, 16);
}

#[test]
fn a_deadline_reaches_the_responder() {
    let (builder, held) = deferring();
    let server = spawn(builder);
    let client = connect(&server);
    let call = client.request::<Hold>(1).timeout(ms(50)).start();
    let (_, responder) = held.recv().unwrap();
    let (tell, told) = mpsc::channel();
    responder.on_cancel(move || tell.send(()).unwrap());
    told.recv().unwrap();
    let error = call.wait().unwrap_err();
    assert_eq!((kind(&error), error.ran()), (Some(ProblemKind::Deadline), Ran::Unknown));
    assert_eq!(responder.respond(Ok(1)), Ok(()), "its caller is still there, and drops it");
}

#[test]
fn what_a_call_costs_is_counted_until_it_is_answered() {
    let (hand, held) = mpsc::channel::<(Bytes, Responder<Blob>)>();
    let server =
        spawn(Server::builder().on_deferred::<Blob>(move |b, cx| Ok(hand.send((b, cx.defer()))?)));
    let client = connect(&server);
    let call = client.start::<Blob>(Bytes::from(vec![7; 100_000]));
    let (bytes, responder) = held.recv().unwrap();
    eventually("all but the input is given back", ms(5000), || server.held_bytes() < 200_000);
    pass(ms(20));
    assert!(server.held_bytes() >= 100_000, "{} bytes", server.held_bytes());
    responder.respond(Ok(bytes)).unwrap();
    assert_eq!(call.wait().unwrap().len(), 100_000);
    eventually("it is given back", ms(5000), || server.held_bytes() == 0);
}

#[test]
fn a_server_that_stops_waits_for_answers_that_come_later() {
    let (builder, held) = deferring();
    let server = spawn(builder);
    let client = connect(&server);
    let call = client.start::<Hold>(1);
    let (_, responder) = held.recv().unwrap();
    thread::scope(|scope| {
        let stopping = scope.spawn(move || server.stop());
        eventually("it is told", ms(5000), || responder.stopping());
        assert!(!responder.cancelled() && !stopping.is_finished());
        responder.respond(Ok(5)).unwrap();
        assert_eq!(call.wait().unwrap(), 5);
        stopping.join().unwrap();
    });
}

#[test]
fn a_drain_is_bounded_although_an_answer_never_comes() {
    let (builder, held) = deferring();
    let server = spawn(builder);
    let client = connect(&server);
    let call = client.start::<Hold>(1);
    let (_, responder) = held.recv().unwrap();
    server.drain(ms(50));
    assert!(responder.stopping() && responder.cancelled());
    assert_eq!(responder.respond(Ok(1)), Err(RespondError::Gone));
    assert_eq!(call.wait().unwrap_err().ran(), Ran::Unknown);
}

#[test]
fn another_handler_or_a_hook_may_answer() {
    let kept = Arc::new(Mutex::new(None::<Responder<Hold>>));
    let (keeps, gives) = (Arc::clone(&kept), Arc::clone(&kept));
    let server = spawn(
        Server::builder()
            .on_deferred::<Hold>(move |_, cx| {
                *keeps.lock().unwrap() = Some(cx.defer());
                Ok(())
            })
            .on::<Echo>(move |text, _| {
                let responder = gives.lock().unwrap().take();
                responder.into_iter().try_for_each(|later| later.respond(Ok(3)))?;
                Ok(text)
            }),
    );
    let client = connect(&server);
    // Often enough that both run on the loop.
    for _ in 0..100 {
        let call = client.start::<Hold>(1);
        eventually("it has come", ms(5000), || kept.lock().unwrap().is_some());
        client.run::<Echo>("answer it").unwrap();
        assert_eq!(call.wait().unwrap(), 3);
    }
    let call = client.request::<Hold>(1).timeout(ms(100)).start();
    eventually("it has come", ms(5000), || kept.lock().unwrap().is_some());
    let (tell, told) = mpsc::channel();
    let (hooked, taken) = (Arc::clone(&kept), Arc::clone(&kept));
    kept.lock().unwrap().as_ref().unwrap().on_cancel(move || {
        let responder = hooked.lock().unwrap().take();
        tell.send(responder.map(|later| later.respond(Ok(4)))).unwrap();
    });
    assert_eq!(told.recv().unwrap(), Some(Ok(())));
    assert!(taken.lock().unwrap().is_none());
    drop(call);
    assert_eq!(client.run::<Echo>("after it").unwrap(), "after it");
}

/// The thread of a hook may be the one that would make room for an answer.
#[test]
fn answers_in_a_hook_do_not_wait_for_a_peer_that_does_not_read() {
    const CALLS: u16 = 40;
    let kept = Arc::new(Mutex::new(Vec::<Responder<Blob>>::new()));
    let (keeps, gives, (tell, told)) = (Arc::clone(&kept), Arc::clone(&kept), mpsc::channel());
    let server =
        Server::builder().on::<Echo>(|text, _| Ok(text)).on_deferred::<Blob>(move |_, cx| {
            keeps.lock().unwrap().push(cx.defer());
            Ok(())
        });
    let server = spawn(server.on_deferred::<Hold>(move |_, cx| {
        let (responder, gives, tell) = (cx.defer(), Arc::clone(&gives), tell.clone());
        cx.on_cancel(move || {
            let answers = std::mem::take(&mut *gives.lock().unwrap());
            let answer = || Ok(Bytes::from(vec![7; 1 << 20]));
            answers.into_iter().for_each(|later| drop(later.respond(answer())));
            drop((responder, tell.send(())));
        });
        Ok(())
    }));
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    let call = |slot| raw::call::<Blob>(slot, 1, &raw::bytes(&[]));
    raw.send(&(0..CALLS).flat_map(call).collect::<Vec<u8>>());
    eventually("they wait", ms(5000), || kept.lock().unwrap().len() == usize::from(CALLS));
    let client = connect(&server);
    let cancelled = client.start::<Hold>(1);
    client.run::<Echo>("the call has begun").unwrap();
    let began = Instant::now();
    drop(cancelled);
    client.run::<Echo>("beside it").unwrap();
    told.recv().unwrap();
    assert!(began.elapsed() < ms(2000), "{:?}", began.elapsed());
}

#[test]
fn a_send_may_be_deferred_for_nobody() {
    let (builder, held) = deferring();
    let server = spawn(builder);
    let client = connect(&server);
    client.send::<Hold>(4).unwrap();
    let (number, responder) = held.recv().unwrap();
    assert_eq!((number, responder.respond(Ok(5))), (4, Ok(())));
    client.send::<Hold>(5).unwrap();
    assert_eq!(held.recv().unwrap().0, 5);
}

#[test]
fn a_handler_may_answer_and_go_on() {
    let (gate, done) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (held, over) = (gate.clone(), Arc::clone(&done));
    let server = spawn(Server::builder().on_deferred::<Hold>(move |number, cx| {
        cx.defer().respond(Ok(number))?;
        held.pass();
        over.store(true, Ordering::SeqCst);
        Ok(())
    }));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    assert_eq!(client.run::<Hold>(6).unwrap(), 6);
    assert!(!done.load(Ordering::SeqCst));
    gate.wait_for(1);
    gate.open();
    eventually("it has gone on", ms(5000), || done.load(Ordering::SeqCst));
}
