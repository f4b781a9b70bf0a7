//! What hostile bytes cost behind the decode guard, and in front of it.
//!
//! Every attack runs in a child process, on a thread with 2 MiB of stack: an abort is
//! the child's death and the test's failure. The thread's memory is counted by the
//! allocator and its time by the kernel; neither believes the guard's own accounts.

use guard::{decode, DecodeError, DecodeLimits};
use isock::{shape::Tracer, wire::guard};
use isock_tests::{
    hostile::*,
    memory::{self, Counting},
    usage,
};
use serde::{de::DeserializeOwned, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque},
    num::NonZeroU32,
    process::Command,
    sync::Mutex,
    time::Duration,
};

// ---- Where plain postcard aborts, or takes what the peer likes ----

attacks! {
    /// 13 KB of `01`: plain postcard overflows the stack.
    fn thirteen_kilobytes_of_tree_are_too_deep() {
        refused_as_too_deep::<Tree>(&[1; 13_000]);
    }

    /// 1 MiB of zeros: plain postcard takes 805 MB.
    fn a_mebibyte_of_the_smallest_variant_is_over_budget() {
        refused_as_over_budget::<Vec<Big>>(&zeros_as_sequence(1 << 20));
    }

    /// 3 bytes: plain postcard takes 50 MB.
    fn a_million_skipped_fields_are_over_budget() {
        refused_as_over_budget::<Vec<Skipped>>(&length(1 << 20));
    }

    /// 10 bytes: plain postcard takes 2.2 MB.
    fn an_endless_map_is_over_budget() {
        refused_as_over_budget::<HashMap<u64, u64>>(&ENDLESS);
    }

    /// 32 bytes: plain postcard takes 6.9 MB.
    fn three_endless_maps_in_one_another_are_over_budget() {
        type Nested = HashMap<u64, HashMap<u64, HashMap<u64, u64>>>;
        let bytes = [&ENDLESS[..], &[1], &ENDLESS, &[1], &ENDLESS].concat();
        refused_as_over_budget::<Nested>(&bytes);
        // The innermost one counts too, where the outer ones are honest.
        refused_as_over_budget::<Nested>(&[&[1, 1, 1, 1][..], &ENDLESS].concat());
    }

    /// 5 bytes: plain postcard spends 3 s.
    fn a_quarter_of_a_billion_units_are_over_budget() {
        refused_as_over_budget::<HashSet<()>>(&length(1 << 28));
    }

    fn trailing_bytes_are_refused() {
        assert_eq!(attack::<u16>(&[1, 0]), Err(DecodeError::Trailing(1)));
    }

    /// As plain postcard has them.
    fn an_over_long_varint_and_an_over_long_char_are_read() {
        assert_eq!(attack::<u16>(&[0x80, 0x00]), Ok(0));
        assert_eq!(attack::<char>(&[2, b'a', b'b']), Ok('a'));
    }
}

// ---- Rows 47 to 56 of the catalogue of attacks ----

attacks! {
    fn row_47_an_endless_length() {
        refused_as_over_budget::<Vec<u64>>(&ENDLESS);
        refused_as_over_budget::<Vec<u8>>(&ENDLESS);
        refused_as_over_budget::<HashMap<u64, u64>>(&ENDLESS);
        refused_as_over_budget::<BTreeMap<u64, u64>>(&ENDLESS);
        refused_as_over_budget::<HashSet<u64>>(&ENDLESS);
        refused_as_over_budget::<BTreeSet<u64>>(&ENDLESS);
        refused_as_over_budget::<VecDeque<u64>>(&ENDLESS);
        refused_as_over_budget::<LinkedList<u64>>(&ENDLESS);
        refused_as_over_budget::<BinaryHeap<u64>>(&ENDLESS);
        assert_eq!(attack::<String>(&ENDLESS), Err(DecodeError::Ended));
        assert_eq!(attack::<serde_bytes::ByteBuf>(&ENDLESS), Err(DecodeError::Ended));
    }

    fn row_48_an_endless_length_of_nothing() {
        refused_as_over_budget::<Vec<()>>(&ENDLESS);
        refused_as_over_budget::<HashSet<()>>(&ENDLESS);
        refused_as_over_budget::<BTreeSet<()>>(&ENDLESS);
        refused_as_over_budget::<HashMap<(), ()>>(&ENDLESS);
        refused_as_over_budget::<BTreeMap<(), ()>>(&ENDLESS);
        refused_as_over_budget::<Vec<Skipped>>(&ENDLESS);
        refused_as_over_budget::<Vec<[Skipped; 3]>>(&ENDLESS);
        refused_as_over_budget::<Vec<(Unit, [u64; 0])>>(&ENDLESS);
    }

    fn row_48_as_much_of_nothing_as_the_budget_allows() {
        accepted::<Vec<()>>(&length(65_000));
        accepted::<HashSet<()>>(&length(1000));
        accepted::<LinkedList<()>>(&length(1000));
        accepted::<Vec<Skipped>>(&length(600));
    }

    fn row_49_zeros_as_large_elements() {
        for len in [1 << 16, 1 << 18, 1 << 20, 8 << 20] {
            refused_as_over_budget::<Vec<Big>>(&zeros_as_sequence(len));
            refused_as_over_budget::<VecDeque<Big>>(&zeros_as_sequence(len));
            refused_as_over_budget::<LinkedList<Big>>(&zeros_as_sequence(len));
            refused_as_over_budget::<Vec<[Big; 1]>>(&zeros_as_sequence(len));
            refused_as_over_budget::<Vec<Option<[u64; 32]>>>(&zeros_as_sequence(len));
        }
    }

    /// What serde reserves before the guard can see how large an element is.
    fn row_49_a_short_message_passes_its_budget_by_a_mebibyte_at_most() {
        for len in [400, 1000, 4000, 16_000, 30_000] {
            let bytes = zeros_as_sequence(len);
            let (outcome, cost) = measure::<Vec<Big>>(&bytes, DecodeLimits::for_len(bytes.len()));
            assert!(is_over_budget(&outcome), "{outcome:?}");
            assert!(cost.peak <= 1 << 20, "{len} elements: {cost:?}");
        }
    }

    /// These spend the budget before they are refused, and the time it takes to.
    fn row_49_large_values_behind_small_ones() {
        let boxed = sequence(1 << 19, &[1, 0].repeat(1 << 19));
        spends_no_more_than_the_budget::<Vec<Option<Box<Big>>>>(&boxed);
        let zeros = zeros_as_sequence(1 << 20);
        spends_no_more_than_the_budget::<Vec<Box<Big>>>(&zeros);
        spends_no_more_than_the_budget::<Vec<Box<Option<[u64; 32]>>>>(&zeros);
        let maps = sequence(1 << 18, &[1, 7, 0].repeat(1 << 18));
        spends_no_more_than_the_budget::<Vec<BTreeMap<u8, Big>>>(&maps);
        spends_no_more_than_the_budget::<Vec<HashMap<u8, Big>>>(&maps);
    }

    fn row_50_a_tree_a_million_deep() {
        refused_as_too_deep::<Tree>(&[1; 1_000_000]);
        refused_as_too_deep::<Link>(&[1; 1_000_000]);
        refused_as_too_deep::<Chain>(&[1; 1_000_000]);
        refused_as_too_deep::<Pair>(&[1; 1_000_000]);
        refused_as_too_deep::<Either>(&[1; 1_000_000]);
        refused_as_too_deep::<MapTree>(&[1; 1_000_000]);
        refused_as_too_deep::<Mixed>(&[1; 1_000_000]);
    }

    fn row_50_a_list_of_large_values() {
        refused_as_too_deep::<Fat<[u64; 32]>>(&[1; 100_000]);
        refused_as_too_deep::<Fat<[[u64; 32]; 4]>>(&[1; 100_000]);
        refused_as_too_deep::<Fat<[[u64; 32]; 7]>>(&[1; 100_000]);
        refused_as_too_deep::<Fat<[[u64; 32]; 8]>>(&[1; 100_000]);
        refused_as_too_deep::<Fat<[[u64; 32]; 16]>>(&[1; 100_000]);
        refused_as_too_deep::<Fat<[[u64; 32]; 32]>>(&[1; 100_000]);
        refused_as_too_deep::<Fat<[[[u64; 32]; 8]; 8]>>(&[1; 100_000]);
        refused_as_too_deep::<Fat<[[[u64; 32]; 16]; 8]>>(&[1; 100_000]);
    }

    fn row_51_every_prefix_of_a_message() {
        let bytes = encode(&golden());
        for end in 0..bytes.len() {
            assert_eq!(attack::<Golden>(&bytes[..end]), Err(DecodeError::Ended), "{end} bytes");
        }
        assert_eq!(accepted::<Golden>(&bytes), golden());
    }

    fn row_52_a_message_and_a_byte() {
        let mut bytes = encode(&golden());
        bytes.push(0);
        assert_eq!(attack::<Golden>(&bytes), Err(DecodeError::Trailing(1)));
    }

    fn row_53_text_that_is_none() {
        malformed::<String>(&[2, 0xc3, 0x28]);
        malformed::<String>(&[3, 0xed, 0xa0, 0x80]);
        malformed::<char>(&[3, 0xed, 0xa0, 0x80]);
        malformed::<char>(&[0]);
        malformed::<char>(&[5, 0xf8, 0x88, 0x80, 0x80, 0x80]);
        malformed::<char>(&[1, 0xff]);
    }

    /// In a header this closes the connection; in a value it is read as postcard does.
    fn row_54_an_over_long_varint_in_a_value() {
        assert_eq!(attack::<u32>(&[0x81, 0x80, 0x80, 0x80, 0x00]), Ok(1));
        assert_eq!(attack::<Vec<u8>>(&[0x81, 0x00, 7]), Ok(vec![7]));
        assert_eq!(attack::<Either>(&[0x80, 0x00]), Ok(Either::End));
    }

    fn row_55_values_outside_their_type() {
        malformed::<u16>(&[0xff, 0xff, 0x04]);
        malformed::<u32>(&[0xff, 0xff, 0xff, 0xff, 0x10]);
        malformed::<u64>(&[0xff; 10]);
        malformed::<u128>(&[0xff; 19]);
        malformed::<Vec<u8>>(&[0xff; 11]);
        malformed::<bool>(&[2]);
        malformed::<Option<u8>>(&[2, 0]);
        malformed::<Either>(&[9]);
        malformed::<NonZeroU32>(&[0]);
        malformed::<Duration>(&[&ENDLESS[..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat());
    }

    fn row_56_odd_values_are_kept_bit_by_bit() {
        for bits in [0x7ff8_0000_0000_0001_u64, 0xfff0_dead_beef_0001, (-0.0_f64).to_bits()] {
            assert_eq!(accepted::<f64>(&bits.to_le_bytes()).to_bits(), bits);
        }
        for bits in [0x7fc0_0001_u32, 0xff80_beef, (-0.0_f32).to_bits()] {
            assert_eq!(accepted::<f32>(&bits.to_le_bytes()).to_bits(), bits);
        }
        // The last of two equal keys stays, as in plain postcard.
        let map = accepted::<HashMap<u8, u8>>(&[3, 1, 10, 2, 20, 1, 30]);
        assert_eq!(map, HashMap::from([(1, 30), (2, 20)]));
    }
}

// ---- Beyond the rows ----

attacks! {
    /// As deep as the default allows, with a lot on the stack at every level.
    fn the_deepest_allowed_value_fits_a_small_stack() {
        accepted::<Tree>(&[vec![1; 63], vec![0]].concat());
        accepted::<Link>(&[vec![1; 127], vec![0]].concat());
        accepted::<Mixed>(&[[1, 1, 1, 1, 1].repeat(31), vec![1, 0]].concat());
        let level = [&[7; 128][..], &[1]].concat();
        accepted::<Kilobyte>(&[level.repeat(41), vec![7; 128], vec![0]].concat());
    }

    /// Whatever container it is, the budget that lets it pass is memory enough for it.
    fn every_container_stays_within_what_it_is_charged() {
        for len in [1, 2, 3, 4, 7, 8, 11, 12, 13, 15, 28, 29, 57, 100, 449, 1000, 1793] {
            containers_of(len, |n| n as u16);
            containers_of(len, |n| n as u64);
            containers_of(len, |n| [n as u64; 3]);
            containers_of(len, |n| (n as u8, n as u64, [n as u64; 16]));
        }
        for len in [1, 5, 12, 100, 255] {
            containers_of(len, |n| n as u8);
        }
        // Beyond the mebibyte that serde reserves.
        for len in [17_000, 40_000] {
            flat_containers_of(len, |n| [n as u64; 9]);
        }
    }
}

fn containers_of<T, F>(len: usize, element: F)
where
    T: Ord + std::hash::Hash + Serialize + DeserializeOwned,
    F: Fn(usize) -> T,
{
    flat_containers_of(len, &element);
    let elements = || (0..len).map(&element);
    stays_within_its_charge(&elements().map(|element| vec![element]).collect::<Vec<_>>());
    stays_within_its_charge(&elements().map(|one| BTreeSet::from([one])).collect::<Vec<_>>());
}

fn flat_containers_of<T, F>(len: usize, element: F)
where
    T: Ord + std::hash::Hash + Serialize + DeserializeOwned,
    F: Fn(usize) -> T,
{
    // 7919 is prime: every number below `len` in an order that keeps trees busy.
    let elements = || (0..len).map(|n| element(n * 7919 % len));
    let entries = || elements().map(|element| (element, ()));
    stays_within_its_charge(&elements().collect::<Vec<T>>());
    stays_within_its_charge(&elements().collect::<VecDeque<T>>());
    stays_within_its_charge(&elements().collect::<BinaryHeap<T>>().into_vec());
    stays_within_its_charge(&elements().collect::<LinkedList<T>>());
    stays_within_its_charge(&elements().collect::<HashSet<T>>());
    stays_within_its_charge(&elements().collect::<BTreeSet<T>>());
    stays_within_its_charge(&entries().collect::<HashMap<T, ()>>());
    stays_within_its_charge(&entries().collect::<BTreeMap<T, ()>>());
    // Trees that are filled from the wrong end, which a map sorts when it is encoded.
    reads_back_within_its_charge::<BTreeSet<T>>(&encode(&elements().rev().collect::<Vec<T>>()));
    reads_back_within_its_charge::<BTreeSet<T>>(&encode(&elements().collect::<Vec<T>>()));
}

fn stays_within_its_charge<T: Serialize + DeserializeOwned>(value: &T) {
    reads_back_within_its_charge::<T>(&encode(value));
}

/// Raises the budget to what each refusal asks for, or a little more, until the value
/// passes.
fn reads_back_within_its_charge<T: DeserializeOwned>(bytes: &[u8]) {
    let mut limits = DecodeLimits { depth: 128, budget: bytes.len() };
    loop {
        let (outcome, cost) = measure::<T>(bytes, limits);
        match outcome {
            Err(DecodeError::OverBudget { needed, .. }) => {
                limits.budget = needed.max(limits.budget + limits.budget / 64)
            }
            outcome => {
                assert!(outcome.is_ok(), "{:?}", outcome.err());
                let name = std::any::type_name::<T>();
                assert!(cost.peak <= limits.budget, "{name}: {cost:?}, {limits:?}");
                return;
            }
        }
    }
}

// ---- What is claimed of an attack ----

fn refused_as_too_deep<T: DeserializeOwned>(bytes: &[u8]) {
    let outcome = attack::<T>(bytes).err();
    assert_eq!(outcome, Some(DecodeError::TooDeep(128)), "{}", std::any::type_name::<T>());
}

fn refused_as_over_budget<T: DeserializeOwned>(bytes: &[u8]) {
    let outcome = attack::<T>(bytes);
    assert!(is_over_budget(&outcome), "{}: {:?}", std::any::type_name::<T>(), outcome.err());
}

fn spends_no_more_than_the_budget<T: DeserializeOwned>(bytes: &[u8]) {
    let limits = DecodeLimits::for_len(bytes.len());
    let (outcome, cost) = measure::<T>(bytes, limits);
    let name = std::any::type_name::<T>();
    assert!(is_over_budget(&outcome), "{name}: {:?}", outcome.err());
    assert!(cost.peak <= limits.budget, "{name}: {cost:?}, {limits:?}");
}

fn is_over_budget<T>(outcome: &Result<T, DecodeError>) -> bool {
    matches!(outcome, Err(DecodeError::OverBudget { .. }))
}

fn malformed<T: DeserializeOwned>(bytes: &[u8]) {
    let outcome = attack::<T>(bytes).err();
    assert!(matches!(outcome, Some(DecodeError::Malformed(_))), "{bytes:x?}: {outcome:?}");
}

fn accepted<T: DeserializeOwned>(bytes: &[u8]) -> T {
    match attack::<T>(bytes) {
        Ok(value) => value,
        Err(error) => panic!("{}: {error}", std::any::type_name::<T>()),
    }
}

/// Decodes under the default limits, and sees to it that they held.
fn attack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let limits = DecodeLimits::for_len(bytes.len());
    let (outcome, cost) = measure::<T>(bytes, limits);
    let name = std::any::type_name::<T>();
    assert!(cost.peak <= limits.budget, "{name}: {cost:?}, {limits:?}");
    assert!(cost.time <= Duration::from_millis(20), "{name}: {cost:?}");
    outcome
}

// ---- Measuring ----

#[derive(Debug)]
struct Cost {
    /// The most memory that was held at once, in bytes.
    peak: usize,
    /// Time on the processor.
    time: Duration,
}

fn measure<T: DeserializeOwned>(
    bytes: &[u8],
    limits: DecodeLimits,
) -> (Result<T, DecodeError>, Cost) {
    let start = usage::thread_time();
    let (outcome, peak) = memory::of_thread(|| decode::<T>(bytes, limits));
    let cost = Cost { peak, time: usage::thread_time() - start };
    as_a_server_does::<T>(bytes, limits, &outcome);
    (outcome, cost)
}

/// The same without the guard, where the type is classified as one that needs none: it takes no
/// more than the guard allows, and ends alike unless the guard found it too expensive.
fn as_a_server_does<T: DeserializeOwned>(
    bytes: &[u8],
    limits: DecodeLimits,
    guarded: &Result<T, DecodeError>,
) {
    let name = std::any::type_name::<T>();
    let ceiling = ceiling_of::<T>();
    if !ceiling.is_some_and(|ceiling| ceiling.is_below(limits, bytes.len())) {
        return;
    }
    let start = usage::thread_time();
    let (chosen, peak) = memory::of_thread(|| guard::decode_below::<T>(bytes, limits, ceiling));
    let time = usage::thread_time() - start;
    let reserve = if chosen.is_ok() { 0 } else { 1 << 20 };
    assert!(peak <= limits.budget + reserve, "{name}: {peak}, {limits:?}, {ceiling:?}");
    assert!(time <= Duration::from_millis(20), "{name}: {time:?}");
    if !is_over_budget(guarded) {
        assert_eq!(chosen.as_ref().err(), guarded.as_ref().err(), "{name}");
    }
}

/// Learnt once for a type, since learning takes longer than decoding.
fn ceiling_of<T: DeserializeOwned>() -> Option<guard::Ceiling> {
    static KNOWN: Mutex<BTreeMap<&str, Option<guard::Ceiling>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    *known
        .entry(std::any::type_name::<T>())
        .or_insert_with(|| Tracer::new().trace::<T>().ok().and_then(|learnt| learnt.ceiling()))
}

#[global_allocator]
static MEMORY: Counting = Counting;

const CHILD: &str = "GUARD_ATTACK_CHILD";

/// Runs the attack in a child process; in the child, on a small stack.
fn in_a_child(name: &str, attack: fn()) {
    if std::env::var_os(CHILD).is_some() {
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(attack);
        thread.expect("a thread").join().expect("the attack held off");
        return;
    }
    let this = std::env::current_exe().expect("the path of this test");
    let output = Command::new(this)
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("the child starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let ran_one = said.contains("1 passed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && ran_one, "{}\n{said}\n{complaint}", output.status);
}

macro_rules! attacks {
    ($($(#[$doc:meta])* fn $name:ident() $body:block)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            in_a_child(stringify!($name), || $body);
        }
    )*};
}
use attacks;
