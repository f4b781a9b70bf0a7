//! What the straight way of short frames takes is read as the general way would read it.
//!
//! Two connections stand alike and are fed the same bytes. One reads as always, the other one reads every
//! frame in the general way: what they tell, what they say and what they hold must be the same.

use super::{
    lone::{hello, preface, welcome, welcome_bytes, Lone, Raw},
    pair::{call, config, ms, stream, value, Seen},
};
use crate::{
    limits::Limits,
    proto::{Buffer, CallKey, Connection, Event, ServedKey},
    wire::{Flags, FrameKind, Header, HEADER_LEN},
};
use proptest::{collection::vec, option, prelude::*, sample::Index};
use std::time::Instant;

/// Slots that are used.
const SLOTS: u16 = 4;
/// Lengths on either side of what is told apart: what is kept in place, what is copied, what a long message
/// may follow, what the smallest limit lets pass.
const LENGTHS: [usize; 9] = [0, 1, 20, 62, 63, 5000, 65_535, 65_536, 65_537];

/// Sorts of frames that the other side sends.
const SORTS: u8 = 32;

/// Two connections that stand alike.
struct Twins {
    straight: Lone,
    general: Lone,
    /// The last seq of each slot: of the other side's calls, and of this side's.
    theirs: [u32; SLOTS as usize],
    ours: [u32; SLOTS as usize],
    /// Calls of the other side that have not been answered, and calls of this side.
    running: Vec<ServedKey>,
    started: Vec<CallKey>,
    /// What has been written, and how much of that is whole frames.
    written: Vec<u8>,
    understood: usize,
}

type Read = for<'b> fn(&mut Connection, Instant, &'b mut Buffer) -> Option<Event<'b>>;

impl Twins {
    fn new(lone: impl Fn(Instant) -> Lone) -> Twins {
        let now = Instant::now();
        let (theirs, ours, running, started, written) = Default::default();
        let [straight, general] = [lone(now), lone(now)];
        Twins { straight, general, theirs, ours, running, started, written, understood: 0 }
    }

    fn server(limits: &Limits) -> Twins {
        Twins::open(preface(&hello()), |now| Connection::server(config(limits.clone()), now))
    }

    fn client(limits: &Limits) -> Twins {
        Twins::open(welcome_bytes(&welcome()), |now| {
            Connection::client(config(limits.clone()), now)
        })
    }

    fn open(preface: Vec<u8>, conn: impl Fn(Instant) -> Connection) -> Twins {
        let lone = |now| Lone { conn: conn(now), input: Buffer::new(), now };
        let mut twins = Twins::new(lone);
        twins.both(Lone::output);
        assert_eq!(twins.feed(&preface), [Seen::Ready]);
        twins.both(Lone::output);
        twins
    }

    /// Does something with each of them.
    fn both<T: PartialEq + std::fmt::Debug>(&mut self, act: impl Fn(&mut Lone) -> T) -> T {
        let [straight, general] = [act(&mut self.straight), act(&mut self.general)];
        assert_eq!(straight, general);
        straight
    }

    /// Has them read.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let ways = [
            (&mut self.straight, Connection::read as Read),
            (&mut self.general, Connection::read_any),
        ];
        let [straight, general] = ways.map(|(lone, read)| {
            lone.input.push(bytes);
            let mut seen = Vec::new();
            while let Some(event) = read(&mut lone.conn, lone.now, &mut lone.input) {
                seen.push(Seen::from(event));
            }
            seen
        });
        assert_eq!(straight, general);
        let calls = straight.iter().filter_map(|seen| match seen {
            Seen::Call(key, ..) => Some(*key),
            _ => None,
        });
        self.running.extend(calls);
        straight
    }

    /// Looks at all that they hold.
    fn compare(&self) {
        let [straight, general] = [&self.straight, &self.general].map(|lone| {
            let input = (lone.input.len(), lone.input.has_glanced());
            (input, lone.conn.poll_timeout(), format!("{:?}", lone.conn))
        });
        assert_eq!(straight, general);
    }

    fn answer(&mut self, key: ServedKey, len: usize) {
        self.running.retain(|running| *running != key);
        self.both(|lone| lone.conn.answer(key, value(vec![6; len])));
    }

    fn start(&mut self, len: usize) {
        let started = self.both(|lone| lone.conn.call(call("Back", vec![5; len])));
        self.started.extend(started);
    }

    /// Writes all that waits, and notes the calls in it.
    fn write(&mut self) {
        let written = self.both(Lone::output);
        self.written.extend(written);
        while let Some(header) = self.written[self.understood..].first_chunk::<HEADER_LEN>() {
            let header = Header::parse(header).expect("a frame of our own");
            if self.written.len() < self.understood + header.len as usize {
                return;
            }
            self.understood += header.len as usize;
            if let (FrameKind::CALL, Some(seq)) =
                (header.kind, self.ours.get_mut(usize::from(header.slot)))
            {
                *seq = header.seq;
            }
        }
    }

    /// What the other side sends next, of this sort.
    fn frame(&mut self, sort: u8, slot: u16, len: usize) -> Raw {
        let body = vec![7; len];
        let (theirs, ours) = (self.theirs[usize::from(slot)], self.ours[usize::from(slot)]);
        let mut next = || {
            self.theirs[usize::from(slot)] += 1;
            theirs + 1
        };
        let total = (len as u32 + 30_000).to_le_bytes();
        match sort {
            0..=5 => Raw::call(slot, next(), &body),
            6..=9 => Raw::reply(slot, ours, &body),
            10 => Raw::new(FrameKind::ERROR, Flags::default(), slot, ours).payload(&body),
            11 => Raw::refusal(slot, ours, 3, 0),
            12 => Raw::reply(slot, ours + 1, &body),
            13 => Raw::call(slot, theirs, &body),
            14 => Raw::call(slot, theirs + 2, &body),
            15 => Raw::first(slot, next(), len as u32 + 30_000, &body),
            16 => Raw::more(slot, theirs, &body),
            17 => Raw::last(slot, theirs, &[8; 30_000]),
            18 => Raw::reply(slot, ours, &body)
                .flags(Flags::MORE)
                .words(&[&total[..], &[0; 4]].concat()),
            19 => Raw::last(slot, ours, &[8; 30_000]).of_responder(),
            20 => Raw::stream(slot, next(), (500, 5), len % 2 == 1),
            21 => Raw::upload(slot, theirs, &[b"up"]),
            22 => Raw::items(slot, ours, &[b"down"]),
            23 => Raw::cancel(slot, theirs),
            24 => Raw::ping(u64::from(theirs)),
            25 => Raw::new(FrameKind(0x40), Flags::IGNORABLE, slot, 0).payload(&body),
            26 => Raw::new(FrameKind::CALL, Flags::INITIATOR.with(Flags::ONEWAY), 0, 0)
                .words(&[1; 16])
                .payload(&body),
            27 => Raw::call(slot, next(), &body).words(&[0; 24]),
            28 => Raw::reply(slot, ours, &body).words(&[0; 8]),
            29 => Raw::call(slot, next(), &body).flags(Flags(0xd1)),
            30 => Raw::settings(1),
            _ => Raw::drain(u64::from(theirs)),
        }
    }

    /// What this side does next, of this sort.
    fn act(&mut self, sort: u8, len: usize) {
        match sort {
            0..=3 => self.start(len),
            4..=7 => self.write(),
            8..=11 => {
                if let Some(key) = self.running.first().copied() {
                    self.answer(key, len);
                }
            }
            12 => self.start(300_000),
            13 => {
                if let Some(key) = self.started.pop() {
                    self.both(|lone| lone.conn.cancel(key));
                }
            }
            14 => {
                self.both(|lone| lone.conn.call(stream("Stream", (900, 9), true)).ok());
            }
            15 => {
                self.both(|lone| {
                    lone.now += ms(900);
                    lone.conn.handle_timeout(lone.now);
                });
            }
            16 => self.both(|lone| lone.conn.drain()),
            _ => self.both(|lone| lone.conn.handle_eof()),
        }
    }
}

/// How a connection may stand, in words, and what brings it there.
type Stand = (&'static str, fn(&mut Twins));

const STANDS: &[Stand] = &[
    ("at rest", |_| ()),
    ("with calls under way", |twins| {
        (0..3).for_each(|_| twins.start(10));
        twins.write();
    }),
    ("with output that has not left", |twins| twins.start(10)),
    ("with a call that nobody waits for", |twins| {
        (0..2).for_each(|_| twins.start(10));
        twins.write();
        twins.act(13, 0);
    }),
    ("with a long call on its way", |twins| {
        twins.start(10);
        twins.write();
        twins.start(600_000);
    }),
    ("with a stream of its own", |twins| {
        twins.act(14, 0);
        twins.start(10);
        twins.write();
    }),
    ("with a call that comes in parts", |twins| {
        let first = twins.frame(15, 0, 20).bytes();
        twins.feed(&first);
    }),
    ("with a stale call that comes in parts", |twins| {
        twins.feed(&Raw::first(0, 7, 30_020, &[7; 20]).bytes());
    }),
    ("with an answer that comes in parts", |twins| {
        (0..2).for_each(|_| twins.start(10));
        twins.write();
        let first = twins.frame(18, 0, 20).bytes();
        twins.feed(&first);
    }),
    ("after frames that did nothing", |twins| {
        (0..5).for_each(|_| {
            let idle = twins.frame(25, 0, 1).bytes();
            twins.feed(&idle);
        });
    }),
    ("after a long message", |twins| {
        let long = twins.frame(0, 3, 65_536).bytes();
        twins.feed(&long);
        twins.compare();
    }),
    ("in the middle of a frame", |twins| {
        let frame = twins.frame(0, 3, 20).bytes();
        twins.feed(&frame[..30]);
        twins.both(|lone| lone.now += ms(50));
        twins.feed(&frame[30..]);
    }),
    ("when it drains", |twins| twins.act(16, 0)),
    ("when the other side drains", |twins| {
        twins.start(10);
        twins.write();
        let drain = twins.frame(31, 0, 0).bytes();
        twins.feed(&drain);
    }),
    ("when it has ended", |twins| twins.act(17, 0)),
];

/// Either role, in each of these.
fn stands() -> impl Iterator<Item = Twins> {
    let limits = Limits::default();
    let of = move |(_, bring): &Stand| {
        [Twins::server(&limits), Twins::client(&limits)].map(|mut twins| {
            bring(&mut twins);
            twins
        })
    };
    STANDS.iter().flat_map(of)
}

/// Most of what may come as a short frame, in an order in which it may: answers to calls that were made alone.
fn conversation(twins: &mut Twins) -> Vec<u8> {
    let sorts = [(0, 0), (6, 0), (0, 1), (24, 0), (10, 1), (0, 2), (6, 2), (13, 1), (23, 2)];
    let ours = twins.ours;
    let may = |(sort, slot): &&(u8, u16)| !(6..11).contains(sort) || ours[usize::from(*slot)] > 0;
    let may_come = sorts.iter().filter(may);
    may_come.flat_map(|(sort, slot)| twins.frame(*sort, *slot, 3).bytes()).collect()
}

/// Each of these, fed with the conversation in as many ways as that has bytes.
fn feed_each(feed: impl Fn(&mut Twins, Vec<u8>, usize)) {
    let len = stands().map(|mut twins| conversation(&mut twins).len()).max().unwrap_or(0);
    for at in 0..len {
        for mut twins in stands() {
            let bytes = conversation(&mut twins);
            feed(&mut twins, bytes, at);
            twins.compare();
        }
    }
}

#[test]
fn each_frame_alone_however_the_connection_stands() {
    for sort in 0..SORTS {
        for mut twins in stands() {
            let frame = twins.frame(sort, 0, 3).bytes();
            twins.feed(&frame);
            twins.compare();
        }
    }
}

#[test]
fn where_calls_wait_for_a_slot() {
    for sort in 6..13 {
        for mut twins in [Twins::server(&Limits::default()), Twins::client(&Limits::default())] {
            (0..600).for_each(|_| twins.start(1));
            twins.write();
            let frame = twins.frame(sort, 1, 3).bytes();
            twins.feed(&frame);
            twins.compare();
        }
    }
}

#[test]
fn wherever_frames_are_cut_and_however_the_connection_stands() {
    feed_each(|twins, bytes, at| {
        let (first, second) = bytes.split_at(at.min(bytes.len()));
        twins.feed(first);
        twins.feed(second);
    });
}

#[test]
fn whichever_byte_is_damaged() {
    feed_each(|twins, mut bytes, at| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= if at % 2 == 0 { 0x01 } else { 0x80 };
        }
        twins.feed(&bytes);
    });
}

#[test]
fn before_the_other_side_has_said_hello() {
    let server = |now| Connection::server(config(Limits::default()), now);
    let client = |now| Connection::client(config(Limits::default()), now);
    for conn in [server as fn(Instant) -> Connection, client] {
        let mut twins = Twins::new(|now| Lone { conn: conn(now), input: Buffer::new(), now });
        let bytes = conversation(&mut twins);
        twins.feed(&bytes);
    }
}

/// What comes or is done next: its sort, a slot, a length, where it is cut, and what is wrong with it.
type Step = (u8, u16, usize, Index, Option<(Index, u8)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let damage = option::weighted(0.02, (any::<Index>(), any::<u8>()));
    // Most are short, and of the sorts that go on.
    let len = prop_oneof![9 => 0..4usize, 1 => 0..LENGTHS.len()];
    let sort = prop_oneof![6 => 0..12u8, 1 => 12..SORTS, 5 => SORTS..48u8, 1 => 48..50u8];
    vec((sort, 0..SLOTS, len, any::<Index>(), damage), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_comes_and_whatever_is_done_meanwhile(steps in steps(), serves: bool, small: bool) {
        let limits = match small {
            true => Limits::default().message(0).in_range(),
            false => Limits::default(),
        };
        let mut twins = if serves { Twins::server(&limits) } else { Twins::client(&limits) };
        for (sort, slot, len, cut, damage) in steps {
            let len = LENGTHS[len];
            if let Some(sort) = sort.checked_sub(SORTS) {
                twins.act(sort, len);
                continue;
            }
            // A call on a slot that is taken ends the connection: mostly the one before is answered.
            let taken = twins.running.iter().find(|key| key.slot == slot).copied();
            if let (0..5, Some(key)) = (sort, taken) {
                twins.answer(key, len);
            }
            let mut bytes = twins.frame(sort, slot, len).bytes();
            if let Some((at, byte)) = damage {
                // The front, where what is told apart stands.
                let front = bytes.len().min(60);
                bytes[at.index(front)] = byte;
            }
            let (first, second) = bytes.split_at(cut.index(2 * bytes.len()).min(bytes.len()));
            twins.feed(first);
            twins.feed(second);
            // To look at everything takes longer than to read a frame.
            if cut.index(8) == 0 {
                twins.compare();
            }
        }
        twins.compare();
    }
}
