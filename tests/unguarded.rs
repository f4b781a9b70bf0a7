//! Claims about types that are decoded without the guard: which they are, and that no bytes make
//! them cost more than the guard would let them.
//!
//! The attacks on the guard (`guard_attacks.rs`) run without it too, wherever it is left out.

use isock::{
    shape::Tracer,
    wire::guard::{decode, decode_below, decode_unguarded, Ceiling, DecodeError, DecodeLimits},
};
use isock_tests::{
    hostile::*,
    memory::{self, Counting},
};
use proptest::prelude::*;
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use std::{
    any::type_name,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque},
    fmt::Debug,
    sync::OnceLock,
};

#[global_allocator]
static MEMORY: Counting = Counting;

/// As in a table of measurements.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: u64,
    name: String,
    ratio: f64,
    parent: Option<u32>,
    tags: Vec<u16>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Page {
    rows: Vec<Row>,
    next: Option<Box<[u64; 16]>>,
    raw: serde_bytes::ByteBuf,
    marks: [Option<(u8, char)>; 3],
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Event {
    Idle,
    Moved { x: i32, y: i32 },
    Said(u64, String),
    Shown(Box<(u64, u64)>, f64, f64, f64),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Grid {
    name: String,
    lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    ends: [f64; 4],
    dots: Vec<(f64, Vec<u8>)>,
}

/// A set that says how many elements it expects, and is no larger than a vector.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wide(VecDeque<u64>, u8);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Behind {
    small: u8,
    big: Option<Box<[u64; 32]>>,
}

/// A tuple on the wire, and a vector in memory.
#[derive(Debug)]
struct OnHeap;

impl<'de> Deserialize<'de> for OnHeap {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<OnHeap, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = OnHeap;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("numbers")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut all: A,
            ) -> Result<OnHeap, A::Error> {
                while all.next_element::<u64>()?.is_some() {}
                Ok(OnHeap)
            }
        }
        from.deserialize_tuple(3, Reader)
    }
}

/// Three sequences within one another, of elements that take many bytes.
type Deep<T> = Vec<([f64; 3], Vec<([f64; 3], Vec<(f64, T)>)>)>;

fn ceiling_of<T: DeserializeOwned>() -> Option<Ceiling> {
    Tracer::new().trace::<T>().expect("a shape").ceiling()
}

macro_rules! each {
    ($claim:path: $($of:ty),* $(,)?) => { $(assert!($claim(ceiling_of::<$of>()), stringify!($of));)* };
}

fn is_guarded(ceiling: Option<Ceiling>) -> bool {
    ceiling.is_none()
}

fn is_unguarded(ceiling: Option<Ceiling>) -> bool {
    ceiling.is_some()
}

#[test]
fn what_hostile_bytes_can_blow_up_keeps_its_guard() {
    each! { is_guarded:
        // Depth.
        Tree, Link, Chain, Pair, Either, MapTree, Fat<u8>, Kilobyte, Mixed, Golden,
        // Elements that are larger than their bytes, in place or behind a pointer.
        Vec<Big>, Vec<[Big; 1]>, Vec<Option<[u64; 32]>>, Vec<Skipped>, Vec<(u8, Skipped)>,
        Vec<Option<Box<Big>>>, Vec<Box<Big>>, Vec<Behind>, Vec<(bool, Option<Box<Row>>)>,
        Vec<u128>, Vec<String>, Vec<Vec<u8>>, Vec<(Vec<u8>, u8)>,
        // Elements without bytes.
        Vec<()>, Vec<Unit>, Vec<[u64; 0]>, Vec<(Unit, [u64; 0])>,
        // What is no vector.
        HashMap<u64, u64>, BTreeMap<u64, u64>, HashSet<u64>, BTreeSet<u64>, BTreeSet<u8>,
        Vec<(Deep<Vec<(Deep<()>, f64)>>, f64)>,
        VecDeque<u64>, LinkedList<u64>, LinkedList<u8>, HashSet<()>, Wide, OnHeap,
        Vec<(f64, BTreeSet<u8>)>, (u8, HashMap<u8, u8>),
        // More behind one pointer than an empty message is granted.
        Box<[[[u64; 32]; 32]; 16]>,
    }
}

#[test]
fn what_no_bytes_can_blow_up_needs_no_guard() {
    each! { is_unguarded:
        (), bool, u64, u128, f64, char, String, Box<str>, serde_bytes::ByteBuf, isock::Bytes,
        Option<String>, (u8, String, [u64; 32]), Option<Box<[u64; 32]>>, Big, Behind, Skipped,
        Vec<u8>, Vec<u16>, Vec<u64>, Vec<f64>, Box<[u32]>, BinaryHeap<u32>, Vec<Option<u32>>,
        Vec<(u32, u32)>, Vec<[f64; 8]>, Deep<()>, Row, Vec<Row>, Page, Event, Grid,
        Result<Vec<Row>, String>, std::net::SocketAddr, std::time::Duration,
    }
}

#[test]
fn a_vector_of_text_is_in_between() {
    // 24 bytes of memory for an empty text of one byte; with a number before it, for two.
    each! { is_guarded: Vec<String>, Vec<(u8, String)> }
    each! { is_unguarded: Vec<(f64, String)> }
}

#[test]
fn rows_go_unguarded_in_messages_of_any_usual_length() {
    let rows = ceiling_of::<Vec<Row>>().unwrap();
    for len in (0..22).map(|power| 1 << power) {
        assert!(rows.is_below(DecodeLimits::for_len(len), len), "{len}: {rows:?}");
    }
    assert!(!rows.is_below(DecodeLimits::for_len(1 << 22), 1 << 22), "past the largest budget");
}

#[test]
fn a_reserve_in_each_of_the_sequences_is_what_lying_lengths_get() {
    // In the middle of both sequences, which say that they are as long as what is left.
    let ceiling = ceiling_of::<Vec<Row>>();
    for len in [1_000_usize, 14_000, 40_000, 200_000, 2_000_000] {
        let row = [&[0, 0][..], &[0; 8], &[0]].concat();
        let mut bytes = length(len as u64 - 20);
        bytes.extend(row);
        bytes.extend(length(len as u64 - 40));
        bytes.resize(len, 0xff);
        let limits = DecodeLimits::for_len(len);
        let (outcome, peak) =
            memory::of_thread(|| decode_below::<Vec<Row>>(&bytes, limits, ceiling));
        assert!(outcome.is_err());
        assert!(peak <= limits.budget + (1 << 20), "{len}: {peak}, {limits:?}");
    }
}

#[test]
fn bytes_that_are_left_over_are_refused_without_the_guard() {
    let outcome = decode_below::<u16>(&[1, 0], DecodeLimits::for_len(2), ceiling_of::<u16>());
    assert_eq!(outcome, Err(DecodeError::Trailing(1)));
}

// ---- Arbitrary bytes ----

/// Decodes with and without the guard, and sees to it that both cost what they may.
fn costs_no_more<T: DeserializeOwned + Debug>(bytes: &[u8], limits: DecodeLimits) {
    static CEILINGS: OnceLock<std::sync::Mutex<HashMap<&str, Option<Ceiling>>>> = OnceLock::new();
    let ceiling = {
        let mut known = CEILINGS.get_or_init(Default::default).lock().unwrap();
        *known.entry(type_name::<T>()).or_insert_with(ceiling_of::<T>)
    };
    if !ceiling.is_some_and(|ceiling| ceiling.is_below(limits, bytes.len())) {
        return;
    }
    let guarded = decode::<T>(bytes, limits);
    let (outcome, peak) = memory::of_thread(|| decode_unguarded::<T>(bytes));
    let reserve = if outcome.is_ok() { 0 } else { 1 << 20 };
    assert!(peak <= limits.budget + reserve, "{}: {peak}, {limits:?}", type_name::<T>());
    if !matches!(guarded, Err(DecodeError::OverBudget { .. })) {
        assert_eq!(format!("{outcome:?}"), format!("{guarded:?}"), "{}", type_name::<T>());
    }
}

/// The second half is guarded today: whoever lets one of them through has to show that it may be.
fn all_cost_no_more(bytes: &[u8], limits: DecodeLimits) {
    costs_no_more::<Vec<u8>>(bytes, limits);
    costs_no_more::<Vec<u64>>(bytes, limits);
    costs_no_more::<Vec<Option<u32>>>(bytes, limits);
    costs_no_more::<Vec<(u32, u32)>>(bytes, limits);
    costs_no_more::<Vec<Row>>(bytes, limits);
    costs_no_more::<Page>(bytes, limits);
    costs_no_more::<Event>(bytes, limits);
    costs_no_more::<Grid>(bytes, limits);
    costs_no_more::<(Behind, Big, String)>(bytes, limits);
    costs_no_more::<Result<Vec<Row>, String>>(bytes, limits);

    costs_no_more::<Vec<u128>>(bytes, limits);
    costs_no_more::<Vec<String>>(bytes, limits);
    costs_no_more::<Vec<Vec<u8>>>(bytes, limits);
    costs_no_more::<Vec<Big>>(bytes, limits);
    costs_no_more::<Vec<Behind>>(bytes, limits);
    costs_no_more::<Vec<Option<Box<Big>>>>(bytes, limits);
    costs_no_more::<Vec<(u8, Skipped)>>(bytes, limits);
    costs_no_more::<HashMap<u8, u8>>(bytes, limits);
    costs_no_more::<BTreeMap<u64, u64>>(bytes, limits);
    costs_no_more::<HashSet<u64>>(bytes, limits);
    costs_no_more::<BTreeSet<u64>>(bytes, limits);
    costs_no_more::<LinkedList<u64>>(bytes, limits);
    costs_no_more::<LinkedList<u8>>(bytes, limits);
    costs_no_more::<VecDeque<(u64, u64)>>(bytes, limits);
    costs_no_more::<Vec<(u16, BTreeSet<u8>)>>(bytes, limits);
}

/// Bytes as a peer might put them together: lengths that lie, runs of zeros and ones, noise.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (0u64..400_000).prop_map(length),
        any::<u64>().prop_map(length),
        (0usize..40_000).prop_map(|len| vec![0; len]),
        (0usize..40_000).prop_map(|len| vec![1; len]),
        (0usize..3000).prop_map(|len| [1, 0].repeat(len)),
        Just(ENDLESS.to_vec()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Bytes whose first length is what the rest could hold.
fn as_one_sequence() -> impl Strategy<Value = Vec<u8>> {
    (hostile_bytes(), 1usize..30)
        .prop_map(|(rest, each)| sequence((rest.len() / each) as u64, &rest))
}

fn row() -> impl Strategy<Value = Row> {
    let tags = prop::collection::vec(any::<u16>(), 0..8);
    (any::<u64>(), ".{0,9}", any::<u32>(), any::<Option<u32>>(), tags).prop_map(
        |(id, name, ratio, parent, tags)| Row { id, name, ratio: ratio.into(), parent, tags },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_cost_no_more_than_under_the_guard(bytes in hostile_bytes()) {
        all_cost_no_more(&bytes, DecodeLimits::for_len(bytes.len()));
    }

    #[test]
    fn lying_lengths_cost_no_more_than_under_the_guard(bytes in as_one_sequence()) {
        all_cost_no_more(&bytes, DecodeLimits::for_len(bytes.len()));
    }

    #[test]
    fn lower_limits_hold_too(bytes in as_one_sequence(), budget in 0usize..3_000_000, depth in 0u32..9) {
        all_cost_no_more(&bytes, DecodeLimits { depth, budget });
    }

    #[test]
    fn lower_limits_hold_for_honest_numbers(len in 0usize..60_000, budget in 0usize..3_000_000) {
        let bytes = sequence(len as u64, &vec![1; len]);
        all_cost_no_more(&bytes, DecodeLimits { depth: 128, budget });
    }

    #[test]
    fn honest_rows_are_read_alike_and_unguarded(rows in prop::collection::vec(row(), 0..300)) {
        let bytes = encode(&rows);
        let limits = DecodeLimits::for_len(bytes.len());
        let ceiling = ceiling_of::<Vec<Row>>().unwrap();
        prop_assert!(ceiling.is_below(limits, bytes.len()));
        prop_assert_eq!(decode_below::<Vec<Row>>(&bytes, limits, Some(ceiling)), Ok(rows));
        costs_no_more::<Vec<Row>>(&bytes, limits);
    }
}

/// Every byte of the longest message that goes unguarded, at its worst.
#[test]
fn the_longest_messages_cost_no_more_than_under_the_guard() {
    for len in [1_000_000, 2_700_000] {
        let zeros = zeros_as_sequence(len);
        costs_no_more::<Vec<u8>>(&zeros, DecodeLimits::for_len(zeros.len()));
        costs_no_more::<Vec<u64>>(&zeros, DecodeLimits::for_len(zeros.len()));
    }
    // What serde reserves at once for a u64, and one more.
    for len in [100_000, 131_073, 262_146] {
        let zeros = zeros_as_sequence(len);
        all_cost_no_more(&zeros, DecodeLimits::for_len(zeros.len()));
        let ones = sequence(len as u64, &vec![1; len]);
        all_cost_no_more(&ones, DecodeLimits::for_len(ones.len()));
        // An option that is there, and the smallest variant in it.
        let boxed = sequence(len as u64 / 2, &[1, 0].repeat(len / 2));
        all_cost_no_more(&boxed, DecodeLimits::for_len(boxed.len()));
    }
}
