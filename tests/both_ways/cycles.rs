//! Calls that come round to where they began.

use super::{Down, Note, Square};
use crate::PATIENCE;
use isock::wire::{CallHead, ChainStep, Flags, FrameKind, Metadata, RefusalCode, Settings};
use isock::{
    Action, CallError, Client, Context, Failure, Ran, Responder, Server, ServerBuilder,
    ServerHandle,
};
use isock_tests::{
    gate::Gate,
    raw::{self, Frame, Raw},
    waiting::ms,
};
use std::{sync::mpsc, thread, time::Instant};

/// Calls the other side, in the way that it is told.
#[derive(Action)]
#[action(input = How, output = String)]
struct Round;

/// Makes the call that comes round.
#[derive(Action)]
#[action(input = How, output = String)]
struct Back;

/// The call that comes round.
#[derive(Action)]
#[action(output = String)]
struct End;

/// How a call is made: by `run`, or by `start`.
type How = bool;
const RUN: How = true;

fn round(how: How, cx: &Context<Round>) -> Result<String, Failure> {
    Ok(match how {
        RUN => cx.peer().run::<Back>(RUN)?,
        _ => cx.peer().start::<Back>(RUN).wait()?,
    })
}

fn back(_: How, cx: &Context<Back>) -> Result<String, Failure> {
    told(cx.peer().run::<End>(()))
}

/// The output, or which problem there was.
fn told(result: isock::CallResult<End>) -> Result<String, Failure> {
    match result {
        Ok(text) => Ok(text),
        Err(CallError::Call(problem)) => Ok(format!("{:?} {:?}", problem.kind(), problem.ran())),
        Err(CallError::Action(failure)) => Err(failure),
    }
}

fn serving(workers: usize) -> ServerBuilder {
    Server::builder().workers(workers).on::<Round>(round).on::<End>(|(), _| Ok("ran".into()))
}

fn spawn(server: ServerBuilder) -> ServerHandle {
    server.bind("127.0.0.1:0").unwrap().spawn().unwrap()
}

fn client(server: &ServerHandle) -> Client {
    server.client_with(|client| client.on::<Back>(back)).unwrap()
}

const CYCLE: &str = "Cycle No";

#[test]
fn a_call_that_its_own_callers_keep_from_running_is_refused_at_once() {
    let server = spawn(serving(1));
    let client = client(&server);
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(client.run::<Round>(RUN).unwrap(), CYCLE);
        assert!(began.elapsed() < PATIENCE / 10, "{:?}", began.elapsed());
    }
}

#[test]
fn the_words_name_the_cycle() {
    let server = spawn(serving(1));
    let client = server.client_with(|client| {
        client.on::<Back>(|_, cx| Ok(cx.peer().run::<End>(()).unwrap_err().to_string()))
    });
    let words = client.unwrap().run::<Round>(RUN).unwrap();
    assert!(words.starts_with("`End` at "), "{words}");
    assert!(words.contains("a cycle of calls: all threads of the server"), "{words}");
    assert!(words.ends_with("(it did not run)"), "{words}");
}

/// Half of the workers are for one connection.
#[test]
fn calls_nest_as_deep_as_there_are_workers_and_one_more_is_refused() {
    fn down(left: u32, cx: &Context<Down>) -> Result<u32, Failure> {
        match left {
            0 => Ok(0),
            left => Ok(cx.peer().run::<Down>(left - 1)? + 1),
        }
    }
    for (workers, share) in [(2, 1), (4, 2), (40, 20)] {
        let server = spawn(Server::builder().workers(workers).on::<Down>(down));
        let client = server.client_with(|client| client.on::<Down>(down)).unwrap();
        let deepest = 2 * share - 1;
        assert_eq!(client.run::<Down>(deepest).unwrap(), deepest, "{workers} workers");
        let began = Instant::now();
        // Once, while it counts as quick, its handler may have a thread that is no worker.
        let error = (0..3).find_map(|_| client.run::<Down>(deepest + 1).err());
        let error = error.expect("one more is refused").to_string();
        assert!(error.contains("a cycle of calls"), "{error}");
        assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
        assert_eq!(client.run::<Down>(deepest).unwrap(), deepest, "{workers} workers again");
    }
}

/// What the server calls carries its step; a call with that step comes round.
#[test]
fn p145_a_call_of_a_handler_carries_the_calls_that_wait_for_it() {
    let server = spawn(serving(1));
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    raw.send(&raw::settings(Settings { attended: true }));
    let plain = |raw: &mut Raw, metadata: &Metadata, slot| {
        let mut bytes = Vec::new();
        metadata.write(&mut bytes);
        raw.send(&raw::call_with_metadata::<End>(slot, 1, &bytes, &[]));
    };
    let stranger = ChainStep { process: 7, call: 1 };
    let round = raw::call_with_metadata::<Round>(0, 1, &chain(&[stranger]), &[u8::from(RUN)]);
    raw.send(&round);
    let called = raw.answer();
    assert_eq!(called.header.kind, FrameKind::CALL);
    let (head, _) = CallHead::parse(&called.words).unwrap();
    let mut metadata = Metadata::parse(&called.payload[..head.metadata as usize]).unwrap();
    assert_eq!((metadata.chain.len(), metadata.chain[0]), (2, stranger));
    metadata.chain.push(ChainStep { process: 7, call: 2 });
    plain(&mut raw, &metadata, 1);
    let refusal = raw.answer().refusal();
    assert_eq!((refusal.code, refusal.ran), (RefusalCode::CYCLE, Ran::No));
    // A step of somebody else, and one that has ended, keep nobody from waiting for the worker.
    metadata.chain.remove(1);
    plain(&mut raw, &metadata, 2);
    raw.send(&reply(&called));
    assert_eq!(raw.answer().payload, raw::text("back"));
    assert_eq!(raw.answer().payload, raw::text("ran"));
}

/// What answers [`Back`].
fn reply(called: &Frame) -> Vec<u8> {
    let call = (called.header.slot, called.header.seq);
    raw::frame_of_call(FrameKind::REPLY, Flags::default(), call, &raw::text("back"))
}

fn chain(chain: &[ChainStep]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Metadata { chain: chain.to_vec(), ..Metadata::default() }.write(&mut bytes);
    bytes
}

#[test]
fn calls_that_no_handler_makes_carry_nothing() {
    let server = spawn(serving(1));
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    raw.send(&raw::settings(Settings { attended: true }));
    raw.send(&raw::call::<End>(0, 1, &[]));
    assert_eq!(raw.answer().payload, raw::text("ran"), "so it has read what came before");
    let connection = server.connections().latest().unwrap();
    thread::scope(|scope| {
        let call = scope.spawn(|| connection.run::<Back>(RUN));
        let called = raw.answer();
        assert_eq!((called.header.words, called.payload.len()), (2, 1));
        raw.send(&reply(&called));
        assert_eq!(call.join().unwrap().unwrap(), "back");
    });
}

#[test]
fn a_cycle_through_a_third_program_is_found() {
    let first = spawn(serving(1));
    // The second server calls the first one as a client of its own.
    let to_first = first.client();
    let second =
        spawn(Server::builder().workers(1).on::<Back>(move |_, _| told(to_first.run::<End>(()))));
    let to_second = second.client();
    first.on::<Square>(move |n, _| Ok(to_second.run::<Back>(RUN)?.len() as u64 * n)).unwrap();
    assert_eq!(first.client().run::<Square>(1).unwrap(), CYCLE.len() as u64);
}

/// So it is late, and not refused.
#[test]
fn p147_a_worker_that_does_something_else_may_come_to_it() {
    let gate = Gate::new();
    let passing = gate.clone();
    let server = spawn(serving(2).on::<Note>(move |_, _| {
        passing.pass();
        Ok(())
    }));
    let _end = gate.opened_at_the_end();
    // Three connections, since each may have one of the two workers.
    let (busy, side, opens) = (server.client(), server.client(), gate.clone());
    let note = busy.start::<Note>("busy");
    gate.wait_for(1);
    let client = server.client_with(|client| {
        client.on::<Back>(move |_, _| {
            let early = told(side.request::<End>(()).timeout(ms(100)).run())?;
            opens.open();
            Ok(format!("{early}, {}", told(side.run::<End>(()))?))
        })
    });
    let told = client.unwrap().run::<Round>(RUN).unwrap();
    assert!(told.starts_with("Deadline ") && told.ends_with(", ran"), "{told}");
    note.wait().unwrap();
}

/// Such a call goes on when its handler returns, so nobody is sure to wait for it.
#[test]
fn p146_calls_that_are_started_are_no_part_of_a_cycle() {
    let server = spawn(serving(1));
    let client = client(&server);
    let error = client.request::<Round>(!RUN).timeout(ms(200)).run().unwrap_err();
    assert!(error.to_string().contains("no answer by the deadline"), "{error}");
}

#[test]
fn a_call_that_is_started_and_left_runs_when_its_handler_has_returned() {
    let (ran, runs) = mpsc::channel();
    let server = spawn(
        Server::builder()
            .workers(1)
            .on::<Round>(|_, cx| Ok(cx.peer().run::<Back>(RUN)?))
            .on::<End>(move |(), _| {
                ran.send(())?;
                Ok(String::new())
            }),
    );
    let client = server.client_with(|client| {
        client.on::<Back>(|_, cx| {
            cx.peer().start::<End>(()).detach();
            Ok("left".into())
        })
    });
    assert_eq!(client.unwrap().run::<Round>(RUN).unwrap(), "left");
    runs.recv_timeout(PATIENCE).expect("it runs once the worker is free");
}

/// Its caller waits for the responder, and not for the call that the handler makes afterwards.
#[test]
fn a_call_of_a_handler_that_has_deferred_is_no_part_of_a_cycle() {
    let (tell, told_of) = mpsc::channel();
    let server = spawn(serving(1));
    let client = server.client_with(|client| {
        client.on_deferred::<Back>(move |_, cx| {
            let responder: Responder<Back> = cx.defer();
            // The only worker of the server waits for the answer that comes next.
            tell.send(told(cx.peer().request::<End>(()).timeout(ms(100)).run())?)?;
            responder.respond(Ok("answered".into()))?;
            Ok(tell.send(told(cx.peer().run::<End>(()))?)?)
        })
    });
    assert_eq!(client.unwrap().run::<Round>(RUN).unwrap(), "answered");
    let early = told_of.recv().unwrap();
    assert!(early.starts_with("Deadline "), "{early}");
    assert_eq!(told_of.recv().unwrap(), "ran");
}

#[test]
fn calls_from_another_thread_of_a_handler_are_no_part_of_a_cycle() {
    let (hand, asked) = mpsc::channel::<isock::Peer>();
    let server = spawn(serving(1));
    let client = server.client_with(|client| {
        client.on::<Back>(move |_, cx| {
            hand.send(cx.peer().clone())?;
            Ok("returned".into())
        })
    });
    let client = client.unwrap();
    let other = thread::spawn(move || asked.recv().unwrap().run::<End>(()));
    assert_eq!(client.run::<Round>(RUN).unwrap(), "returned");
    assert_eq!(other.join().unwrap().unwrap(), "ran");
}

#[test]
fn a_refusal_for_a_cycle_is_not_tried_again() {
    let server = spawn(serving(1));
    let client = server.client_with(|client| {
        client.on::<Back>(|_, cx| {
            let error = cx.peer().run::<End>(()).unwrap_err();
            assert_eq!(error.ran(), Ran::No);
            Ok(error.problem().unwrap().attempts().to_string())
        })
    });
    assert_eq!(client.unwrap().run::<Round>(RUN).unwrap(), "1");
}
