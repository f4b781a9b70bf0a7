//! Types that a hostile peer would choose, and the bytes that it would send for them.

#![allow(missing_docs)] // Their shapes say what they are.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The length u64::MAX.
pub const ENDLESS: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

/// A tree.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tree {
    /// The children.
    pub c: Vec<Tree>,
}

/// A list.
#[derive(Debug, Serialize, Deserialize)]
pub struct Link {
    next: Option<Box<Link>>,
}

/// A list of newtypes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Chain(Option<Box<Chain>>);

/// A list of tuples.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pair(Box<(Option<Pair>, u8)>);

/// A list of variants.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Either {
    End,
    More(Box<Either>),
}

/// A tree of maps.
#[derive(Debug, Serialize, Deserialize)]
pub struct MapTree(BTreeMap<u8, MapTree>);

/// A list with a `T` on the stack at every level.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fat<T> {
    data: T,
    more: Option<Box<Fat<T>>>,
}

/// A tree with a kilobyte at each level.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kilobyte {
    data: [[u64; 32]; 4],
    more: Vec<Kilobyte>,
}

/// A level of each kind, in turns, with options and newtypes between.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mixed {
    list: Vec<Inner>,
}

/// The second level of [`Mixed`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Inner(Option<Box<Outer>>);

/// The third level of [`Mixed`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Outer {
    End,
    Again(Option<Vec<Mixed>>),
}

/// Its smallest variant takes a byte on the wire and as much in memory as the largest.
#[derive(Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // which is the point
pub enum Big {
    A,
    B([u64; 32]),
}

/// Takes memory and no byte on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub struct Skipped {
    #[serde(skip)]
    _silent: [u64; 4],
}

/// Takes nothing at all.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unit;

/// Some of everything.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    id: u64,
    name: String,
    ratio: f64,
    tags: Vec<u16>,
    map: BTreeMap<u8, Option<i32>>,
    state: Either,
    last: [char; 2],
}

/// A golden message.
pub fn golden() -> Golden {
    Golden {
        id: 300,
        name: "golden".into(),
        ratio: 0.5,
        tags: vec![1, 1000],
        map: BTreeMap::from([(1, None), (2, Some(-3))]),
        state: Either::More(Box::new(Either::End)),
        last: ['ä', '☃'],
    }
}

/// A length, as it is encoded.
pub fn length(len: u64) -> Vec<u8> {
    encode(&len)
}

/// A sequence that says that it has `len` elements.
pub fn sequence(len: u64, elements: &[u8]) -> Vec<u8> {
    [&length(len), elements].concat()
}

/// A sequence of elements that are one zero each.
pub fn zeros_as_sequence(len: usize) -> Vec<u8> {
    sequence(len as u64, &vec![0; len])
}

/// The encoded form.
///
/// # Panics
/// If the value has none.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut encoder = isock::wire::Encoder::new(usize::MAX);
    encoder.push(value).expect("test values encode");
    encoder.into_bytes()
}
