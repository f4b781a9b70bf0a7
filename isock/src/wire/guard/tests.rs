//! Claims about the guard that need no measuring. What an attack costs, and that the
//! guard equals plain postcard, is tested from outside.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::access::Elements;
use super::place::levels;
use super::*;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

/// A list whose every node is a struct and an option.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Link {
    next: Option<Box<Link>>,
}

/// A list of nothing but newtypes and options.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

/// Recurses through a tuple that no derive sees.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u8, Option<Box<Knot>>)", into = "(u8, Option<Box<Knot>>)")]
struct Knot(u8, Option<Box<Knot>>);

impl From<(u8, Option<Box<Knot>>)> for Knot {
    fn from((value, next): (u8, Option<Box<Knot>>)) -> Self {
        Self(value, next)
    }
}

impl From<Knot> for (u8, Option<Box<Knot>>) {
    fn from(knot: Knot) -> Self {
        (knot.0, knot.1)
    }
}

impl Clone for Knot {
    fn clone(&self) -> Self {
        Self(self.0, self.1.clone())
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // which is the point
enum Big {
    Small,
    Large([u64; 32]),
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Skipped {
    #[serde(skip)]
    _silent: [u64; 4],
}

/// Reads a list as a tuple of the length it finds, as some crates do.
#[derive(Debug)]
struct Listed {
    _all: Vec<Big>,
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Listed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Listed, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Listed { _all: all })
            }
        }
        deserializer.deserialize_tuple(100_000, Collect)
    }
}

/// Answers a refused part with nothing, and goes on.
#[derive(Debug)]
struct Forgiving;

impl<'de> Deserialize<'de> for Forgiving {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        drop(Vec::<Skipped>::deserialize(deserializer));
        Ok(Self)
    }
}

fn limits(depth: u32, budget: usize) -> DecodeLimits {
    DecodeLimits { depth, budget }
}

/// Decodes within the depth given, and memory enough.
fn decode_deep<T: for<'de> Deserialize<'de>>(bytes: &[u8], depth: u32) -> Result<T, DecodeError> {
    decode(bytes, limits(depth, 1 << 20))
}

/// Decodes within the budget given, on top of what is set aside for strings.
fn decode_cheaply<T: for<'de> Deserialize<'de>>(
    bytes: &[u8],
    budget: usize,
) -> Result<T, DecodeError> {
    decode(bytes, limits(128, budget + bytes.len()))
}

fn is_over_budget<T>(outcome: Result<T, DecodeError>) -> bool {
    matches!(outcome, Err(DecodeError::OverBudget { needed, budget }) if needed > budget)
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("test values encode")
}

/// A length as postcard writes it, with the bytes of the elements behind it.
fn sequence(len: u64, elements: &[u8]) -> Vec<u8> {
    [encode(&len).as_slice(), elements].concat()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    assert_eq!(DecodeLimits::for_len(0), limits(128, 65_536));
    assert_eq!(DecodeLimits::for_len(100), limits(128, 65_536 + 3200));
    assert_eq!(DecodeLimits::for_len(2_095_104), limits(128, 64 << 20));
    assert_eq!(DecodeLimits::for_len(2_095_103), limits(128, (64 << 20) - 32));
    assert_eq!(DecodeLimits::for_len(usize::MAX), limits(128, 64 << 20));
}

#[test]
fn a_tree_as_deep_as_the_limit_is_decoded() {
    // A struct and a sequence to each tree: 64 of them, the last one without children.
    let bytes = [vec![1; 63], vec![0]].concat();
    assert!(decode_deep::<Tree>(&bytes, 128).is_ok());
}

#[test]
fn a_tree_deeper_than_the_limit_is_refused() {
    let bytes = [vec![1; 64], vec![0]].concat();
    assert_eq!(decode_deep::<Tree>(&bytes, 128), Err(DecodeError::TooDeep(128)));
}

#[test]
fn options_take_no_level() {
    let bytes = [vec![1; 127], vec![0]].concat();
    assert!(decode_deep::<Link>(&bytes, 128).is_ok());
    let bytes = [vec![1; 128], vec![0]].concat();
    assert_eq!(decode_deep::<Link>(&bytes, 128), Err(DecodeError::TooDeep(128)));
}

#[test]
fn siblings_take_no_level() {
    let wide: Vec<Vec<u8>> = vec![vec![1]; 1000];
    assert_eq!(decode_deep::<Vec<Vec<u8>>>(&encode(&wide), 2), Ok(wide));
}

#[test]
fn a_few_options_and_newtypes_around_a_number_need_no_depth() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Id(Option<u64>);
    assert_eq!(decode_deep(&encode(&Some(Id(Some(7)))), 0), Ok(Some(Id(Some(7)))));
}

#[test]
fn a_chain_of_options_and_newtypes_ends_as_well() {
    let bytes = [vec![1; 50], vec![0]].concat();
    assert!(decode_deep::<Chain>(&bytes, 128).is_ok());
    assert_eq!(decode_deep::<Chain>(&[1; 100], 128), Err(DecodeError::TooDeep(128)));
}

#[test]
fn recursion_through_a_bare_tuple_ends_as_well() {
    assert_eq!(decode_deep::<Knot>(&[1; 1000], 128), Err(DecodeError::TooDeep(128)));
}

#[test]
fn a_large_value_takes_a_level_for_every_kibibyte() {
    #[derive(Serialize, Deserialize)]
    struct Wide {
        _data: [[u64; 32]; 16],
    }
    // 4 KiB: five levels each for the struct and the outer array, one for the inner.
    let bytes = [0; 512];
    assert_eq!(decode_deep::<Wide>(&bytes, 10).err(), Some(DecodeError::TooDeep(10)));
    assert!(decode_deep::<Wide>(&bytes, 11).is_ok());
}

#[test]
fn even_the_largest_value_can_be_nested_by_default() {
    assert_eq!(levels::<[u8; 1 << 20]>() * 3, 96);
    assert_eq!(levels::<[u8; 1023]>(), 1);
}

#[test]
fn variants_of_every_kind_take_one_level() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kinds {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }
    for value in [Kinds::Unit, Kinds::Newtype(1), Kinds::Tuple(2, 3), Kinds::Struct { a: 4 }] {
        let bytes = encode(&value);
        assert_eq!(decode_deep::<Kinds>(&bytes, 0), Err(DecodeError::TooDeep(0)));
        assert_eq!(decode_deep(&bytes, 1), Ok(value));
    }
}

#[test]
fn the_elements_of_a_vec_cost_their_size() {
    let bytes = encode(&vec![1u64; 100]);
    assert!(decode_cheaply::<Vec<u64>>(&bytes, 800).is_ok());
    assert!(is_over_budget(decode_cheaply::<Vec<u64>>(&bytes, 799)));
}

#[test]
fn elements_are_paid_for_before_the_first_is_read() {
    // Ended would mean that an element had been read.
    assert!(is_over_budget(decode_cheaply::<Vec<u64>>(&sequence(101, &[]), 800)));
}

#[test]
fn every_vec_of_a_message_is_paid_from_one_budget() {
    let bytes = encode(&(vec![1u64; 50], vec![2u64; 50]));
    assert!(decode_cheaply::<(Vec<u64>, Vec<u64>)>(&bytes, 800).is_ok());
    assert!(is_over_budget(decode_cheaply::<(Vec<u64>, Vec<u64>)>(&bytes, 799)));
}

#[test]
fn an_element_without_a_size_costs_a_byte() {
    let bytes = sequence(500, &[]);
    assert_eq!(decode_cheaply::<Vec<()>>(&bytes, 500).map(|all| all.len()), Ok(500));
    assert!(is_over_budget(decode_cheaply::<Vec<()>>(&bytes, 499)));
    assert!(is_over_budget(decode_cheaply::<HashSet<()>>(&bytes, 500)));
    assert_eq!(decode_cheaply(&[1], 64), Ok(HashSet::from([()])));
}

#[test]
fn a_skipped_field_costs_its_size_though_it_takes_no_byte() {
    assert!(is_over_budget(decode_cheaply::<Vec<Skipped>>(&sequence(100, &[]), 3200)));
    assert!(decode_cheaply::<Vec<Skipped>>(&sequence(100, &[]), 300 * 32).is_ok());
}

#[test]
fn keys_and_values_of_a_map_are_both_paid_for() {
    let map: HashMap<u8, [u64; 16]> = (0..100).map(|key| (key, [1; 16])).collect();
    let bytes = encode(&map);
    assert!(is_over_budget(decode_cheaply::<HashMap<u8, [u64; 16]>>(&bytes, 100 * 136)));
    assert_eq!(decode_cheaply(&bytes, 192 * 137 + 72), Ok(map));
}

#[test]
fn a_node_of_a_b_tree_is_paid_for_in_full() {
    let map = BTreeMap::from([(1u8, [1u64; 16])]);
    let bytes = encode(&map);
    assert!(is_over_budget(decode_cheaply::<BTreeMap<u8, [u64; 16]>>(&bytes, 11 * 129)));
    assert_eq!(decode_cheaply(&bytes, 11 * 136 + 40), Ok(map));
}

#[test]
fn a_box_costs_what_is_inside() {
    let bytes = encode(&[Some(Box::new(Big::Small)), Some(Box::new(Big::Small))]);
    let needed = 2 * (264 + 16);
    assert!(decode_cheaply::<[Option<Box<Big>>; 2]>(&bytes, needed).is_ok());
    assert!(is_over_budget(decode_cheaply::<[Option<Box<Big>>; 2]>(&bytes, needed - 1)));
}

#[test]
fn a_box_around_an_absent_option_costs_its_size() {
    assert!(is_over_budget(decode_cheaply::<Box<Option<[u64; 32]>>>(&[0], 256)));
}

#[test]
fn a_value_in_place_costs_nothing_more() {
    let nested = ((1u64, [2u64; 30]), Big::Large([3; 32]), Some([4u64; 16]));
    assert_eq!(decode_cheaply(&encode(&nested), 0), Ok(nested));
}

#[test]
fn a_list_read_as_a_tuple_is_paid_for() {
    assert!(is_over_budget(decode_cheaply::<Listed>(&[0; 100_000], 10_000)));
}

#[test]
fn strings_fit_even_the_smallest_budget() {
    let text = "a string of many bytes".to_owned();
    assert_eq!(decode_cheaply(&encode(&text), 0), Ok(text));
}

#[test]
fn a_limit_that_was_swallowed_is_still_reported() {
    assert!(is_over_budget(decode_cheaply::<(Forgiving, u8)>(&sequence(1 << 40, &[7]), 1000)));
}

#[test]
fn borrowed_parts_point_into_the_message() {
    let bytes = encode(&("text", 7u8));
    let (text, _) = decode::<(&str, u8)>(&bytes, DecodeLimits::for_len(bytes.len())).unwrap();
    assert_eq!(text.as_ptr(), bytes[1..].as_ptr());
}

#[test]
fn trailing_bytes_are_refused_by_both() {
    assert_eq!(decode_deep::<u8>(&[1, 2, 3], 128), Err(DecodeError::Trailing(2)));
    assert_eq!(decode_unguarded::<u8>(&[1, 2, 3]), Err(DecodeError::Trailing(2)));
    assert_eq!(decode_deep::<()>(&[0], 128), Err(DecodeError::Trailing(1)));
}

#[test]
fn every_kind_of_fault_is_told_apart() {
    fn both<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> DecodeError {
        let guarded = decode_deep::<T>(bytes, 128).err().expect("refused");
        assert_eq!(decode_unguarded::<T>(bytes).err(), Some(guarded));
        guarded
    }
    use DecodeError::{Ended, Malformed, Unsupported};
    assert_eq!(both::<(u8, u8)>(&[1]), Ended);
    assert_eq!(both::<String>(&[5, b'a']), Ended);
    assert_eq!(both::<u16>(&[0xff, 0xff, 0xff]), Malformed("a number is too large for its type"));
    assert_eq!(both::<bool>(&[2]), Malformed("a bool is neither 0 nor 1"));
    assert_eq!(both::<Option<u8>>(&[2]), Malformed("an option is neither 0 nor 1"));
    assert_eq!(both::<char>(&[5]), Malformed("a char is not valid utf-8"));
    assert_eq!(both::<String>(&[1, 0xff]), Malformed("a string is not valid utf-8"));
    assert_eq!(both::<Big>(&[9]), Malformed("a value is not one its type accepts"));
    assert_eq!(both::<serde::de::IgnoredAny>(&[9]), Unsupported);
}

#[test]
fn errors_say_what_happened_and_what_helps() {
    let shown = |error: DecodeError| error.to_string();
    assert_eq!(shown(DecodeError::TooDeep(128)), "the message is nested deeper than 128 levels");
    assert_eq!(
        shown(DecodeError::OverBudget { needed: 300, budget: 200 }),
        "decoding needs at least 300 bytes of memory and may use 200: \
         `#[action(decode_budget = …)]` raises that"
    );
    assert_eq!(shown(DecodeError::Trailing(1)), "1 byte follows the value");
    assert_eq!(shown(DecodeError::Trailing(2)), "2 bytes follow the value");
    assert_eq!(shown(DecodeError::Ended), "the message ends before the value does");
}

#[test]
fn an_error_fits_three_words() {
    assert!(size_of::<DecodeError>() <= 3 * size_of::<usize>());
}

#[test]
fn the_value_is_asked_for_in_its_compact_form() {
    assert!(!Guard::new(&[], limits(1, 1)).root::<u8>().is_human_readable());
}

#[test]
fn nothing_is_reserved_beyond_the_bytes_that_are_there() {
    let mut guard = Guard::new(&[0; 10], limits(128, 1 << 20));
    assert_eq!(Elements::new::<Vec<u8>>(guard.root::<Vec<u8>>(), 10).size_hint(), Some(10));
    assert_eq!(Elements::new::<Vec<u8>>(guard.root::<Vec<u8>>(), 11).size_hint(), Some(0));
    assert_eq!(Elements::new::<Vec<u8>>(guard.root::<Vec<u8>>(), usize::MAX).size_hint(), Some(0));
}

#[test]
fn nothing_is_reserved_beyond_the_budget() {
    let mut guard = Guard::new(&[0; 100], limits(128, 100 + 80));
    assert_eq!(Elements::new::<Vec<u8>>(guard.root::<Vec<u8>>(), 100).size_hint(), Some(10));
}
