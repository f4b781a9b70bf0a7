//! How a server ends.

use super::{connect, spawn};
use isock::{
    wire::{CloseCode, Flags, FrameKind, RefusalCode, VERSION},
    Action, Bytes, CallError, Client, ProblemKind, Ran, Server, ServerBuilder, ServerHandle,
};
use isock_tests::{
    actions::{Blob, Echo, Hold, Peek, Tick, Ticks},
    gate::Gate,
    raw::{self, Raw},
    waiting::{block_on, eventually, ms, pass, poll_once},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc, Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

/// Echoes, and holds the callers of [`Hold`] at the gate.
fn holding(gate: &Gate) -> ServerBuilder {
    let gate = gate.clone();
    Server::builder().on::<Echo>(|text, _| Ok(text)).on::<Hold>(move |number, _| {
        gate.pass();
        Ok(number)
    })
}

/// A client that makes one attempt.
fn once(server: &ServerHandle) -> Client {
    Client::builder().attempts(1).connect(server.address()).unwrap()
}

fn told<E: std::fmt::Debug + std::fmt::Display>(
    error: &CallError<E>,
) -> (Option<ProblemKind>, Ran) {
    (error.kind(), error.ran())
}

#[test]
fn run_serves_until_another_thread_stops_it() {
    let server = holding(&Gate::new()).bind("127.0.0.1:0").unwrap();
    let (address, stopper) = (server.addresses()[0].clone(), server.stopper());
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.run());
        assert_eq!(Client::connect(&address).unwrap().run::<Echo>("a").unwrap(), "a");
        stopper.stop();
        serving.join().unwrap();
    });
    assert!(Client::builder().attempts(1).connect(&address).is_err());
}

#[test]
fn a_call_in_flight_is_answered_before_the_server_ends() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    let address = server.address();
    thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn({
                    let client = &client;
                    move || client.run::<Hold>(n)
                })
            })
            .collect();
        gate.wait_for(4);
        let stopping = scope.spawn(move || server.stop());
        eventually("it accepts nobody more", ms(5000), || {
            Client::builder().attempts(1).connect(&address).is_err()
        });
        assert!(!stopping.is_finished());
        gate.open();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.join().unwrap().unwrap() as usize, n);
        }
        stopping.join().unwrap();
    });
    let late = client.run::<Echo>("late").unwrap_err();
    assert_eq!(late.ran(), Ran::No);
}

#[test]
fn a_drain_is_bounded_although_a_handler_never_ends() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.run::<Hold>(1));
        gate.wait_for(1);
        let before = Instant::now();
        server.drain(ms(100));
        assert!(before.elapsed() < ms(400), "{:?}", before.elapsed());
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.ran(), Ran::Unknown, "{error}");
        gate.open();
    });
}

#[test]
fn a_handler_learns_that_its_server_stops_and_then_that_its_grace_is_over() {
    let (seen, saw) = mpsc::channel();
    let server = spawn(Server::builder().on::<Hold>(move |number, cx| {
        assert!(!cx.stopping() && !cx.cancelled());
        seen.send("begun")?;
        eventually("the server stops", ms(5000), || cx.stopping());
        seen.send(if cx.cancelled() { "too late" } else { "told" })?;
        eventually("the grace is over", ms(5000), || cx.cancelled());
        seen.send("over")?;
        Ok(number)
    }));
    let client = connect(&server);
    let call = client.start::<Hold>(1);
    assert_eq!(saw.recv().unwrap(), "begun");
    server.drain(ms(300));
    assert_eq!([saw.recv().unwrap(), saw.recv().unwrap()], ["told", "over"]);
    assert_eq!(call.wait().unwrap_err().ran(), Ran::Unknown);
}

#[test]
fn dropping_the_handle_is_prompt_with_idle_clients() {
    let server = spawn(holding(&Gate::new()));
    let clients: Vec<_> = (0..10).map(|_| connect(&server)).collect();
    for client in &clients {
        client.run::<Echo>("a").unwrap();
    }
    let before = Instant::now();
    drop(server);
    assert!(before.elapsed() < ms(300), "{:?}", before.elapsed());
}

#[test]
fn dropping_the_handle_is_prompt_with_silent_strangers() {
    let server = spawn(holding(&Gate::new()));
    let mut strangers: Vec<_> =
        (0..10).map(|_| Raw::new(raw::connect(server.address()).unwrap())).collect();
    strangers[0].send(b"\xf5is");
    connect(&server).run::<Echo>("they have been accepted").unwrap();
    let before = Instant::now();
    drop(server);
    assert!(before.elapsed() < ms(300), "{:?}", before.elapsed());
}

#[test]
fn a_handler_may_stop_its_own_server() {
    let stopper = Arc::new(Mutex::new(None::<isock::Stopper>));
    let told = Arc::clone(&stopper);
    let server = spawn(Server::builder().on::<Peek>(move |number, _| {
        if let Some(stopper) = &*told.lock().unwrap() {
            stopper.stop();
        }
        Ok(number)
    }));
    let client = connect(&server);
    client.run::<Peek>(0).unwrap();
    *stopper.lock().unwrap() = Some(server.stopper());
    assert_eq!(client.run::<Peek>(1).unwrap(), 1);
    server.wait();
}

#[test]
fn a_detached_server_goes_on() {
    let server = spawn(holding(&Gate::new()));
    let (address, stopper) = (server.address(), server.stopper());
    server.detach();
    assert_eq!(Client::connect(&address).unwrap().run::<Echo>("a").unwrap(), "a");
    stopper.stop();
    eventually("it ends when it is told to", ms(5000), || {
        Client::builder().attempts(1).connect(&address).is_err()
    });
}

#[test]
fn a_reply_is_delivered_to_a_peer_that_has_finished_sending() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    raw.send(&raw::call::<Hold>(0, 1, &[7]));
    raw.send(&raw::call::<Echo>(1, 1, &raw::text("quick")));
    raw.finish();
    assert_eq!(raw.answer().header.slot, 1);
    gate.wait_for(1);
    gate.open();
    let reply = raw.answer();
    assert_eq!((reply.header.slot, reply.payload), (0, vec![7]));
    assert!(raw.frame().is_none(), "then the connection ends");
}

#[test]
fn a_call_that_waits_at_a_stopped_server_is_told_so() {
    let gate = Gate::new();
    let server = spawn(holding(&gate).workers(1));
    let _end = gate.opened_at_the_end();
    let client = once(&server);
    let running = client.start::<Hold>(1);
    gate.wait_for(1);
    let waiting = client.start::<Hold>(2);
    client.run::<Peek>(3).expect_err("unknown here, so the call before it has been read");
    thread::scope(|scope| {
        let stopping = scope.spawn(move || server.drain(ms(50)));
        let (running, waiting) = (running.wait().unwrap_err(), waiting.wait().unwrap_err());
        assert_eq!(told(&running), (Some(ProblemKind::ConnectionLost), Ran::Unknown), "{running}");
        assert_eq!(told(&waiting), (Some(ProblemKind::Stopping), Ran::No), "{waiting}");
        stopping.join().unwrap();
        gate.open();
    });
    assert_eq!(gate.entered(), 1, "a call that was given up never begins");
}

#[test]
fn a_drain_is_bounded_although_a_quick_handler_blocks_by_surprise() {
    let gate = Gate::new();
    let (held, blocks) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&blocks);
    let server = spawn(Server::builder().on::<Peek>(move |number, _| {
        if told.load(Ordering::SeqCst) {
            held.pass();
        }
        Ok(number)
    }));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    for number in 0..100 {
        assert_eq!(client.run::<Peek>(number).unwrap(), number);
    }
    blocks.store(true, Ordering::SeqCst);
    let call = client.start::<Peek>(1);
    gate.wait_for(1);
    let (stopped, end) = mpsc::channel();
    thread::spawn(move || {
        server.drain(ms(100));
        stopped.send(()).unwrap();
    });
    end.recv_timeout(ms(2000)).expect("the drain has ended");
    drop(call);
}

#[test]
fn a_future_in_flight_is_answered_before_the_server_ends() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    let mut call = client.request::<Hold>(7).timeout(ms(5000)).start();
    assert!(poll_once(&mut call).is_pending());
    gate.wait_for(1);
    thread::scope(|scope| {
        let stopping = scope.spawn(move || server.stop());
        // Once this one is refused, the client has read that the server drains.
        eventually("the server drains", ms(5000), || client.run::<Echo>("late").is_err());
        gate.open();
        assert_eq!(block_on(call).unwrap(), 7);
        stopping.join().unwrap();
    });
}

#[test]
fn a_long_answer_gets_through_although_its_caller_goes_on_talking() {
    reads_an_answer_while_the_server_stops(8 << 10, Duration::from_micros(100));
}

/// It takes longer than last words have that nobody reads.
#[test]
fn a_long_answer_gets_through_although_its_caller_reads_slowly() {
    reads_an_answer_while_the_server_stops(64 << 10, ms(60));
}

/// Reads so much at a time, pings and pauses, and wants all of a long answer.
fn reads_an_answer_while_the_server_stops(piece: usize, pause: Duration) {
    const LEN: usize = 3 << 20;
    let (begun, began) = mpsc::channel();
    let server = spawn(Server::builder().on::<Blob>(move |_, _| {
        begun.send(())?;
        Ok(Bytes::from(vec![7; LEN]))
    }));
    let mut stream = TcpStream::connect(server.address().socket().unwrap()).unwrap();
    stream.write_all(&raw::hello(1, 1)).unwrap();
    stream.write_all(&raw::call::<Blob>(0, 1, &raw::bytes(&[]))).unwrap();
    began.recv().unwrap();
    let stopping = thread::spawn(move || server.stop());
    // What it says lies unread when the server has nothing left to do.
    let ping = raw::frame(FrameKind::PING, Flags::default(), &[0; 8]);
    let (mut bytes, mut read) = (vec![0; piece], 0);
    // Reset or not: what had reached this side is read first.
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        read += n;
        // It may have gone by then.
        let _ = stream.write_all(&ping);
        pass(pause);
    }
    assert!(read > LEN, "{read}");
    stopping.join().unwrap();
}

/// Takes a number, and answers nobody.
#[derive(Action)]
#[action(input = u32)]
struct Note;

/// The frames up to the close, and its code.
fn to_the_end(raw: &mut Raw) -> (Vec<FrameKind>, CloseCode) {
    let mut kinds = Vec::new();
    loop {
        let frame = raw.frame().expect("a close");
        if frame.header.kind == FrameKind::CLOSE {
            return (kinds, frame.close_code());
        }
        kinds.push(frame.header.kind);
    }
}

#[test]
fn a_drain_without_a_grace_says_why_it_ends() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    raw.send(&raw::call::<Hold>(0, 1, &[7]));
    gate.wait_for(1);
    server.drain(Duration::ZERO);
    assert_eq!(to_the_end(&mut raw), (vec![FrameKind::DRAIN], CloseCode::STOPPING));
}

#[test]
fn what_waits_at_the_end_of_the_grace_is_refused_and_never_begins() {
    let gate = Gate::new();
    let server = spawn(holding(&gate).workers(1));
    let _end = gate.opened_at_the_end();
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    raw.send(&raw::call::<Hold>(0, 1, &[7]));
    gate.wait_for(1);
    raw.send(&raw::call::<Hold>(1, 1, &[7]));
    // Not whole, so it can never begin either.
    raw.send(&raw::begun_call::<Hold>(2, 1, &[1], 2));
    raw.send(&raw::frame(FrameKind::PING, Flags::default(), &[0; 8]));
    assert_eq!(raw.frame().unwrap().header.kind, FrameKind::PONG, "so they have been read");
    server.drain(ms(20));
    let refused: Vec<_> = std::iter::from_fn(|| raw.frame())
        .filter(|frame| frame.header.kind == FrameKind::REFUSAL)
        .map(|frame| (frame.header.slot, frame.refusal().code, frame.refusal().ran))
        .collect();
    let refusal = |slot| (slot, RefusalCode::DRAINING, Ran::No);
    assert_eq!(refused, [1, 2].map(refusal));
    gate.open();
    assert_eq!(gate.entered(), 1);
}

#[test]
fn a_dropped_handle_cancels_what_runs() {
    let (begun, began) = mpsc::channel();
    let server = spawn(Server::builder().on::<Hold>(move |number, cx| {
        let (cancel, cancelled) = mpsc::channel();
        cx.on_cancel(move || {
            let _ = cancel.send(());
        });
        begun.send(())?;
        cancelled.recv()?;
        Ok(number)
    }));
    let (waiting, gone) = (connect(&server), connect(&server));
    let calls = [waiting.start::<Hold>(7), gone.start::<Hold>(8)];
    (0..2).for_each(|_| began.recv().unwrap());
    let [answered, given_up] = calls;
    // Its handler hears of that as well; one that does not look would hold the server up.
    drop(given_up);
    let before = Instant::now();
    drop(server);
    assert!(before.elapsed() < ms(900), "{:?}", before.elapsed());
    assert_eq!(answered.wait().unwrap(), 7, "what it answers within the second is delivered");
}

#[test]
fn a_dropped_handle_waits_a_second_for_handlers_that_do_not_look() {
    let gate = Gate::new();
    let server = spawn(holding(&gate).workers(1));
    let _end = gate.opened_at_the_end();
    let client = once(&server);
    let running = client.start::<Hold>(2);
    gate.wait_for(1);
    // Nobody waits for it any more, and it goes on all the same.
    drop(running);
    let waiting = client.start::<Hold>(3);
    client.run::<Peek>(3).expect_err("unknown here, so the calls before it have been read");
    let before = Instant::now();
    drop(server);
    let took = before.elapsed();
    assert!((ms(900)..ms(5000)).contains(&took), "{took:?}");
    let waiting = waiting.wait().unwrap_err();
    assert_eq!(told(&waiting), (Some(ProblemKind::Stopping), Ran::No), "{waiting}");
    assert_eq!(gate.entered(), 1);
}

#[test]
fn sends_that_have_been_read_run_before_the_server_ends() {
    const SENDS: u32 = 500;
    let (gate, noted) = (Gate::new(), Arc::new(Mutex::new(Vec::new())));
    let (held, notes) = (gate.clone(), Arc::clone(&noted));
    let server = spawn(holding(&gate).on::<Note>(move |number, _| {
        held.pass();
        notes.lock().unwrap().push(number);
        Ok(())
    }));
    let _end = gate.opened_at_the_end();
    let client = connect(&server);
    (0..SENDS).for_each(|number| client.send::<Note>(number).unwrap());
    client.run::<Echo>("behind them").unwrap();
    gate.wait_for(1);
    thread::scope(|scope| {
        let address = server.address();
        let stopping = scope.spawn(move || server.drain(ms(20_000)));
        eventually("it accepts nobody more", ms(5000), || {
            Client::builder().attempts(1).connect(&address).is_err()
        });
        // One that does not wait for them has ended by then.
        pass(ms(50));
        assert!(!stopping.is_finished());
        gate.open();
        stopping.join().unwrap();
        assert_eq!(*noted.lock().unwrap(), (0..SENDS).collect::<Vec<_>>());
    });
}

/// Sends ticks, as many as are asked for; after the first one it waits at the gate.
fn ticking(gate: &Gate) -> ServerBuilder {
    let gate = gate.clone();
    holding(&gate).on::<Ticks>(move |ticks, cx| {
        for tick in 0..ticks {
            cx.send(Tick(tick))?;
            if tick == 0 {
                gate.pass();
            }
        }
        Ok(ticks.into())
    })
}

#[test]
fn a_stream_goes_on_to_its_end_while_the_server_drains() {
    let gate = Gate::new();
    let server = spawn(ticking(&gate));
    let _end = gate.opened_at_the_end();
    let client = once(&server);
    let mut ticks = client.open::<Ticks>(1000).unwrap();
    assert_eq!(ticks.next().unwrap().unwrap().0, 0);
    thread::scope(|scope| {
        let stopping = scope.spawn(move || server.stop());
        eventually("the server drains", ms(5000), || client.run::<Echo>("late").is_err());
        gate.open();
        assert_eq!(ticks.by_ref().map(|tick| tick.unwrap().0).sum::<u32>(), 999 * 1000 / 2);
        assert_eq!(ticks.finish().unwrap(), 1000);
        stopping.join().unwrap();
    });
}

#[test]
fn a_stream_that_outlives_the_grace_ends_with_the_reason() {
    let gate = Gate::new();
    let server = spawn(ticking(&gate));
    let _end = gate.opened_at_the_end();
    let client = once(&server);
    let mut ticks = client.open::<Ticks>(1000).unwrap();
    assert_eq!(ticks.next().unwrap().unwrap().0, 0);
    server.drain(ms(20));
    let error = ticks.next().unwrap().unwrap_err();
    assert_eq!(told(&error), (Some(ProblemKind::ConnectionLost), Ran::Unknown), "{error}");
    assert!(error.to_string().contains("the server closed it"), "{error}");
}

#[test]
fn a_client_in_the_middle_of_its_handshake_is_told() {
    let gate = Gate::new();
    let server = spawn(holding(&gate));
    let _end = gate.opened_at_the_end();
    let mut halfway = Raw::new(raw::connect(server.address()).unwrap());
    halfway.send(&raw::hello(VERSION, VERSION)[..20]);
    // The grace is needed: somebody else's call is under way.
    let client = connect(&server);
    let call = client.start::<Hold>(1);
    gate.wait_for(1);
    let stopping = thread::spawn(move || server.stop());
    let welcome = halfway.welcome();
    assert_eq!((welcome.version, halfway.closed()), (0, Ok(CloseCode::STOPPING)));
    gate.open();
    assert_eq!(call.wait().unwrap(), 1);
    stopping.join().unwrap();
}

/// A server whose loop stands still from the first client on, until the gate is opened.
fn standing_still(gate: &Gate, listen: &str) -> (ServerHandle, Raw) {
    let held = gate.clone();
    let builder = holding(&Gate::new()).on_connect(move |_| held.pass());
    let server = builder.bind(listen).and_then(Server::spawn).unwrap();
    let mut first = Raw::new(raw::connect(server.address()).unwrap());
    first.send(&raw::hello(VERSION, VERSION));
    gate.wait_for(1);
    (server, first)
}

#[test]
fn whom_only_the_system_has_connected_is_told_and_not_reset() {
    let path = std::env::temp_dir().join(format!("isock-backlog-{}.sock", std::process::id()));
    for listen in ["127.0.0.1:0".to_owned(), format!("unix:{}", path.display())] {
        let gate = Gate::new();
        let (server, _first) = standing_still(&gate, &listen);
        let _end = gate.opened_at_the_end();
        // More than a loop accepts at once, which it may do before it hears of the drain.
        let mut crowd: Vec<_> =
            (0..200).map(|_| Raw::new(raw::connect(server.address()).unwrap())).collect();
        for raw in &mut crowd {
            raw.send(&raw::hello(VERSION, VERSION));
            raw.send(&raw::call::<Echo>(0, 1, &raw::text("early")));
        }
        server.stopper().stop();
        gate.open();
        let mut refused = 0;
        for raw in &mut crowd {
            match raw.welcome().version {
                0 => refused += 1,
                // It learns whether its call was taken, by an answer where another loop was sooner.
                _ => {
                    let mut frame = raw.answer();
                    if frame.header.kind == FrameKind::REPLY {
                        frame = raw.answer();
                    }
                    assert_eq!(frame.header.kind, FrameKind::DRAIN, "{listen}");
                }
            }
            assert_eq!(raw.closed(), Ok(CloseCode::STOPPING), "{listen}");
        }
        assert!(refused >= 200 - 2 * 64, "{refused}");
        server.wait();
    }
}
