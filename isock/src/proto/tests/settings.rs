//! What a side says about itself while the connection lasts.

use super::{
    lone::{hello, preface, split, Lone, Raw},
    pair::{call, value, Pair, Seen},
};
use crate::{
    proto::ServedKey,
    wire::{CloseCode, FrameKind, WELCOME_LEN},
};

#[test]
fn p120_settings_replace_what_was_said_before() {
    let mut server = Lone::open_server();
    for (bits, attended) in [(1, true), (0, false), (0xffff_fffe, false), (0xffff_ffff, true)] {
        assert_eq!(server.feed(&Raw::settings(bits).bytes()), [Seen::Attended(attended)]);
    }
    for bad in [Raw::settings(1).words(&[]), Raw::settings(1).payload(b"x")] {
        let code = Lone::open_server().close_code(&bad.bytes());
        assert_eq!(code, Some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn p121_a_fifth_setting_without_work_closes() {
    let settings = Raw::settings(1).bytes();
    let works = [
        ("a call", Raw::call(1, 1, b"x")),
        ("an answer", Raw::reply(0, 1, b"x")),
        ("an item", Raw::upload(0, 1, &[b"x"])),
    ];
    for (name, work) in works {
        let mut server = Lone::open_server();
        server.conn.call(call("Back", "")).unwrap();
        server.feed(&Raw::stream(0, 1, (0, 0), true).bytes());
        server.conn.take_items(ServedKey { slot: 0, seq: 1 });
        for _ in 0..4 {
            assert_eq!(server.close_code(&settings), None);
        }
        server.feed(&work.bytes());
        for _ in 0..4 {
            assert_eq!(server.close_code(&settings), None, "behind {name}");
        }
        for idle in [Raw::ping(1), Raw::credit(9, 9, (1, 1)), Raw::cancel(9, 9)] {
            server.feed(&idle.bytes());
        }
        assert_eq!(server.close_code(&settings), Some(CloseCode::FLOOD), "behind {name}");
    }
}

#[test]
fn p132_a_client_says_it_right_behind_its_preface_and_a_server_behind_both() {
    let mut client = Lone::client();
    client.conn.set_attended(true);
    client.conn.call(call("Early", "")).unwrap();
    assert_eq!(client.kinds(), [FrameKind::SETTINGS, FrameKind::CALL]);
    let mut server = Lone::server();
    server.conn.set_attended(true);
    assert_eq!(server.output(), []);
    server.feed(&preface(&hello()));
    assert_eq!(split(&server.output()[WELCOME_LEN..])[0].header.kind, FrameKind::SETTINGS);
}

#[test]
fn settings_are_told_when_they_change() {
    let mut pair = Pair::new();
    pair.client.conn.set_attended(false);
    pair.server.conn.set_attended(true);
    pair.drive_until_idle();
    assert_eq!(pair.server.seen, [Seen::Ready], "nothing has changed");
    assert_eq!(pair.client.seen, [Seen::Ready, Seen::Attended(true)]);
    pair.client.conn.set_attended(true);
    pair.client.conn.set_attended(true);
    pair.drive_until_idle();
    assert_eq!(pair.server.seen[1..], [Seen::Attended(true)]);
}

#[test]
fn a_side_that_changes_its_mind_all_the_time_ends_with_no_and_is_not_closed() {
    let mut pair = Pair::open();
    for n in 0..101 {
        pair.client.conn.set_attended(n % 2 == 0);
        pair.drive_until_idle();
    }
    let (yes, no) = (Seen::Attended(true), Seen::Attended(false));
    assert_eq!(pair.server.seen, [yes.clone(), no.clone(), yes.clone(), no.clone()]);
    pair.client.start("Work", "");
    pair.client.conn.set_attended(true);
    pair.drive_until_idle();
    assert_eq!(pair.server.seen.last(), Some(&yes));
    pair.client.start("Work", "");
    for n in 0..100 {
        pair.client.conn.set_attended(n % 2 == 1);
        pair.drive_until_idle();
    }
    assert_eq!(pair.server.seen.last(), Some(&no), "the last word that it hears");
    let key = pair.server.calls()[0];
    for n in 0..10 {
        pair.server.conn.set_attended(n % 2 == 0);
    }
    pair.server.conn.answer(key, value(""));
    pair.server.conn.set_attended(true);
    pair.drive_until_idle();
    assert!(!pair.client.conn.is_closed() && !pair.server.conn.is_closed());
}

#[test]
fn an_answer_in_fragments_or_behind_items_counts_when_it_comes() {
    for items in [false, true] {
        let mut pair = Pair::open();
        for _ in 0..2 {
            pair.client.open((1 << 30, 9), false);
        }
        pair.drive_until_idle();
        let change = |pair: &mut Pair| {
            (0..10).for_each(|n| pair.server.conn.set_attended(n % 2 == 0));
        };
        for key in pair.server.calls().into_iter().filter(|_| items) {
            pair.server.give(key, &[&[1; 400_000]]);
        }
        change(&mut pair);
        for key in pair.server.calls() {
            pair.server.conn.answer(key, value(vec![2; 900_000]));
            change(&mut pair);
        }
        pair.drive_until_idle();
        assert!(!pair.client.conn.is_closed(), "with items: {items}");
        assert!(matches!(pair.client.seen.last(), Some(Seen::Value(..))));
    }
}

#[test]
fn a_server_says_it_behind_its_preface() {
    let mut server = Lone::server();
    server.conn.set_attended(true);
    assert_eq!(server.output(), []);
    server.feed(&super::lone::preface(&super::lone::hello()));
    let bytes = server.output();
    let frames = super::lone::split(&bytes[crate::wire::WELCOME_LEN..]);
    assert_eq!(frames[0].header.kind, FrameKind::SETTINGS);
}
