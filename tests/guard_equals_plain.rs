//! The guard decodes what plain postcard decodes, and refuses what it refuses; what was decoded is
//! encoded as postcard encodes it.
//!
//! Arbitrary bytes and mutated encodings of known values, over types of every shape.
//! Values are compared by their encoding, which tells NaNs and negative zeros apart.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, LinkedList, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroI16;
use std::time::Duration;

use isock::wire::{guard, Encoder};

use guard::{decode, decode_unguarded, DecodeError, DecodeLimits};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Limits that only an absurd length can meet in messages as short as these.
const NONE: DecodeLimits = DecodeLimits { depth: 10_000, budget: usize::MAX };

/// Whether decoding is equal with limits that don't bite, and with the default ones
/// wherever they don't.
fn check<'de, T>(bytes: &'de [u8])
where
    T: Serialize + Deserialize<'de>,
{
    // First under the defaults: plain postcard can't be asked about an endless list of
    // nothing, which it would go through.
    let limited = decode::<T>(bytes, DecodeLimits::for_len(bytes.len()));
    if !takes_long::<T>(&limited) {
        check_unlimited::<T>(bytes);
    }
    if !is_limit(&limited) {
        assert_eq!(encoded(limited), plain::<T>(bytes), "{}", std::any::type_name::<T>());
    }
}

fn check_unlimited<'de, T: Serialize + Deserialize<'de>>(bytes: &'de [u8]) {
    let name = std::any::type_name::<T>();
    let guarded = decode::<T>(bytes, NONE);
    if is_limit(&guarded) {
        // A length that no memory could hold; plain postcard finds out at the end.
        assert!(plain::<T>(bytes).is_err(), "{name}");
    } else {
        assert_eq!(encoded(guarded), plain::<T>(bytes), "{name}");
    }
    assert_eq!(encoded(decode_unguarded::<T>(bytes)), plain::<T>(bytes), "{name}");
}

/// What plain postcard makes of the bytes, with trailing ones refused.
fn plain<'de, T: Serialize + Deserialize<'de>>(bytes: &'de [u8]) -> Result<Vec<u8>, DecodeError> {
    match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => encoded(Ok(value)),
        Ok((_, rest)) => Err(DecodeError::Trailing(rest.len())),
        Err(error) => Err(error.into()),
    }
}

fn encoded<T: Serialize>(outcome: Result<T, DecodeError>) -> Result<Vec<u8>, DecodeError> {
    outcome.map(|value| {
        let bytes = postcard::to_allocvec(&value).expect("what was decoded encodes");
        let mut encoder = Encoder::new(usize::MAX);
        encoder.push(&value).expect("what was decoded encodes");
        assert!(encoder.as_bytes() == bytes, "{}", std::any::type_name::<T>());
        bytes
    })
}

fn is_limit<T>(outcome: &Result<T, DecodeError>) -> bool {
    matches!(outcome, Err(DecodeError::TooDeep(_) | DecodeError::OverBudget { .. }))
}

/// Whether this may be a list too long to walk, of elements that take no byte: the
/// types that have one are made of `Nothing`.
fn takes_long<T>(limited: &Result<T, DecodeError>) -> bool {
    is_limit(limited) && std::any::type_name::<T>().contains("Nothing")
}

// ---- The types ----

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    ratio: f64,
    owner: Option<u32>,
    tags: Vec<u16>,
    flag: bool,
}

#[derive(Clone, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f32),
    Line(i16, i64, i8),
    Polygon { corners: Vec<(i32, i32)>, name: Option<String> },
    Group(Vec<Shape>),
}

#[derive(Clone, Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

#[derive(Clone, Serialize, Deserialize)]
struct Link {
    value: u128,
    next: Option<Box<Link>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Nothing {
    #[serde(skip)]
    _silent: [u64; 4],
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Id(u32);

#[derive(Clone, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Serialize, Deserialize)]
struct Borrowed<'a> {
    text: &'a str,
    #[serde(with = "serde_bytes")]
    bytes: &'a [u8],
    #[serde(borrow)]
    either: Cow<'a, str>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Generic<T> {
    before: u8,
    value: T,
    #[serde(default)]
    after: u8,
}

/// An odd number is refused by the type itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Even(u32);

impl TryFrom<u32> for Even {
    type Error = &'static str;

    fn try_from(value: u32) -> Result<Self, Self::Error> {
        (value % 2 == 0).then_some(Self(value)).ok_or("an odd number")
    }
}

impl From<Even> for u32 {
    fn from(even: Even) -> Self {
        even.0
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Text(String),
}

#[derive(Clone, Serialize, Deserialize)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

/// Every type, with a few values to start from.
macro_rules! types {
    ($($type:ty = [$($sample:expr),* $(,)?];)*) => {
        /// Each type's check and the encodings of its samples.
        fn types() -> Vec<(fn(&[u8]), Vec<Vec<u8>>)> {
            vec![$((
                (|bytes: &[u8]| check::<$type>(bytes)) as fn(&[u8]),
                vec![$({
                    let sample: $type = $sample;
                    postcard::to_allocvec(&sample).expect("samples encode")
                }),*],
            )),*]
        }
    };
}

types! {
    ((), Unit, Option<()>) = [((), Unit, None), ((), Unit, Some(()))];
    (u8, u16, u32, u64, u128) = [(0, 1, 2, 3, 4), (255, 65_535, u32::MAX, u64::MAX, u128::MAX)];
    (i8, i16, i32, i64, i128) = [(0, -1, 2, -3, 4), (-128, i16::MIN, i32::MIN, i64::MIN, i128::MIN)];
    Vec<(usize, isize)> = [vec![(0, 0), (usize::MAX, isize::MIN)]];
    (f32, f64) = [(-0.0, f64::NAN), (f32::INFINITY, 0.1)];
    (char, String, Box<str>) = [('☃', "héllo".into(), "".into()), ('a', "".into(), "b".into())];
    serde_bytes::ByteBuf = [serde_bytes::ByteBuf::from(vec![1, 2, 3])];
    Borrowed<'_> = [Borrowed { text: "abc", bytes: &[1, 2], either: "d".into() }];
    Record = [record()];
    Vec<Record> = [vec![record(); 3], vec![]];
    Vec<Shape> = [shapes()];
    Vec<Result<Option<bool>, Shape>> = [vec![Ok(Some(true)), Err(Shape::Point), Ok(None)]];
    Tree = [tree(3)];
    Chain = [Chain(Some(Box::new(Chain(Some(Box::new(Chain(None)))))))];
    Link = [Link { value: 1 << 100, next: Some(Box::new(Link { value: 0, next: None })) }];
    Vec<Nothing> = [vec![Nothing { _silent: [0; 4] }; 5]];
    (Vec<[Nothing; 2]>, u16) = [(vec![], 7)];
    SortedMap<u8, String> = [SortedMap(HashMap::from([(3, "three".into())]))];
    SortedMap<Id, Generic<u8>> = [SortedMap(HashMap::from([(Id(1), Generic { before: 1, value: 2, after: 3 })]))];
    BTreeMap<String, BTreeMap<i8, f32>> = [BTreeMap::from([("a".into(), BTreeMap::from([(-1, -0.0)]))])];
    BTreeSet<(u8, Id)> = [BTreeSet::from([(1, Id(2)), (1, Id(300))])];
    (VecDeque<u16>, LinkedList<u8>) = [(VecDeque::from([1, 2]), LinkedList::from([3]))];
    SortedHeap = [SortedHeap(BinaryHeap::from([1, 5, 2]))];
    ([u8; 4], [[Option<u16>; 2]; 2], [u64; 0]) = [([1, 2, 3, 4], [[None, Some(7)], [None, None]], [])];
    Vec<Vec<Vec<Option<Option<u8>>>>> = [vec![vec![vec![None, Some(None), Some(Some(1))]], vec![]]];
    Vec<Even> = [vec![Even(2), Even(400)]];
    (NonZeroI16, Duration) = [(NonZeroI16::MIN, Duration::new(5, 999_999_999))];
    (IpAddr, SocketAddr) = [([127, 0, 0, 1].into(), ([0u16; 8], 80).into())];
    Generic<Generic<Vec<Id>>> = [Generic { before: 0, value: Generic { before: 1, value: vec![Id(9)], after: 2 }, after: 3 }];
    Vec<Box<Option<Box<Shape>>>> = [vec![Box::new(None), Box::new(Some(Box::new(Shape::Circle(1.0))))]];
    Vec<Untagged> = [vec![Untagged::Number(1), Untagged::Text("a".into())]];
    OnlyDecoded<Flat> = [];
}

/// A heap is encoded in the order of its memory, which decoding may change.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct SortedHeap(BinaryHeap<u16>);

impl Serialize for SortedHeap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.clone().into_sorted_vec().serialize(serializer)
    }
}

/// A hash table has an order of its own.
#[derive(Clone, Deserialize)]
#[serde(transparent, bound = "K: Ord + std::hash::Hash + Deserialize<'de>, V: Deserialize<'de>")]
struct SortedMap<K, V>(HashMap<K, V>);

impl<K: Ord + Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.iter().collect::<BTreeMap<&K, &V>>().serialize(serializer)
    }
}

/// For a type that postcard can't encode, nor ever decode.
#[derive(Deserialize)]
#[serde(transparent)]
struct OnlyDecoded<T>(T);

impl<T> Serialize for OnlyDecoded<T> {
    fn serialize<S: serde::Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not encoded"))
    }
}

fn record() -> Record {
    Record {
        id: 1 << 40,
        name: "a record".into(),
        ratio: -0.5,
        owner: Some(77),
        tags: vec![1, 500, 65_535],
        flag: true,
    }
}

fn shapes() -> Vec<Shape> {
    let polygon = Shape::Polygon { corners: vec![(1, -1), (2, 300)], name: Some("p".into()) };
    vec![
        Shape::Point,
        Shape::Circle(f32::NAN),
        Shape::Line(-5, 6, 7),
        Shape::Group(vec![polygon, Shape::Group(vec![])]),
    ]
}

fn tree(depth: usize) -> Tree {
    Tree { children: (0..depth).map(tree).collect() }
}

// ---- Mutations ----

#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
    Truncate(prop::sample::Index),
    Repeat(prop::sample::Index),
    Append(u8),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let len = bytes.len();
        match self {
            Self::Set(at, value) => bytes[at.index(len)] = *value,
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << (bit % 8),
            Self::Insert(at, more) => {
                let at = at.index(len);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at) => drop(bytes.remove(at.index(len))),
            Self::Truncate(at) => bytes.truncate(at.index(len)),
            Self::Repeat(at) => bytes.extend_from_within(at.index(len)..),
            Self::Append(value) => bytes.push(*value),
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Set(at, value)),
        (at(), any::<u8>()).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), prop::collection::vec(small_byte(), 1..4))
            .prop_map(|(at, more)| Mutation::Insert(at, more)),
        at().prop_map(Mutation::Remove),
        at().prop_map(Mutation::Truncate),
        at().prop_map(Mutation::Repeat),
        small_byte().prop_map(Mutation::Append),
    ]
}

/// Bytes that mean something to postcard come up more often.
fn small_byte() -> impl Strategy<Value = u8> {
    prop_oneof![0u8..4, 0u8..4, any::<u8>(), Just(0xff), Just(0x80)]
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(2000), failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn arbitrary_bytes_decode_alike(bytes in prop::collection::vec(small_byte(), 0..64)) {
        for (check, _) in types() {
            check(&bytes);
        }
    }

    #[test]
    fn mutated_messages_decode_alike(mutations in prop::collection::vec(mutation(), 0..4)) {
        for (check, samples) in types() {
            for mut bytes in samples {
                mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
                check(&bytes);
            }
        }
    }
}

#[test]
fn no_sample_meets_a_default_limit() {
    fn decodes<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> bool {
        decode::<T>(bytes, DecodeLimits::for_len(bytes.len())).is_ok()
    }
    let encode = |shapes| postcard::to_allocvec(&shapes).expect("samples encode");
    assert!(decodes::<Vec<Shape>>(&encode(vec![Shape::Point; 1000])));
    let records = postcard::to_allocvec(&vec![record(); 10_000]).expect("samples encode");
    assert!(decodes::<Vec<Record>>(&records));
    assert!(types().len() >= 20);
}
