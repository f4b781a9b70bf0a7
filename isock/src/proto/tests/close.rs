//! Ends: what is still said, what is not, and what the calls under way can be sure of.

use super::{
    lone::{Lone, Raw},
    pair::{call, value, Pair, Script, Seen},
};
use crate::{
    proto::{Closed, NotStarted},
    wire::{Close, CloseCode, FrameKind, Ran},
};

#[test]
fn p084_nothing_follows_a_close() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"x").bytes());
    server.conn.close(CloseCode::DONE);
    server.conn.ping(1);
    server.conn.drain();
    server.conn.close(CloseCode::STOPPING);
    assert_eq!(server.conn.call(call("A", "")), Err(NotStarted::Closed));
    assert_eq!(server.conn.send(&call("A", "")), Err(NotStarted::Closed));
    assert_eq!(server.kinds(), [FrameKind::CLOSE]);
}

#[test]
fn p085_a_close_waits_for_answers_given_before_it() {
    let mut pair = Pair::open();
    let long = pair.client.start("Long", "");
    let short = pair.client.start("Short", "");
    pair.drive_until_idle();
    for key in pair.server.calls() {
        let body = if key.slot == 0 { vec![1; 2 << 20] } else { vec![2] };
        pair.server.conn.answer(key, value(body));
    }
    pair.server.conn.close(CloseCode::STOPPING);
    pair.drive_until_idle();
    let stopping = Closed::ByPeer(Close::new(CloseCode::STOPPING));
    assert_eq!(
        pair.client.seen,
        [Seen::Value(short, vec![2]), Seen::Value(long, vec![1; 2 << 20]), Seen::Closed(stopping)]
    );
}

#[test]
fn p093_a_call_that_a_close_cuts_in_mid_message_has_not_run() {
    let mut pair = Pair::open();
    let call = pair.client.start("Long", vec![0; 4 << 20]);
    pair.client.conn.close(CloseCode::DONE);
    pair.drive_until_idle();
    assert_eq!(pair.client.conn.take_lost(), [(call, Ran::No)]);
    assert_eq!(pair.server.calls(), []);
}

#[test]
fn p095_a_call_whose_bytes_wait_when_this_side_closes_may_run() {
    let mut pair = Pair::open();
    pair.server.script = Script::Hold;
    let call = pair.client.start("Echo", "x");
    pair.client.conn.close(CloseCode::DONE);
    assert_eq!(pair.client.conn.take_lost(), [(call, Ran::Unknown)]);
    pair.drive_until_idle();
    assert_eq!(pair.server.calls().len(), 1, "the driver delivered it before the close");
}

#[test]
fn p093_a_call_whose_bytes_were_discarded_has_not_run() {
    let mut pair = Pair::open();
    let early = pair.client.start("Echo", "x");
    pair.client.conn.discard_output();
    let late = pair.client.start("Echo", "y");
    pair.client.conn.handle_eof();
    assert_eq!(pair.client.conn.take_lost(), [(early, Ran::No), (late, Ran::No)]);
}

#[test]
fn calls_are_lost_only_at_the_end() {
    let mut pair = Pair::open();
    let call = pair.client.start("Echo", "x");
    assert_eq!(pair.client.conn.take_lost(), []);
    pair.drive_until_idle();
    pair.server.conn.answer(pair.server.calls()[0], value("x"));
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Value(call, b"x".to_vec())]);
}

#[test]
fn a_call_given_up_after_the_end_says_what_is_known() {
    let mut pair = Pair::open();
    let sent = pair.client.start("Echo", "x");
    pair.drive_until_idle();
    let unsent = pair.client.start("Echo", "y");
    pair.client.conn.handle_eof();
    assert_eq!(pair.client.conn.cancel(sent), Ran::Unknown);
    assert_eq!(pair.client.conn.cancel(unsent), Ran::No);
    assert_eq!(pair.client.conn.take_lost(), []);
}

#[test]
fn a_closed_connection_holds_no_input() {
    let mut server = Lone::open_server();
    server.feed(&Raw::first(0, 1, 200_000, &[0; 100_000]).bytes());
    assert!(server.conn.memory() >= 100_000);
    server.conn.handle_eof();
    assert_eq!(server.conn.memory(), 0);
}

#[test]
fn p086_a_peers_close_ends_what_this_side_says() {
    let mut client = Lone::open_client();
    client.conn.call(call("Echo", "x")).unwrap();
    let done = Closed::ByPeer(Close::new(CloseCode::DONE));
    assert_eq!(client.feed(&Raw::close(0, "done").bytes()), [Seen::Closed(done)]);
    assert_eq!(client.output(), []);
}

#[test]
fn p087_frames_behind_a_close_are_ignored() {
    let mut server = Lone::open_server();
    let mut bytes = Raw::close(0, "done").bytes();
    bytes.extend(Raw::call(0, 1, b"x").bytes());
    bytes.extend([0; 16]);
    assert_eq!(server.feed(&bytes).len(), 1);
    assert_eq!(server.output(), []);
}

#[test]
fn p088_a_reason_survives_an_unknown_number_and_a_long_text() {
    let seen = Lone::open_client().feed(&Raw::close(777, &"x".repeat(100)).bytes());
    let close = Close { code: CloseCode(777), text: "x".repeat(64) };
    assert_eq!(seen, [Seen::Closed(Closed::ByPeer(close))]);
}

#[test]
fn p089_an_end_in_the_middle_of_a_frame_drops_that_frame() {
    let mut server = Lone::open_server();
    let call = Raw::call(0, 1, b"x").bytes();
    assert_eq!(server.feed(&call[..call.len() - 1]), []);
    server.conn.handle_eof();
    assert_eq!(server.events(), [Seen::Closed(Closed::Eof)]);
}

#[test]
fn each_side_can_end_an_idle_connection() {
    for closing_is_client in [true, false] {
        let mut pair = Pair::open();
        let (ends, hears) = match closing_is_client {
            true => (&mut pair.client, &mut pair.server),
            false => (&mut pair.server, &mut pair.client),
        };
        ends.conn.close(CloseCode::DONE);
        hears.seen.clear();
        pair.drive_until_idle();
        let (ends, hears) = match closing_is_client {
            true => (&pair.client, &pair.server),
            false => (&pair.server, &pair.client),
        };
        let close = Close::new(CloseCode::DONE);
        assert_eq!(ends.seen, [Seen::Closed(Closed::ByUs(close.clone()))]);
        assert_eq!(hears.seen, [Seen::Closed(Closed::ByPeer(close))]);
        assert_eq!((ends.conn.memory(), hears.conn.memory()), (0, 0));
    }
}
