//! The numbers that builds compare: they stay what they are, and the protocol's page is enough to
//! compute them.

#[path = "shape_hashes/by_the_page.rs"]
mod by_the_page;
#[path = "shape_hashes/types.rs"]
mod types;

use isock::shape::{diff, Shape, ShapeDecodeError, MAX_ENCODED, MAX_NAME, MAX_NODES};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::{Duration, SystemTime},
};
use types::{elsewhere, here, two_forms};

fn shape<T: DeserializeOwned>() -> Shape {
    Shape::of::<T>().unwrap_or_else(|error| panic!("{}: {error}", std::any::type_name::<T>()))
}

macro_rules! golden {
    ($($of:ty => $hash:literal),* $(,)?) => {
        &[$((stringify!($of), shape::<$of>, $hash)),*]
    };
}

type Golden = (&'static str, fn() -> Shape, u64);

/// On the wire and in lock files: another number here is another version of the protocol.
const GOLDEN: &[Golden] = golden! {
    () => 0xd0a6_ec18_6729_f752,
    bool => 0xd0a6_fc18_672a_1282,
    i8 => 0xd0a6_fb18_672a_10cf,
    u32 => 0xd0a7_0418_672a_201a,
    u64 => 0xd0a7_0318_672a_1e67,
    i128 => 0xd0a6_f718_672a_0a03,
    usize => 0xd0a7_0318_672a_1e67,
    f64 => 0xd0a7_0018_672a_194e,
    char => 0xd0a6_ff18_672a_179b,
    String => 0xd0a6_fe18_672a_15e8,
    serde_bytes::ByteBuf => 0xd0a6_ed18_6729_f905,
    Option<u8> => 0x02d6_c7be_b74b_00be,
    Option<Option<u8>> => 0x5306_176b_1f3a_87a1,
    Vec<u8> => 0x0b79_80be_bc2d_4a15,
    Vec<(u8,)> => 0xc4b1_ce0f_2935_5c60,
    BTreeSet<String> => 0x0b79_88be_bc2d_57ad,
    HashMap<String, u8> => 0x68b3_9bbf_86cf_0340,
    BTreeMap<(u8, bool), Vec<i32>> => 0x4826_8473_4d4a_cd3b,
    (u8,) => 0x6cb6_1a09_1478_107e,
    (u8, String) => 0xbe74_eb0c_109a_cf11,
    [u8; 2] => 0x9df1_da32_cd57_ad6a,
    [u8; 32] => 0x9d7e_4a32_ccf5_7b2c,
    [[f64; 3]; 3] => 0xed60_ed8f_22f1_5601,
    Result<u8, String> => 0x4121_e32e_16e1_c2d1,
    Duration => 0xe202_f263_447a_b181,
    SystemTime => 0x9b7f_6f01_039d_151b,
    NonZeroU32 => 0xd0a7_0418_672a_201a,
    IpAddr => 0x1402_c2e3_ab80_731c,
    SocketAddr => 0x3e5a_bef5_7a6b_f58d,
    uuid::Uuid => 0xd0a6_ed18_6729_f905,
    chrono::NaiveDate => 0xd0a6_fe18_672a_15e8,
    here::Plain => 0x59df_b2ca_4aff_f1b8,
    here::Nothing => 0xd0a6_ec18_6729_f752,
    here::Meters => 0xd0a7_0018_672a_194e,
    here::Pair => 0xbe60_8b0c_1089_82e7,
    here::Light => 0xf67e_4830_7548_61e6,
    here::Step => 0xcc43_2c4e_047c_2c43,
    here::Order => 0x7751_c75d_a6de_fbe8,
    here::List => 0x3873_243f_56ee_451d,
    here::Expr => 0x8226_e0f5_2cc4_1f81,
    here::Even => 0x3fd3_41ea_8467_0af3,
    here::Odd => 0xab92_3479_5aa2_e08b,
    Vec<here::Even> => 0x5eed_d2a6_7ae8_237b,
    here::Page<u32> => 0xd9ed_d01c_4fa7_3e76,
    here::Page<String> => 0xec1a_461c_5a30_060c,
    here::Page<here::Page<u32>> => 0x3d9d_7b8c_15f2_aa15,
    two_forms::Plain => 0x5261_b89e_d625_e8a1,
    two_forms::With => 0xd8ef_3d01_61dc_0f34,
};

#[test]
fn a_type_has_the_same_hash_in_every_build() {
    let mut wrong = Vec::new();
    for (name, shape, expected) in GOLDEN {
        let hash = shape().hash();
        if hash != *expected {
            wrong.push(format!("{name} has {hash:#018x}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn p127_the_page_is_enough_to_compute_a_hash() {
    for (name, shape, expected) in GOLDEN {
        let plain = by_the_page::Table::of(&shape());
        assert_eq!(plain.hash(), *expected, "{name}");
        assert_eq!(plain.unrolled().hash(), *expected, "{name}, unrolled once more");
    }
}

#[test]
fn what_is_not_compared_does_not_change_a_hash() {
    let equal: [(&str, [Shape; 2]); 13] = [
        ("another module", [shape::<here::Order>(), shape::<elsewhere::Order>()]),
        ("another name", [shape::<here::Order>(), shape::<elsewhere::Purchase>()]),
        ("from either side", [shape::<Option<here::Even>>(), shape::<Option<here::EvenAgain>>()]),
        ("tuples and arrays", [shape::<here::Left>(), shape::<here::Both>()]),
        ("arrays and tuples", [shape::<here::Right>(), shape::<here::Both>()]),
        ("a newtype", [shape::<here::Meters>(), shape::<f64>()]),
        ("transparent", [shape::<here::Clear>(), shape::<f64>()]),
        ("a unit struct", [shape::<here::Nothing>(), shape::<()>()]),
        ("a tuple struct", [shape::<here::Pair>(), shape::<(f64, String)>()]),
        ("an alias", [shape::<here::Aliased>(), shape::<here::Plain>()]),
        ("a default", [shape::<here::Defaulted>(), shape::<here::Plain>()]),
        ("a renamed field of that name", [shape::<here::Renamed>(), shape::<here::Plain>()]),
        ("set or list", [shape::<BTreeSet<u8>>(), shape::<VecDeque<u8>>()]),
    ];
    for (what, [a, b]) in equal {
        assert_eq!(a.hash(), b.hash(), "{what}\n{a}\n\n{b}");
        assert_eq!(diff(&a, &b), [], "{what}");
    }
}

#[test]
fn what_is_compared_changes_a_hash() {
    let shapes = [
        ("as it was", shape::<here::Plain>()),
        ("a field renamed", shape::<elsewhere::FieldRenamed>()),
        ("fields reordered", shape::<elsewhere::FieldsReordered>()),
        ("a field retyped", shape::<elsewhere::FieldRetyped>()),
        ("a field optional", shape::<elsewhere::FieldOptional>()),
        ("a field more", shape::<elsewhere::FieldMore>()),
        ("a field less", shape::<elsewhere::FieldLess>()),
        ("no names", shape::<(u32, String)>()),
        ("variants", shape::<here::Light>()),
        ("a variant renamed", shape::<elsewhere::VariantRenamed>()),
        ("variants reordered", shape::<elsewhere::VariantsReordered>()),
        ("a variant more", shape::<elsewhere::VariantMore>()),
        ("a variant with a payload", shape::<elsewhere::VariantPayload>()),
    ];
    let hashes: BTreeMap<u64, &str> =
        shapes.iter().map(|(what, shape)| (shape.hash(), *what)).collect();
    assert_eq!(hashes.len(), shapes.len(), "{hashes:?}");
}

#[test]
fn mutual_recursion_has_one_hash_for_each_side_wherever_it_is_entered() {
    let (even, odd) = (shape::<here::Even>().hash(), shape::<here::Odd>().hash());
    assert_ne!(even, odd);
    // Each side as a part of something that was entered from the other one.
    assert_eq!(shape::<elsewhere::EvenFromOdd>().hash(), even);
    assert_eq!(shape::<elsewhere::OddFromEven>().hash(), odd);
}

#[test]
fn p124_a_shape_has_these_bytes() {
    let cases: [(Shape, &[&[u8]]); 14] = [
        (shape::<bool>(), &[&[1, 1, 1]]),
        (shape::<u32>(), &[&[1, 1, 9]]),
        (shape::<()>(), &[&[1, 1, 17]]),
        (shape::<Option<char>>(), &[&[1, 2, 32, 1, 14]]),
        (shape::<Vec<String>>(), &[&[1, 2, 33, 1, 15]]),
        (shape::<HashMap<u8, i8>>(), &[&[1, 3, 34, 1, 2, 7, 2]]),
        (shape::<(u8, i8)>(), &[&[1, 3, 35, 2, 1, 2, 7, 2]]),
        (shape::<[u8; 32]>(), &[&[1, 2, 36, 1, 32, 7]]),
        (shape::<here::Nothing>(), &[&[1, 1, 37, 7], b"Nothing"]),
        (shape::<here::Meters>(), &[&[1, 2, 38, 6], b"Meters", &[1, 13]]),
        (shape::<here::Pair>(), &[&[1, 3, 39, 4], b"Pair", &[2, 1, 2, 13, 15]]),
        (
            shape::<here::Plain>(),
            &[&[1, 3, 40, 5], b"Plain", &[2, 2], b"id", &[1, 4], b"name", &[2, 9, 15]],
        ),
        (
            shape::<here::Step>(),
            &[
                &[1, 3, 41, 4],
                b"Step",
                &[4, 4],
                b"Stay",
                &[0, 2],
                b"Go",
                &[1, 1, 4],
                b"Jump",
                &[2, 2, 1, 2, 4],
                b"Turn",
                &[3, 1, 2],
                b"by",
                &[2, 7, 2],
            ],
        ),
        (shape::<here::List>(), &[&[1, 2, 40, 4], b"List", &[1, 4], b"next", &[1, 32, 0]]),
    ];
    for (shape, expected) in cases {
        let expected = expected.concat();
        assert_eq!(shape.encode(), expected, "{shape}");
        assert_eq!(Shape::decode(&expected).as_ref(), Ok(&shape));
    }
}

fn refused(bytes: &[&[u8]]) -> ShapeDecodeError {
    Shape::decode(&bytes.concat()).expect_err("no shape")
}

#[test]
fn p125_bytes_in_another_form_are_refused() {
    use ShapeDecodeError::*;
    let cases: [(&str, &[&[u8]], ShapeDecodeError); 13] = [
        ("no bytes", &[], Malformed),
        ("another version", &[&[2, 1, 9]], Version(2)),
        ("no nodes", &[&[1, 0]], Dangling),
        ("a tag without a meaning", &[&[1, 1, 18]], Malformed),
        ("bytes behind the end", &[&[1, 1, 9, 0]], Malformed),
        ("a padded varint", &[&[1, 0x81, 0, 9]], NotCanonical),
        ("a node that nobody points at", &[&[1, 2, 9, 7]], NotCanonical),
        ("two nodes that are one", &[&[1, 4, 35, 3, 1, 2, 3, 9, 7, 9]], NotCanonical),
        ("another order", &[&[1, 3, 34, 2, 1, 7, 9]], NotCanonical),
        ("a tuple that is an array", &[&[1, 2, 35, 2, 1, 1, 9]], NotCanonical),
        ("recursion that is unrolled", &[&[1, 2, 32, 1, 32, 0]], NotCanonical),
        ("fields of one name", &[&[1, 2, 40, 0, 2, 1], b"a", &[1, 1], b"a", &[1, 9]], Repeated),
        ("a value in itself", &[&[1, 2, 35, 2, 0, 1, 9]], Endless),
    ];
    for (what, bytes, expected) in cases {
        assert_eq!(refused(bytes), expected, "{what}");
    }
    assert_eq!(refused(&[&[1, 1, 32, 1]]), Dangling);
}

#[test]
fn p126_a_shape_past_its_limits_is_refused() {
    let chain = |nodes: usize| {
        // Options, each around the next one, and a leaf.
        let mut bytes = vec![1];
        varint(&mut bytes, nodes);
        for next in 1..nodes {
            bytes.push(32);
            varint(&mut bytes, next);
        }
        bytes.push(9);
        bytes
    };
    let named = |len: usize| {
        let mut bytes = vec![1, 1, 37];
        varint(&mut bytes, len);
        bytes.resize(bytes.len() + len, b'n');
        bytes
    };
    assert_eq!((MAX_ENCODED, MAX_NODES, MAX_NAME), (65_536, 4096, 256));
    Shape::decode(&chain(MAX_NODES)).expect("as many nodes as may be");
    Shape::decode(&named(MAX_NAME)).expect("as long a name as may be");
    let too_large = |bytes: &[u8]| {
        let error = refused(&[bytes]);
        assert!(matches!(error, ShapeDecodeError::TooLarge(_)), "{error:?}");
    };
    too_large(&chain(MAX_NODES + 1));
    too_large(&named(MAX_NAME + 1));
    too_large(&vec![1; MAX_ENCODED + 1]);
}

fn varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
