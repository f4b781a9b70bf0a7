//! Values for a type to read while its shape is learnt: a few for each kind, and
//! the user's own for types that refuse those.

use std::any::type_name;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::driver::{Answer, DriveError};
use super::error::ShapeError;
use super::roundtrip::fits;
use super::{Leaf, Tracer};

/// Values of the user's types, for types that refuse all built-in ones.
///
/// While a shape is learnt, each type reads made-up values: `1`, `"a"`, a date, a
/// URL and so on, the next one when one is refused. An e-mail address or a port
/// above 1023 refuses them all, and what comes after it could not be learnt. A
/// sample gets past it; the shape is still learnt from `Deserialize`, which reads
/// the sample instead of a made-up value.
///
/// Samples are looked up by `std::any::type_name`, within this build only. serde
/// does not name the content of a newtype struct or of a field with
/// `deserialize_with`: give a sample of the type around those.
///
/// An action takes them as `#[action(samples = …)]`, so that both programs have the
/// same ones; [`sample!`](crate::sample!) makes one, and an array of several is fine.
///
/// ```
/// use isock::shape::{Samples, Tracer};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// #[serde(try_from = "u16")]
/// struct Port(u16);
/// # impl TryFrom<u16> for Port {
/// #     type Error = &'static str;
/// #     fn try_from(port: u16) -> Result<Self, Self::Error> {
/// #         if port < 1024 { Err("reserved") } else { Ok(Port(port)) }
/// #     }
/// # }
///
/// let samples = Samples::new().with(&Port(4440)).with_wire::<Port>(&8080u16);
/// let learnt = Tracer::new().samples(samples).trace::<(Port, bool)>()?;
/// assert_eq!(learnt.shape.to_string(), "(u16, bool)");
/// # Ok::<(), isock::shape::ShapeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Samples {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    type_name: &'static str,
    /// As postcard writes it, or why it cannot; told when the type is met.
    bytes: Result<Vec<u8>, String>,
    /// Why the type cannot read it, where that was tried.
    flaw: Option<String>,
}

impl Samples {
    /// None.
    pub fn new() -> Samples {
        Samples::default()
    }

    /// Adds a value of the type itself. Several of one type are read in turn, so
    /// that each can show another variant or fill another option.
    #[must_use]
    pub fn with<T: Serialize>(self, value: &T) -> Samples {
        self.with_wire::<T>(value)
    }

    /// Adds anything that looks like a `T` on the wire, such as the text of an
    /// e-mail address for a type that reads itself from a `String`.
    #[must_use]
    pub fn with_wire<T>(mut self, value: &(impl Serialize + ?Sized)) -> Samples {
        let bytes = postcard::to_stdvec(value).map_err(|error| error.to_string());
        self.samples.push(Sample { type_name: type_name::<T>(), bytes, flaw: None });
        self
    }

    /// The same, and tries whether a `T` can be read from it.
    #[doc(hidden)]
    #[must_use]
    pub fn with_readable<T: DeserializeOwned>(self, value: &(impl Serialize + ?Sized)) -> Samples {
        let mut samples = self.with_wire::<T>(value);
        if let Some(sample) = samples.samples.last_mut() {
            let alone = Samples { samples: vec![sample.clone()] };
            sample.flaw = flaw_of::<T>(alone, value);
        }
        samples
    }

    /// Adds a value of a `T` that has been encoded already.
    pub(crate) fn with_encoded<T>(mut self, bytes: Result<Vec<u8>, String>) -> Samples {
        let flaw = bytes.as_ref().err().cloned();
        self.samples.push(Sample { type_name: type_name::<T>(), bytes, flaw });
        self
    }

    /// Adds all of `other`, such as those of another crate.
    #[must_use]
    pub fn and(mut self, other: &Samples) -> Samples {
        self.samples.extend(other.samples.iter().cloned());
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The first one of a `T`, as it is encoded.
    pub(crate) fn first<T>(&self) -> Option<&[u8]> {
        self.bytes(type_name::<T>(), 0).and_then(|bytes| bytes.as_deref().ok())
    }

    /// The first one that its own type cannot read.
    pub(crate) fn flaw(&self) -> Option<ShapeError> {
        self.samples.iter().find_map(|sample| {
            let (type_name, problem) = (sample.type_name.to_owned(), sample.flaw.clone()?);
            Some(ShapeError::BadSample { type_name, problem })
        })
    }

    pub(super) fn has(&self, type_name: &str) -> bool {
        self.samples.iter().any(|sample| sample.type_name == type_name)
    }

    /// The bytes of one sample of the type; all of them in turn as `turn` grows.
    pub(super) fn bytes(&self, type_name: &str, turn: usize) -> Option<&Result<Vec<u8>, String>> {
        let of_type = || self.samples.iter().filter(|sample| sample.type_name == type_name);
        let count = of_type().count();
        of_type().nth(turn.checked_rem(count)?).map(|sample| &sample.bytes)
    }
}

/// Why `value` is no sample of a `T`: it cannot be read, or it is written as something that only
/// happens to be readable, such as an `i32` where the type reads a `u16`.
fn flaw_of<T: DeserializeOwned>(
    sample: Samples,
    value: &(impl Serialize + ?Sized),
) -> Option<String> {
    let bytes = match sample.bytes(type_name::<T>(), 0)? {
        Ok(bytes) => bytes.clone(),
        Err(why) => return Some(why.clone()),
    };
    match Tracer::with_samples(sample).trace::<T>() {
        Err(ShapeError::BadSample { problem, .. }) => return Some(problem),
        // Told when an action is registered that has the type.
        Err(_) => return None,
        Ok(learnt) => {
            if let Err(problem) = fits(&learnt.shape, value) {
                return Some(problem);
            }
        }
    }
    match postcard::take_from_bytes::<T>(&bytes) {
        Ok((_, [])) => None,
        Ok(_) => Some("bytes are left over".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

impl<const N: usize> From<[Samples; N]> for Samples {
    fn from(several: [Samples; N]) -> Samples {
        several.iter().fold(Samples::new(), |all, some| all.and(some))
    }
}

impl From<Vec<Samples>> for Samples {
    fn from(several: Vec<Samples>) -> Samples {
        several.iter().fold(Samples::new(), |all, some| all.and(some))
    }
}

/// A sample of a type: what a value of it looks like on the wire.
///
/// For a type that refuses made-up values, such as an e-mail address, a version or a port above
/// 1023. The second argument is anything that serialises as the type does. It gives a
/// [`Samples`](crate::shape::Samples), which an action takes:
///
/// ```
/// use isock::{sample, Action};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// #[serde(try_from = "String", into = "String")]
/// pub struct Email(String);
/// # impl TryFrom<String> for Email {
/// #     type Error = &'static str;
/// #     fn try_from(text: String) -> Result<Email, Self::Error> {
/// #         if text.contains('@') { Ok(Email(text)) } else { Err("an address has an @") }
/// #     }
/// # }
/// # impl From<Email> for String { fn from(email: Email) -> String { email.0 } }
///
/// #[derive(Action)]
/// #[action(input = (Email, String), samples = sample!(Email, "a@b.c"))]
/// pub struct Invite;
/// # assert!(Invite::with(|_, _| Ok(())).info().name == "Invite");
/// ```
///
/// The literal has the type's own form: `sample!(Port, 4440u16)`, since `4440` alone is an `i32` and
/// goes as other bytes, which is refused. Several are an array, `samples = [sample!(…), sample!(…)]`,
/// or what a function of the shared crate returns, `samples = crate::samples()`. A type that borrows, such
/// as a view, takes its sample from
/// [`Samples::new().with_wire::<EmailView<'_>>("a@b.c")`](crate::shape::Samples::with_wire).
#[macro_export]
macro_rules! sample {
    ($type:ty, $looks_like:expr $(,)?) => {
        $crate::shape::Samples::new().with_readable::<$type>(&$looks_like)
    };
}

/// How many refusals a place may answer before it is given up. Several times the
/// longest list below: a refusal further out shifts the values further in, which
/// then search anew.
pub(super) const ATTEMPTS: usize = 60;

/// Texts that common types of other crates accept: dates and times as RFC 3339
/// and `chrono` want them, an address to find and to listen on, an id, a path.
const TEXTS: &[&str] = &[
    "a",
    "",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00:00:00",
    "1970-01-01T00:00:00",
    "http://localhost/",
    "127.0.0.1",
    "127.0.0.1:1",
    "::1",
    "[::1]:1",
    "00000000-0000-0000-0000-000000000001",
    "1",
    "Mon",
    "January",
    "UTC",
    "/a",
];

/// The lengths that ids, keys, digests and addresses have.
const LENGTHS: &[usize] = &[1, 0, 16, 4, 32, 8, 12, 20, 24, 33, 48, 64];

/// Bytes of the longest of these lengths.
const ONES: &[u8] = &[1; 64];

/// A made-up value. Choice 0 is full, 1 is empty, others are more of the same.
pub(super) fn made_up(leaf: Leaf, choice: usize) -> Answer<'static> {
    // 1 first: NonZero refuses 0. Powers of ten and two, for units and alignments.
    let number = [1u8, 0, 2, 3, 7, 8, 10, 12, 16, 64, 100, 127][choice % 12];
    let float = [1.0, 0.0, 0.5, -1.0, 2.0][choice % 5];
    match leaf {
        Leaf::Bool => Answer::Bool(choice % 2 == 0),
        Leaf::I8 => Answer::I8(number as i8),
        Leaf::I16 => Answer::I16(number.into()),
        Leaf::I32 => Answer::I32(number.into()),
        Leaf::I64 => Answer::I64(number.into()),
        Leaf::I128 => Answer::I128(number.into()),
        Leaf::U8 => Answer::U8(number),
        Leaf::U16 => Answer::U16(number.into()),
        Leaf::U32 => Answer::U32(number.into()),
        Leaf::U64 => Answer::U64(number.into()),
        Leaf::U128 => Answer::U128(number.into()),
        Leaf::F32 => Answer::F32(float as f32),
        Leaf::F64 => Answer::F64(float),
        Leaf::Char => Answer::Char(['a', ' ', '0', 'A', '\u{e9}'][choice % 5]),
        Leaf::Text => Answer::Str(TEXTS[choice % TEXTS.len()]),
        Leaf::Bytes => Answer::Bytes(&ONES[..LENGTHS[choice % LENGTHS.len()]]),
        Leaf::Unit => Answer::Unit,
    }
}

/// A sample that is being read, as postcard would read it.
#[derive(Debug)]
pub(super) struct Replay<'s> {
    bytes: &'s [u8],
    at: usize,
}

impl<'s> Replay<'s> {
    pub(super) fn new(bytes: &'s [u8]) -> Replay<'s> {
        Replay { bytes, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn leaf(&mut self, leaf: Leaf) -> Result<Answer<'s>, DriveError> {
        Ok(match leaf {
            Leaf::Bool => Answer::Bool(self.take()?),
            Leaf::I8 => Answer::I8(self.take()?),
            Leaf::I16 => Answer::I16(self.take()?),
            Leaf::I32 => Answer::I32(self.take()?),
            Leaf::I64 => Answer::I64(self.take()?),
            Leaf::I128 => Answer::I128(self.take()?),
            Leaf::U8 => Answer::U8(self.take()?),
            Leaf::U16 => Answer::U16(self.take()?),
            Leaf::U32 => Answer::U32(self.take()?),
            Leaf::U64 => Answer::U64(self.take()?),
            Leaf::U128 => Answer::U128(self.take()?),
            Leaf::F32 => Answer::F32(self.take()?),
            Leaf::F64 => Answer::F64(self.take()?),
            Leaf::Char => Answer::Char(self.take()?),
            Leaf::Text => Answer::Str(self.take()?),
            // A sequence of u8 and bytes are the same on the wire.
            Leaf::Bytes => Answer::Bytes(self.take()?),
            Leaf::Unit => Answer::Unit,
        })
    }

    /// Whether an option is filled.
    pub(super) fn is_some(&mut self) -> Result<bool, DriveError> {
        // An option of nothing is its first byte.
        Ok(self.take::<Option<()>>()?.is_some())
    }

    pub(super) fn len(&mut self) -> Result<usize, DriveError> {
        self.take()
    }

    pub(super) fn variant(&mut self) -> Result<usize, DriveError> {
        let number: u32 = self.take()?;
        Ok(number as usize)
    }

    fn take<T: Deserialize<'s>>(&mut self) -> Result<T, DriveError> {
        let bytes = self.bytes;
        let (value, rest) =
            postcard::take_from_bytes(&bytes[self.at..]).map_err(DriveError::new)?;
        self.at = self.bytes.len() - rest.len();
        Ok(value)
    }
}
