//! Hashes that never change, and differences in words.

use isock::shape::{diff, DifferenceKind, Shape, ShapeHash};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

fn shape<T: DeserializeOwned>() -> Shape {
    Shape::of::<T>().unwrap()
}

fn hash<T: DeserializeOwned>() -> u64 {
    shape::<T>().hash()
}

/// All differences, one a line.
fn differences<Here: DeserializeOwned, There: DeserializeOwned>() -> String {
    let (here, there) = (shape::<Here>(), shape::<There>());
    let found = diff(&here, &there);
    assert_eq!(found.is_empty(), here.hash() == there.hash());
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

mod v1 {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct Order {
        pub id: u64,
        pub items: Vec<Item>,
        pub state: State,
        pub notes: HashMap<String, Option<Note>>,
        pub place: (f64, f64),
        pub parent: Option<Box<Order>>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct Item {
        pub sku: String,
        pub qty: u32,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub enum State {
        Open,
        Sent(u64),
        Lost { by: String },
        Split(Vec<Order>, u8),
    }
    #[derive(Deserialize)]
    pub struct Note(#[allow(dead_code)] pub String);
}

mod v2 {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct Order {
        pub id: u64,
        pub customer: String,
        pub items: Vec<Item>,
        pub state: State,
        pub notes: HashMap<String, Option<u8>>,
        pub place: (f64, f64, f64),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct Item {
        pub qty: String,
        pub sku: String,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub enum State {
        Sent(u64),
        Open,
        Lost { by: Option<String>, at: u64 },
        Split(Vec<Order>),
        Back,
    }
}

/// The types of `v1` under other names, in another module, with wrappers.
mod renamed {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct PurchaseOrder {
        pub id: OrderId,
        pub items: std::collections::VecDeque<Line>,
        pub state: Box<Status>,
        pub notes: BTreeMap<String, Option<String>>,
        pub place: [f64; 2],
        #[serde(rename = "parent")]
        pub up: Option<std::sync::Mutex<Box<PurchaseOrder>>>,
    }
    #[derive(Deserialize)]
    pub struct OrderId(#[allow(dead_code)] pub u64);
    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct Line {
        pub sku: String,
        #[serde(alias = "amount")]
        pub qty: u32,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub enum Status {
        Open,
        Sent(OrderId),
        Lost { by: std::borrow::Cow<'static, str> },
        Split(Vec<PurchaseOrder>, u8),
    }
}

/// `v1::Order`, its recursion unrolled by hand.
mod unrolled {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct Order {
        pub id: u64,
        pub items: Vec<v1::Item>,
        pub state: v1::State,
        pub notes: HashMap<String, Option<v1::Note>>,
        pub place: (f64, f64),
        pub parent: Option<Box<Inner>>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    pub struct Inner {
        pub id: u64,
        pub items: Vec<v1::Item>,
        pub state: v1::State,
        pub notes: HashMap<String, Option<v1::Note>>,
        pub place: (f64, f64),
        pub parent: Option<Box<v1::Order>>,
    }
}

mod hashes {
    use super::*;

    /// These numbers are on the wire and in lock files: a change is a new version
    /// of the protocol.
    #[test]
    fn golden() {
        let golden: [(&str, u64, u64); 12] = [
            ("()", hash::<()>(), 0xd0a6_ec18_6729_f752),
            ("bool", hash::<bool>(), 0xd0a6_fc18_672a_1282),
            ("u32", hash::<u32>(), 0xd0a7_0418_672a_201a),
            ("String", hash::<String>(), 0xd0a6_fe18_672a_15e8),
            ("Option<u8>", hash::<Option<u8>>(), 0x02d6_c7be_b74b_00be),
            ("Vec<u8>", hash::<Vec<u8>>(), 0x0b79_80be_bc2d_4a15),
            ("Bytes", hash::<serde_bytes::ByteBuf>(), 0xd0a6_ed18_6729_f905),
            ("HashMap<String, u8>", hash::<HashMap<String, u8>>(), 0x68b3_9bbf_86cf_0340),
            ("[u8; 32]", hash::<[u8; 32]>(), 0x9d7e_4a32_ccf5_7b2c),
            ("Result<u8, String>", hash::<Result<u8, String>>(), 0x4121_e32e_16e1_c2d1),
            ("v1::Item", hash::<v1::Item>(), 0x62e9_5754_03ea_8b95),
            ("v1::Order", hash::<v1::Order>(), 0xc9c3_d8bc_800b_29f1),
        ];
        for (name, hash, expected) in golden {
            assert_eq!(format!("{name} {hash:016x}"), format!("{name} {expected:016x}"));
        }
    }

    /// From the documented definition, so that another language can do the same.
    #[test]
    fn the_hash_is_the_fnv_of_the_encoding() {
        let fnv = |bytes: &[u8]| {
            bytes.iter().fold(0xcbf29ce484222325u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x100000001b3)
            })
        };
        assert_eq!(hash::<u32>(), fnv(&[1, 1, 9]));
        assert_eq!(hash::<Vec<u32>>(), fnv(&[1, 2, 33, 1, 9]));
        assert_eq!(shape::<Vec<u32>>().encode(), [1, 2, 33, 1, 9]);
        let item = [&[1, 3, 40, 0, 2, 3][..], b"sku", &[1, 3], b"qty", &[2, 15, 9]].concat();
        assert_eq!(hash::<v1::Item>(), fnv(&item));
        let parts = ShapeHash::of_parts(&[Some(&shape::<u32>()), None]);
        assert_eq!(parts.get(), fnv(&[&hash::<u32>().to_le_bytes()[..], &[0; 8]].concat()));
    }

    #[test]
    fn names_of_types_and_modules_newtypes_and_unrolling_do_not_matter() {
        assert_eq!(hash::<v1::Order>(), hash::<renamed::PurchaseOrder>());
        assert_eq!(hash::<v1::Order>(), hash::<unrolled::Order>());
        assert_eq!(hash::<v1::Order>(), hash::<unrolled::Inner>());
        assert_eq!(hash::<Vec<u8>>(), hash::<BTreeSet<u8>>());
        assert_eq!(hash::<(u8, u8)>(), hash::<[u8; 2]>());
        assert_ne!(shape::<v1::Order>(), shape::<renamed::PurchaseOrder>());
    }

    #[test]
    fn kinds_names_and_order_matter() {
        #[derive(Deserialize)]
        #[allow(dead_code)]
        struct Ab {
            a: u8,
            b: u8,
        }
        #[derive(Deserialize)]
        #[allow(dead_code)]
        struct Ba {
            b: u8,
            a: u8,
        }
        #[derive(Deserialize)]
        #[allow(dead_code)]
        struct Ac {
            a: u8,
            c: u8,
        }
        #[derive(Deserialize)]
        enum Yn {
            Y,
            N,
        }
        #[derive(Deserialize)]
        enum Ny {
            N,
            Y,
        }
        #[derive(Deserialize)]
        enum YnUnit {
            Y(()),
            N,
        }
        #[derive(Deserialize)]
        enum YnTuple {
            Y(),
            N,
        }
        #[derive(Deserialize)]
        enum YnFields {
            Y {},
            N,
        }
        let hashes = [
            hash::<Ab>(),
            hash::<Ba>(),
            hash::<Ac>(),
            hash::<(u8, u8)>(),
            hash::<(u8, u8, u8)>(),
            hash::<Yn>(),
            hash::<Ny>(),
            hash::<YnUnit>(),
            hash::<YnTuple>(),
            hash::<YnFields>(),
            hash::<u8>(),
            hash::<i8>(),
            hash::<u16>(),
            hash::<(u8,)>(),
            hash::<Vec<u8>>(),
            hash::<String>(),
            hash::<serde_bytes::ByteBuf>(),
            hash::<Option<u8>>(),
            hash::<Option<Option<u8>>>(),
            hash::<()>(),
            hash::<HashMap<u8, u8>>(),
            hash::<Vec<(u8, u8)>>(),
            hash::<[u8; 4]>(),
            hash::<[u8; 5]>(),
        ];
        let distinct: BTreeSet<u64> = hashes.into_iter().collect();
        assert_eq!(distinct.len(), hashes.len());
        assert!(!distinct.contains(&0));
    }

    #[test]
    fn one_hash_covers_the_parts_of_an_action() {
        let (a, b) = (shape::<u8>(), shape::<String>());
        let of = ShapeHash::of_parts;
        assert_eq!(of(&[Some(&a), Some(&b), None]), of(&[Some(&a), Some(&b), None]));
        assert_ne!(of(&[Some(&a), Some(&b), None]), of(&[Some(&b), Some(&a), None]));
        assert_ne!(of(&[Some(&a), Some(&b), None]), of(&[Some(&a), None, Some(&b)]));
        assert_eq!(of(&[]).to_string().len(), 16);
    }
}

mod words {
    use super::*;

    #[test]
    fn every_difference_is_told_with_its_path() {
        assert_eq!(
            differences::<v1::Order, v2::Order>(),
            "\
Order.parent: Option<Order> here, missing there
Order.customer: missing here, String there
Order.state::Lost.at: missing here, u64 there
Order.state::Split: a tuple of 2 parts here, Vec<Order> there
Order.state::Back: missing here, a variant there
Order.state: variants in the order Open, Sent, Lost, Split here, variants in the order Sent, Open, Lost, Split there
Order.place: 2 parts here, 3 parts there
Order.items[]: fields in the order sku, qty here, fields in the order qty, sku there
Order.state::Lost.by: String here, Option<String> there
Order.items[].qty: u32 here, String there
Order.notes[]?: String here, u8 there"
        );
    }

    #[test]
    fn equal_shapes_have_no_difference_whatever_their_types_are_called() {
        assert_eq!(differences::<v1::Order, renamed::PurchaseOrder>(), "");
        assert_eq!(differences::<v1::Order, unrolled::Order>(), "");
    }

    #[test]
    fn both_directions_tell_the_same() {
        let (one, two) = (shape::<v1::Order>(), shape::<v2::Order>());
        let mut there: Vec<_> =
            diff(&one, &two).into_iter().map(|d| (d.path, d.here, d.there)).collect();
        let mut back: Vec<_> =
            diff(&two, &one).into_iter().map(|d| (d.path, d.there, d.here)).collect();
        there.sort();
        back.sort();
        assert_eq!(there, back);
    }

    #[test]
    fn small_differences() {
        assert_eq!(differences::<u32, String>(), "value: u32 here, String there");
        assert_eq!(differences::<Vec<Option<u8>>, Vec<u8>>(), "value[]: Option<u8> here, u8 there");
        assert_eq!(
            differences::<HashMap<u8, bool>, HashMap<i8, char>>(),
            "value{key}: u8 here, i8 there\nvalue[]: bool here, char there"
        );
        assert_eq!(differences::<[u8; 4], [u8; 6]>(), "value: 4 parts here, 6 parts there");
        assert_eq!(differences::<[u8; 3], (u8, i8, u8)>(), "value.1: u8 here, i8 there");
        assert_eq!(
            differences::<v1::Item, (String, u32)>(),
            "Item: Item here, (String, u32) there"
        );
    }

    #[test]
    fn what_differs_as_a_whole_is_told_at_every_place() {
        type Here = (u32, HashMap<u32, u32>, Vec<(u8, u8)>, [Option<(u8, u8)>; 2]);
        type There = (u64, HashMap<u64, u64>, Vec<(u8, u8, u8)>, [Option<(u8, u8, u8)>; 2]);
        assert_eq!(
            differences::<Here, There>(),
            "\
value.0: u32 here, u64 there
value.1{key}: u32 here, u64 there
value.1[]: u32 here, u64 there
value.2[]: 2 parts here, 3 parts there
value.3[]?: 2 parts here, 3 parts there"
        );
        // One type in two places is one type: what differs inside is told once.
        assert_eq!(
            differences::<(v1::Item, Vec<v1::Item>), (v2::Item, Vec<v2::Item>)>(),
            "\
value.0: fields in the order sku, qty here, fields in the order qty, sku there
value.0.qty: u32 here, String there"
        );
    }

    #[test]
    fn two_types_of_one_name_are_told_apart_by_what_they_are() {
        mod other {
            #[derive(serde::Deserialize)]
            pub enum Item {
                A,
            }
        }
        assert_eq!(
            differences::<v1::Item, other::Item>(),
            "Item: struct Item here, enum Item there"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        #[derive(Deserialize)]
        enum A {
            A0,
            A1,
            A2,
            A3,
            A4,
            A5,
            A6,
            A7,
            A8,
            A9,
            B0,
            B1,
            B2,
            B3,
            B4,
            B5,
            B6,
            B7,
            B8,
            B9,
            C0,
            C1,
            C2,
            C3,
            C4,
            C5,
            C6,
            C7,
            C8,
            C9,
            D0,
            D1,
            D2,
            D3,
            D4,
            D5,
            D6,
            D7,
            D8,
            D9,
        }
        #[derive(Deserialize)]
        enum B {
            E0,
            E1,
            E2,
            E3,
            E4,
            E5,
            E6,
            E7,
            E8,
            E9,
            F0,
            F1,
            F2,
            F3,
            F4,
            F5,
            F6,
            F7,
            F8,
            F9,
            G0,
            G1,
            G2,
            G3,
            G4,
            G5,
            G6,
            G7,
            G8,
            G9,
            H0,
            H1,
            H2,
            H3,
            H4,
            H5,
            H6,
            H7,
            H8,
            H9,
        }
        let found = diff(&shape::<A>(), &shape::<B>());
        assert_eq!(found.len(), 65);
        assert_eq!(found[64].kind, DifferenceKind::More);
        assert_eq!(found[64].to_string(), "and more");
    }
}

mod guard {
    use super::*;
    use isock::shape::Tracer;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Tree {
        c: Vec<Tree>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, clippy::large_enum_variant)]
    enum Big {
        A,
        B([u64; 32]),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Skipped {
        #[serde(skip)]
        hidden: [u64; 4],
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Padded {
        id: u32,
        #[serde(skip)]
        cache: [u64; 32],
    }
    #[derive(Deserialize)]
    #[serde(from = "u8")]
    #[allow(dead_code)]
    struct Inflated([u64; 32]);
    impl From<u8> for Inflated {
        fn from(b: u8) -> Self {
            Inflated([b.into(); 32])
        }
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Row {
        id: u64,
        a: f64,
        b: f64,
        ok: u8,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Rows {
        rows: Vec<Row>,
        total: Option<u64>,
        name: String,
        blob: serde_bytes::ByteBuf,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct List {
        next: Option<Box<List>>,
    }

    fn blows_up<T: DeserializeOwned>() -> bool {
        Tracer::new().trace::<T>().unwrap().can_blow_up()
    }

    #[test]
    fn shapes_that_hostile_bytes_can_blow_up_keep_their_guard() {
        assert!(blows_up::<Tree>());
        assert!(blows_up::<List>());
        assert!(blows_up::<Vec<Big>>());
        assert!(blows_up::<Vec<Skipped>>());
        assert!(blows_up::<Vec<Padded>>());
        assert!(blows_up::<Vec<Inflated>>());
        assert!(blows_up::<HashMap<u64, u64>>());
        assert!(blows_up::<std::collections::HashSet<()>>());
        assert!(blows_up::<Vec<()>>());
        assert!(blows_up::<Option<Vec<Option<[u64; 32]>>>>());
        assert!(blows_up::<Vec<Vec<Vec<u8>>>>());
        assert!(blows_up::<(u8, Result<u8, Vec<Big>>)>());
    }

    #[test]
    fn shapes_that_cannot_blow_up_skip_it() {
        assert!(!blows_up::<u64>());
        assert!(!blows_up::<String>());
        assert!(!blows_up::<(Big, Skipped, Padded, Inflated)>());
        assert!(!blows_up::<Vec<u64>>());
        assert!(!blows_up::<Vec<u8>>());
        assert!(!blows_up::<Rows>());
        assert!(!blows_up::<Option<std::net::SocketAddr>>());
        assert!(!blows_up::<Result<u64, String>>());
    }
}
