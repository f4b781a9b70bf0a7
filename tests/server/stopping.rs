//! How a server ends.

use super::{connect, spawn};
use isock::{
    wire::{Flags, FrameKind},
    Bytes, Client, ProblemKind, Ran, Server, ServerBuilder,
};
use isock_tests::{
    actions::{Blob, Echo, Hold, Peek},
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
    let client = connect(&server);
    let running = client.start::<Hold>(1);
    gate.wait_for(1);
    let waiting = client.start::<Hold>(2);
    client.run::<Peek>(3).expect_err("unknown here, so the call before it has been read");
    thread::scope(|scope| {
        let stopping = scope.spawn(move || server.drain(ms(50)));
        let errors = [running.wait().unwrap_err(), waiting.wait().unwrap_err()];
        for error in &errors {
            assert_eq!(error.problem().unwrap().kind(), ProblemKind::ConnectionLost, "{error}");
        }
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
    const LEN: usize = 3 << 20;
    let (begun, began) = mpsc::channel();
    let server = spawn(Server::builder().on::<Blob>(move |_, _| {
        begun.send(())?;
        Ok(Bytes(vec![7; LEN]))
    }));
    let mut stream = TcpStream::connect(server.address().socket().unwrap()).unwrap();
    stream.write_all(&raw::hello(1, 1)).unwrap();
    stream.write_all(&raw::call::<Blob>(0, 1, &raw::bytes(&[]))).unwrap();
    began.recv().unwrap();
    let stopping = thread::spawn(move || server.stop());
    // What it says lies unread when the server has nothing left to do.
    let ping = raw::frame(FrameKind::PING, Flags::default(), &[0; 8]);
    let (mut bytes, mut read) = (vec![0; 8 << 10], 0);
    // Reset or not: what had reached this side is read first.
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        read += n;
        // It may have gone by then.
        let _ = stream.write_all(&ping);
        pass(Duration::from_micros(100));
    }
    assert!(read > LEN, "{read}");
    stopping.join().unwrap();
}
