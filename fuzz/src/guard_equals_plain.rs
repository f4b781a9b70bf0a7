//! Within its limits the guard decodes what plain postcard decodes, and refuses what it refuses.

use isock::wire::guard::{decode, decode_unguarded, DecodeError, DecodeLimits};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, LinkedList, VecDeque},
    net::SocketAddr,
    num::NonZeroI16,
    time::Duration,
};

/// The first byte chooses the type that the others are read as.
pub fn run(bytes: &[u8]) {
    if let Some((which, message)) = bytes.split_first() {
        CHECKS[usize::from(*which) % CHECKS.len()](message);
    }
}

/// A check for each type.
pub const CHECKS: &[fn(&[u8])] = &[
    check::<((), Option<()>, bool)>,
    check::<(u8, u16, u32, u64, u128)>,
    check::<(i8, i16, i32, i64, i128)>,
    check::<Vec<(usize, isize)>>,
    check::<(f32, f64)>,
    check::<(char, String, Box<str>)>,
    check::<isock::Bytes>,
    check::<Record>,
    check::<Vec<Record>>,
    check::<Vec<Figure>>,
    check::<Vec<Result<Option<bool>, Figure>>>,
    check::<Tree>,
    check::<Chain>,
    check::<Link>,
    check::<Vec<Nothing>>,
    check::<(Vec<[Nothing; 2]>, u16)>,
    check::<BTreeMap<String, BTreeMap<i8, f32>>>,
    check::<BTreeSet<(u8, Id)>>,
    check::<(VecDeque<u16>, LinkedList<u8>)>,
    check::<([u8; 4], [[Option<u16>; 2]; 2], [u64; 0])>,
    check::<Vec<Vec<Vec<Option<Option<u8>>>>>>,
    check::<Vec<Even>>,
    check::<(NonZeroI16, Duration)>,
    check::<SocketAddr>,
    check::<Vec<Box<Option<Box<Figure>>>>>,
    check::<Vec<Untagged>>,
];

/// Both are compared by what they encode to, which tells NaNs and negative zeros apart.
fn check<T: Serialize + DeserializeOwned>(message: &[u8]) {
    let guarded = decode::<T>(message, DecodeLimits::for_len(message.len()));
    if matches!(guarded, Err(DecodeError::TooDeep(_) | DecodeError::OverBudget { .. })) {
        // What plain postcard would do now is what the guard is there for.
        return;
    }
    let plain = match postcard::take_from_bytes::<T>(message) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::Trailing(rest.len())),
        Err(error) => Err(error.into()),
    };
    let plain = encoded(plain);
    assert_eq!(encoded(guarded), plain);
    assert_eq!(encoded(decode_unguarded::<T>(message)), plain);
}

fn encoded<T: Serialize>(outcome: Result<T, DecodeError>) -> Result<Vec<u8>, DecodeError> {
    outcome.map(|value| postcard::to_stdvec(&value).expect("what was decoded can be encoded"))
}

#[derive(Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    ratio: f64,
    owner: Option<u32>,
    tags: Vec<u16>,
    flag: bool,
}

#[derive(Serialize, Deserialize)]
enum Figure {
    Point,
    Circle(f32),
    Line(i16, i64, i8),
    Polygon { corners: Vec<(i32, i32)>, name: Option<String> },
    Group(Vec<Figure>),
}

#[derive(Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

#[derive(Serialize, Deserialize)]
struct Link {
    value: u128,
    next: Option<Box<Link>>,
}

#[derive(Serialize, Deserialize)]
struct Nothing {
    #[serde(skip)]
    _silent: [u64; 4],
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Id(u32);

/// An odd number is refused by the type itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Even(u32);

impl TryFrom<u32> for Even {
    type Error = &'static str;

    fn try_from(value: u32) -> Result<Even, Self::Error> {
        (value % 2 == 0).then_some(Even(value)).ok_or("an odd number")
    }
}

impl From<Even> for u32 {
    fn from(even: Even) -> u32 {
        even.0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Text(String),
}
