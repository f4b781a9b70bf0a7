//! What ends a connection by time alone.

use super::{
    lone::{hello, preface, Lone, Raw},
    pair::{ms, value, Pair, Script},
};
use crate::{
    limits::Limits,
    proto::{Closed, ServedKey},
    wire::{Close, CloseCode, FrameKind},
};

#[test]
fn a_handshake_that_trickles_ends_at_its_deadline() {
    let mut server = Lone::server();
    for byte in &preface(&hello())[..29] {
        assert_eq!(server.wait(ms(100)), None);
        assert_eq!(server.feed(&[*byte]), []);
    }
    assert_eq!(server.wait(ms(99)), None);
    assert_eq!(server.wait(ms(1)), Some(CloseCode::HANDSHAKE_TIMEOUT));
}

#[test]
fn a_client_does_not_wait_for_ever_either() {
    let mut client = Lone::client();
    assert_eq!(client.wait(ms(2_999)), None);
    assert_eq!(client.wait(ms(1)), Some(CloseCode::HANDSHAKE_TIMEOUT));
}

#[test]
fn the_slow_side_learns_why() {
    let mut pair = Pair::new();
    pair.latency = ms(10);
    pair.client.blocked = true;
    pair.pass(ms(5_000));
    let timeout = Close::new(CloseCode::HANDSHAKE_TIMEOUT);
    assert_eq!(pair.client.closed(), Some(&Closed::ByUs(timeout.clone())));
    assert_eq!(pair.server.closed(), Some(&Closed::ByUs(timeout)));
}

#[test]
fn an_idle_connection_has_no_deadline() {
    let mut pair = Pair::open();
    assert_eq!((pair.client.conn.poll_timeout(), pair.server.conn.poll_timeout()), (None, None));
    pair.pass(ms(1_000_000));
    assert!(pair.client.conn.is_open() && pair.server.conn.is_open());
}

#[test]
fn p090_a_peer_that_leaves_too_much_unread_is_not_read() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"").bytes());
    server.feed(&Raw::call(1, 1, b"").bytes());
    server.conn.answer(ServedKey { slot: 0, seq: 1 }, value(vec![0; (1 << 20) - 100]));
    assert!(server.conn.wants_input());
    server.conn.answer(ServedKey { slot: 1, seq: 1 }, value(vec![0; 200]));
    assert!(!server.conn.wants_input());
    server.output();
    assert!(server.conn.wants_input());
}

#[test]
fn p091_a_peer_that_takes_nothing_is_closed() {
    let mut pair = Pair::new();
    pair.drive_until_idle();
    pair.server.blocked = true;
    pair.client.start("Echo", "x");
    pair.pass(ms(9_990));
    assert!(pair.server.conn.is_open());
    pair.pass(ms(20));
    let Some(Closed::ByUs(close)) = pair.server.closed() else { panic!("{:?}", pair.server.seen) };
    assert_eq!(close.code, CloseCode::NOT_READING);
}

#[test]
fn each_byte_taken_gives_the_peer_more_time_and_none_taken_does_not() {
    let mut server = Lone::open_server();
    server.feed(&Raw::call(0, 1, b"").bytes());
    server.conn.answer(ServedKey { slot: 0, seq: 1 }, value(vec![0; 100]));
    server.conn.write_blocked(server.now);
    assert_eq!(server.wait(ms(9_000)), None);
    server.conn.written(server.now, 1);
    assert_eq!(server.wait(ms(9_000)), None);
    server.conn.written(server.now, 0);
    server.conn.write_blocked(server.now);
    assert_eq!(server.wait(ms(1_000)), Some(CloseCode::NOT_READING));
}

#[test]
fn a_slow_reader_that_goes_on_reading_is_served() {
    let mut pair = Pair::with(Limits::default(), Limits::default().output_soft(1000));
    pair.drive_until_idle();
    pair.server.script = Script::Hold;
    pair.client.start("Echo", "");
    pair.drive_until_idle();
    pair.server.conn.answer(pair.server.calls()[0], value(vec![1; 5_000]));
    for _ in 0..50 {
        pair.time += ms(9_000);
        pair.server.conn.handle_timeout(pair.time);
        pair.server.conn.slices(&mut [std::io::IoSlice::new(&[]); 4]);
        pair.server.conn.written(pair.time, 100);
    }
    assert!(pair.server.conn.is_open());
}

#[test]
fn the_reason_of_a_timeout_is_still_written() {
    let mut server = Lone::open_server();
    server.feed(&[1]);
    server.wait(ms(20_000));
    assert_eq!(server.kinds(), [FrameKind::CLOSE]);
}
