//! Credit: who may send how much, and what comes of more.

use super::{
    lone::{Lone, Raw},
    pair::{batch, granted, stream, value, Pair, Script, Seen},
};
use crate::{
    limits::Limits,
    proto::{Balance, CallKey, NotSent, ServedKey, StreamKey},
    wire::{CloseCode, Credit, FrameKind, MAX_CREDIT},
};

const KEY: ServedKey = ServedKey { slot: 0, seq: 1 };
const SERVED: StreamKey = StreamKey::Served(KEY);

fn serving(credit: (u32, u32), items: bool) -> Lone {
    let mut server = Lone::open_server();
    assert_eq!(server.feed(&Raw::stream(0, 1, credit, items).bytes()).len(), 1);
    server
}

fn listening(credit: (u32, u32), items: bool) -> (Lone, CallKey) {
    let mut client = Lone::open_client();
    let call = client.conn.call(stream("Stream", credit, items)).unwrap();
    client.output();
    (client, call)
}

/// The credit in the frames that wait to be written.
fn credits(lone: &mut Lone) -> Vec<Credit> {
    let frames = lone.frames();
    let credit = |sent: &super::lone::Sent| Credit::parse(&sent.words).expect("a word");
    assert!(frames.iter().all(|sent| sent.header.kind == FrameKind::CREDIT));
    frames.iter().map(credit).collect()
}

#[test]
fn p112_no_item_begins_without_credit() {
    let mut server = serving((100, 3), false);
    let send = |server: &mut Lone, items: &[&[u8]]| {
        server.conn.send_items(SERVED, &mut batch(items), false)
    };
    assert_eq!(send(&mut server, &[b"", b"", b"", b""]), Err(NotSent::NoCredit), "four of three");
    assert_eq!(send(&mut server, &[&[0; 96], b""]), Err(NotSent::NoCredit), "behind 100 of 100");
    assert_eq!(send(&mut server, &[&[0; 95], &[0; 500]]), Ok(()), "the last costs more");
    assert_eq!(server.conn.credit(SERVED), Balance { bytes: -503, items: 1 });
    assert_eq!(send(&mut server, &[b""]), Err(NotSent::NoCredit));
    assert_eq!(send(&mut server, &[]), Ok(()), "nothing costs nothing");
    server.feed(&Raw::credit(0, 1, (503, 0)).bytes());
    assert_eq!(send(&mut server, &[b""]), Err(NotSent::NoCredit), "zero bytes are none");
    let left = Balance { bytes: 1, items: 1 };
    let seen = server.feed(&Raw::credit(0, 1, (1, 0)).bytes());
    assert_eq!(seen, [Seen::Credit(SERVED, left)]);
    assert_eq!(send(&mut server, &[b"last"]), Ok(()));
    assert_eq!(server.conn.credit(SERVED), Balance { bytes: -7, items: 0 });
}

#[test]
fn p113_an_item_that_begins_without_credit_closes() {
    let over = Some(CloseCode::BAD_CREDIT);
    for (credit, items, ok) in [
        ((100, 2), &[&[0; 96][..]][..], true),
        ((100, 2), &[&[0; 500]], true),
        ((100, 2), &[&[0; 95], &[0; 500]], true),
        ((100, 2), &[&[0; 96], b""], false),
        ((100, 2), &[b"", b"", b""], false),
        ((0, 2), &[b""], false),
        ((100, 0), &[b""], false),
    ] {
        let (mut client, _) = listening(credit, false);
        let code = client.close_code(&Raw::items(0, 1, items).bytes());
        assert_eq!(code, if ok { None } else { over }, "{credit:?} {}", items.len());
    }
    let (mut client, _) = listening((0, 0), true);
    assert_eq!(client.close_code(&Raw::items(0, 1, &[b"x"]).bytes()), over, "it takes no items");
}

#[test]
fn p113_an_item_in_fragments_without_credit_closes_at_the_first() {
    let first = Raw::items(0, 1, &[&[0; 500]]).first_items(1000).bytes();
    let (mut client, _) = listening((100, 1), false);
    assert_eq!(client.feed(&Raw::items(0, 1, &[b"x"]).bytes()).len(), 1);
    assert_eq!(client.close_code(&first), Some(CloseCode::BAD_CREDIT));
    let (mut client, _) = listening((100, 1), false);
    assert_eq!(client.close_code(&first), None);
    let message = batch(&[&[0; 992][..], b""]).take();
    let (mut client, _) = listening((100, 2), false);
    let (begin, rest) = message.split_at(10);
    let raw = Raw::items(0, 1, &[]).payload(begin).first_items(message.len() as u64);
    assert_eq!(client.close_code(&raw.bytes()), None);
    let code = client.close_code(&Raw::last(0, 1, rest).of_responder().bytes());
    assert_eq!(code, Some(CloseCode::BAD_CREDIT), "the second item, once it is there");
}

#[test]
fn a_receiver_holds_one_window_and_one_message_at_most() {
    let limits = Limits::default().message(1 << 20);
    let mut client = Lone::client();
    client.conn = crate::proto::Connection::client(super::pair::config(limits), client.now);
    client.feed(&super::lone::welcome_bytes(&super::lone::welcome()));
    client.conn.call(stream("Stream", (65_536, 1024), false)).unwrap();
    client.output();
    // Never consumed: the peer has its window, then goes on as if it had more.
    let item = Raw::items(0, 1, &[&[0; 8188]]).bytes();
    let mut seen = (0..100).flat_map(|_| client.feed(&item));
    let taken = seen.by_ref().take_while(|seen| matches!(seen, Seen::Items(..))).count();
    assert_eq!(taken * 8192, 65_536);
    assert_eq!(seen.count(), 0, "the end was the last");
    assert!(client.conn.is_closed());
}

#[test]
fn p114_an_initiator_sends_no_item_before_the_responder_grants_credit() {
    let mut pair = Pair::open();
    let call = pair.client.open((0, 0), true);
    let mut first = batch(&["first"]);
    pair.drive_until_idle();
    assert_eq!(pair.client.conn.credit(call.into()), Balance::default());
    let sent = pair.client.conn.send_items(call.into(), &mut first, false);
    assert_eq!(sent, Err(NotSent::NoCredit));
    pair.server.conn.take_items(KEY);
    pair.server.conn.take_items(KEY);
    pair.drive_until_idle();
    let left = Balance { bytes: 65_536, items: 1024 };
    assert_eq!(pair.client.seen, [Seen::Credit(call.into(), left)]);
    pair.client.conn.send_items(call.into(), &mut first, false).unwrap();
    pair.drive_until_idle();
    assert_eq!(pair.server.items(KEY), [b"first"]);
    let code = serving((0, 0), true).close_code(&Raw::upload(0, 1, &[b"x"]).bytes());
    assert_eq!(code, Some(CloseCode::BAD_CREDIT));
}

#[test]
fn p115_a_credit_without_its_word_or_with_a_payload_closes() {
    for raw in [
        Raw::credit(0, 1, (1, 1)).words(&[]),
        Raw::credit(0, 1, (1, 1)).payload(b"x"),
        Raw::credit(9, 9, (1, 1)).payload(b"x"),
    ] {
        let code = serving((9, 9), false).close_code(&raw.bytes());
        assert_eq!(code, Some(CloseCode::BAD_FRAME));
    }
    let more = Raw::credit(0, 1, (1, 1)).words(&[1, 0, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]);
    assert_eq!(serving((9, 9), false).close_code(&more.bytes()), None);
}

#[test]
fn p116_no_credit_and_too_much_credit_close() {
    let bad = Some(CloseCode::BAD_CREDIT);
    let most = MAX_CREDIT;
    for (first, more, ok) in [
        ((1, 1), (0, 0), false),
        ((1, 1), (most - 1, most - 1), true),
        ((1, 1), (most, 0), false),
        ((1, 1), (0, most), false),
        ((1, 1), (u32::MAX, 0), false),
        ((1, 1), (0, u32::MAX), false),
        ((most, most), (0, 1), false),
    ] {
        let code = serving(first, false).close_code(&Raw::credit(0, 1, more).bytes());
        assert_eq!(code, if ok { None } else { bad }, "{first:?} and {more:?}");
    }
    for credit in [(most + 1, 0), (0, most + 1)] {
        let code = Lone::open_server().close_code(&Raw::stream(0, 1, credit, false).bytes());
        assert_eq!(code, bad, "{credit:?}");
    }
    let (mut client, _) = listening((0, 0), true);
    client.feed(&Raw::credit(0, 1, (most, 1)).of_responder().bytes());
    assert_eq!(client.close_code(&Raw::credit(0, 1, (1, 1)).of_responder().bytes()), bad);
}

#[test]
fn p117_credit_for_a_direction_without_items_closes() {
    let bad = Some(CloseCode::BAD_CREDIT);
    let mut plain = Lone::open_server();
    plain.feed(&Raw::call(0, 1, b"x").bytes());
    assert_eq!(plain.close_code(&Raw::credit(0, 1, (1, 1)).bytes()), bad);
    assert_eq!(serving((0, 0), true).close_code(&Raw::credit(0, 1, (1, 1)).bytes()), bad);
    let (mut client, _) = listening((9, 9), false);
    assert_eq!(client.close_code(&Raw::credit(0, 1, (1, 1)).of_responder().bytes()), bad);
}

#[test]
fn p118_credit_that_crossed_the_end_is_ignored() {
    let (mut client, call) = listening((0, 0), true);
    client.feed(&Raw::credit(0, 1, (9, 9)).of_responder().bytes());
    client.conn.send_items(call.into(), &mut batch(&["last"]), true).unwrap();
    assert_eq!(client.feed(&Raw::credit(0, 1, (1, 1)).of_responder().bytes()), []);
    assert_eq!(client.conn.credit(call.into()), Balance::default());
    let ended = client.conn.send_items(call.into(), &mut batch(&["more"]), false);
    assert_eq!(ended, Err(NotSent::Ended));
}

#[test]
fn p119_credit_for_a_call_that_is_not_under_way() {
    let mut server = serving((9, 9), false);
    server.conn.answer(KEY, value("done"));
    server.output();
    for raw in [Raw::credit(0, 1, (1, 1)), Raw::credit(0, 7, (1, 1)), Raw::credit(300, 1, (1, 1))] {
        assert_eq!(server.feed(&raw.bytes()), []);
    }
    assert_eq!(server.output(), []);
    let (mut client, _) = listening((0, 0), true);
    client.feed(&Raw::reply(0, 1, b"done").bytes());
    let code = client.close_code(&Raw::credit(0, 1, (1, 1)).of_responder().bytes());
    assert_eq!(code, Some(CloseCode::NO_SUCH_CALL));
}

#[test]
fn credit_comes_back_at_half_a_window_and_grows_with_use() {
    let (mut client, call) = listening((65_536, 1024), false);
    let item = &[0; 1020][..];
    let mut grants = Vec::new();
    for _ in 0..64 {
        client.feed(&Raw::items(0, 1, &[item; 16]).bytes());
        client.conn.consumed(call.into(), 16 * 1024, 16, true);
        grants.extend(credits(&mut client));
    }
    let bytes: Vec<u32> = grants.iter().map(|credit| credit.bytes / 1024).collect();
    // Half a window, and once that has been used, what doubles it: 128, 256, 512 KiB and 1 MiB.
    assert_eq!(bytes[..8], [32, 16 + 64, 64, 16 + 128, 128, 16 + 256, 256, 16 + 512]);
    assert!(bytes[8..].iter().all(|&bytes| bytes == 512));
    let (sent, granted): (u32, u32) = (64 * 16, bytes.iter().sum());
    assert!(granted + 64 >= sent && granted + 64 <= sent + 1024, "{granted} of {sent}");
    assert!(client.conn.credit(call.into()) == Balance::default(), "it sends no items itself");
}

#[test]
fn a_window_stays_as_it_is_while_items_wait_for_their_consumer() {
    let (mut client, call) = listening((65_536, 1024), false);
    for _ in 0..100 {
        client.feed(&Raw::items(0, 1, &[&[0; 1020][..]; 32]).bytes());
        client.conn.consumed(call.into(), 32 * 1024, 32, false);
        assert_eq!(credits(&mut client), [granted((32 * 1024, 32))]);
    }
}

#[test]
fn an_item_larger_than_the_window_does_not_stop_its_stream() {
    let mut pair = Pair::open();
    let call = pair.client.open((100, 1), false);
    pair.drive_until_idle();
    for n in 0..5 {
        pair.server.give(KEY, &[&vec![n; 300_000]]);
        pair.drive_until_idle();
        assert!(!pair.server.conn.credit(SERVED).allows_one());
        pair.client.conn.consumed(call.into(), 300_004, 1, false);
        pair.drive_until_idle();
        assert_eq!(pair.server.conn.credit(SERVED), Balance { bytes: 100, items: 1 });
    }
    assert_eq!(pair.client.items(call).len(), 5);
}

#[test]
fn credit_for_a_call_in_fragments_counts_and_is_told_with_the_call() {
    let mut server = Lone::open_server();
    let mut first = Raw::first(0, 1, 3, b"a");
    first.1.extend([5, 0, 0, 0, 5, 0, 0, 0]);
    assert_eq!(server.feed(&first.bytes()), []);
    assert_eq!(server.feed(&Raw::credit(0, 1, (2, 2)).bytes()), []);
    assert!(matches!(server.feed(&Raw::last(0, 1, b"bc").bytes())[..], [Seen::Call(..)]));
    assert_eq!(server.conn.credit(SERVED), Balance { bytes: 7, items: 7 });
}

#[test]
fn a_slow_consumer_holds_its_own_stream_up_and_no_other() {
    let mut pair = Pair::open();
    let [slow, fast] = [(); 2].map(|()| pair.client.open((1000, 10), false));
    pair.drive_until_idle();
    let fast_key = ServedKey { slot: 1, seq: 1 };
    for _ in 0..10 {
        pair.server.give(KEY, &[b"slow"]);
    }
    for _ in 0..100 {
        pair.server.give(fast_key, &[b"fast"]);
        pair.drive_until_idle();
        pair.client.conn.consumed(fast.into(), 8, 1, true);
        pair.drive_until_idle();
    }
    let full = pair.server.conn.send_items(SERVED, &mut batch(&["slow"]), false);
    assert_eq!(full, Err(NotSent::NoCredit));
    assert_eq!((pair.client.items(slow).len(), pair.client.items(fast).len()), (10, 100));
    pair.server.script = Script::Echo;
    let call = pair.client.start("Echo", "still");
    pair.drive_until_idle();
    assert_eq!(pair.client.seen.last(), Some(&Seen::Value(call, b"still".to_vec())));
}
