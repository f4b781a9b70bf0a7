//! The messages of the workloads, made from numbers so that every reply can be checked.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The small message: four integers, 32 bytes where integers have a fixed width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Msg {
    pub a: u64,
    pub b: u64,
    pub c: u64,
    pub d: u64,
}

impl Msg {
    /// Its size where integers have a fixed width.
    pub const SIZE: usize = 32;

    /// The message number `n`; no two numbers share a field.
    pub fn new(n: u64) -> Msg {
        // Odd factors are invertible, and the shift keeps varints at eight bytes or fewer.
        let mix = |factor: u64| (n.wrapping_mul(factor) ^ factor) & 0x00ff_ffff_ffff_ffff;
        Msg {
            a: n,
            b: mix(0x9e37_79b9_7f4a_7c15),
            c: mix(0xc2b2_ae3d_27d4_eb4f),
            d: mix(0x1656_67b1_9e37_79f9),
        }
    }

    /// The message as fixed-width little-endian bytes.
    pub fn to_bytes(self) -> [u8; Msg::SIZE] {
        let mut bytes = [0; Msg::SIZE];
        for (chunk, field) in bytes.chunks_exact_mut(8).zip([self.a, self.b, self.c, self.d]) {
            chunk.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Panics unless this is the message number `n`.
    #[inline]
    pub fn check(self, n: u64) {
        assert_eq!(self, Msg::new(n), "the reply to call {n} has other content");
    }
}

/// One record of W6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Record {
    pub id: u64,
    pub name: String,
    pub score: f64,
    pub group: Option<u32>,
    pub samples: Vec<u16>,
}

/// The `count` records that W6 sends: names of 8 to 23 bytes, 0 to 15 samples, every third without a group.
pub fn records(count: usize) -> Vec<Record> {
    (0..count as u64).map(record).collect()
}

fn record(n: u64) -> Record {
    let mixed = Msg::new(n).b;
    Record {
        id: mixed,
        name: format!("{:x<1$}", format!("name-{n:03}"), 8 + (mixed % 16) as usize),
        score: mixed as f64 / 7.0,
        group: (!n.is_multiple_of(3)).then_some((mixed >> 8) as u32),
        samples: (0..n % 16).map(|i| (mixed >> i) as u16).collect(),
    }
}

/// Two payloads of `size` bytes that differ in every word, to be sent in turn: a reply to the call before
/// never passes for this one's.
pub fn payloads(size: usize) -> [Bytes; 2] {
    [1, 2].map(|seed| {
        let words = (0..size.div_ceil(8) as u64).map(|n| Msg::new(n * 2 + seed).b.to_le_bytes());
        let mut bytes: Vec<u8> = words.flatten().collect();
        bytes.truncate(size);
        bytes.into()
    })
}
