//! Fragments that are read where their messages lie.

use super::{
    lone::{split, Lone, Raw, ENDLESS},
    pair::{call, ms, Seen},
};
use crate::{
    proto::{Answer, Buffer, Places, Room, ServedKey, FRAGMENT},
    wire::{Block, CloseCode, Flags, FrameKind, Header, Ran, Refusal, RefusalCode},
};
use std::convert::Infallible;

/// What is read at first where a long message may come.
const GLANCE: usize = 64;

/// Where a long message begins in its memory.
const LEAD: usize = 2048;

/// A fragment that is long enough to be read into its message, and so is what has come before it.
const LONG: usize = 17_000;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7) as u8).collect()
}

/// Puts bytes where the system would: first into the memory of the message.
fn as_the_system(room: &mut Room<'_>, bytes: &[u8]) -> usize {
    let Places { ahead, body, rest } = room.places();
    let n = bytes.len().min(ahead.len());
    ahead[..n].copy_from_slice(&bytes[..n]);
    let (front, bytes) = (n, &bytes[n..]);
    let (mut straight, mut behind) = (0, bytes.len());
    if let Some((body, most)) = body {
        straight = bytes.len().min(most);
        assert!(straight <= body.capacity() - body.len(), "there is room without growing");
        body.extend_from_slice(&bytes[..straight]);
        behind -= straight;
    }
    let n = behind.min(rest.len());
    rest[..n].copy_from_slice(&bytes[straight..straight + n]);
    front + straight + n
}

impl Lone {
    /// Reads as a driver over a socket does; what it has caused.
    fn read(&mut self, mut bytes: &[u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        while !bytes.is_empty() {
            let read = self.input.fill(|room| Ok::<_, Infallible>(as_the_system(room, bytes)));
            bytes = &bytes[read.unwrap()..];
            seen.extend(self.events());
            // As a loop does that lends its memory.
            let mut spare = Buffer::new();
            self.input.shrink_into(&mut spare);
            self.input.grow_into(&mut spare);
        }
        seen
    }

    /// How much would be read.
    fn room(&mut self) -> usize {
        let mut size = 0;
        let look = |room: &mut Room<'_>| {
            size = room.size();
            Ok::<_, Infallible>(0)
        };
        self.input.fill(look).unwrap();
        size
    }

    /// Where the system would put the next bytes of a message.
    fn place(&mut self) -> Option<*const u8> {
        let mut place = None;
        let look = |room: &mut Room<'_>| {
            place = room.places().body.map(|(body, _)| body[body.len()..].as_ptr());
            Ok::<_, Infallible>(0)
        };
        self.input.fill(look).unwrap();
        place
    }
}

/// A call in three fragments, with a ping and a call in between and a call right behind.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let body = bytes(3 * LONG);
    let mut all = Raw::first(0, 1, body.len() as u32, &body[..LONG]).bytes();
    all.extend(Raw::more(0, 1, &body[LONG..2 * LONG]).bytes());
    all.extend(Raw::ping(7).bytes());
    all.extend(Raw::call(1, 1, b"between").bytes());
    all.extend(Raw::last(0, 1, &body[2 * LONG..]).bytes());
    all.extend(Raw::call(2, 1, b"behind").bytes());
    (all, body)
}

fn check(mut server: Lone, seen: &[Seen], body: &[u8], how: &str) {
    let bodies = seen.iter().map(|seen| match seen {
        Seen::Call(key, _, body) => (key.slot, &body[..]),
        other => panic!("{how}: {other:?}"),
    });
    let bodies: Vec<_> = bodies.collect();
    assert!(bodies == [(1, &b"between"[..]), (0, body), (2, b"behind")], "{how}");
    assert_eq!(server.kinds(), [FrameKind::PONG], "{how}");
    assert_eq!(server.conn.memory(), 0, "{how}");
    assert!(server.input.is_empty(), "{how}");
}

#[test]
fn a_message_is_the_same_wherever_its_bytes_are_cut_and_however_they_are_read() {
    let (all, body) = conversation();
    let ends = split(&all).into_iter().scan(0, |end, sent| {
        *end += sent.header.len as usize;
        Some(*end)
    });
    let ends: Vec<_> = ends.collect();
    let near = |cut: usize| cut < 100 || ends.iter().any(|end| end.abs_diff(cut) < 100);
    // In the middle of a fragment one byte is like the next.
    for cut in (0..=all.len()).filter(|cut| near(*cut) || cut % 97 == 0) {
        let mut server = Lone::open_server();
        let (first, second) = all.split_at(cut);
        // Each way of reading before and behind the cut.
        let seen = match cut % 3 {
            0 => [server.read(first), server.read(second)].concat(),
            1 => [server.feed(first), server.read(second)].concat(),
            _ => [server.read(first), server.feed(second)].concat(),
        };
        check(server, &seen, &body, &format!("cut at {cut}"));
    }
}

#[test]
fn a_message_is_the_same_in_steps_of_any_length() {
    let (all, body) = conversation();
    for step in [1, 2, 3, 7, 16, 17, 100, 1000, 4096, 16_384, LONG, LONG + 16] {
        let mut server = Lone::open_server();
        let pieces = all.chunks(step).enumerate();
        let seen = pieces.flat_map(|(n, piece)| match n % 4 {
            1 => server.feed(piece),
            _ => server.read(piece),
        });
        let seen: Vec<_> = seen.collect();
        check(server, &seen, &body, &format!("steps of {step}"));
    }
}

#[test]
fn a_fragment_is_read_where_its_message_stays() {
    let (all, body) = conversation();
    let mut server = Lone::open_server();
    let last = all.len() - Raw::call(2, 1, b"behind").bytes().len() - LONG;
    server.read(&all[..last]);
    let place = server.place().expect("the header of a fragment has come");
    let seen = server.read(&all[last..last + LONG]);
    let [Seen::Call(_, _, whole)] = &seen[..] else { panic!("{seen:?}") };
    assert!(whole[..] == body && whole[2 * LONG..].as_ptr() == place);
    assert_eq!(server.place(), None);
}

#[test]
fn reads_end_soon_behind_a_fragment_that_another_one_follows() {
    let mut server = Lone::patient_server();
    server.read(&Raw::first(0, 1, ENDLESS, &[1; FRAGMENT]).bytes());
    server.read(&Raw::more(0, 1, &bytes(FRAGMENT)).bytes()[..16]);
    assert_eq!(server.room(), FRAGMENT + 4096);
    server.read(&bytes(FRAGMENT - 1));
    assert_eq!(server.room(), 1 + 4096);
    server.read(&[0]);
    assert!(server.room() > 2 * 4096, "what follows may be anything");
}

#[test]
fn what_is_lent_is_no_more_than_has_come() {
    let mut server = Lone::patient_server();
    let mut received = 10;
    server.read(&Raw::first(0, 1, ENDLESS, &[0; 10]).bytes());
    // What the buffer has once it has been full is its own.
    let before = server.input.memory().max(64 * 1024);
    for len in [LONG, LONG, 3 * LONG, 5 * LONG, 10 * LONG, FRAGMENT, FRAGMENT] {
        let fragment = Raw::more(0, 1, &vec![0; len]).bytes();
        server.read(&fragment[..17]);
        assert_eq!(server.place().is_some(), len <= received, "{len} after {received}");
        let held = (server.conn.memory() + server.input.memory()).saturating_sub(before);
        assert!(held <= 2 * received + 2, "{held} after {received}");
        server.read(&fragment[17..]);
        received += len;
    }
}

#[test]
fn a_fragment_that_breaks_its_total_is_not_read_into_the_message() {
    for raw in [Raw::more(0, 1, &[0; 20_001]), Raw::last(0, 1, &[0; 19_999])] {
        let mut server = Lone::open_server();
        server.read(&Raw::first(0, 1, 40_001, &[1; 20_001]).bytes());
        let bytes = raw.bytes();
        server.read(&bytes[..100]);
        assert_eq!(server.place(), None);
        assert_eq!(server.close_code(&bytes[100..]), Some(CloseCode::BAD_FRAME));
    }
}

#[test]
fn an_answer_that_nobody_wants_any_more_is_dropped_while_it_comes() {
    let mut client = Lone::open_client();
    let given_up = client.conn.call(call("A", "")).unwrap();
    client.output();
    let total = (3 * LONG) as u64;
    let of_answer = |raw: Raw| raw.of_responder().bytes();
    let first = Raw::reply(0, 1, &[1; LONG]).flags(Flags::MORE).words(&total.to_le_bytes());
    client.read(&first.bytes());
    let more = of_answer(Raw::more(0, 1, &[2; LONG]));
    client.read(&more[..100]);
    assert!(client.place().is_some());
    assert_eq!(client.conn.cancel(given_up), Ran::Unknown);
    client.read(&more[100..]);
    let last = of_answer(Raw::last(0, 1, &[3; LONG]));
    client.read(&last[..100]);
    assert_eq!(client.place(), None, "nobody waits for it");
    assert_eq!(client.read(&last[100..]), []);
    assert_eq!(client.kinds(), [FrameKind::CANCEL]);
    assert_eq!((client.conn.in_flight(), client.conn.memory()), (0, 0));
}

#[test]
fn a_call_that_is_refused_while_it_comes_is_dropped() {
    let (all, body) = conversation();
    let mut server = Lone::open_server();
    let refused = Raw::first(0, 1, body.len() as u32, &body[..LONG]).bytes().len() + 16 + 100;
    server.read(&all[..refused]);
    assert!(server.place().is_some());
    server.conn.refuse_partial(&Refusal::new(RefusalCode::DRAINING, Ran::No, "stopping"));
    let seen = server.read(&all[refused..]);
    let slots = seen.iter().map(|seen| match seen {
        Seen::Call(ServedKey { slot, .. }, ..) => *slot,
        other => panic!("{other:?}"),
    });
    assert_eq!(slots.collect::<Vec<_>>(), [1, 2]);
    assert_eq!(server.kinds(), [FrameKind::REFUSAL, FrameKind::PONG]);
    assert_eq!(server.conn.memory(), 0);
}

#[test]
fn a_fragment_that_trickles_into_its_message_gains_no_time() {
    let mut server = Lone::open_server();
    server.read(&Raw::first(0, 1, 8 << 20, &[0; LONG]).bytes());
    server.now += ms(100_000);
    let fragment = Raw::more(0, 1, &[0; LONG]).bytes();
    server.read(&fragment[..17]);
    // 10 s, and a second for each 64 KiB.
    for byte in &fragment[17..26] {
        server.read(&[*byte]);
        assert_eq!(server.wait(ms(1000)), None);
    }
    assert_eq!(server.wait(ms(1200)), None);
    assert_eq!(server.wait(ms(200)), Some(CloseCode::MESSAGE_STALLED));
}

#[test]
fn a_connection_that_ends_lets_go_of_what_was_lent() {
    let (all, _) = conversation();
    let mut server = Lone::open_server();
    server.read(&all[..LONG + 100]);
    assert!(server.place().is_some());
    server.conn.handle_eof();
    server.events();
    server.input.clear();
    assert_eq!((server.place(), server.conn.memory()), (None, 0));
}

/// A server to which a long call has come and another one follows, for which memory lies ready.
fn expectant(len: usize) -> (Lone, Vec<u8>, Vec<u8>) {
    let mut server = Lone::open_server();
    server.read(&Raw::call(0, 1, &bytes(64 * 1024)).bytes());
    let body = bytes(len);
    let first = body.len().min(FRAGMENT);
    let mut all = match first == body.len() {
        true => Raw::call(1, 1, &body).bytes(),
        false => Raw::first(1, 1, len as u32, &body[..first]).bytes(),
    };
    if first < body.len() {
        all.extend(Raw::last(1, 1, &body[first..]).bytes());
    }
    drop(Block::with_room(len));
    (server, all, body)
}

#[test]
fn what_follows_a_long_message_is_read_where_it_stays_from_its_header_on() {
    for len in [200_001, 300_001] {
        // Other tests take what lies ready as well.
        let straight = (0..100).any(|_| {
            let (mut server, all, body) = expectant(len);
            assert_eq!(server.room(), GLANCE);
            server.read(&all[..GLANCE]);
            let rest = &all[GLANCE..];
            let mut place = None;
            let read = server.input.fill(|room| {
                place = room.places().body.map(|(body, _)| body[LEAD..].as_ptr());
                Ok::<_, Infallible>(as_the_system(room, rest))
            });
            let mut seen = server.events();
            seen.extend(server.read(&rest[read.unwrap()..]));
            let [Seen::Call(_, _, whole)] = &seen[..] else { panic!("{seen:?}") };
            assert!(whole[..] == body);
            place == Some(whole.as_ptr())
        });
        assert!(straight, "{len}");
    }
}

#[test]
fn memory_that_lies_ready_is_lent_for_one_read_unless_a_quarter_comes() {
    let lent = (0..100).any(|_| {
        let (mut server, all, body) = expectant(200_001);
        server.read(&all[..GLANCE]);
        let before = server.input.memory();
        let mut lent = false;
        let trickle = server.input.fill(|room| {
            lent = room.places().body.is_some();
            Ok::<_, Infallible>(as_the_system(room, &all[GLANCE..50_000]))
        });
        assert_eq!((trickle, server.events()), (Ok(50_000 - GLANCE), vec![]));
        assert!(server.input.memory() <= before.max(2 * 50_000), "{}", server.input.memory());
        let seen = server.read(&all[50_000..]);
        assert!(matches!(&seen[..], [Seen::Call(_, _, whole)] if whole[..] == body));
        lent
    });
    assert!(lent);
}

#[test]
fn a_short_message_may_follow_a_long_one() {
    let (mut server, ..) = expectant(200_001);
    assert_eq!(server.read(&Raw::call(2, 1, b"short").bytes()).len(), 1);
    assert!(server.room() > GLANCE, "another short one may follow");
    assert_eq!(server.read(&Raw::call(3, 1, &[0; 1000]).bytes()).len(), 1);
}

#[test]
fn what_comes_with_the_end_of_a_message_read_where_it_stays_is_no_part_of_it() {
    let straight = (0..100).any(|_| {
        let (mut server, mut all, body) = expectant(40_000);
        all.extend(Raw::call(2, 1, &[7; 50_000]).bytes());
        server.read(&all[..GLANCE]);
        let mut lent = false;
        let read = server.input.fill(|room| {
            lent = room.places().body.is_some();
            Ok::<_, Infallible>(as_the_system(room, &all[GLANCE..]))
        });
        let mut seen = server.events();
        seen.extend(server.read(&all[GLANCE + read.unwrap()..]));
        let [Seen::Call(_, _, whole), Seen::Call(_, _, behind)] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert!(whole[..] == body && behind[..] == [7; 50_000]);
        lent
    });
    assert!(straight);
}

/// How long the messages are that come alike.
const ALIKE: usize = 70_000;

/// A server to which two calls have come that lie alike, so that a third one is expected.
fn accustomed() -> Lone {
    let mut server = Lone::open_server();
    for seq in 1..=2 {
        let seen = server.read(&Raw::call(0, seq, &bytes(ALIKE)).bytes());
        assert!(matches!(&seen[..], [Seen::Call(..)]), "{seen:?}");
        server.conn.answer(ServedKey { slot: 0, seq }, Answer::Value(Vec::new().into()));
        server.output();
    }
    server
}

#[test]
fn a_message_like_the_last_two_is_read_at_once_where_it_stays() {
    let straight = (0..100).any(|_| {
        let mut server = accustomed();
        let all = Raw::call(0, 3, &bytes(ALIKE)).bytes();
        let mut place = None;
        let read = server.input.fill(|room| {
            let size = room.size();
            place = room.places().body.map(|(body, _)| body[LEAD..].as_ptr());
            // A read that is full may have left something behind.
            assert!(place.is_none() || size > all.len(), "{size} bytes of room");
            Ok::<_, Infallible>(as_the_system(room, &all))
        });
        let Some(place) = place else { return false };
        assert_eq!(read, Ok(all.len()));
        let seen = server.events();
        let [Seen::Call(_, _, whole)] = &seen[..] else { panic!("{seen:?}") };
        assert!(whole[..] == bytes(ALIKE) && whole.as_ptr() == place);
        assert_eq!((server.conn.memory(), server.input.is_empty()), (0, true));
        true
    });
    assert!(straight);
}

#[test]
fn nothing_is_held_for_a_message_that_does_not_come() {
    let mut server = accustomed();
    let before = server.input.memory();
    server.place();
    assert_eq!(server.input.memory(), before, "nothing has come");
    let all = Raw::call(0, 3, &bytes(ALIKE)).bytes();
    server.read(&all[..ALIKE / 5]);
    assert!(server.input.memory() <= before.max(ALIKE / 2), "less than a quarter has come");
}

#[test]
fn whatever_comes_instead_of_the_message_that_was_expected_is_understood_the_same() {
    let total = 3 * ALIKE as u32;
    let whole = || Raw::call(0, 3, &bytes(ALIKE));
    let of_kind = |kind| {
        let Raw(header, words, payload) = whole();
        Raw(Header { kind, ..header }, words, payload).bytes()
    };
    let others: Vec<(&str, Vec<u8>)> = vec![
        ("the same", whole().bytes()),
        ("twice", [whole().bytes(), Raw::call(1, 1, &bytes(ALIKE)).bytes()].concat()),
        ("a byte less", Raw::call(0, 3, &bytes(ALIKE - 1)).bytes()),
        ("a byte more", Raw::call(0, 3, &bytes(ALIKE + 1)).bytes()),
        ("much more", Raw::call(0, 3, &bytes(3 * ALIKE)).bytes()),
        ("short ones", (1..60).flat_map(|slot| Raw::call(slot, 1, &[7; 3000]).bytes()).collect()),
        ("a fragment", Raw::first(0, 3, total, &bytes(ALIKE)).bytes()),
        ("pings", Raw::ping(7).bytes().repeat(90)),
        ("an item of nothing", of_kind(FrameKind::ITEM)),
        ("the rest of nothing", of_kind(FrameKind::MORE)),
        ("an unknown kind", of_kind(FrameKind(99))),
        ("no frame", vec![0xff; 2 * ALIKE]),
    ];
    for (name, all) in others {
        let cuts = [0, 1, 15, 16, 17, 40, 41, 5000, ALIKE / 4, ALIKE, all.len() - 1, all.len()];
        for cut in cuts.map(|cut| cut.min(all.len())) {
            let mut expecting = accustomed();
            let mut plain = accustomed();
            plain.input.expect_short();
            let (first, second) = all.split_at(cut);
            for part in [first, second] {
                let (seen, same) = (expecting.read(part), plain.read(part));
                assert!(seen == same, "{name}, cut at {cut}");
            }
            assert!(expecting.output() == plain.output(), "{name}, cut at {cut}");
            // How much depends on what lies ready.
            let hold = [&expecting, &plain].map(|server| server.conn.memory() > 0);
            assert_eq!(hold[0], hold[1], "{name}, cut at {cut}");
            assert_eq!(expecting.input.len(), plain.input.len(), "{name}, cut at {cut}");
        }
    }
}

#[test]
fn nothing_is_expected_where_a_header_has_no_room() {
    let calls = [bytes(ALIKE), bytes(ALIKE + 9)].map(|body| Raw::call(0, 3, &body).bytes());
    let pings = Raw::ping(7).bytes().repeat(50);
    for len in [1, 15, 16, 24, 31, 32, 33, 41, 100, 2056, 4096] {
        for all in calls.iter().chain([&pings]) {
            let mut server = accustomed();
            server.input.shrink_into(&mut Buffer::new());
            server.input.grow_into(&mut Buffer::with_memory(len));
            let mut plain = accustomed();
            plain.input.expect_short();
            assert!(server.read(all) == plain.read(all), "{len} bytes of memory");
            assert!(server.output() == plain.output(), "{len} bytes of memory");
        }
    }
}

#[test]
fn who_was_wrong_expects_nothing_before_two_more_are_alike() {
    // A guess needs memory that lies ready, which other tests take as well.
    let mut servers = (0..100).map(|_| accustomed());
    let mut server =
        servers.find_map(|mut server| server.place().map(|_| server)).expect("a guess");
    server.read(&Raw::ping(7).bytes().repeat(9));
    for seq in 3..=4 {
        assert_eq!(server.place(), None, "before call {seq}");
        server.read(&Raw::call(0, seq, &bytes(ALIKE)).bytes());
        server.conn.answer(ServedKey { slot: 0, seq }, Answer::Value(Vec::new().into()));
    }
}
