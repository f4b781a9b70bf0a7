//! Peers that break the rules of streams, and handlers of streams that end badly.

use crate::arena::{Arena, Runs};
use isock::{
    wire::{CloseCode, Credit, Flags, FrameKind, Ran, Refusal, RefusalCode, MAX_CREDIT},
    Action, Bytes, CallError, Client, Connection, Failure, Limits, ProblemKind, ServerBuilder,
};
use isock_tests::{
    actions::{Echo, Hold},
    gate::Gate,
    memory,
    raw::{self, Raw},
    waiting::{eventually, ms},
};
use std::{
    sync::{mpsc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Counts the items that come, once the gate is open.
#[derive(Action)]
#[action(upload = Bytes, output = u32)]
pub(crate) struct Upload;

/// Sends items until it is stopped.
#[derive(Action)]
#[action(stream = u64)]
pub(crate) struct Download;

/// Sends an item and panics.
#[derive(Action)]
#[action(stream = u64)]
struct Breaks;

/// Sends so many items and then waits for the end of its caller, whose connection it keeps.
#[derive(Action)]
#[action(input = u32, stream = u32)]
struct Outlives;

/// What a handler of [`Outlives`] leaves behind.
#[derive(Default)]
pub(crate) struct Left(Mutex<Vec<(Connection, String)>>);

static LEFT: Left = Left(Mutex::new(Vec::new()));

pub(crate) fn serve(server: ServerBuilder, runs: &Runs, gate: &Gate) -> ServerBuilder {
    let (runs, gate) = (runs.clone(), gate.clone());
    server
        .on::<Upload>(move |(), cx| {
            runs.add();
            gate.pass();
            Ok(cx.items().map_while(Result::ok).count() as u32)
        })
        .on::<Download>(|(), cx| Ok((0..).try_for_each(|n| cx.send(n))?))
        .on::<Breaks>(|(), cx| {
            cx.send(1)?;
            panic!("in the middle of a stream")
        })
        .on::<Outlives>(|first, cx| {
            (0..first).try_for_each(|n| cx.send(n))?;
            let end = (first..).find_map(|n| cx.send(n).err());
            let connection = cx.connection().ok_or_else(|| Failure::new("no connection"))?;
            let mut left = LEFT.0.lock().unwrap_or_else(PoisonError::into_inner);
            left.push((connection, end.map(|end| end.to_string()).unwrap_or_default()));
            Ok(())
        })
}

/// What an initiator of a call sends.
const INITIATOR: Flags = Flags::INITIATOR;
/// What its responder sends.
const RESPONDER: Flags = Flags(0);

const fn credit(bytes: u32, items: u32) -> Credit {
    Credit { bytes, items }
}

/// A call of [`Upload`] that takes no items in return.
fn upload(slot: u16, seq: u32) -> Vec<u8> {
    raw::stream_call::<Upload>(slot, seq, &[], credit(0, 0), true)
}

fn download(slot: u16, seq: u32, grant: Credit) -> Vec<u8> {
    raw::stream_call::<Download>(slot, seq, &[], grant, false)
}

/// A server that is played by `host`, and what became of the one call that is made to it.
fn against<T>(
    arena: &Arena,
    client: impl FnOnce(Client) -> T + Send,
    host: impl FnOnce(&mut Raw),
) -> (T, Result<CloseCode, String>)
where
    T: Send,
{
    let listener = (arena.transport.hosting)();
    let address = listener.address();
    thread::scope(|scope| {
        let called = scope.spawn(move || {
            client(Client::builder().attempts(1).connect(address).expect("it listens"))
        });
        let mut raw = listener.accept();
        host(&mut raw);
        let closed = raw.closed();
        drop(raw);
        (called.join().expect("the client does not panic"), closed)
    })
}

/// Row 16.
pub(crate) fn answers_to_nothing_close_the_client(arena: &Arena) {
    let refusal = raw::refusal(5, 1, &Refusal::new(RefusalCode::OVERLOADED, Ran::No, ""));
    let of = |kind, flags, call| raw::frame_of_call(kind, flags, call, &[0]);
    let cases: [(&str, Vec<u8>); 6] = [
        ("a reply", of(FrameKind::REPLY, RESPONDER, (5, 1))),
        ("a reply of another number", of(FrameKind::REPLY, RESPONDER, (0, 2))),
        ("an error", of(FrameKind::ERROR, RESPONDER, (5, 1))),
        ("a refusal", refusal),
        ("items", raw::items(5, 1, RESPONDER, [&[1_u8][..]])),
        ("credit", raw::credit(5, 1, RESPONDER, credit(1, 1))),
    ];
    for (what, frame) in cases {
        let call = |client: Client| client.run::<Hold>(1).expect_err("no answer has come");
        let (error, closed) = against(arena, call, |raw| {
            assert_eq!(raw.answer().header.kind, FrameKind::CALL);
            raw.send(&frame);
        });
        assert_eq!(closed, Ok(CloseCode::NO_SUCH_CALL), "{what}");
        assert_eq!(error.problem().map(|p| p.kind()), Some(ProblemKind::ConnectionLost), "{what}");
        assert_eq!(error.ran(), Ran::Unknown, "{what}");
    }
}

/// Row 17.
pub(crate) fn credit_that_makes_no_sense_closes(arena: &Arena) {
    let of = |grant| raw::credit(0, 1, INITIATOR, grant);
    let most = credit(MAX_CREDIT, MAX_CREDIT);
    let gentle = download(0, 1, credit(1, 1));
    let cases: [(&str, Vec<u8>); 6] = [
        ("none", [gentle.clone(), of(credit(0, 0))].concat()),
        ("too many bytes", [gentle.clone(), of(credit(MAX_CREDIT, 0)), of(credit(9, 0))].concat()),
        ("too many items", [gentle.clone(), of(credit(0, MAX_CREDIT)), of(credit(0, 9))].concat()),
        ("all there is", [gentle, of(credit(u32::MAX, u32::MAX))].concat()),
        ("too much at once", download(0, 1, credit(MAX_CREDIT + 1, 1))),
        ("for a call that streams nothing", [upload(0, 1), of(most)].concat()),
    ];
    for (what, bytes) in cases {
        let mut raw = arena.peer();
        raw.send(&bytes);
        assert_eq!(raw.closed(), Ok(CloseCode::BAD_CREDIT), "{what}");
    }
    arena.gate.open();
    arena.runs.take();

    // And the other way round: a server that grants too much to a client.
    for grants in [vec![credit(0, 0)], vec![most, credit(1, 1)]] {
        let call = |client: Client| {
            client.open::<Upload>(()).expect("an open call").finish().expect_err("it was closed")
        };
        let (error, closed) = against(arena, call, |raw| {
            assert_eq!(raw.answer().header.kind, FrameKind::CALL);
            for grant in &grants {
                raw.send(&raw::credit(0, 1, RESPONDER, *grant));
            }
        });
        assert_eq!(closed, Ok(CloseCode::BAD_CREDIT), "{grants:?}");
        assert_eq!(error.problem().map(|p| p.kind()), Some(ProblemKind::ConnectionLost));
    }
}

/// Row 18. The handler takes nothing, and the caller sends sixty-four times what it may.
pub(crate) fn items_beyond_their_credit_close(arena: &Arena) {
    let limits = Limits::default();
    let window = limits.stream_window as usize;
    let item = vec![7; 1000];
    let one = raw::items(0, 1, INITIATOR, [&item[..]; 16]);
    let flood = one.repeat(64 * window / (16 * item.len()));

    // Not one item may come before the first credit.
    let mut early = arena.peer();
    early.send(&[upload(0, 1), one].concat());
    assert_eq!(early.closed(), Ok(CloseCode::BAD_CREDIT));
    arena.gate.open();

    arena.gate.close();
    arena.runs.take();
    let mut raw = arena.peer();
    raw.send(&upload(0, 1));
    let granted = raw.answer();
    assert_eq!(granted.header.kind, FrameKind::CREDIT);
    let granted = Credit::parse(&granted.words).expect("credit");
    assert_eq!(granted, credit(limits.stream_window, limits.stream_items));
    arena.gate.wait_for(1);
    let before = memory::watch();
    raw.send(&flood);
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_CREDIT));
    let grown = memory::peak().saturating_sub(before);
    // The window and the message that passed it; the rest is what this side and the witness use.
    let most = window + 16 * 1004 + SLACK;
    assert!(grown <= most, "{grown} bytes for a window of {window}");
    arena.gate.open();
    assert_eq!(arena.runs.take(), 1);

    // A server that sends more than its client has granted, while the client waits for another call.
    let call = |client: Client| {
        let stream = client.open::<Download>(()).expect("an open call");
        let error = client.run::<Hold>(1).expect_err("it was closed");
        drop(stream);
        error
    };
    let (error, closed) = against(arena, call, |raw| {
        assert_eq!(raw.answer().header.kind, FrameKind::CALL);
        raw.send(&raw::items(0, 1, RESPONDER, [&item[..]; 16]).repeat(100));
    });
    assert_eq!(closed, Ok(CloseCode::BAD_CREDIT));
    assert_eq!(error.ran(), Ran::Unknown);
}

/// What the other parts of a test may take meanwhile, in bytes.
const SLACK: usize = 64 * 1024;

/// Row 20. A hundred and twenty-eight are served, and hold their slots; the others are refused, and
/// a slot that was not granted is a violation.
pub(crate) fn streams_past_the_limit_are_refused(arena: &Arena) {
    let limits = Limits::default();
    let (slots, streams) = (limits.in_flight, limits.streams);
    let mut raw = arena.peer();
    let (mut opened, mut refused) = (0, 0);
    let mut held = Vec::new();
    for seq in 1.. {
        if opened >= 10_000 {
            break;
        }
        let free: Vec<u16> = (0..slots).filter(|slot| !held.contains(slot)).collect();
        raw.send(&free.iter().flat_map(|slot| upload(*slot, seq)).collect::<Vec<u8>>());
        opened += free.len();
        let mut taken: Vec<u16> = free.clone();
        let expected = free.len() - if seq == 1 { streams } else { 0 };
        let mut told = 0;
        while told < expected {
            let frame = raw.answer();
            // Those that are served get credit, once a worker takes them up.
            if frame.header.kind == FrameKind::CREDIT {
                continue;
            }
            let refusal = frame.refusal();
            assert_eq!((refusal.code, refusal.ran), (RefusalCode::OVERLOADED, Ran::No));
            taken.retain(|slot| *slot != frame.header.slot);
            told += 1;
        }
        refused += told;
        held.extend(taken);
        assert_eq!(held.len(), streams);
    }
    assert_eq!(refused, opened - streams);
    assert!(arena.runs.take() <= streams, "more handlers than streams");
    // A plain call is served beside them.
    raw.send(&raw::call::<Echo>(held.len() as u16, 0, &raw::text("x")));
    raw.send(&upload(slots, 1));
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_SLOT));
    arena.gate.open();
    eventually("the handlers end", ms(5000), || arena.server.held_bytes() == 0);
    assert!(arena.client().run::<Echo>("after it").is_ok());
    arena.runs.take();
}

/// Row 23.
pub(crate) fn a_million_empty_items_close(arena: &Arena) {
    let empty = raw::items(0, 1, INITIATOR, []);
    let flood = empty.repeat(1000);
    let mut raw = arena.peer();
    raw.send(&upload(0, 1));
    arena.gate.wait_for(1);
    let before = memory::watch();
    // It is closed long before the last of them, and then nobody takes them.
    let sent = (0..1000).take_while(|_| raw.try_send(&flood).is_ok()).count();
    assert!(sent < 1000, "a million of them were taken");
    assert_eq!(raw.closed(), Ok(CloseCode::FLOOD));
    let grown = memory::peak().saturating_sub(before);
    assert!(grown <= SLACK, "{grown} bytes");
    arena.gate.open();
    assert_eq!(arena.runs.take(), 1);

    // An empty fragment is none.
    let mut raw = arena.peer();
    raw.send(&raw::begun_call::<Hold>(0, 1, &[0; 10], 100));
    raw.send(&raw::more(0, 1, Flags::MORE, &[]));
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_FRAME));
}

/// Row 61 for what else can be dropped, a stream in its middle, and used after the close: a stream,
/// and a connection that a handler has kept.
pub(crate) fn what_is_used_after_its_end_is_an_error(arena: &Arena) {
    let client = arena.client();
    for _ in 0..50 {
        let mut stream = client.open::<Breaks>(()).expect("an open call");
        assert!(matches!(stream.next(), Some(Ok(1))));
        let Some(Err(CallError::Call(problem))) = stream.next() else { panic!("it broke") };
        assert_eq!((problem.kind(), problem.ran()), (ProblemKind::Panicked, Ran::Yes));
        assert!(!problem.to_string().contains("middle"), "{problem}");
        assert!(stream.next().is_none());
        assert!(stream.finish().is_err());
    }
    assert!(client.run::<Echo>("after it").is_ok());

    let gone = arena.client();
    let mut stream = gone.open::<Outlives>(3).expect("an open call");
    assert!(matches!(stream.next(), Some(Ok(0))));
    gone.close();
    let left = || LEFT.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut found = None;
    eventually("the handler sees the end", ms(5000), || {
        found = left();
        found.is_some()
    });
    let (connection, why) = found.expect("it has ended");
    assert_eq!(why, "the caller has stopped the stream or has gone");
    let at_once = |result: Result<(), isock::Problem>, began: Instant| {
        let problem = result.expect_err("it has gone");
        assert_eq!((problem.kind(), problem.ran()), (ProblemKind::NotConnected, Ran::No));
        assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    };
    at_once(connection.send::<Hold>(1), Instant::now());
    at_once(connection.ping().map(drop), Instant::now());
    at_once(connection.open::<Download>(()).map(drop), Instant::now());
    let (sent, seen) = mpsc::channel();
    let call = connection.start::<Hold>(1);
    sent.send(call.wait().map(drop)).expect("it is here");
    let error = seen.recv().expect("it was sent").expect_err("it has gone");
    assert_eq!(error.ran(), Ran::No);
}
