//! What one peer may ask for, and what all may together.

use crate::{answer_to_an_echo, assert_served, peer, refused, server, server_at, Any, Echo, Late};
use isock::{
    proto::FRAGMENT,
    wire::{CloseCode, Flags, FrameKind, Metadata, RefusalCode, MAX_METADATA, MAX_OWN_METADATA},
    Action, Bytes, Client, Limits, ProblemKind, Ran, ServerHandle,
};
use isock_tests::{
    gate::Gate,
    raw::{self, Raw},
    waiting::{eventually, ms, pass, within},
};
use std::time::Instant;

#[test]
fn message_stall() -> Result<(), Any> {
    let limit = ms(1000);
    let server = server(Limits::default().message_stall(limit))?;
    let message = raw::bytes(&[42; 20]);
    let (first, rest) = message.split_at(10);
    let began = Instant::now();
    let (mut in_time, mut late) = (peer(&server), peer(&server));
    for raw in [&mut in_time, &mut late] {
        raw.send(&raw::begun_call::<Echo>(0, 1, first, message.len() as u32));
    }
    pass(limit / 2);
    in_time.send(&raw::more(0, 1, Flags::default(), rest));
    assert_eq!(in_time.answer().payload, message);
    assert_eq!(late.closed(), Ok(CloseCode::MESSAGE_STALLED));
    let took = began.elapsed();
    assert!((limit..limit * 3).contains(&took), "{took:?}");
    assert_served(&mut in_time, 0, 2);
    Ok(())
}

#[test]
fn in_flight() -> Result<(), Any> {
    let gate = Gate::new();
    let server = server_at("127.0.0.1:0", Limits::default().in_flight(16), &gate)?;
    let _opens = gate.opened_at_the_end();
    let client = server.client();
    client.expect(isock_tests::actions::Nothing)?;
    let calls: Vec<_> =
        (0..17).map(|_| client.start::<Late>((1, Bytes::from(Vec::new())))).collect();
    gate.wait_for(16);
    // The seventeenth waits at the client: the server has room for it in its workers, and a peer
    // that sent it anyway would be closed (PROTOCOL.md, slots).
    assert!(!within(ms(100), || gate.entered() > 16));
    gate.open();
    for call in calls {
        call.wait()?;
    }
    assert_eq!(gate.entered(), 17);
    Ok(())
}

/// A peer that does not keep to its grant.
#[test]
fn in_flight_of_a_peer_that_does_not_count() -> Result<(), Any> {
    let server = server(Limits::default().in_flight(20))?;
    let mut raw = peer(&server);
    assert_served(&mut raw, 19, 1);
    raw.send(&raw::call::<Echo>(20, 1, &raw::bytes(&[42])));
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_SLOT));
    Ok(())
}

#[test]
fn pings_per_second() -> Result<(), Any> {
    let server = server(Limits::default().pings_per_second(1))?;
    let pings = |count| raw::frame(FrameKind::PING, Flags::default(), &[1; 8]).repeat(count);
    let mut raw = peer(&server);
    // One by one: a pong that waits to leave answers the pings behind it too.
    for _ in 0..10 {
        raw.send(&pings(1));
        assert_eq!(raw.answer().header.kind, FrameKind::PONG);
    }
    assert_served(&mut raw, 0, 1);

    let mut raw = peer(&server);
    raw.send(&pings(11));
    assert_eq!(raw.closed(), Ok(CloseCode::FLOOD));
    Ok(())
}

/// A peer that serves and reads, and says nothing more.
fn quiet_peer(server: &ServerHandle) -> Raw {
    let mut raw = peer(server);
    raw.send(&raw::attended());
    raw
}

#[test]
fn ping_after() -> Result<(), Any> {
    let limit = ms(1000);
    let server = server(Limits::default().ping_after(limit).ping_patience(ms(60_000)))?;
    let (mut raw, mut unattended) = (quiet_peer(&server), peer(&server));
    let began = Instant::now();
    assert_eq!(raw.answer().header.kind, FrameKind::PING);
    let took = began.elapsed();
    assert!((limit / 2..limit * 3).contains(&took), "{took:?}");
    assert_served(&mut unattended, 0, 1);
    Ok(())
}

#[test]
fn ping_patience() -> Result<(), Any> {
    let limit = ms(1000);
    let server = server(Limits::default().ping_after(ms(300)).ping_patience(limit))?;
    let (mut silent, mut there) = (quiet_peer(&server), quiet_peer(&server));
    let asked = silent.answer();
    let began = Instant::now();
    for _ in 0..5 {
        let ping = there.answer();
        assert_eq!(ping.header.kind, FrameKind::PING);
        there.send(&raw::frame(FrameKind::PONG, Flags::default(), &ping.payload));
    }
    assert_eq!((asked.header.kind, silent.closed()), (FrameKind::PING, Ok(CloseCode::SILENT)));
    let took = began.elapsed();
    assert!((limit / 2..limit * 4).contains(&took), "{took:?}");
    // It may have been asked once more meanwhile.
    there.send(&raw::call::<Echo>(0, 1, &raw::bytes(&[42])));
    let kinds = std::iter::from_fn(|| Some(there.answer().header.kind));
    let first = kinds.take(20).find(|kind| *kind != FrameKind::PING);
    assert_eq!(first, Some(FrameKind::REPLY));
    Ok(())
}

/// Not among `Limits`: both sides must agree on it.
#[test]
fn metadata() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let call = |own: usize, more: &[u8]| {
        let mut metadata = Vec::new();
        Metadata { own: vec![1; own], ..Metadata::default() }.write(&mut metadata);
        metadata.extend_from_slice(more);
        (metadata.len(), raw::call_with_metadata::<Echo>(0, 1, &metadata, &raw::bytes(&[42])))
    };
    let (len, whole) = call(MAX_OWN_METADATA, &[]);
    let mut raw = peer(&server);
    raw.send(&whole);
    assert_eq!((len, raw.answer().payload), (MAX_METADATA, raw::bytes(&[42])));
    let mut raw = peer(&server);
    raw.send(&call(MAX_OWN_METADATA, &[0]).1);
    assert_eq!(raw.closed(), Ok(CloseCode::BAD_FRAME));

    server.on::<Told>(|(), cx| Ok(Bytes::from(cx.metadata().to_vec())))?;
    let client = Client::connect(server.address())?;
    let told = |len| client.request::<Told>(()).metadata(vec![7; len]).run();
    assert_eq!(told(MAX_OWN_METADATA)?[..], [7; MAX_OWN_METADATA]);
    assert_eq!(*told(0)?, []);
    refused(told(MAX_OWN_METADATA + 1), ProblemKind::InputTooLarge, Ran::No);
    let text = told(MAX_OWN_METADATA + 1).unwrap_err().to_string();
    assert!(text.contains("8189 bytes of metadata, and a call carries 8188"), "{text}");
    let by_name = client.request_named("Told", vec![]).metadata(*b"by name").run()?;
    assert_eq!(by_name, raw::bytes(b"by name"));
    Ok(())
}

/// What came beside the input.
#[derive(Action)]
#[action(output = Bytes, kind = read)]
struct Told;

#[test]
fn p143_entries_that_do_not_add_up_refuse_their_call_alone() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let mut raw = peer(&server);
    for (seq, metadata) in (1..).zip([&[1][..], &[1, 0, 9, 0, 0], &[1, 0, 0xff, 0xff, 0]]) {
        raw.send(&raw::call_with_metadata::<Echo>(0, seq, metadata, &raw::bytes(&[42])));
        let refusal = raw.answer().refusal();
        assert_eq!((refusal.code, refusal.ran), (RefusalCode::UNDECODABLE, Ran::No));
        assert!(refusal.text.contains("metadata"), "{}", refusal.text);
    }
    assert_served(&mut raw, 0, 4);
    Ok(())
}

/// An input of [`Late`] that takes so many bytes, encoded.
fn late_input(len: usize) -> Vec<u8> {
    let prefix = [2, 3, 4][usize::from(len > 100) + usize::from(len > 1 << 14)];
    let input = [vec![1], raw::bytes(&vec![7; len - prefix])].concat();
    assert_eq!(input.len(), len);
    input
}

/// Calls that wait hold the whole mebibyte, and one byte more is too much. They are sent one by one,
/// since what has come of the next one counts as well.
#[test]
fn total() -> Result<(), Any> {
    const TOTAL: usize = 1 << 20;
    let gate = Gate::new();
    let server = server_at("127.0.0.1:0", Limits::default().total(TOTAL), &gate)?;
    let _opens = gate.opened_at_the_end();
    let (mut bystander, mut waiting, mut one_more) = (peer(&server), peer(&server), peer(&server));
    let calls = [vec![TOTAL / 16; 12], vec![TOTAL / 256; 64]].concat();
    for (slot, len) in (0..).zip(&calls) {
        waiting.send(&raw::call::<Late>(slot, 1, &late_input(*len)));
        gate.wait_for(usize::from(slot) + 1);
    }
    eventually("only the calls are held", ms(5000), || server.held_bytes() == TOTAL);
    assert_served(&mut bystander, 0, 1);

    one_more.send(&raw::call::<Late>(0, 1, &late_input(10)));
    gate.wait_for(calls.len() + 1);
    let refusal = answer_to_an_echo(&mut bystander, 0, 2).refusal();
    assert_eq!((refusal.code, refusal.ran), (RefusalCode::OVERLOADED, Ran::No));
    assert_what_a_connection_may_hold_even_now(&mut bystander, peer(&server));

    gate.open();
    for _ in calls {
        assert_eq!(waiting.answer().header.kind, FrameKind::REPLY);
    }
    one_more.answer();
    drop(bystander);
    eventually("nothing is held", ms(5000), || server.held_bytes() == 0);
    assert_served(&mut waiting, 0, 2);
    Ok(())
}

fn assert_what_a_connection_may_hold_even_now(modest: &mut Raw, mut greedy: Raw) {
    const SHARE: usize = 128 * 1024;
    modest.send(&raw::begun_call::<Echo>(1, 1, &[7; SHARE - 10], FRAGMENT as u32));
    modest.send(&raw::frame(FrameKind::PING, Flags::default(), &[1; 8]));
    assert_eq!(modest.answer().header.kind, FrameKind::PONG);
    greedy.send(&raw::begun_call::<Echo>(1, 1, &[7; SHARE + 1], FRAGMENT as u32));
    assert_eq!(greedy.closed(), Ok(CloseCode::OVERLOADED));
}

/// The same as its callers see it.
#[test]
fn total_of_a_server() -> Result<(), Any> {
    let server = server(Limits::default().total(1 << 20).message(4 << 20))?;
    let client = Client::builder().attempts(1).connect(server.address())?;
    assert_eq!(client.run::<Echo>(vec![7; 200_000])?.len(), 200_000);
    let result = client.run::<Echo>(vec![7; 3 << 20]);
    assert!(result.is_err(), "{result:?}");
    // Once it is gone, there is room again.
    assert_eq!(client.run::<Echo>(vec![7; 200_000])?.len(), 200_000);
    Ok(())
}
