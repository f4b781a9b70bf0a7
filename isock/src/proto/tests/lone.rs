//! One connection, fed by hand with bytes that no honest peer would send.

use super::pair::{batch, config, first_bytes, granted, Seen};
use crate::{
    limits::Limits,
    proto::{Buffer, Closed, Connection},
    wire::{
        CallHead, CloseCode, Flags, FrameKind, Header, Hello, InstanceId, Total, Welcome,
        HEADER_LEN, WELCOME_LEN,
    },
};
use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

/// A connection and nobody else.
pub(super) struct Lone {
    pub(super) conn: Connection,
    pub(super) input: Buffer,
    pub(super) now: Instant,
}

/// A frame that has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) header: Header,
    pub(super) words: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

/// The length of a message for which no memory lies ready, whatever other tests have left: it is more than
/// is kept.
pub(super) const ENDLESS: u32 = 64 << 20;

impl Lone {
    /// A server that waits for its first byte.
    pub(super) fn server() -> Lone {
        Lone::server_with(Limits::default())
    }

    pub(super) fn server_with(limits: Limits) -> Lone {
        let now = Instant::now();
        Lone { conn: Connection::server(config(limits), now), input: Buffer::new(), now }
    }

    /// A client whose preface has been taken away.
    pub(super) fn client() -> Lone {
        let now = Instant::now();
        let conn = Connection::client(config(Limits::default()), now);
        let mut lone = Lone { conn, input: Buffer::new(), now };
        lone.output();
        lone
    }

    /// A server that has the preface of an ordinary client.
    pub(super) fn open_server() -> Lone {
        Lone::open_server_with(Limits::default())
    }

    pub(super) fn open_server_with(limits: Limits) -> Lone {
        let mut lone = Lone::server_with(limits);
        assert_eq!(lone.feed(&preface(&hello())), [Seen::Ready]);
        assert_eq!(lone.output().len(), WELCOME_LEN);
        lone
    }

    /// The same that accepts messages which are [`ENDLESS`].
    pub(super) fn patient_server() -> Lone {
        Lone::open_server_with(Limits::default().message(ENDLESS as usize))
    }

    /// A client that has the preface of an ordinary server.
    pub(super) fn open_client() -> Lone {
        let mut lone = Lone::client();
        assert_eq!(lone.feed(&welcome_bytes(&welcome())), [Seen::Ready]);
        lone
    }

    /// What these bytes cause.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.input.push(bytes);
        self.events()
    }

    pub(super) fn events(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(event) = self.conn.read(self.now, &mut self.input) {
            seen.push(event.into());
        }
        seen
    }

    /// Takes everything that waits to be written.
    pub(super) fn output(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.conn.output_len() > 0 {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.conn.slices(&mut slices);
            let bytes = first_bytes(&slices[..count], usize::MAX);
            self.conn.written(self.now, bytes.len());
            all.extend(bytes);
        }
        all
    }

    /// Takes the next `len` bytes that wait to be written.
    pub(super) fn some_output(&mut self, len: usize) -> Vec<u8> {
        let mut some = Vec::new();
        while some.len() < len {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.conn.slices(&mut slices);
            let bytes = first_bytes(&slices[..count], len - some.len());
            self.conn.written(self.now, bytes.len());
            some.extend(bytes);
        }
        some
    }

    /// Takes everything that waits to be written, frame by frame.
    pub(super) fn frames(&mut self) -> Vec<Sent> {
        split(&self.output())
    }

    /// The same, kinds only.
    pub(super) fn kinds(&mut self) -> Vec<FrameKind> {
        self.frames().iter().map(|sent| sent.header.kind).collect()
    }

    /// Feeds bytes that must end the connection, and says with which code.
    pub(super) fn close_code(&mut self, bytes: &[u8]) -> Option<CloseCode> {
        self.feed(bytes).iter().find_map(|seen| match seen {
            Seen::Closed(Closed::ByUs(close)) => Some(close.code),
            _ => None,
        })
    }

    /// Lets time pass, and says with which code the connection ended then.
    pub(super) fn wait(&mut self, time: Duration) -> Option<CloseCode> {
        self.now += time;
        self.conn.handle_timeout(self.now);
        self.close_code(&[])
    }
}

pub(super) fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        features: Default::default(),
        max_message: 8 << 20,
        max_fragment: 256 << 10,
        slots: 512,
        instance: InstanceId([1; 16]),
    }
}

pub(super) fn welcome() -> Welcome {
    Welcome {
        version: 1,
        min_version: 1,
        max_version: 1,
        features: Default::default(),
        max_message: 8 << 20,
        max_fragment: 256 << 10,
        slots: 512,
        instance: InstanceId([2; 16]),
        connection: None,
    }
}

pub(super) fn preface(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    hello.write(&mut bytes);
    bytes
}

pub(super) fn welcome_bytes(welcome: &Welcome) -> Vec<u8> {
    let mut bytes = Vec::new();
    welcome.write(&mut bytes);
    bytes
}

/// The frames of a stream of bytes that ends with a whole one.
pub(super) fn split(mut bytes: &[u8]) -> Vec<Sent> {
    let mut frames = Vec::new();
    while let Some(header) = bytes.first_chunk::<HEADER_LEN>() {
        let header = Header::parse(header).expect("a frame of our own has a header");
        let (frame, rest) = bytes.split_at(header.len as usize);
        let words = frame[HEADER_LEN..header.payload_at()].to_vec();
        frames.push(Sent { header, words, payload: frame[header.payload_at()..].to_vec() });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

/// A frame built by hand.
pub(super) struct Raw(pub(super) Header, pub(super) Vec<u8>, pub(super) Vec<u8>);

impl Raw {
    pub(super) fn new(kind: FrameKind, flags: Flags, slot: u16, seq: u32) -> Raw {
        Raw(Header::new(kind, flags, 0, 0).of_call(slot, seq), Vec::new(), Vec::new())
    }

    /// A call with the name 1, in one frame.
    pub(super) fn call(slot: u16, seq: u32, body: &[u8]) -> Raw {
        Raw::call_of(CallHead { name: 1, ..CallHead::default() }, None, slot, seq).payload(body)
    }

    /// The first fragment of a call.
    pub(super) fn first(slot: u16, seq: u32, total: u32, body: &[u8]) -> Raw {
        let head = CallHead { name: 1, ..CallHead::default() };
        let raw = Raw::call_of(head, Some(Total(total)), slot, seq).payload(body);
        raw.flags(Flags::INITIATOR.with(Flags::MORE))
    }

    /// A later fragment of a call.
    pub(super) fn more(slot: u16, seq: u32, body: &[u8]) -> Raw {
        Raw::new(FrameKind::MORE, Flags::INITIATOR.with(Flags::MORE), slot, seq).payload(body)
    }

    /// The last fragment of a call.
    pub(super) fn last(slot: u16, seq: u32, body: &[u8]) -> Raw {
        Raw::new(FrameKind::MORE, Flags::INITIATOR, slot, seq).payload(body)
    }

    /// A call with the name 1 that carries items.
    pub(super) fn stream(slot: u16, seq: u32, credit: (u32, u32), items: bool) -> Raw {
        let head = CallHead { name: 1, credit: granted(credit), ..CallHead::default() };
        let raw = Raw::call_of(head, None, slot, seq);
        let items = if items { Flags::ITEMS } else { Flags::default() };
        raw.flags(Flags::INITIATOR.with(items))
    }

    /// Items of the responder.
    pub(super) fn items(slot: u16, seq: u32, items: &[&[u8]]) -> Raw {
        let raw = Raw::new(FrameKind::ITEM, Flags::default(), slot, seq);
        raw.payload(batch(items).as_bytes())
    }

    /// The same of the initiator.
    pub(super) fn upload(slot: u16, seq: u32, items: &[&[u8]]) -> Raw {
        Raw::items(slot, seq, items).flags(Flags::INITIATOR)
    }

    /// The first fragment of a message of items.
    pub(super) fn first_items(self, total: u64) -> Raw {
        let flags = self.0.flags.with(Flags::MORE);
        self.flags(flags).words(&total.to_le_bytes())
    }

    /// Credit of the initiator.
    pub(super) fn credit(slot: u16, seq: u32, credit: (u32, u32)) -> Raw {
        let mut word = Vec::new();
        granted(credit).write(&mut word);
        Raw::new(FrameKind::CREDIT, Flags::INITIATOR, slot, seq).words(&word)
    }

    pub(super) fn settings(bits: u32) -> Raw {
        let raw = Raw::new(FrameKind::SETTINGS, Flags::default(), 0, 0);
        raw.words(&u64::from(bits).to_le_bytes())
    }

    /// The same frame as the responder sends it.
    pub(super) fn of_responder(self) -> Raw {
        let flags = Flags(self.0.flags.0 & !Flags::INITIATOR.0);
        self.flags(flags)
    }

    pub(super) fn cancel(slot: u16, seq: u32) -> Raw {
        Raw::new(FrameKind::CANCEL, Flags::INITIATOR, slot, seq)
    }

    pub(super) fn reply(slot: u16, seq: u32, body: &[u8]) -> Raw {
        Raw::new(FrameKind::REPLY, Flags::default(), slot, seq).payload(body)
    }

    pub(super) fn refusal(slot: u16, seq: u32, code: u16, ran: u8) -> Raw {
        let word = [code as u8, (code >> 8) as u8, ran, 0, 0, 0, 0, 0];
        Raw::new(FrameKind::REFUSAL, Flags::default(), slot, seq).words(&word)
    }

    pub(super) fn ping(number: u64) -> Raw {
        Raw::new(FrameKind::PING, Flags::default(), 0, 0).payload(&number.to_le_bytes())
    }

    pub(super) fn drain(count: u64) -> Raw {
        Raw::new(FrameKind::DRAIN, Flags::default(), 0, 0).words(&count.to_le_bytes())
    }

    pub(super) fn close(code: u16, text: &str) -> Raw {
        let raw = Raw::new(FrameKind::CLOSE, Flags::default(), 0, 0);
        raw.words(&u64::from(code).to_le_bytes()).payload(text.as_bytes())
    }

    fn call_of(head: CallHead, total: Option<Total>, slot: u16, seq: u32) -> Raw {
        let mut words = Vec::new();
        head.write(total, &mut words);
        Raw::new(FrameKind::CALL, Flags::INITIATOR, slot, seq).words(&words)
    }

    pub(super) fn flags(mut self, flags: Flags) -> Raw {
        self.0.flags = flags;
        self
    }

    pub(super) fn words(mut self, words: &[u8]) -> Raw {
        self.1 = words.to_vec();
        self
    }

    pub(super) fn payload(mut self, payload: &[u8]) -> Raw {
        self.2 = payload.to_vec();
        self
    }

    /// With the length that fits.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let words = (self.1.len() / 8) as u8;
        let len = (HEADER_LEN + self.1.len() + self.2.len()) as u32;
        let mut bytes = Vec::new();
        Header { len, words, ..self.0 }.write(&mut bytes);
        bytes.extend_from_slice(&self.1);
        bytes.extend_from_slice(&self.2);
        bytes
    }
}
