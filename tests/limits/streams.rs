//! How far a stream's sender may be ahead, and how many streams there may be.

use crate::{assert_served, peer, refused, Any, Echo};
use isock::{
    wire::{CloseCode, Credit, Flags, FrameKind},
    Action, Bytes, Limits, ProblemKind, Ran, Server, ServerHandle,
};
use isock_tests::{
    gate::Gate,
    raw::{self, Raw},
    waiting::{ms, pass},
};
use std::time::Instant;

/// Takes items, once the gate is open; none of them if it stays shut.
#[derive(Action)]
#[action(upload = Bytes, output = u32)]
struct Keep;

/// Says how many items it takes, one after the other.
#[derive(Action)]
#[action(upload = Bytes, stream = u32)]
struct Taken;

fn server(limits: Limits, gate: &Gate) -> Result<ServerHandle, Any> {
    let gate = gate.clone();
    let server = Server::builder().limits(limits).log(|_| ()).on::<Echo>(|bytes, _| Ok(bytes));
    let server = server
        .on::<Keep>(move |(), cx| {
            gate.pass();
            Ok(cx.items().map_while(Result::ok).count() as u32)
        })
        .on::<Taken>(|(), cx| {
            for (n, item) in cx.items().enumerate() {
                item?;
                cx.send(n as u32 + 1)?;
            }
            Ok(())
        });
    Ok(server.bind("127.0.0.1:0")?.spawn()?)
}

/// Opens an upload, and says what may be sent.
fn open(raw: &mut Raw, slot: u16) -> Credit {
    raw.send(&raw::stream_call::<Keep>(slot, 1, &[], Credit::default(), true));
    let frame = raw.answer();
    assert_eq!(frame.header.kind, FrameKind::CREDIT);
    Credit::parse(&frame.words).expect("a word of credit")
}

/// So many items of so many bytes, which cost four more.
fn items(slot: u16, count: usize, len: usize) -> Vec<u8> {
    let item = raw::bytes(&vec![7; len - 1]);
    raw::items(slot, 1, Flags::INITIATOR, (0..count).map(|_| &item[..]))
}

/// The receiver grants `credit`; a peer that sends `fits` is served, and one more item closes it.
fn passed_by_one(limits: Limits, credit: Credit, (fits, len): (usize, usize)) -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(limits, &gate)?;
    let _opens = gate.opened_at_the_end();
    let (mut modest, mut greedy) = (peer(&server), peer(&server));
    assert_eq!([open(&mut modest, 0), open(&mut greedy, 0)], [credit; 2]);
    modest.send(&items(0, fits, len));
    assert_served(&mut modest, 1, 1);
    greedy.send(&items(0, fits, len));
    greedy.send(&items(0, 1, len));
    assert_eq!(greedy.closed()?, CloseCode::BAD_CREDIT);
    assert_served(&mut modest, 1, 2);
    Ok(())
}

#[test]
fn stream_window() -> Result<(), Any> {
    let limits = Limits::default().stream_window(1000);
    // Ten items of a hundred bytes: the tenth begins with a hundred bytes left.
    passed_by_one(limits, Credit { bytes: 1000, items: 1024 }, (10, 96))
}

#[test]
fn stream_items() -> Result<(), Any> {
    let limits = Limits::default().stream_items(5);
    passed_by_one(limits, Credit { bytes: 64 << 10, items: 5 }, (5, 10))
}

/// What is granted while the handler takes all that comes, in so many rounds: the widest window.
fn widest(limits: Limits, len: usize) -> Result<Credit, Any> {
    let server = server(limits, &Gate::new())?;
    let mut raw = peer(&server);
    let much = Credit { bytes: 1 << 30, items: 1 << 30 };
    raw.send(&raw::stream_call::<Taken>(0, 1, &[], much, true));
    let (mut left, mut widest) = ((0i64, 0i64), Credit::default());
    let (mut sent, mut taken) = (0, 0);
    for _ in 0..4000 {
        let frame = raw.answer();
        match frame.header.kind {
            FrameKind::CREDIT => {
                let credit = Credit::parse(&frame.words).expect("a word of credit");
                left = (left.0 + i64::from(credit.bytes), left.1 + i64::from(credit.items));
            }
            FrameKind::ITEM => taken += raw::items_in(&frame.payload),
            other => panic!("{other:?}"),
        }
        // Nothing of it is under way when all that was sent has been taken.
        if sent == taken {
            widest.bytes = widest.bytes.max(left.0.max(0) as u32);
            widest.items = widest.items.max(left.1 as u32);
            let cost = len as i64 + 4;
            let fits = left.1.min((left.0 + cost - 1) / cost).max(0) as usize;
            raw.send(&items(0, fits, len));
            left = (left.0 - fits as i64 * cost, left.1 - fits as i64);
            sent += fits;
        }
    }
    Ok(widest)
}

#[test]
fn stream_window_most() -> Result<(), Any> {
    let limits = Limits::default().stream_window(1000).stream_window_most(4000);
    let wide = widest(limits, 96)?;
    assert!((2000..=4000).contains(&wide.bytes), "{wide:?}");
    let narrow = widest(Limits::default().stream_window(1000).stream_window_most(1000), 96)?;
    assert!(narrow.bytes <= 1000, "{narrow:?}");
    Ok(())
}

#[test]
fn stream_items_most() -> Result<(), Any> {
    let limits = Limits::default().stream_items(10).stream_items_most(40);
    let wide = widest(limits, 10)?;
    assert!((20..=40).contains(&wide.items), "{wide:?}");
    let narrow = widest(Limits::default().stream_items(10).stream_items_most(10), 10)?;
    assert!(narrow.items <= 10, "{narrow:?}");
    Ok(())
}

#[test]
fn streams() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(Limits::default().streams(2), &gate)?;
    let _opens = gate.opened_at_the_end();
    let client = server.client();
    let open = [client.open::<Keep>(())?, client.open::<Keep>(())?];
    gate.wait_for(2);
    refused(client.open::<Keep>(())?.finish(), ProblemKind::Overloaded, Ran::No);
    gate.open();
    for stream in open {
        assert_eq!(stream.finish()?, 0);
    }
    assert_eq!(client.open::<Keep>(())?.finish()?, 0);
    Ok(())
}

#[test]
fn stream_idle() -> Result<(), Any> {
    let limit = ms(500);
    let server = server(Limits::default().stream_idle(limit), &Gate::new())?;
    // The caller waits longer than the handler does.
    let client = server.client();
    let mut stream = client.open::<Taken>(())?;
    stream.send(&[1])?;
    assert_eq!(stream.next().ok_or("no item")??, 1);
    let error = stream.next().ok_or("no end")?.err().ok_or("an item")?;
    assert!(error.to_string().contains("`Limits::stream_idle`"), "{error}");
    // And one that sends all the time is served to its end.
    let mut stream = client.open::<Taken>(())?;
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < limit * 2 {
        stream.send(&[1])?;
        sent += 1;
        assert_eq!(stream.next().ok_or("no item")??, sent);
        pass(limit / 25);
    }
    Ok(stream.finish()?)
}

/// In frames that do nothing: a thousand are ten seconds' worth, whatever the machine's pace.
#[test]
fn idle_frames_per_second() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(Limits::default().idle_frames_per_second(1), &gate)?;
    let _opens = gate.opened_at_the_end();
    let idle = raw::frame(FrameKind(0xee), Flags::IGNORABLE, &[]);
    let (mut quiet, mut idler) = (peer(&server), peer(&server));
    quiet.send(&idle.repeat(9));
    assert_served(&mut quiet, 0, 1);
    idler.send(&idle.repeat(30));
    assert_eq!(idler.closed()?, CloseCode::FLOOD);
    assert_served(&mut quiet, 0, 2);
    Ok(())
}
