//! What may wait for a peer that does not read.

use crate::{assert_served, peer, server_at, Abandoned, Any, Late, Make};
use isock::{
    wire::{CloseCode, Flags, FrameKind, Ran, RefusalCode},
    Bytes, Limits, Server, ServerHandle,
};
use isock_tests::{
    gate::Gate,
    raw::{self, Raw},
    waiting::{eventually, ms, pass},
};
use std::{
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc,
    },
    thread,
    time::Instant,
};

/// More than sockets take in without anybody reading.
const LONG: u32 = 4 << 20;

/// A server at a Unix socket, which takes in little and always the same.
fn unix_server(limits: Limits, gate: &Gate) -> Result<ServerHandle, Any> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let (id, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(format!("isock-limits-{id}-{count}"));
    server_at(&format!("unix:{}", path.display()), limits, gate)
}

fn make(slot: u16, len: u32) -> Vec<u8> {
    raw::call::<Make>(slot, 1, &encoded(len))
}

fn late(slot: u16, len: u32) -> Vec<u8> {
    raw::call::<Late>(slot, 1, &[encoded(len), vec![0]].concat())
}

fn encoded(number: u32) -> Vec<u8> {
    let mut encoder = isock::wire::Encoder::new(usize::MAX);
    encoder.push(&number).expect("numbers encode");
    encoder.into_bytes()
}

/// Reads so many replies to their ends, and says how long that of slot 0 was. They take turns.
fn replies(raw: &mut Raw, many: usize) -> usize {
    let (mut ended, mut len) = (0, 0);
    while ended < many {
        let frame = raw.answer();
        assert!(matches!(frame.header.kind, FrameKind::REPLY | FrameKind::MORE), "{frame:?}");
        ended += usize::from(!frame.header.flags.has(Flags::MORE));
        len += if frame.header.slot == 0 { frame.payload.len() } else { 0 };
    }
    len
}

/// Nothing more is read from a peer that leaves more unread, and all of it is once it reads.
#[test]
fn output_soft() -> Result<(), Any> {
    let gate = Gate::new();
    gate.open();
    let server = unix_server(Limits::default().output_soft(1_000_000), &gate)?;
    let client = server.client();
    let other_turns = || {
        for _ in 0..50 {
            client.run::<Make>(1).expect("others are served");
        }
    };

    // The socket takes some of it in. The rest waits, and that much may.
    let mut raw = peer(&server);
    raw.send(&make(0, 1_000_000));
    raw.take(1);
    raw.send(&late(1, 1));
    gate.wait_for(1);

    let mut raw = peer(&server);
    raw.send(&make(0, LONG));
    raw.take(1);
    raw.send(&late(1, 1));
    other_turns();
    assert_eq!(gate.entered(), 1, "it is not even read");
    assert_eq!(replies(&mut raw, 2), LONG as usize + 4);
    assert_eq!(gate.entered(), 2);
    Ok(())
}

/// Sixty-four replies of a mebibyte to a client that reads them late: all arrive, since quick calls
/// wait while the output is above its soft mark.
#[test]
fn output_soft_loses_nothing() -> Result<(), Any> {
    // On a busy machine the handler may look slow. It runs on workers then, which the soft mark does
    // not hold up, and such a run shows nothing if something was lost.
    for _ in 0..20 {
        let on_worker = Arc::<AtomicBool>::default();
        let Err(error) = replies_read_late(&on_worker) else { return Ok(()) };
        assert!(on_worker.load(Ordering::SeqCst), "{error}");
    }
    panic!("the handler was never quick");
}

/// Tells whether a handler that was known as quick has run on a worker.
fn replies_read_late(on_worker: &Arc<AtomicBool>) -> Result<(), Any> {
    let told = Arc::clone(on_worker);
    let server = Server::builder().on::<Make>(move |len, _| {
        if thread::current().name() == Some("isock-worker") {
            told.store(true, Ordering::SeqCst);
        }
        Ok(Bytes::from(vec![7; len as usize]))
    });
    let server = server.bind("127.0.0.1:0")?.spawn()?;
    let client = server.client();
    client.run::<Make>(1)?;
    client.run::<Make>(1)?;
    on_worker.store(false, Ordering::SeqCst);
    let calls: Vec<_> = (0..64).map(|_| client.start::<Make>(1 << 20)).collect();
    for call in calls {
        assert_eq!(call.wait()?.len(), 1 << 20);
    }
    Ok(())
}

/// Two replies of 900 kB may wait below 2 MB, six may not: who reads late loses some, and is told
/// that their handlers ran.
#[test]
fn output_hard() -> Result<(), Any> {
    for (calls, fits) in [(2, true), (6, false)] {
        let gate = Gate::new();
        let server = unix_server(Limits::default().output_hard(2_000_000), &gate)?;
        let _opens = gate.opened_at_the_end();
        let mut raw = peer(&server);
        (0..calls).for_each(|slot| raw.send(&late(slot, 900_000)));
        gate.wait_for(usize::from(calls));
        gate.open();
        eventually("the replies wait", ms(10_000), || server.held_bytes() > 1_400_000);
        // An answer waits for a quarter of a second for the first byte that is read: here none is.
        pass(ms(1000));
        let (mut replies, mut refusals) = (0, Vec::new());
        let mut open = calls;
        while open > 0 {
            let frame = raw.answer();
            let last = !frame.header.flags.has(Flags::MORE);
            match frame.header.kind {
                FrameKind::REFUSAL => refusals.push(frame.refusal()),
                _ => replies += u16::from(last),
            }
            open -= u16::from(last);
        }
        assert_eq!(refusals.is_empty(), fits, "{replies} replies");
        assert!(replies >= 2);
        let told = |code, ran| (code, ran) == (RefusalCode::OVERLOADED, Ran::Yes);
        assert!(refusals.iter().all(|refusal| told(refusal.code, refusal.ran)), "{refusals:?}");
        assert_served(&mut raw, 0, 2);
    }
    Ok(())
}

/// Two ends without a socket between them: what one writes the other reads.
#[test]
fn output_hard_to_the_byte() {
    use isock::{
        proto::{Answer, Buffer, Config, Connection, Event, NewCall, Outcome, SharedBody},
        wire::{CallHead, InstanceId},
    };
    use std::{io::IoSlice, time::Instant};

    fn carry(from: &mut Connection, to: &mut Buffer) {
        while from.output_len() > 0 {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = from.slices(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            to.push(&bytes);
            from.written(Instant::now(), bytes.len());
        }
    }
    let limits = Limits::default().output_hard(2_000_000);
    let config = || Config::new(limits.clone(), InstanceId::default());
    let now = Instant::now();
    let mut client = Connection::client(config(), now);
    let mut server = Connection::server(config(), now);
    let call = NewCall { head: CallHead::default(), body: SharedBody::default() };
    for _ in 0..4 {
        client.call(call.clone()).unwrap();
    }
    let (mut to_server, mut to_client) = (Buffer::new(), Buffer::new());
    carry(&mut client, &mut to_server);
    let mut keys = Vec::new();
    while let Some(event) = server.read(now, &mut to_server) {
        if let Event::Call { key, .. } = event {
            keys.push(key);
        }
    }
    // One alone may be longer; a second one fits if it fits exactly, and one byte more does not.
    carry(&mut server, &mut to_client);
    let answer = |len: usize| Answer::Value(SharedBody::new(vec![7; len]));
    server.answer(keys[0], answer(1_000_000));
    let room = 2_000_000 - server.output_len();
    server.answer(keys[1], answer(room + 1));
    let room = 2_000_000 - server.output_len();
    server.answer(keys[2], answer(room));
    carry(&mut server, &mut to_client);
    server.answer(keys[3], answer(2_000_001));
    carry(&mut server, &mut to_client);
    let mut refused = Vec::new();
    let mut values = 0;
    while let Some(event) = client.read(now, &mut to_client) {
        match event {
            Event::Reply { outcome: Outcome::Refused(refusal), .. } => refused.push(refusal),
            Event::Reply { outcome: Outcome::Value(_), .. } => values += 1,
            _ => {}
        }
    }
    assert_eq!(values, 3);
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].code, refused[0].ran), (RefusalCode::OVERLOADED, Ran::Yes));
}

#[test]
fn output_stall() -> Result<(), Any> {
    let limit = ms(600);
    let gate = Gate::new();
    gate.open();
    let server = unix_server(Limits::default().output_stall(limit), &gate)?;

    // Takes something in each third of the limit, and all of it after four times the limit.
    let mut slow = peer(&server);
    slow.send(&make(0, LONG));
    for _ in 0..12 {
        slow.take(256 * 1024);
        pass(limit / 3);
    }
    assert_eq!(replies(&mut slow, 1), LONG as usize + 4);
    assert_served(&mut slow, 0, 2);

    let mut deaf = peer(&server);
    deaf.send(&raw::call::<Abandoned>(1, 1, &[]));
    let began = Instant::now();
    deaf.send(&make(0, LONG));
    gate.wait_for(1);
    let took = began.elapsed();
    assert!((limit..limit * 3).contains(&took), "{took:?}");
    // What was answered before the end is still there for who reads at last.
    assert_eq!(deaf.closed(), Ok(CloseCode::NOT_READING));
    Ok(())
}
