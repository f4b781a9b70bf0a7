//! The frames of all floors: `length u32, kind u32`, little-endian, then the body.
//!
//! Replies come in the order of their requests, so a frame needs no id.

use kit::data::{Msg, Record};

/// Bytes before the body.
pub(crate) const HEADER: usize = 8;
/// A whole frame with the small message.
pub(crate) const MSG_FRAME: usize = HEADER + Msg::SIZE;
/// How much the loops read at once.
pub(crate) const CHUNK: usize = 256 * 1024;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// The body is sent back as it is.
    Echo = 1,
    /// The body is decoded with postcard, encoded again and sent back.
    Records = 2,
    /// The body is a number of milliseconds to sleep before replying.
    Nap = 3,
    /// The body is a number of messages to send, each in a frame of its own.
    Stream = 4,
}

/// The header of a frame.
pub(crate) fn header(kind: Kind, body: usize) -> [u8; HEADER] {
    let length = u32::try_from(body).expect("bodies are below 4 GiB");
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..].copy_from_slice(&(kind as u32).to_le_bytes());
    bytes
}

/// The header's two fields.
pub(crate) fn parse_header(bytes: &[u8; HEADER]) -> (Kind, usize) {
    let [l0, l1, l2, l3, k0, k1, k2, k3] = *bytes;
    let kind = match u32::from_le_bytes([k0, k1, k2, k3]) {
        1 => Kind::Echo,
        2 => Kind::Records,
        3 => Kind::Nap,
        4 => Kind::Stream,
        other => panic!("a frame of kind {other}"),
    };
    (kind, u32::from_le_bytes([l0, l1, l2, l3]) as usize)
}

/// The frame at the front of `input`: its kind, its body and its whole length. None if it isn't whole yet.
#[inline]
pub(crate) fn first(input: &[u8]) -> Option<(Kind, &[u8], usize)> {
    let (kind, body) = parse_header(input.first_chunk()?);
    let frame = HEADER + body;
    Some((kind, input.get(HEADER..frame)?, frame))
}

/// Appends a frame.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    out.extend_from_slice(&header(kind, body.len()));
    out.extend_from_slice(body);
}

/// Appends a frame with records, encoded in place.
pub(crate) fn put_records(out: &mut Vec<u8>, records: &[Record]) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let encoded = postcard::to_extend(records, std::mem::take(out)).expect("records encode");
    *out = encoded;
    let body = out.len() - start - HEADER;
    out[start..start + HEADER].copy_from_slice(&header(Kind::Records, body));
}

/// Reads a little-endian number.
pub(crate) fn number(body: &[u8]) -> u64 {
    u64::from_le_bytes(body.try_into().expect("a number has eight bytes"))
}

/// Answers all whole frames at the front of `input` into `out`; returns how many bytes they had.
///
/// Only echo and records: what takes time or streams is up to the caller, who gets it as `rest`.
pub(crate) fn answer(
    input: &[u8],
    out: &mut Vec<u8>,
    mut rest: impl FnMut(Kind, u64, &mut Vec<u8>),
) -> usize {
    let mut used = 0;
    while let Some((kind, body, frame)) = first(&input[used..]) {
        match kind {
            Kind::Echo => put(out, kind, body),
            Kind::Records => put_records(out, &decode_records(body)),
            Kind::Nap | Kind::Stream => rest(kind, number(body), out),
        }
        used += frame;
    }
    used
}

/// Decodes the body of a records frame.
pub(crate) fn decode_records(body: &[u8]) -> Vec<Record> {
    postcard::from_bytes(body).expect("records decode")
}

/// The numbers of the echo calls on one connection with several in flight.
#[derive(Clone, Copy, Default)]
pub(crate) struct Numbers {
    sent: u64,
    received: u64,
}

impl Numbers {
    /// How many replies are still to come.
    pub(crate) fn due(self) -> u64 {
        self.sent - self.received
    }

    /// Appends the next `count` requests.
    pub(crate) fn put(&mut self, count: u64, out: &mut Vec<u8>) {
        for n in self.sent..self.sent + count {
            put(out, Kind::Echo, &Msg::new(n).to_bytes());
        }
        self.sent += count;
    }

    /// Checks all whole replies at the front of `input`; returns how many and how many bytes they are.
    pub(crate) fn check(&mut self, input: &[u8]) -> (u64, usize) {
        let replies = input.chunks_exact(MSG_FRAME);
        let count = replies.len();
        for (n, reply) in (self.received..).zip(replies) {
            let content = &reply[HEADER..];
            assert!(content == Msg::new(n).to_bytes(), "the reply to call {n} has other content");
        }
        self.received += count as u64;
        (count as u64, count * MSG_FRAME)
    }
}

/// The message in a body of fixed width.
#[inline]
pub(crate) fn msg(body: &[u8]) -> Msg {
    let field = |i: usize| number(&body[i * 8..i * 8 + 8]);
    assert_eq!(body.len(), Msg::SIZE, "a message has a fixed width");
    Msg { a: field(0), b: field(1), c: field(2), d: field(3) }
}
