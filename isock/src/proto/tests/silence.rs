//! Peers that are there, and peers that are not.

use super::{
    lone::{Lone, Raw},
    pair::{ms, value, End, Pair, Script, Seen},
};
use crate::{
    proto::Closed,
    wire::{Close, CloseCode, FrameKind},
};

const AFTER: u64 = 15_000;
const PATIENCE: u64 = 10_000;

/// A pair that has said what it is; the latency keeps what is said from being at one moment.
fn pair(client: bool, server: bool) -> Pair {
    let mut pair = Pair::open();
    pair.latency = ms(10);
    pair.client.conn.set_attended(client);
    pair.server.conn.set_attended(server);
    pair.drive_until_idle();
    pair.forget_events();
    pair
}

fn silent() -> Closed {
    Closed::ByUs(Close::new(CloseCode::SILENT))
}

/// Nothing that is written arrives.
fn lose_all(pair: &mut Pair) {
    pair.latency = ms(1 << 40);
}

#[test]
fn p134_an_attended_peer_is_pinged_after_a_silence_and_goes_on() {
    let mut pair = pair(true, true);
    pair.pass(ms(AFTER - 20));
    assert!(pair.client.seen.is_empty() && pair.server.seen.is_empty());
    for _ in 0..100 {
        pair.pass(ms(AFTER + 40));
        assert!(pair.client.conn.is_open() && pair.server.conn.is_open());
    }
    let pongs = pair.client.seen.len() + pair.server.seen.len();
    // A ping is something that its receiver hears: one of the two asks, or both at once.
    assert!((100..=202).contains(&pongs), "{pongs} pongs");
}

#[test]
fn p135_a_peer_that_stays_silent_is_closed() {
    let mut pair = pair(true, true);
    lose_all(&mut pair);
    pair.pass(ms(AFTER + PATIENCE - 50));
    assert!(pair.client.conn.is_open() && pair.server.conn.is_open());
    pair.pass(ms(50));
    assert_eq!((pair.client.closed(), pair.server.closed()), (Some(&silent()), Some(&silent())));
}

#[test]
fn p134_a_peer_that_may_not_read_is_never_pinged() {
    for (client, server) in [(false, false), (true, false)] {
        let mut pair = pair(client, server);
        pair.client.start("Slow", "");
        pair.drive_until_idle();
        // Whoever says nothing of the kind: here the server.
        assert_eq!(pair.client.conn.poll_timeout(), None);
        lose_all(&mut pair);
        pair.pass(ms(10 * AFTER));
        assert!(pair.client.conn.is_open());
    }
}

#[test]
fn a_client_that_serves_nothing_asks_only_while_it_waits() {
    let mut pair = pair(false, true);
    pair.pass(ms(100 * AFTER));
    assert_eq!((pair.client.conn.poll_timeout(), pair.server.conn.poll_timeout()), (None, None));
    pair.client.start("Slow", "");
    pair.pass(ms(AFTER - 20));
    assert!(!pair.client.seen.contains(&Seen::Pong(0)), "a silence before the call does not count");
    pair.pass(ms(AFTER));
    assert_eq!(pair.client.seen, [Seen::Pong(0)]);
    lose_all(&mut pair);
    pair.pass(ms(AFTER + PATIENCE));
    assert_eq!((pair.client.closed(), pair.client.conn.in_flight()), (Some(&silent()), 1));
    assert_eq!(pair.server.closed(), None);
}

#[test]
fn calls_and_answers_are_heard() {
    let mut pair = pair(true, true);
    pair.server.script = Script::Hold;
    pair.client.start("Slow", "");
    pair.drive_until_idle();
    let silence = |pair: &Pair, end: fn(&Pair) -> &End| {
        end(pair).conn.poll_timeout().map(|due| due.duration_since(pair.time))
    };
    pair.pass(ms(AFTER - 100));
    pair.client.start("Next", "");
    pair.drive_until_idle();
    assert!(silence(&pair, |pair| &pair.server) > Some(ms(AFTER - 100)));
    let key = pair.server.calls()[0];
    pair.server.conn.answer(key, value("done"));
    pair.drive_until_idle();
    assert!(silence(&pair, |pair| &pair.client) > Some(ms(AFTER - 100)));
}

#[test]
fn an_answer_ends_the_need_to_ask() {
    let mut pair = pair(false, true);
    pair.server.script = Script::Echo;
    pair.client.start("Quick", "");
    pair.drive_until_idle();
    assert_eq!(pair.client.conn.poll_timeout(), None);
}

#[test]
fn anything_that_comes_shows_that_the_peer_is_there() {
    let mut client = Lone::open_client();
    client.conn.set_attended(true);
    client.feed(&Raw::settings(1).bytes());
    client.output();
    assert_eq!(client.wait(ms(AFTER - 1000)), None);
    for byte in &Raw::ping(1).bytes()[..9] {
        client.feed(&[*byte]);
        assert_eq!((client.wait(ms(1000)), client.kinds()), (None, vec![]), "a part of a frame");
    }
}

#[test]
fn one_ping_is_under_way_at_a_time() {
    let mut client = Lone::open_client();
    client.conn.set_attended(true);
    client.feed(&Raw::settings(1).bytes());
    client.conn.ping(7);
    client.output();
    assert_eq!(client.wait(ms(AFTER)), None);
    assert_eq!(client.kinds(), []);
    assert_eq!(client.wait(ms(PATIENCE)), Some(CloseCode::SILENT));
}

#[test]
fn what_lies_before_a_ping_gives_it_more_time() {
    let mut client = Lone::open_client();
    client.conn.set_attended(true);
    client.feed(&Raw::settings(1).bytes());
    client.conn.call(super::pair::call("Long", vec![0; 640 * 1024])).unwrap();
    client.output();
    assert_eq!(client.wait(ms(AFTER)), None);
    assert_eq!(client.kinds(), [FrameKind::PING]);
    assert_eq!(client.wait(ms(PATIENCE + 9_900)), None);
    assert_eq!(client.wait(ms(200)), Some(CloseCode::SILENT));
}

#[test]
fn time_in_which_this_side_does_not_read_is_not_the_peers() {
    let mut client = Lone::open_client();
    client.conn.set_attended(true);
    client.feed(&Raw::settings(1).bytes());
    client.now += ms(AFTER + PATIENCE);
    client.conn.not_reading(client.now);
    assert_eq!(client.wait(ms(0)), None);
    client.feed(&Raw::call(0, 1, b"").bytes());
    client.conn.answer(crate::proto::ServedKey { slot: 0, seq: 1 }, value(vec![0; 2 << 20]));
    assert_eq!(client.wait(ms(10 * AFTER)), None, "too much is unread");
}
