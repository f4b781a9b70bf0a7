//! Two connections with a line between them, and time that is ours to move.

use crate::{
    limits::Limits,
    proto::{
        Answer, Balance, CallKey, Closed, Config, Connection, Event, NewCall, Outcome, ServedKey,
        SharedBody, StreamKey,
    },
    wire::{self, name_hash, Block, CallHead, Credit, InstanceId, ItemBatch, Ran, RefusalCode},
};
use std::{
    collections::VecDeque,
    io::IoSlice,
    time::{Duration, Instant},
};

/// A client and a server, joined by a line that keeps order and loses nothing until it is cut.
pub(super) struct Pair {
    pub(super) client: End,
    pub(super) server: End,
    pub(super) time: Instant,
    pub(super) latency: Duration,
}

/// One side: a connection, what travels towards it, and what it has seen.
pub(super) struct End {
    pub(super) conn: Connection,
    pub(super) input: crate::proto::Buffer,
    /// Bytes on their way here and when they arrive; empty bytes are the end.
    arriving: VecDeque<(Instant, Vec<u8>)>,
    /// The most that one read of this side gives.
    pub(super) read_step: usize,
    /// The most that one write of this side takes.
    pub(super) write_step: usize,
    /// Writes of this side take nothing: the other side does not read.
    pub(super) blocked: bool,
    /// Bytes that this side can still write before the line breaks.
    pub(super) cut_after: Option<usize>,
    broken: bool,
    pub(super) written: usize,
    /// Everything that this side has written.
    pub(super) transcript: Vec<u8>,
    pub(super) script: Script,
    pub(super) seen: Vec<Seen>,
}

/// What a side does with calls of the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// Sends the input back at once.
    Echo,
    /// Leaves them to the test.
    Hold,
}

/// An event that outlives the buffer it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Ready,
    /// In the memory in which it came.
    Call(ServedKey, CallHead, Block),
    Send(CallHead, Vec<u8>),
    Cancel(ServedKey),
    Value(CallKey, Vec<u8>),
    Error(CallKey, Vec<u8>),
    Refused(CallKey, RefusalCode, Ran),
    Items(StreamKey, Vec<Vec<u8>>),
    ItemsEnd(ServedKey),
    Credit(StreamKey, Balance),
    Attended(bool),
    Pong(u64),
    Draining,
    Closed(Closed),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Seen {
        match event {
            Event::Ready => Seen::Ready,
            Event::Call { key, head, body } => Seen::Call(key, head, body.into_block()),
            Event::Send { head, body } => Seen::Send(head, body.into_vec()),
            Event::Cancel(key) => Seen::Cancel(key),
            Event::Reply { call, outcome: Outcome::Value(body) } => {
                Seen::Value(call, body.into_vec())
            }
            Event::Reply { call, outcome: Outcome::Error(body) } => {
                Seen::Error(call, body.into_vec())
            }
            Event::Reply { call, outcome: Outcome::Refused(refusal) } => {
                Seen::Refused(call, refusal.code, refusal.ran)
            }
            Event::Items { stream, items, body } => {
                let all: Vec<_> = wire::items(&body).map(<[u8]>::to_vec).collect();
                assert_eq!(all.len(), items as usize);
                Seen::Items(stream, all)
            }
            Event::ItemsEnd(key) => Seen::ItemsEnd(key),
            Event::Credit { stream, left } => Seen::Credit(stream, left),
            Event::Settings(settings) => Seen::Attended(settings.attended),
            Event::Pong(number) => Seen::Pong(number),
            Event::Draining => Seen::Draining,
            Event::Closed(closed) => Seen::Closed(closed),
        }
    }
}

pub(super) fn config(limits: Limits) -> Config {
    Config::new(limits, InstanceId([7; 16]))
}

/// A call of `name`.
pub(super) fn call(name: &str, body: impl Into<Vec<u8>>) -> NewCall {
    let head = CallHead { name: name_hash(name), ..CallHead::default() };
    NewCall { head, body: SharedBody::new(body.into()) }
}

pub(super) fn value(body: impl Into<Vec<u8>>) -> Answer {
    Answer::Value(SharedBody::new(body.into()))
}

/// A call of `name` that carries items: those of the answer with this credit, and its own or not.
pub(super) fn stream(name: &str, credit: (u32, u32), items: bool) -> NewCall {
    let mut call = call(name, "");
    (call.head.credit, call.head.items) = (granted(credit), items);
    call
}

pub(super) fn granted((bytes, items): (u32, u32)) -> Credit {
    Credit { bytes, items }
}

pub(super) fn batch<T: AsRef<[u8]>>(items: &[T]) -> ItemBatch {
    let mut batch = ItemBatch::new();
    for item in items {
        let pushed: Result<(), ()> = batch.push(|out| {
            out.extend_from_slice(item.as_ref());
            Ok(())
        });
        pushed.expect("the item is written");
    }
    batch
}

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Pair {
    pub(super) fn new() -> Pair {
        Pair::with(Limits::default(), Limits::default())
    }

    pub(super) fn with(client: Limits, server: Limits) -> Pair {
        Pair::configured(config(client), config(server))
    }

    pub(super) fn configured(client: Config, server: Config) -> Pair {
        let time = Instant::now();
        Pair {
            client: End::new(Connection::client(client, time)),
            server: End::new(Connection::server(server, time)),
            time,
            latency: Duration::ZERO,
        }
    }

    /// A pair whose prefaces have been exchanged, and whose server leaves calls to the test.
    pub(super) fn open() -> Pair {
        let mut pair = Pair::new();
        pair.drive_until_idle();
        pair.server.script = Script::Hold;
        pair.forget_events();
        pair
    }

    pub(super) fn forget_events(&mut self) {
        self.client.seen.clear();
        self.server.seen.clear();
    }

    /// Moves bytes until none are under way; time passes only as far as they take.
    pub(super) fn drive_until_idle(&mut self) {
        loop {
            self.move_bytes();
            let Some(next) = self.next_arrival() else { return };
            self.time = self.time.max(next);
        }
    }

    /// Lets time pass: bytes arrive and deadlines fall due, each in its moment.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.time + time;
        loop {
            self.move_bytes();
            let due = [self.client.conn.poll_timeout(), self.server.conn.poll_timeout()];
            let next = due.into_iter().chain([self.next_arrival()]).flatten().min();
            match next {
                Some(next) if next <= end => self.time = self.time.max(next),
                _ => break,
            }
            for side in [&mut self.client, &mut self.server] {
                if side.conn.poll_timeout().is_some_and(|due| due <= self.time) {
                    side.conn.handle_timeout(self.time);
                    let still = side.conn.poll_timeout();
                    assert!(still.is_none_or(|due| due > self.time), "a deadline that stays due");
                }
            }
        }
        self.time = end;
        self.move_bytes();
    }

    /// Does at most `turns` things.
    pub(super) fn some_turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.one_turn();
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        let first = |end: &End| end.arriving.front().map(|(at, _)| *at);
        [first(&self.client), first(&self.server)].into_iter().flatten().min()
    }

    /// Does everything that can be done at this moment.
    fn move_bytes(&mut self) {
        while self.one_turn() {}
    }

    fn one_turn(&mut self) -> bool {
        let arrival = self.time + self.latency;
        self.client.turn(self.time)
            | self.client.write(self.time, arrival, &mut self.server)
            | self.server.turn(self.time)
            | self.server.write(self.time, arrival, &mut self.client)
    }
}

impl End {
    fn new(conn: Connection) -> End {
        End {
            conn,
            input: crate::proto::Buffer::new(),
            arriving: VecDeque::new(),
            read_step: usize::MAX,
            write_step: usize::MAX,
            blocked: false,
            cut_after: None,
            broken: false,
            written: 0,
            transcript: Vec::new(),
            script: Script::Echo,
            seen: Vec::new(),
        }
    }

    /// Starts a call that the connection must take.
    pub(super) fn start(&mut self, name: &str, body: impl Into<Vec<u8>>) -> CallKey {
        self.conn.call(call(name, body)).expect("the connection takes the call")
    }

    /// Starts a stream that the connection must take.
    pub(super) fn open(&mut self, credit: (u32, u32), items: bool) -> CallKey {
        self.conn.call(stream("Stream", credit, items)).expect("the connection takes the call")
    }

    /// Sends items that the connection must take.
    pub(super) fn give(&mut self, stream: impl Into<StreamKey>, items: &[&[u8]]) {
        self.conn.send_items(stream.into(), &mut batch(items), false).expect("there is credit");
    }

    /// All items that have come on a stream, in order.
    pub(super) fn items(&self, stream: impl Into<StreamKey>) -> Vec<Vec<u8>> {
        let stream = stream.into();
        let items = self.seen.iter().filter_map(|seen| match seen {
            Seen::Items(of, items) if *of == stream => Some(items.clone()),
            _ => None,
        });
        items.flatten().collect()
    }

    /// Forgets what was seen, and answers calls from now on.
    pub(super) fn forget_and_echo(&mut self) {
        self.seen.clear();
        self.script = Script::Echo;
    }

    /// The calls that have come, in order.
    pub(super) fn calls(&self) -> Vec<ServedKey> {
        let key = |seen: &Seen| match seen {
            Seen::Call(key, ..) => Some(*key),
            _ => None,
        };
        self.seen.iter().filter_map(key).collect()
    }

    /// How the connection ended, if it has.
    pub(super) fn closed(&self) -> Option<&Closed> {
        self.seen.iter().find_map(|seen| match seen {
            Seen::Closed(closed) => Some(closed),
            _ => None,
        })
    }

    /// Reads what has arrived; whether anything happened.
    fn turn(&mut self, now: Instant) -> bool {
        let mut busy = self.take_events(now);
        while self.arriving.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, mut bytes)) = self.arriving.pop_front() else { break };
            busy = true;
            if bytes.is_empty() {
                self.conn.handle_eof();
            }
            while !bytes.is_empty() {
                let rest = bytes.split_off(bytes.len().min(self.read_step));
                self.input.push(&bytes);
                bytes = rest;
                self.take_events(now);
            }
            self.take_events(now);
        }
        busy
    }

    fn take_events(&mut self, now: Instant) -> bool {
        let mut busy = false;
        while let Some(seen) = self.conn.read(now, &mut self.input).map(Seen::from) {
            assert!(self.closed().is_none(), "after the end: {seen:?}");
            busy = true;
            if let (Seen::Call(key, _, body), Script::Echo) = (&seen, self.script) {
                self.conn.answer(*key, value(body.to_vec()));
            }
            self.seen.push(seen);
        }
        busy
    }

    /// Writes once; whether anything happened.
    fn write(&mut self, now: Instant, arrival: Instant, other: &mut End) -> bool {
        if self.conn.output_len() == 0 || self.broken {
            return false;
        }
        if self.blocked {
            self.conn.write_blocked(now);
            return false;
        }
        let room = self.write_step.min(self.cut_after.unwrap_or(usize::MAX));
        let mut slices = [IoSlice::new(&[]); 4];
        let count = self.conn.slices(&mut slices);
        let bytes = first_bytes(&slices[..count], room);
        assert!(!bytes.is_empty() || room == 0, "output that has no bytes");
        self.written += bytes.len();
        self.transcript.extend_from_slice(&bytes);
        self.conn.written(now, bytes.len());
        if let Some(left) = &mut self.cut_after {
            *left -= bytes.len();
        }
        if !bytes.is_empty() {
            other.arriving.push_back((arrival, bytes));
        }
        if self.cut_after == Some(0) {
            self.cut(arrival, other);
        }
        true
    }

    /// The line breaks: each side still gets what is under way to it, then the end.
    fn cut(&mut self, arrival: Instant, other: &mut End) {
        self.broken = true;
        self.conn.discard_output();
        self.arriving.push_back((arrival, Vec::new()));
        other.arriving.push_back((arrival, Vec::new()));
        other.broken = true;
    }
}

/// The first `most` bytes of these slices in one piece.
pub(super) fn first_bytes(slices: &[IoSlice<'_>], most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slice in slices {
        let room = most - bytes.len();
        bytes.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    bytes
}
