//! The exchange that the protocol page shows, byte for byte.

use super::pair::{batch, granted, value, Pair, Script};
use crate::{
    limits::Limits,
    proto::{Answer, Config, NewCall, SharedBody},
    wire::{name_hash, CallHead, CloseCode, InstanceId, Ran, Refusal, RefusalCode},
};
use std::time::Duration;

const PAGE: &str = include_str!("../../../PROTOCOL.md");

fn with_30_s(name: &str, body: &[u8]) -> NewCall {
    let remaining = Some(Duration::from_secs(30));
    let head = CallHead { name: name_hash(name), remaining, ..CallHead::default() };
    NewCall { head, body: SharedBody::new(body.to_vec()) }
}

/// What both sides write.
fn exchange() -> [Vec<u8>; 2] {
    let config = |id| Config::new(Limits::default(), InstanceId([id; 16]));
    let mut pair = Pair::configured(config(0xc1), config(0x5e));
    pair.client.conn.call(with_30_s("Echo", b"\x02hi")).unwrap();
    pair.drive_until_idle();
    pair.server.script = Script::Hold;
    pair.client.conn.call(with_30_s("Nope", b"")).unwrap();
    pair.drive_until_idle();
    let text = "no action Nope";
    let refusal = Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, text);
    pair.server.conn.answer(pair.server.calls()[1], Answer::Refusal(refusal));
    pair.client.conn.ping(1);
    pair.drive_until_idle();
    pair.server.conn.drain();
    pair.drive_until_idle();
    pair.client.conn.close(CloseCode::DONE);
    pair.drive_until_idle();
    [pair.client.transcript, pair.server.transcript]
}

/// What both sides of a stream write, behind the prefaces.
fn streamed() -> [Vec<u8>; 2] {
    let mut pair = Pair::open();
    let begins = [pair.client.transcript.len(), pair.server.transcript.len()];
    let mut sums = with_30_s("Sums", b"");
    (sums.head.credit, sums.head.items) = (granted((32, 2)), true);
    let call = pair.client.conn.call(sums).unwrap();
    pair.drive_until_idle();
    let key = pair.server.calls()[0];
    pair.server.conn.take_items(key);
    pair.drive_until_idle();
    pair.client.give(call, &[&[5], &[7]]);
    pair.drive_until_idle();
    pair.server.give(key, &[&[5], &[12]]);
    pair.drive_until_idle();
    pair.client.conn.consumed(call.into(), 10, 2, false);
    pair.client.conn.send_items(call.into(), &mut batch(&[[30]]), true).unwrap();
    pair.drive_until_idle();
    pair.server.give(key, &[&[42]]);
    pair.server.conn.answer(key, value([3]));
    pair.client.conn.set_attended(true);
    pair.drive_until_idle();
    let [client, server] = begins;
    [pair.client.transcript.split_off(client), pair.server.transcript.split_off(server)]
}

/// The bytes of the page's dump of one side: offset, bytes, and a remark behind `;`.
fn dump(side: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let begin = PAGE.split(&format!("```hex {side}\n")).nth(1).expect("the dump of this side");
    for line in begin.split("```").next().expect("its end").lines() {
        let mut fields = line.split(';').next().expect("bytes").split_whitespace();
        let offset = fields.next().map(|offset| usize::from_str_radix(offset, 16));
        assert_eq!(offset, Some(Ok(bytes.len())), "{line}");
        bytes.extend(fields.map(|byte| u8::from_str_radix(byte, 16).expect("a byte")));
    }
    bytes
}

fn as_dump(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

#[test]
fn p098_the_page_shows_what_is_sent() {
    for (side, bytes) in ["client", "server"].iter().zip(exchange()) {
        assert_eq!(as_dump(&dump(side)), as_dump(&bytes), "{side}");
    }
}

#[test]
fn p123_the_page_shows_what_a_stream_sends() {
    for (side, bytes) in ["client of a stream", "server of a stream"].iter().zip(streamed()) {
        assert_eq!(as_dump(&dump(side)), as_dump(&bytes), "{side}");
    }
}
