//! What streams and one-way sends hold counts as what calls do.

use crate::{assert_served, peer, Any, Echo};
use isock::{
    wire::{CloseCode, Credit, Flags, FrameKind},
    Action, Bytes, Client, Limits, Server, ServerHandle,
};
use isock_tests::{
    gate::Gate,
    hostile,
    raw::{self, Raw},
    waiting::{eventually, ms, within},
};
use std::sync::{
    atomic::{AtomicBool, Ordering},
    Arc,
};

/// Takes items, once the gate is open.
#[derive(Action)]
#[action(upload = Bytes, output = u32)]
struct Keep;

/// Sends an item of so many bytes, and waits until the gate is open.
#[derive(Action)]
#[action(input = u32, stream = Bytes)]
struct Give;

/// Takes bytes, once the gate is open.
#[derive(Action)]
#[action(input = Bytes)]
struct Note;

fn server(limits: Limits, gate: &Gate) -> Result<ServerHandle, Any> {
    let (kept, given, noted) = (gate.clone(), gate.clone(), gate.clone());
    let server = Server::builder().limits(limits).workers(100).log(|_| ());
    let server = server
        .on::<Echo>(|bytes, _| Ok(bytes))
        .on::<Keep>(move |(), cx| {
            kept.pass();
            Ok(cx.items().map_while(Result::ok).count() as u32)
        })
        .on::<Give>(move |len, cx| {
            cx.send(vec![7; len as usize].into())?;
            given.pass();
            Ok(())
        })
        .on::<Note>(move |_, _| {
            noted.pass();
            Ok(())
        });
    Ok(server.bind("127.0.0.1:0")?.spawn()?)
}

fn upload(slot: u16) -> Vec<u8> {
    raw::stream_call::<Keep>(slot, 1, &[], Credit::default(), true)
}

/// Opens an upload, and waits until items may come.
fn open(raw: &mut Raw, slot: u16) {
    raw.send(&upload(slot));
    assert_eq!(raw.answer().header.kind, FrameKind::CREDIT);
}

/// One item of about this many bytes.
fn item(slot: u16, flags: Flags, len: usize) -> Vec<u8> {
    let item = raw::bytes(&vec![7; len]);
    raw::items(slot, 1, Flags::INITIATOR.with(flags), [&item[..]])
}

#[test]
fn items_that_wait_for_their_handler_are_held() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(Limits::default(), &gate)?;
    let _opens = gate.opened_at_the_end();
    let mut raw = peer(&server);
    open(&mut raw, 0);
    raw.send(&item(0, Flags::default(), 30_000));
    raw.send(&item(0, Flags::END, 20_000));
    eventually("they are held", ms(5000), || (50_000..52_000).contains(&server.held_bytes()));
    gate.open();
    assert_eq!(raw.answer().payload, [2]);
    eventually("nothing is held", ms(5000), || server.held_bytes() == 0);
    Ok(())
}

/// A message of one byte holds a block of 128 and a place in a queue.
#[test]
fn items_that_come_one_by_one_count_with_the_memory_that_they_hold() -> Result<(), Any> {
    const ITEMS: usize = 500;
    let gate = Gate::new();
    let server = server(Limits::default(), &gate)?;
    let _opens = gate.opened_at_the_end();
    let mut raw = peer(&server);
    open(&mut raw, 0);
    (0..ITEMS).for_each(|_| raw.send(&item(0, Flags::default(), 1)));
    let about = ITEMS * 200..ITEMS * 220;
    eventually("they are held", ms(5000), || about.contains(&server.held_bytes()));
    gate.open();
    eventually("nothing is held", ms(5000), || server.held_bytes() < 100);
    raw.send(&item(0, Flags::END, 1));
    while raw.answer().header.kind == FrameKind::CREDIT {}
    Ok(())
}

/// Its handler is quick until it is told to block, and loses the loop then.
#[test]
fn the_input_of_a_call_that_was_left_behind_is_held_until_it_ends() -> Result<(), Any> {
    let (gate, blocks) = (Gate::new(), Arc::<AtomicBool>::default());
    let (noted, told) = (gate.clone(), Arc::clone(&blocks));
    let server = Server::builder().on::<Echo>(|bytes, _| Ok(bytes)).on::<Note>(move |_, _| {
        if told.load(Ordering::SeqCst) {
            noted.pass();
        }
        Ok(())
    });
    let server = server.bind("127.0.0.1:0")?.spawn()?;
    let _opens = gate.opened_at_the_end();
    let client = Client::connect(server.address())?;
    for _ in 0..100 {
        client.run::<Note>(vec![7; 1000])?;
    }
    eventually("nothing is held", ms(5000), || server.held_bytes() == 0);
    blocks.store(true, Ordering::SeqCst);
    let call = client.start::<Note>(vec![7; 100_000]);
    gate.wait_for(1);
    for _ in 0..100 {
        client.run::<Echo>(vec![7; 1000])?;
    }
    eventually("it is held", ms(5000), || (100_000..110_000).contains(&server.held_bytes()));
    gate.open();
    call.wait()?;
    eventually("nothing is held", ms(5000), || server.held_bytes() == 0);
    Ok(())
}

/// They have been read when their connection ends, and have not begun.
#[test]
fn quick_calls_of_a_connection_that_has_ended_are_not_held() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(Limits::default(), &gate)?;
    let mut raw = peer(&server);
    (1..100).for_each(|seq| assert_served(&mut raw, 0, seq));
    let call = raw::call::<Echo>(0, 100, &raw::bytes(&vec![7; 100_000]));
    raw.send(&[call, vec![0xff; 64]].concat());
    assert_ne!(raw.closed().map_err(|text| text + ": not told why")?, CloseCode::DONE);
    drop(raw);
    eventually("nothing is held", ms(5000), || server.held_bytes() == 0);
    Ok(())
}

/// While the stream goes on.
#[test]
fn items_that_were_taken_are_not_held() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(Limits::default(), &gate)?;
    let _opens = gate.opened_at_the_end();
    let mut raw = peer(&server);
    open(&mut raw, 0);
    (0..100).for_each(|_| raw.send(&item(0, Flags::default(), 500)));
    eventually("they are held", ms(5000), || server.held_bytes() > 50_000);
    gate.open();
    eventually("they are taken", ms(5000), || server.held_bytes() < 100);
    raw.send(&item(0, Flags::END, 1));
    while raw.answer().header.kind == FrameKind::CREDIT {}
    Ok(())
}

#[test]
fn items_that_have_left_are_not_held() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(Limits::default(), &gate)?;
    let _opens = gate.opened_at_the_end();
    let mut raw = peer(&server);
    let one = Credit { bytes: 1, items: 1 };
    let input = hostile::length(100_000);
    raw.send(&raw::stream_call::<Give>(0, 1, &input, one, false));
    gate.wait_for(1);
    let first = raw.answer();
    assert_eq!((first.header.kind, first.payload.len() > 100_000), (FrameKind::ITEM, true));
    eventually("the input alone is held", ms(5000), || server.held_bytes() < 1000);
    Ok(())
}

#[test]
fn sends_that_wait_are_held() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server(Limits::default(), &gate)?;
    let _opens = gate.opened_at_the_end();
    let client = server.client();
    for _ in 0..100 {
        client.send::<Note>(vec![7; 1000])?;
    }
    eventually("they are held", ms(5000), || {
        (100_000..110_000).contains(&server.held_bytes()) && gate.entered() == 1
    });
    gate.open();
    eventually("nothing is held", ms(5000), || server.held_bytes() == 0);
    assert_eq!(gate.entered(), 100);
    Ok(())
}

/// Thirty-two windows are twice what all connections may hold: who fills them is closed, and what it
/// has filled is free at once, although its handlers have not seen it yet.
#[test]
fn a_hostile_uploader_is_closed_at_the_total() -> Result<(), Any> {
    const TOTAL: usize = 1 << 20;
    let gate = Gate::new();
    let limits = Limits::default().total(TOTAL);
    let window = limits.stream_window as usize;
    let server = server(limits, &gate)?;
    let _opens = gate.opened_at_the_end();
    let (mut bystander, mut hostile) = (peer(&server), peer(&server));
    (0..32).for_each(|slot| open(&mut hostile, slot));
    gate.wait_for(32);
    let mut most = 0;
    for slot in 0..32 {
        hostile.send(&item(slot, Flags::default(), window - 10));
        // What one of them adds is seen before the next one comes.
        let before = most;
        within(ms(20), || {
            most = most.max(server.held_bytes());
            most >= before + window - 100
        });
    }
    assert_eq!(hostile.closed(), Ok(CloseCode::OVERLOADED));
    let about = TOTAL - 2 * window..TOTAL + 2 * window;
    assert!(about.contains(&most), "{most} bytes were held");
    eventually("nothing is held", ms(5000), || server.held_bytes() == 0);
    assert_eq!(gate.entered(), 32);
    assert_served(&mut bystander, 0, 1);
    Ok(())
}
