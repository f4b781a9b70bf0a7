//! What handlers may do, and what they cannot do to others.

use super::{connect, spawn};
use isock::{
    wire::{Flags, FrameKind, RefusalCode},
    CallError, CallInfo, Client, Failure, ProblemKind, Ran, Server,
};
use isock_tests::{
    actions::*,
    gate::Gate,
    process::Process,
    raw::{self, Raw},
    waiting::{eventually, ms},
};
use std::{
    panic::resume_unwind,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc, Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

#[test]
fn handlers_that_block_for_ever_delay_nobody() {
    let gate = Gate::new();
    let held = gate.clone();
    let server =
        spawn(Server::builder().on::<Echo>(|text, _| Ok(text)).on::<Hold>(move |number, _| {
            held.pass();
            Ok(number)
        }));
    let _end = gate.opened_at_the_end();
    let (stuck, quick) = (connect(&server), connect(&server));
    let calls: Vec<_> = (0..32).map(|n| stuck.start::<Hold>(n)).collect();
    gate.wait_for(32);
    let mut worst = Duration::ZERO;
    for client in [&quick, &stuck] {
        for _ in 0..100 {
            let before = Instant::now();
            assert_eq!(client.run::<Echo>("quick").unwrap(), "quick");
            worst = worst.max(before.elapsed());
        }
    }
    assert!(worst < ms(250), "{worst:?}");
    gate.open();
    let numbers: Vec<_> = calls.into_iter().map(|call| call.wait().unwrap()).collect();
    assert_eq!(numbers, (0..32).collect::<Vec<_>>());
}

#[test]
fn a_handler_may_call_its_own_server() {
    let address = Arc::new(Mutex::new(None::<isock::Client>));
    let inner = Arc::clone(&address);
    let server =
        spawn(Server::builder().on::<Square>(|n, _| Ok(n * n)).on::<Peek>(move |number, _| {
            let client = inner.lock().unwrap().clone().ok_or_else(|| Failure::new("no client"))?;
            let square = client.run::<Square>(u64::from(number)).map_err(Failure::new)?;
            Ok(square as u32)
        }));
    *address.lock().unwrap() = Some(connect(&server));
    let client = connect(&server);
    for number in 0..20 {
        assert_eq!(client.run::<Peek>(number).unwrap(), number * number);
    }
    address.lock().unwrap().take();
}

#[test]
fn the_log_tells_of_a_panic_and_the_caller_is_not_told_its_text() {
    let (log, lines) = mpsc::channel();
    let log = Mutex::new(log);
    let server = Server::builder().on::<Boom>(|text, _| panic!("{text}"));
    let server = spawn(server.log(move |line| log.lock().unwrap().send(line.to_owned()).unwrap()));
    let error = connect(&server).run::<Boom>("the password is 1234").unwrap_err();
    assert!(!error.to_string().contains("1234"), "{error}");
    assert!(error.to_string().contains("panicked"), "{error}");
    let line = lines.recv().unwrap();
    assert!(line.contains("`Boom` called from 127.0.0.1:"), "{line}");
    assert!(line.contains("panicked: the password is 1234"), "{line}");
}

#[test]
fn a_panic_with_a_lock_held_is_one_callers_error() {
    let count = Arc::new(Mutex::new(0));
    let server = spawn(Server::builder().log(|_| ()).on::<Echo>(|text, _| Ok(text)).on::<Boom>(
        move |_, _| {
            let mut count = count.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *count += 1;
            // Without the hook, whose lines would drown the others.
            resume_unwind(Box::new("boom"))
        },
    ));
    let client = connect(&server);
    for _ in 0..500 {
        assert_eq!(client.run::<Boom>("").unwrap_err().ran(), Ran::Yes);
    }
    assert_eq!(client.run::<Echo>("alive").unwrap(), "alive");
}

#[test]
fn hidden_failures_stay_in_the_log_and_declared_errors_travel() {
    let (log, lines) = mpsc::channel();
    let log = Mutex::new(log);
    let server = Server::builder()
        .on::<Echo>(|_, _| Err(Failure::new("the path of a secret")))
        .on::<Exec>(|_, _| Err(ExecError::Status(3)))
        .hide_failures()
        .log(move |line| log.lock().unwrap().send(line.to_owned()).unwrap());
    let server = spawn(server);
    let client = connect(&server);
    let error = client.run::<Echo>("a").unwrap_err();
    assert_eq!(error.ran(), Ran::Yes);
    assert_eq!(error.to_string(), "the handler failed; the server's log says why");
    assert!(lines.recv().unwrap().contains("the path of a secret"));
    match client.run::<Exec>("a") {
        Err(CallError::Action(error)) => assert_eq!(error, ExecError::Status(3)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_handler_sees_that_its_caller_has_gone() {
    let (saw, seen) = mpsc::channel();
    let saw = Mutex::new(saw);
    let entered = Gate::new();
    entered.open();
    let came = entered.clone();
    let server = spawn(Server::builder().on::<Hold>(move |number, cx| {
        came.pass();
        eventually("the call is cancelled", ms(10_000), || cx.cancelled());
        saw.lock().unwrap().send(number).unwrap();
        Ok(number)
    }));
    let client = connect(&server);
    let dropped = client.start::<Hold>(1);
    entered.wait_for(1);
    drop(dropped);
    assert_eq!(seen.recv().unwrap(), 1);

    let cancelled = client.start::<Hold>(2);
    entered.wait_for(2);
    assert_eq!(cancelled.cancel(), Ran::Unknown);
    assert_eq!(seen.recv().unwrap(), 2);

    let closed = client.start::<Hold>(3);
    entered.wait_for(3);
    client.close();
    assert_eq!(seen.recv().unwrap(), 3);
    assert!(closed.wait().is_err());

    // The answer may still come in time to be read.
    let _ = connect(&server).request::<Hold>(4).timeout(ms(50)).run();
    assert_eq!(seen.recv().unwrap(), 4);
}

#[test]
fn the_remaining_time_travels() {
    let (saw, seen) = mpsc::channel();
    let saw = Mutex::new(saw);
    let server = spawn(Server::builder().on::<Echo>(move |text, cx| {
        saw.lock().unwrap().send(cx.remaining()).unwrap();
        Ok(text)
    }));
    let client = connect(&server);
    client.request::<Echo>("").timeout(Duration::from_secs(7)).run().unwrap();
    let remaining = seen.recv().unwrap();
    assert!((5..7).contains(&remaining.as_secs()), "{remaining:?}");
}

#[test]
fn more_callers_than_workers_all_have_their_turn() {
    let server = spawn(Server::builder().workers(2).on::<Hold>(|number, _| {
        thread::yield_now();
        Ok(number)
    }));
    thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let caller = connect(server);
                let start = |n| caller.request::<Hold>(client * n).start();
                let calls: Vec<_> = (0..200).map(start).collect();
                for (n, call) in calls.into_iter().enumerate() {
                    assert_eq!(call.wait().unwrap(), client * n as u32);
                }
            });
        }
    });
}

#[test]
fn a_connection_that_blocks_its_workers_leaves_the_others_room() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = spawn(Server::builder().workers(4).on::<Hold>(move |number, _| {
        if number < 100 {
            held.pass();
        }
        Ok(number)
    }));
    let _end = gate.opened_at_the_end();
    let (greedy, other) = (connect(&server), connect(&server));
    let calls: Vec<_> = (0..10).map(|n| greedy.start::<Hold>(n)).collect();
    greedy.send::<Hold>(0).expect("leaves with the calls before it");
    gate.wait_for(2);
    assert_eq!(other.run::<Hold>(100).unwrap(), 100);
    assert_eq!(gate.entered(), 2, "half of four");
    gate.open();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.wait().unwrap(), n as u32);
    }
}

#[test]
fn many_short_calls_at_once_all_have_their_answers_soon() {
    let server = spawn(Server::builder().on::<Square>(|n, _| {
        let until = Instant::now() + Duration::from_micros(60);
        while Instant::now() < until {}
        Ok(n * n)
    }));
    let client = connect(&server);
    for n in 0..50 {
        client.run::<Square>(n).unwrap();
    }
    let before = Instant::now();
    let calls: Vec<_> = (0..300).map(|n| client.start::<Square>(n)).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.wait().unwrap(), (n * n) as u64);
    }
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
}

/// A handler that is quick until it is told to block.
#[test]
fn a_quick_handler_that_blocks_by_surprise_delays_nobody() {
    let gate = Gate::new();
    let (held, blocks) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&blocks);
    let server =
        spawn(Server::builder().on::<Echo>(|text, _| Ok(text)).on::<Peek>(move |number, _| {
            if told.load(Ordering::SeqCst) {
                held.pass();
            }
            Ok(number)
        }));
    let _end = gate.opened_at_the_end();
    let (one, other) = (connect(&server), connect(&server));
    for number in 0..100 {
        assert_eq!(one.run::<Peek>(number).unwrap(), number);
        assert_eq!(other.run::<Echo>("warm").unwrap(), "warm");
    }
    blocks.store(true, Ordering::SeqCst);
    let calls: Vec<_> = (0..64).map(|number| one.start::<Peek>(number)).collect();
    gate.wait_for(1);
    let before = Instant::now();
    assert_eq!(other.run::<Echo>("beside it").unwrap(), "beside it");
    assert!(before.elapsed() < ms(250), "{:?}", before.elapsed());
    assert_eq!(one.run::<Echo>("same connection").unwrap(), "same connection");
    gate.wait_for(64);
    gate.open();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.wait().unwrap() as usize, number);
    }
}

/// One connection, on which nobody else has a reason to wake the loop.
#[test]
fn what_ran_before_a_handler_that_blocks_by_surprise_is_answered() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = spawn(Server::builder().on::<Peek>(move |number, _| {
        if number == u32::MAX {
            held.pass();
        }
        Ok(number)
    }));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    for number in 0..100 {
        assert_eq!(client.run::<Peek>(number).unwrap(), number);
    }
    let calls: Vec<_> = (0..8).map(|number| client.start::<Peek>(number)).collect();
    let blocks = client.start::<Peek>(u32::MAX);
    for (number, call) in calls.into_iter().enumerate() {
        let before = Instant::now();
        assert_eq!(call.wait().unwrap() as usize, number);
        assert!(before.elapsed() < ms(250), "{:?}", before.elapsed());
    }
    gate.open();
    assert_eq!(blocks.wait().unwrap(), u32::MAX);
}

/// What one of them is told is told the next one as well, as far as it is the same.
#[test]
fn a_quick_handler_sees_its_own_call_and_nothing_of_the_one_before() {
    fn seen(cx: &CallInfo) -> String {
        let patient = cx.remaining() > Duration::from_secs(60);
        let own = cx.session().get::<String>();
        format!("{} {:?} {:?} {patient} {own:?}", cx.action().name, cx.peer().id(), cx.metadata())
    }
    let server = Server::builder()
        .on::<Echo>(|_, cx| Ok(seen(cx)))
        .on::<Who>(|(), cx| Ok(seen(cx)))
        .on_connect(|there| drop(there.session().insert(format!("of {}", there.id()))));
    let server = spawn(server);
    let clients = [connect(&server), connect(&server)];
    for round in 0..100 {
        for client in &clients {
            let (id, own) = (client.id(), client.id().map(|id| format!("of {id}")));
            for metadata in [&b"long"[..], b"", b"1"] {
                let patient = metadata.len() > 1;
                let patience = Duration::from_secs(if patient { 100 } else { 30 });
                let echo = client.request::<Echo>("").metadata(metadata).timeout(patience).run();
                let told = format!("Echo {id:?} {metadata:?} {patient} {own:?}");
                assert_eq!(echo.unwrap(), told, "round {round}");
            }
            let told = format!("Who {id:?} [] false {own:?}");
            assert_eq!(client.run::<Who>(()).unwrap(), told, "round {round}");
        }
    }
}

#[test]
fn a_quick_call_that_is_cancelled_before_it_begins_never_does() {
    let runs = Arc::<AtomicU32>::default();
    let counted = Arc::clone(&runs);
    let server = spawn(Server::builder().on::<Peek>(move |number, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(number)
    }));
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    for seq in 1..=100 {
        raw.send(&raw::call::<Peek>(0, seq, &[1]));
        assert_eq!(raw.answer().payload, [1]);
    }
    for seq in 101..=120 {
        let cancel = raw::frame_of_call(FrameKind::CANCEL, Flags::INITIATOR, (0, seq), &[]);
        // Both are read before anything runs.
        raw.send(&[raw::call::<Peek>(0, seq, &[1]), cancel].concat());
        let refusal = raw.answer().refusal();
        assert_eq!((refusal.code, refusal.ran), (RefusalCode::CANCELLED, Ran::No));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 100);
}

/// Also what only its last call was told of, and a quick one.
#[test]
fn what_is_kept_for_a_connection_goes_with_it_although_nobody_else_calls() {
    let value = Arc::new(());
    let given = Arc::clone(&value);
    let server = spawn(Server::builder().on::<Echo>(move |text, cx| {
        cx.session().get_or_insert_with(|| Arc::clone(&given));
        Ok(text)
    }));
    let client = connect(&server);
    (0..100).for_each(|_| assert_eq!(client.run::<Echo>("keep it").unwrap(), "keep it"));
    let many = Arc::strong_count(&value);
    client.close();
    eventually("it is dropped", ms(10_000), || Arc::strong_count(&value) < many);
}

/// Quick calls hear of their cancels through what serves one after the other.
#[test]
fn a_call_that_was_left_behind_hears_of_its_cancel_and_no_other_call_does() {
    const LATE: u32 = 1000;
    let blocks = Arc::<AtomicBool>::default();
    let told = Arc::clone(&blocks);
    let ((begun, began), (tell, heard)) = (mpsc::channel(), mpsc::channel());
    let telling = tell.clone();
    let server = Server::builder()
        .on::<Echo>(move |text, cx| {
            let tell = telling.clone();
            cx.on_cancel(move || {
                let _ = tell.send(0);
            });
            Ok(text)
        })
        .on::<Peek>(move |number, cx| {
            let (tell, (wake, woken)) = (tell.clone(), mpsc::channel());
            cx.on_cancel(move || {
                let _ = (tell.send(number), wake.send(()));
            });
            if told.load(Ordering::SeqCst) {
                begun.send(())?;
                woken.recv()?;
            }
            Ok(number)
        });
    let server = spawn(server);
    let client = connect(&server);
    for number in 0..100 {
        assert_eq!(client.run::<Peek>(number).unwrap(), number);
        assert_eq!(client.run::<Echo>("warm").unwrap(), "warm");
    }
    blocks.store(true, Ordering::SeqCst);
    let call = client.start::<Peek>(LATE);
    began.recv().unwrap();
    for _ in 0..100 {
        assert_eq!(client.run::<Echo>("beside it").unwrap(), "beside it");
    }
    call.cancel();
    assert_eq!(heard.recv_timeout(Duration::from_secs(10)), Ok(LATE));
    assert_eq!(client.run::<Echo>("after it").unwrap(), "after it");
    assert_eq!(heard.try_recv(), Err(mpsc::TryRecvError::Empty));
}

/// A handler that is too slow to run where others wait, and quicker there than on a worker.
#[test]
fn short_calls_run_where_they_are_read_as_long_as_one_caller_is_all_there_is() {
    let server = spawn(Server::builder().on::<Square>(|_, _| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(400) {}
        Ok(u64::from(thread::current().name() == Some("isock-worker")))
    }));
    const PATIENCE: Duration = Duration::from_secs(10);
    let (one, other) = (connect(&server), connect(&server));
    let on_a_worker = |client: &Client| client.run::<Square>(0).unwrap() == 1;
    assert!(on_a_worker(&one), "nobody knows yet how long it takes");
    eventually("a lone caller goes first", PATIENCE, || !on_a_worker(&one));
    for _ in 0..20 {
        assert!(on_a_worker(&other));
        assert!(on_a_worker(&one));
    }
    eventually("it is alone again", PATIENCE, || !on_a_worker(&one));
}

#[test]
fn a_log_that_panics_harms_no_server() {
    let server = Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Boom>(|text, _| panic!("{text}"))
        .log(|line| panic!("cannot write {line}"));
    let server = spawn(server);
    let client = connect(&server);
    for _ in 0..20 {
        let error = client.run::<Boom>("boom").unwrap_err();
        assert_eq!(error.problem().unwrap().kind(), ProblemKind::Panicked, "{error}");
        assert_eq!(client.run::<Echo>("alive").unwrap(), "alive");
    }
}

/// Panics again when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("again"));
    }
}

#[test]
fn a_panic_whose_payload_panics_harms_no_server() {
    let server = spawn(
        Server::builder()
            .workers(2)
            .log(|_| ())
            .on::<Echo>(|text, _| Ok(text))
            .on::<Boom>(|_, _| resume_unwind(Box::new(Bomb))),
    );
    let client = connect(&server);
    for _ in 0..10 {
        let error = client.run::<Boom>("").unwrap_err();
        assert_eq!(error.problem().unwrap().kind(), ProblemKind::Panicked, "{error}");
    }
    assert_eq!(client.run::<Echo>("alive").unwrap(), "alive");
}

#[test]
fn a_server_outlives_its_standard_error() {
    let mut process = Process::start_unheard(env!("CARGO_BIN_EXE_peer"), &["server", "/dev/null"]);
    let client = Client::connect(process.line()).unwrap();
    for _ in 0..5 {
        let error = client.run::<Boom>("boom").unwrap_err();
        assert_eq!(error.problem().unwrap().kind(), ProblemKind::Panicked, "{error}");
        assert_eq!(client.run::<Echo>("alive").unwrap(), "alive");
    }
}
