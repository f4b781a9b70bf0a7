//! The shape of each kind of type, as it prints.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{
    NonZeroI128, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI8, NonZeroIsize, NonZeroU128,
    NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU8, NonZeroUsize, Wrapping,
};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use isock::shape::{Shape, Tracer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

fn text<T: DeserializeOwned>() -> String {
    match Tracer::new().trace::<T>() {
        Ok(learnt) => {
            assert_eq!(learnt.refusals, [], "{}", std::any::type_name::<T>());
            assert!(learnt.shape.is_complete(), "{}", learnt.shape);
            assert_eq!(Shape::decode(&learnt.shape.encode()).as_ref(), Ok(&learnt.shape));
            learnt.shape.to_string()
        }
        Err(error) => panic!("{error}"),
    }
}

/// `Type => "what it prints as"`, one claim a line.
macro_rules! prints {
    ($($of:ty => $text:expr),* $(,)?) => { $(assert_eq!(text::<$of>(), $text);)* };
}

#[test]
fn primitives() {
    prints! {
        bool => "bool",
        i8 => "i8", i16 => "i16", i32 => "i32", i64 => "i64", i128 => "i128", isize => "i64",
        u8 => "u8", u16 => "u16", u32 => "u32", u64 => "u64", u128 => "u128", usize => "u64",
        f32 => "f32", f64 => "f64",
        char => "char", String => "String", Box<str> => "String", () => "()",
    }
}

#[test]
fn containers() {
    prints! {
        Option<u8> => "Option<u8>",
        Option<Option<bool>> => "Option<Option<bool>>",
        Vec<u8> => "Vec<u8>",
        serde_bytes::ByteBuf => "Bytes",
        serde_bytes::ByteArray<4> => "Bytes",
        Box<[u16]> => "Vec<u16>",
        VecDeque<u16> => "Vec<u16>",
        LinkedList<u16> => "Vec<u16>",
        BinaryHeap<u16> => "Vec<u16>",
        HashSet<String> => "Vec<String>",
        BTreeSet<(u8, i8)> => "Vec<(u8, i8)>",
        HashMap<String, u8> => "HashMap<String, u8>",
        BTreeMap<(u8, bool), Vec<i32>> => "HashMap<(u8, bool), Vec<i32>>",
        HashMap<Option<char>, HashMap<u8, ()>> => "HashMap<Option<char>, HashMap<u8, ()>>",
        (u8,) => "(u8,)",
        (u8, u8) => "(u8, u8)",
        (u8, String, f32) => "(u8, String, f32)",
        [u8; 0] => "()",
        [u8; 1] => "(u8,)",
        [u8; 32] => "[u8; 32]",
        [[f64; 3]; 3] => "[[f64; 3]; 3]",
        Vec<Vec<Option<(u8, char)>>> => "Vec<Vec<Option<(u8, char)>>>",
    }
}

#[test]
fn types_of_the_standard_library() {
    prints! {
        Box<u8> => "u8", RefCell<u8> => "u8", Mutex<u8> => "u8", Cell<u8> => "u8",
        Cow<'static, str> => "String",
        Cow<'static, [u8]> => "Vec<u8>",
        Wrapping<u8> => "u8",
        NonZeroU8 => "u8", NonZeroU16 => "u16", NonZeroU32 => "u32", NonZeroU64 => "u64",
        NonZeroU128 => "u128", NonZeroUsize => "u64",
        NonZeroI8 => "i8", NonZeroI16 => "i16", NonZeroI32 => "i32", NonZeroI64 => "i64",
        NonZeroI128 => "i128", NonZeroIsize => "i64",
        PathBuf => "String",
        Result<u8, String> => "Result<u8, String>",
        Duration => "struct Duration {\n    secs: u64,\n    nanos: u32,\n}",
        SystemTime => "struct SystemTime {\n    secs_since_epoch: u64,\n    nanos_since_epoch: u32,\n}",
        Range<u8> => "struct Range {\n    start: u8,\n    end: u8,\n}",
        RangeInclusive<u8> => "struct RangeInclusive {\n    start: u8,\n    end: u8,\n}",
        RangeTo<u8> => "struct RangeTo {\n    end: u8,\n}",
        RangeFrom<u8> => "struct RangeFrom {\n    start: u8,\n}",
        Bound<u8> => "enum Bound {\n    Unbounded,\n    Included(u8),\n    Excluded(u8),\n}",
        Ipv4Addr => "[u8; 4]",
        Ipv6Addr => "[u8; 16]",
        IpAddr => "enum IpAddr {\n    V4([u8; 4]),\n    V6([u8; 16]),\n}",
        SocketAddr => "enum SocketAddr {\n    V4(([u8; 4], u16)),\n    V6(([u8; 16], u16)),\n}",
        SocketAddrV4 => "([u8; 4], u16)",
        SocketAddrV6 => "([u8; 16], u16)",
        std::marker::PhantomData<String> => "struct PhantomData;",
    }
}

#[test]
fn types_of_other_crates() {
    prints! {
        uuid::Uuid => "Bytes",
        chrono::DateTime<chrono::Utc> => "String",
        chrono::DateTime<chrono::FixedOffset> => "String",
        chrono::NaiveDate => "String",
        chrono::NaiveTime => "String",
        chrono::NaiveDateTime => "String",
        chrono::Weekday => "String",
        chrono::Month => "String",
        url::Url => "String",
        bytes::Bytes => "Bytes",
        Vec<uuid::Uuid> => "Vec<Bytes>",
        HashMap<uuid::Uuid, url::Url> => "HashMap<Bytes, String>",
        (uuid::Uuid, chrono::NaiveDate, url::Url, NonZeroU8, bool) => "(Bytes, String, String, u8, bool)",
    }
}

mod validating {
    use super::*;
    use isock::{sample, shape::Samples};

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Email;

    impl TryFrom<String> for Email {
        type Error = &'static str;
        fn try_from(text: String) -> Result<Self, Self::Error> {
            text.contains('@').then_some(Email).ok_or("an e-mail address has an @")
        }
    }

    #[derive(Deserialize)]
    #[serde(try_from = "u16")]
    struct Port;

    impl TryFrom<u16> for Port {
        type Error = &'static str;
        fn try_from(port: u16) -> Result<Self, Self::Error> {
            (port >= 1024).then_some(Port).ok_or("reserved")
        }
    }

    /// Each alone, and with something behind it that only a sample gets to.
    #[test]
    fn types_that_take_a_sample() {
        let samples: Samples = [
            sample!(Email, "a@b.c"),
            sample!(Port, 4440u16),
            sample!(semver::Version, "1.2.3"),
            sample!(semver::VersionReq, ">=1.2"),
        ]
        .into();
        macro_rules! prints {
            ($($of:ty => $text:expr),* $(,)?) => {$(
                let learnt = Tracer::with_samples(samples.clone()).trace::<$of>().unwrap();
                assert_eq!(learnt.refusals, [], stringify!($of));
                assert_eq!(learnt.shape.to_string(), $text);
            )*};
        }
        prints! {
            Email => "String",
            Port => "u16",
            semver::Version => "String",
            semver::VersionReq => "String",
            (Email, Port, semver::Version, semver::VersionReq, bool) =>
                "(String, u16, String, String, bool)",
            Vec<(Port, Option<Email>, i8)> => "Vec<(u16, Option<String>, i8)>",
            BTreeMap<u8, (semver::Version, u8)> => "HashMap<u8, (String, u8)>",
        }
    }
}

mod structs {
    use super::*;

    #[derive(Deserialize)]
    struct Unit;
    #[derive(Deserialize)]
    struct Empty {}
    #[derive(Deserialize)]
    struct Meters(#[allow(dead_code)] f64);
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Transparent(#[allow(dead_code)] f64);
    #[derive(Deserialize)]
    struct Pair(#[allow(dead_code)] Meters, #[allow(dead_code)] String);
    #[derive(Deserialize)]
    #[serde(rename = "Thing", rename_all = "camelCase")]
    #[allow(dead_code)]
    struct Named {
        r#type: u8,
        first_part: Unit,
        #[serde(rename = "created-at")]
        created: u64,
        #[serde(skip)]
        skipped: Vec<String>,
    }

    #[test]
    fn structs() {
        prints! {
            Unit => "struct Unit;",
            Empty => "struct Empty {}",
            Meters => "struct Meters(f64);",
            Transparent => "f64",
            Pair => "struct Pair(Meters, String);\n\nstruct Meters(f64);",
            Named => "struct Thing {\n    type: u8,\n    firstPart: Unit,\n    \"created-at\": u64,\n}\n\nstruct Unit;",
        }
    }
}

mod enums {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Every {
        Unit,
        Newtype(u8),
        NewtypeOfTuple((u8, char)),
        Tuple(u8, String),
        #[serde(rename = "struct")]
        Struct {
            a: Inner,
            b: Option<Inner>,
        },
        NoParts(),
        NoFields {},
    }

    #[derive(Deserialize)]
    enum Inner {
        A,
        B(#[allow(dead_code)] Deep),
    }

    #[derive(Deserialize)]
    enum Deep {
        X,
        Y(#[allow(dead_code)] Vec<NonZeroU8>),
    }

    #[derive(Deserialize)]
    enum Never {}

    #[test]
    fn enums() {
        prints! {
            Every => "\
enum Every {
    Unit,
    Newtype(u8),
    NewtypeOfTuple((u8, char)),
    Tuple(u8, String),
    struct { a: Inner, b: Option<Inner> },
    NoParts(),
    NoFields {},
}

enum Inner {
    A,
    B(Deep),
}

enum Deep {
    X,
    Y(Vec<u8>),
}",
            Vec<Inner> => "Vec<Inner>\n\nenum Inner {\n    A,\n    B(Deep),\n}\n\nenum Deep {\n    X,\n    Y(Vec<u8>),\n}",
            Option<Never> => "Option<Never>\n\nenum Never {}",
            Result<u8, Never> => "Result<u8, Never>\n\nenum Never {}",
        }
    }
}

mod recursion {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct List {
        value: u8,
        next: Option<Box<List>>,
        after: Option<Bound<u8>>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Tree {
        children: Vec<Tree>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Named {
        entries: BTreeMap<String, Named>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Forest(Vec<Forest>);
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Bare(#[allow(dead_code)] Vec<Bare>);
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Expr {
        Add(Box<Expr>, Box<Expr>),
        Neg(Box<Expr>),
        Call { name: String, args: Vec<Expr> },
        Lit(i64),
        If(Box<(Expr, Expr, Option<Expr>)>),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Even {
        next: Option<Box<Odd>>,
        value: Option<Value>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Odd {
        next: Option<Box<Even>>,
        many: HashMap<u8, Even>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Value {
        Null,
        Odd(Box<Odd>),
        List(Vec<Value>),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Map {
        by_key: HashMap<u8, Option<Box<Map>>>,
        pair: Box<(Vec<Map>, u8)>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Grow {
        result: Result<Box<Grow>, String>,
    }

    #[test]
    fn recursive_types() {
        prints! {
            List => "struct List {\n    value: u8,\n    next: Option<List>,\n    after: Option<Bound>,\n}\n\n\
                enum Bound {\n    Unbounded,\n    Included(u8),\n    Excluded(u8),\n}",
            Tree => "struct Tree {\n    children: Vec<Tree>,\n}",
            Named => "struct Named {\n    entries: HashMap<String, Named>,\n}",
            Forest => "struct Forest(Vec<Forest>);",
            Bare => "type Part = Vec<Part>;",
            Option<Bare> => "Option<Part>\n\ntype Part = Vec<Part>;",
            Map => "struct Map {\n    by_key: HashMap<u8, Option<Map>>,\n    pair: (Vec<Map>, u8),\n}",
            Grow => "struct Grow {\n    result: Result<Grow, String>,\n}",
            Expr => "\
enum Expr {
    Add(Expr, Expr),
    Neg(Expr),
    Call { name: String, args: Vec<Expr> },
    Lit(i64),
    If((Expr, Expr, Option<Expr>)),
}",
            Even => "\
struct Even {
    next: Option<Odd>,
    value: Option<Value>,
}

struct Odd {
    next: Option<Even>,
    many: HashMap<u8, Even>,
}

enum Value {
    Null,
    Odd(Odd),
    List(Vec<Value>),
}",
        }
    }
}

mod deep {
    use super::*;
    use serde::de::{Deserializer, EnumAccess, SeqAccess, VariantAccess, Visitor};
    use std::fmt;
    use std::sync::OnceLock;

    const LAST: u32 = 299;

    fn names() -> &'static [&'static str] {
        static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
        let name = |number: u32| &*format!("V{number}").leak();
        NAMES.get_or_init(|| (0..=LAST).map(name).collect())
    }

    /// An expression whose first 299 variants hold two expressions each.
    struct Expr;

    impl<'de> Deserialize<'de> for Expr {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            d.deserialize_enum("Expr", names(), Expr)
        }
    }

    impl<'de> Visitor<'de> for Expr {
        type Value = Expr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an expression")
        }

        fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Expr, A::Error> {
            let (number, payload) = access.variant::<u32>()?;
            if number == LAST {
                return payload.unit_variant().map(|()| Expr);
            }
            payload.tuple_variant(2, Expr)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Expr, A::Error> {
            parts.next_element::<Box<Expr>>()?;
            parts.next_element::<Box<Expr>>()?;
            Ok(Expr)
        }
    }

    #[test]
    fn an_enum_whose_only_way_out_is_its_last_variant_is_learnt() {
        let shape = Shape::of::<Expr>().unwrap();
        assert!(shape.is_complete());
        assert_eq!(shape.nodes().len(), 1);
        assert!(shape.to_string().ends_with("    V298(Expr, Expr),\n    V299,\n}"));
    }
}

mod generics {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Page<T> {
        items: Vec<T>,
        next: Option<Box<Page<T>>>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Both {
        names: Page<String>,
        numbers: Page<u32>,
        again: Page<String>,
    }

    #[test]
    fn instances_of_a_generic_type_are_told_apart() {
        prints! {
            Both => "\
struct Both {
    names: Page,
    numbers: Page2,
    again: Page,
}

struct Page {
    items: Vec<String>,
    next: Option<Page>,
}

struct Page2 {
    items: Vec<u32>,
    next: Option<Page2>,
}",
        }
    }
}

mod two_forms {
    use super::*;
    use serde::Deserializer;

    /// Read by its derive as a struct, and by `with` as text.
    #[derive(Serialize, Deserialize, Clone, Default)]
    #[allow(dead_code)]
    struct Point {
        x: u8,
        y: u8,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Forms {
        plain: Point,
        #[serde(deserialize_with = "as_text")]
        text: Point,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        vec: Vec<u8>,
        #[serde(deserialize_with = "remote")]
        other: Duration,
        duration: Duration,
    }

    fn as_text<'de, D: Deserializer<'de>>(d: D) -> Result<Point, D::Error> {
        String::deserialize(d).map(|_| Point::default())
    }

    /// A form of a foreign type under the same name.
    #[derive(Deserialize)]
    #[serde(remote = "Duration", rename = "Duration")]
    struct Seconds {
        #[serde(getter = "Duration::as_secs")]
        secs: u64,
    }

    impl From<Seconds> for Duration {
        fn from(of: Seconds) -> Duration {
            Duration::from_secs(of.secs)
        }
    }

    fn remote<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        Seconds::deserialize(d)
    }

    #[test]
    fn one_type_may_have_two_forms() {
        prints! {
            Forms => "\
struct Forms {
    plain: Point,
    text: String,
    bytes: Bytes,
    vec: Vec<u8>,
    other: Duration,
    duration: Duration2,
}

struct Point {
    x: u8,
    y: u8,
}

struct Duration {
    secs: u64,
}

struct Duration2 {
    secs: u64,
    nanos: u32,
}",
        }
    }
}

mod aliases {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Renamed {
        #[serde(alias = "amount", alias = "zahl")]
        quantity: u8,
        #[serde(alias = "a")]
        b: Option<String>,
        plain: bool,
        other: Kind,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Kind {
        #[serde(alias = "Z")]
        A(u8),
        #[serde(alias = "Y", alias = "X")]
        B {
            #[serde(alias = "old")]
            new: i8,
            rest: u16,
        },
        C,
    }

    #[test]
    fn aliases_do_not_count_as_parts() {
        prints! {
            Renamed => "\
struct Renamed {
    quantity: u8,
    b: Option<String>,
    plain: bool,
    other: Kind,
}

enum Kind {
    A(u8),
    B { new: i8, rest: u16 },
    C,
}",
        }
    }
}
