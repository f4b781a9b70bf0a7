//! Two connections and arbitrary wishes: what always holds.

use super::pair::{batch, call, granted, value, End, Pair, Script, Seen};
use crate::{
    limits::Limits,
    proto::{Answer, CallKey, Closed, ServedKey, StreamKey},
    wire::{CloseCode, Ran, Refusal, RefusalCode},
};
use proptest::{collection::vec, prelude::*};
use std::collections::{HashMap, HashSet};

#[derive(Clone, Debug)]
enum Wish {
    Call(usize),
    /// A call that carries items: its length, its credit, whether it sends items.
    Open(usize, (u32, u32), bool),
    /// Items of these lengths on one of the streams, perhaps the last ones.
    Give(prop::sample::Index, Vec<usize>, bool),
    /// Lets the items of an upload come.
    Take(prop::sample::Index),
    /// Consumes what has come on one of the streams.
    Consume(prop::sample::Index, bool),
    Attended(bool),
    Send(usize),
    Answer(prop::sample::Index, u8, usize),
    Cancel(prop::sample::Index),
    Ping,
    Drain,
    Close,
    Steps(usize, usize),
    Move(usize),
}

fn wish() -> impl Strategy<Value = Wish> {
    let len = prop_oneof![8 => 4..200usize, 2 => 4..70_000usize, 1 => 200_000..900_000usize];
    let item = prop_oneof![8 => 4..200usize, 3 => 4..30_000usize, 1 => 200_000..400_000usize];
    prop_oneof![
        8 => len.clone().prop_map(Wish::Call),
        4 => (len.clone(), (0..90_000u32, 0..40u32), any::<bool>())
            .prop_map(|(len, credit, items)| Wish::Open(len, credit, items)),
        30 => (any::<prop::sample::Index>(), vec(item, 0..6), prop::bool::weighted(0.05))
            .prop_map(|(which, lens, end)| Wish::Give(which, lens, end)),
        8 => any::<prop::sample::Index>().prop_map(Wish::Take),
        20 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, starving)| Wish::Consume(which, starving)),
        1 => any::<bool>().prop_map(Wish::Attended),
        2 => (4..5000usize).prop_map(Wish::Send),
        8 => (any::<prop::sample::Index>(), 0..3u8, len)
            .prop_map(|(which, how, len)| Wish::Answer(which, how, len)),
        4 => any::<prop::sample::Index>().prop_map(Wish::Cancel),
        2 => Just(Wish::Ping),
        1 => prop::bool::weighted(0.2).prop_map(|yes| if yes { Wish::Drain } else { Wish::Ping }),
        1 => prop::bool::weighted(0.1).prop_map(|yes| if yes { Wish::Close } else { Wish::Ping }),
        3 => (1..100_000usize, 1..100_000usize).prop_map(|(r, w)| Wish::Steps(r.max(50), w.max(500))),
        20 => (1..30usize).prop_map(Wish::Move),
    ]
}

/// What one side should still hear of, and what it learnt about calls that did not run.
#[derive(Default)]
struct Book {
    tags: HashMap<CallKey, u32>,
    open: HashSet<CallKey>,
    /// Tags of calls that this side was told have not run.
    not_run: HashSet<u32>,
    read: usize,
    unanswered: Vec<ServedKey>,
    /// Tags of the other side's calls that came.
    came: HashSet<u32>,
    /// All streams so far, by name and tag, in the order in which this side learnt of them.
    streams: Vec<(StreamKey, u32)>,
    /// What this side has sent on each stream, and what has come.
    sent: HashMap<u32, Vec<Vec<u8>>>,
    received: HashMap<u32, Vec<Vec<u8>>>,
    /// Items that have come and are not consumed, and the bytes they cost.
    waiting: HashMap<u32, (usize, u32)>,
    /// Tags of streams on which everything has come that was sent.
    complete: HashSet<u32>,
}

fn tag(body: &[u8]) -> u32 {
    u32::from_le_bytes(body[..4].try_into().expect("every call begins with its tag"))
}

fn tagged(tag: u32, len: usize) -> Vec<u8> {
    let mut body = vec![tag as u8; len];
    body[..4].copy_from_slice(&tag.to_le_bytes());
    body
}

impl Book {
    fn read(&mut self, end: &End) {
        for seen in &end.seen[self.read..] {
            match seen {
                Seen::Call(key, head, body) => {
                    assert!(self.came.insert(tag(body)), "a call that came twice");
                    self.unanswered.push(*key);
                    if head.is_stream() {
                        self.streams.push(((*key).into(), tag(body)));
                    }
                }
                Seen::Value(call, _) | Seen::Error(call, _) => {
                    self.complete.insert(self.tags[call]);
                    self.ends(*call);
                }
                Seen::Refused(call, _, ran) => {
                    self.ends(*call);
                    if *ran == Ran::No {
                        self.not_run.insert(self.tags[call]);
                    } else {
                        self.complete.insert(self.tags[call]);
                    }
                }
                Seen::Items(stream, items) => {
                    let tag = self.tag_of(*stream);
                    let waiting = self.waiting.entry(tag).or_default();
                    waiting.0 += items.iter().map(|item| item.len() + 4).sum::<usize>();
                    waiting.1 += items.len() as u32;
                    self.received.entry(tag).or_default().extend(items.iter().cloned());
                }
                Seen::ItemsEnd(key) => {
                    let tag = self.tag_of((*key).into());
                    assert!(self.complete.insert(tag), "items that ended twice");
                }
                Seen::Closed(Closed::ByUs(close) | Closed::ByPeer(close)) => {
                    assert_eq!(close.code, CloseCode::DONE, "neither side did anything wrong");
                }
                Seen::Closed(other) => panic!("{other:?}"),
                Seen::Ready
                | Seen::Send(..)
                | Seen::Cancel(_)
                | Seen::Credit(..)
                | Seen::Attended(_)
                | Seen::Pong(_)
                | Seen::Draining => {}
            }
        }
        self.read = end.seen.len();
    }

    /// The tag of a stream: its last one, since slots and their numbers come again.
    fn tag_of(&self, stream: StreamKey) -> u32 {
        let mut streams = self.streams.iter().rev();
        streams.find(|(key, _)| *key == stream).expect("items of a stream that is known").1
    }

    /// One of the last streams: the others have mostly ended.
    fn recent(&self, which: &prop::sample::Index) -> usize {
        self.streams.len() - 1 - which.index(self.streams.len().min(6))
    }

    fn give(&mut self, end: &mut End, which: usize, lens: &[usize], last: bool) {
        let (stream, tag) = self.streams[which];
        let sent = self.sent.entry(tag).or_default();
        let items: Vec<_> =
            lens.iter().enumerate().map(|(n, len)| tagged((sent.len() + n) as u32, *len)).collect();
        let before = end.conn.credit(stream);
        let mut batch = batch(&items);
        match end.conn.send_items(stream, &mut batch, last) {
            Ok(()) => {
                assert!(items.is_empty() || before.allows_one(), "sent without credit");
                sent.extend(items);
            }
            Err(_) => assert_eq!(batch.items() as usize, items.len(), "the batch is kept"),
        }
    }

    /// What has come is what was sent, in order; all of it where an end has come.
    fn compare_items(&self, other: &Book) {
        for (tag, received) in &self.received {
            let sent = &other.sent[tag];
            assert!(received.len() <= sent.len(), "more items than were sent");
            assert!(*received == sent[..received.len()], "other items than were sent");
        }
        for tag in &self.complete {
            let count = |of: &HashMap<u32, Vec<_>>| of.get(tag).map_or(0, Vec::len);
            assert_eq!(count(&self.received), count(&other.sent), "items before an end");
        }
    }

    fn ends(&mut self, call: CallKey) {
        assert!(self.open.remove(&call), "an end for a call that had ended, or was given up");
    }

    fn grant(&mut self, end: &mut End, wish: &Wish, next: &mut u32) {
        match wish {
            Wish::Call(len) => {
                *next += 1;
                if let Ok(key) = end.conn.call(call("Any", tagged(*next, *len))) {
                    self.tags.insert(key, *next);
                    self.open.insert(key);
                }
            }
            Wish::Open(len, credit, items) => {
                *next += 1;
                let mut call = call("Any", tagged(*next, *len));
                (call.head.credit, call.head.items) = (granted(*credit), *items);
                let is_stream = call.head.is_stream();
                if let Ok(key) = end.conn.call(call) {
                    self.tags.insert(key, *next);
                    self.open.insert(key);
                    if is_stream {
                        self.streams.push((key.into(), *next));
                    }
                }
            }
            Wish::Give(which, lens, last) if !self.streams.is_empty() => {
                self.give(end, self.recent(which), lens, *last);
            }
            Wish::Take(which) if !self.unanswered.is_empty() => {
                end.conn.take_items(self.unanswered[which.index(self.unanswered.len())]);
            }
            Wish::Consume(which, starving) if !self.streams.is_empty() => {
                let (stream, tag) = self.streams[self.recent(which)];
                let (bytes, items) = self.waiting.remove(&tag).unwrap_or_default();
                end.conn.consumed(stream, bytes, items, *starving);
            }
            Wish::Attended(attended) => end.conn.set_attended(*attended),
            Wish::Send(len) => {
                let _ = end.conn.send(&call("Notice", vec![0; *len]));
            }
            Wish::Answer(which, how, len) if !self.unanswered.is_empty() => {
                let at = which.index(self.unanswered.len());
                end.conn.answer(self.unanswered.swap_remove(at), answer(*how, *len));
            }
            Wish::Cancel(which) if !self.open.is_empty() => {
                let mut open: Vec<_> = self.open.iter().copied().collect();
                open.sort_by_key(|key| self.tags[key]);
                let key = open[which.index(open.len())];
                self.open.remove(&key);
                if end.conn.cancel(key) == Ran::No {
                    self.not_run.insert(self.tags[&key]);
                }
            }
            Wish::Ping => end.conn.ping(7),
            Wish::Drain => end.conn.drain(),
            Wish::Close => end.conn.close(CloseCode::DONE),
            Wish::Steps(read, write) => (end.read_step, end.write_step) = (*read, *write),
            Wish::Answer(..)
            | Wish::Cancel(_)
            | Wish::Move(_)
            | Wish::Give(..)
            | Wish::Take(_)
            | Wish::Consume(..) => {}
        }
    }
}

fn answer(how: u8, len: usize) -> Answer {
    match how {
        0 => value(vec![0; len]),
        1 => Answer::Error(vec![1; len].into()),
        _ => Answer::Refusal(Refusal::new(RefusalCode::PANICKED, Ran::Yes, "refused")),
    }
}

fn fulfil(wishes: &[(bool, Wish)]) {
    let limits = Limits::default().in_flight(16);
    let mut pair = Pair::with(limits.clone(), limits);
    (pair.client.script, pair.server.script) = (Script::Hold, Script::Hold);
    let (mut client, mut server) = (Book::default(), Book::default());
    let mut next = 0;
    for (on_client, wish) in wishes {
        match wish {
            Wish::Move(turns) => pair.some_turns(*turns),
            _ if *on_client => client.grant(&mut pair.client, wish, &mut next),
            _ => server.grant(&mut pair.server, wish, &mut next),
        }
        client.read(&pair.client);
        server.read(&pair.server);
    }
    settle(&mut pair, &mut client, &mut server);
    check(&mut pair.client, &mut client, &server);
    check(&mut pair.server, &mut server, &client);
    client.compare_items(&server);
    server.compare_items(&client);
}

/// Answers everything until nothing is left to answer.
fn settle(pair: &mut Pair, client: &mut Book, server: &mut Book) {
    loop {
        pair.drive_until_idle();
        client.read(&pair.client);
        server.read(&pair.server);
        if client.unanswered.is_empty() && server.unanswered.is_empty() {
            return;
        }
        for key in client.unanswered.drain(..) {
            pair.client.conn.answer(key, value("end"));
        }
        for key in server.unanswered.drain(..) {
            pair.server.conn.answer(key, value("end"));
        }
    }
}

fn check(end: &mut End, book: &mut Book, other: &Book) {
    if end.conn.is_closed() {
        for (call, ran) in end.conn.take_lost() {
            book.ends(call);
            if ran == Ran::No {
                book.not_run.insert(book.tags[&call]);
            }
        }
    }
    assert!(book.open.is_empty(), "calls that never ended");
    assert_eq!(end.conn.in_flight(), 0, "slots that are not free again");
    assert_eq!(end.conn.memory(), 0, "memory that is still held");
    assert!(end.conn.is_closed() || end.conn.serving() == 0);
    assert_eq!(end.conn.serving_streams(), 0, "streams that are still held");
    assert!(!end.conn.streams.has_own(), "streams of calls that have ended");
    let wrong: Vec<_> = book.not_run.intersection(&other.came).collect();
    assert!(wrong.is_empty(), "calls that came although they were said not to run: {wrong:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_two_sides_wish_every_call_ends_once(
        wishes in vec((any::<bool>(), wish()), 1..200),
    ) {
        fulfil(&wishes);
    }
}
