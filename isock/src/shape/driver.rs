//! One serde deserializer whose behaviour is a trait object.
//!
//! A user's `Deserialize` is generic over the deserializer, so each concrete
//! deserializer costs another copy of it. [`Driven`] is the only one that this
//! crate adds for learning shapes and for reading bytes of another shape: it
//! turns what the type asks for into an [`Ask`], lets a [`Driver`] answer, and
//! hands the [`Answer`] to the type's visitor.
//!
//! Knows serde's data model. Does not know what is done with it: tracing and
//! resolving are drivers.

use std::any::type_name;
use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use serde::de::{self, Deserialize, DeserializeSeed, Visitor};

use super::Leaf;

/// What a type asks its deserializer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Leaf(Leaf),
    Option,
    Seq,
    Map,
    Tuple(usize),
    UnitStruct(&'static str),
    Newtype(&'static str),
    TupleStruct(&'static str, usize),
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
    Identifier,
    Any,
    IgnoredAny,
}

/// A request, and the names by which two requests are recognised as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    pub request: Request,
    /// `type_name` of the visitor.
    pub visitor: &'static str,
    /// `type_name` of what the visitor makes.
    pub value: &'static str,
    /// `size_of` what the visitor makes.
    pub size: usize,
}

/// What an enum's chosen variant asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadAsk {
    Unit,
    Newtype,
    Tuple(usize),
    Struct(&'static [&'static str]),
}

/// What the visitor is handed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer<'de> {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Str(&'de str),
    Bytes(&'de [u8]),
    Unit,
    None,
    /// The inner value follows, from a [`Seat`] of its own.
    Some,
    /// The inner value follows, from a [`Seat`] of its own.
    Newtype,
    /// Elements follow for as long as [`Driver::more`] says so.
    Seq,
    /// Keys and values follow for as long as [`Driver::more`] says so.
    Map,
    /// An identifier follows, then [`Driver::payload`].
    Enum,
}

/// The place that a value is about to be read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The only content of an option, newtype or newtype variant.
    Content,
    Element,
    Key,
    Value,
    /// The name or number of an enum's variant.
    Variant,
}

/// A place together with what is known about the Rust type that fills it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub place: Place,
    /// `type_name` of the type or its seed; of the *container* for an option or
    /// newtype struct, whose content serde does not name.
    pub of: &'static str,
    /// `size_of` the value; of the container for an option or newtype struct.
    pub size: usize,
}

/// Decides what a type gets to read.
///
/// Calls nest like the value: `seat`, then at most one `ask` (with the seats of
/// its children inside and `done` at its end), then `unseat`.
pub(crate) trait Driver<'de> {
    fn seat(&mut self, seat: Seat) -> Result<(), DriveError>;
    fn ask(&mut self, ask: Ask) -> Result<Answer<'de>, DriveError>;
    /// The container wants to know how many elements follow, to make room for them.
    fn makes_room(&mut self);
    /// Whether another element, or another key with its value, follows.
    fn more(&mut self) -> Result<bool, DriveError>;
    /// An identifier was accepted; `token` is equal for equal identifiers.
    fn identified(&mut self, token: u64) -> Result<(), DriveError>;
    fn payload(&mut self, ask: PayloadAsk) -> Result<Answer<'de>, DriveError>;
    /// The visitor has returned.
    fn done(&mut self, error: Option<&DriveError>);
    /// The value is made or refused; its own checks have run.
    fn unseat(&mut self, error: Option<&DriveError>);
}

/// Why a value could not be read; what serde code sees of a driver's refusal.
///
/// Thin, since every function of every user type passes it on.
#[derive(Debug)]
pub(crate) struct DriveError(Box<Why>);

#[derive(Debug)]
struct Why {
    message: String,
    duplicate: Option<&'static str>,
}

impl DriveError {
    #[cold]
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        DriveError(Box::new(Why { message, duplicate: None }))
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The field that serde's derive found twice: its only mention of the name that
    /// a field has beside its aliases.
    pub(crate) fn duplicate(&self) -> Option<&'static str> {
        self.0.duplicate
    }
}

impl fmt::Display for DriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for DriveError {}

impl de::Error for DriveError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        DriveError::new(message)
    }

    #[cold]
    fn duplicate_field(field: &'static str) -> Self {
        let message = format!("duplicate field `{field}`");
        DriveError(Box::new(Why { message, duplicate: Some(field) }))
    }
}

/// The deserializer that does what its driver says.
pub(crate) struct Driven<'d, 'de> {
    driver: &'d mut dyn Driver<'de>,
}

impl<'d, 'de> Driven<'d, 'de> {
    /// Reads one whole value, which may borrow what the driver answers with.
    pub(crate) fn read<T: Deserialize<'de>>(
        driver: &'d mut dyn Driver<'de>,
    ) -> Result<T, DriveError> {
        let seat = Seat { place: Place::Content, of: type_name::<T>(), size: size_of::<T>() };
        seated(driver, seat, |driver| T::deserialize(Driven { driver }))
    }
}

/// Reads from a seat; nothing is left seated, whatever `read` returns.
fn seated<'de, T>(
    driver: &mut dyn Driver<'de>,
    seat: Seat,
    read: impl FnOnce(&mut dyn Driver<'de>) -> Result<T, DriveError>,
) -> Result<T, DriveError> {
    driver.seat(seat)?;
    let value = read(driver);
    driver.unseat(value.as_ref().err());
    value
}

/// Not inlined: fields of one type share it.
#[inline(never)]
fn from_seed<'de, S: DeserializeSeed<'de>>(
    driver: &mut dyn Driver<'de>,
    place: Place,
    seed: S,
) -> Result<S::Value, DriveError> {
    let seat = Seat { place, of: type_name::<S>(), size: size_of::<S::Value>() };
    seated(driver, seat, |driver| seed.deserialize(Driven { driver }))
}

/// Asks, and finds out how the answer may be handed over: only in ways that fit the
/// request, since each one is compiled for each visitor.
macro_rules! drive {
    ($driver:expr, $request:expr, $visitor:ident : $v:ident, $by:ident) => {{
        let driver = $driver;
        let answer = driver.ask(Ask {
            request: $request,
            visitor: type_name::<$v>(),
            value: type_name::<$v::Value>(),
            size: size_of::<$v::Value>(),
        })?;
        let value = $by(driver, answer, $visitor);
        driver.done(value.as_ref().err());
        value
    }};
}

#[cold]
fn unfit(answer: &Answer<'_>) -> DriveError {
    DriveError::new(format_args!("{answer:?} does not fit what the type asks for"))
}

/// Numbers, texts and bytes: any into any, since a reader may widen. Their visitors
/// are few, and shared by all types.
#[inline(never)]
fn plain<'de, V: Visitor<'de>>(
    _: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    match answer {
        Answer::Bool(v) => visitor.visit_bool(v),
        Answer::I8(v) => visitor.visit_i8(v),
        Answer::I16(v) => visitor.visit_i16(v),
        Answer::I32(v) => visitor.visit_i32(v),
        Answer::I64(v) => visitor.visit_i64(v),
        Answer::I128(v) => visitor.visit_i128(v),
        Answer::U8(v) => visitor.visit_u8(v),
        Answer::U16(v) => visitor.visit_u16(v),
        Answer::U32(v) => visitor.visit_u32(v),
        Answer::U64(v) => visitor.visit_u64(v),
        Answer::U128(v) => visitor.visit_u128(v),
        Answer::F32(v) => visitor.visit_f32(v),
        Answer::F64(v) => visitor.visit_f64(v),
        Answer::Char(v) => visitor.visit_char(v),
        // As postcard hands them over: a view keeps them where they are.
        Answer::Str(v) => visitor.visit_borrowed_str(v),
        Answer::Bytes(v) => visitor.visit_borrowed_bytes(v),
        Answer::Unit => visitor.visit_unit(),
        other => Err(unfit(&other)),
    }
}

/// What a variant or field is called: by number, as postcard does, or by name. Each
/// derived type has a visitor of its own for this.
#[inline(never)]
fn identifier<'de, V: Visitor<'de>>(
    _: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    match answer {
        Answer::U32(v) => visitor.visit_u32(v),
        Answer::Str(v) => visitor.visit_str(v),
        other => Err(unfit(&other)),
    }
}

#[inline(never)]
fn unit<'de, V: Visitor<'de>>(
    _: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    match answer {
        Answer::Unit => visitor.visit_unit(),
        other => Err(unfit(&other)),
    }
}

#[inline(never)]
fn option<'de, V: Visitor<'de>>(
    driver: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    let seat =
        Seat { place: Place::Content, of: type_name::<V::Value>(), size: size_of::<V::Value>() };
    match answer {
        Answer::None => visitor.visit_none(),
        Answer::Some => seated(driver, seat, |driver| visitor.visit_some(Driven { driver })),
        other => Err(unfit(&other)),
    }
}

#[inline(never)]
fn newtype<'de, V: Visitor<'de>>(
    driver: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    let seat =
        Seat { place: Place::Content, of: type_name::<V::Value>(), size: size_of::<V::Value>() };
    match answer {
        Answer::Newtype => {
            seated(driver, seat, |driver| visitor.visit_newtype_struct(Driven { driver }))
        }
        other => Err(unfit(&other)),
    }
}

#[inline(never)]
fn sequence<'de, V: Visitor<'de>>(
    driver: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    match answer {
        Answer::Seq => visitor.visit_seq(Elements::new(driver)),
        other => Err(unfit(&other)),
    }
}

#[inline(never)]
fn map<'de, V: Visitor<'de>>(
    driver: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    match answer {
        Answer::Map => visitor.visit_map(Elements::new(driver)),
        other => Err(unfit(&other)),
    }
}

/// In order, or by name.
#[inline(never)]
fn fields<'de, V: Visitor<'de>>(
    driver: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    match answer {
        Answer::Seq => visitor.visit_seq(Elements::new(driver)),
        Answer::Map => visitor.visit_map(Elements::new(driver)),
        other => Err(unfit(&other)),
    }
}

#[inline(never)]
fn variant<'de, V: Visitor<'de>>(
    driver: &mut dyn Driver<'de>,
    answer: Answer<'de>,
    visitor: V,
) -> Result<V::Value, DriveError> {
    match answer {
        Answer::Enum => visitor.visit_enum(Variant { driver }),
        other => Err(unfit(&other)),
    }
}

macro_rules! leaves {
    ($($method:ident $leaf:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DriveError> {
            drive!(self.driver, Request::Leaf(Leaf::$leaf), visitor: V, plain)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Driven<'_, 'de> {
    type Error = DriveError;

    leaves! {
        deserialize_bool Bool
        deserialize_i8 I8 deserialize_i16 I16 deserialize_i32 I32 deserialize_i64 I64 deserialize_i128 I128
        deserialize_u8 U8 deserialize_u16 U16 deserialize_u32 U32 deserialize_u64 U64 deserialize_u128 U128
        deserialize_f32 F32 deserialize_f64 F64
        deserialize_char Char deserialize_str Text deserialize_string Text
        deserialize_bytes Bytes deserialize_byte_buf Bytes
        deserialize_unit Unit
    }

    // postcard says the same, and types choose their form by it (an IP address is text to
    // people and bytes to machines), so every driver must agree with postcard here.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Any, visitor: V, plain)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::IgnoredAny, visitor: V, plain)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Identifier, visitor: V, identifier)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Option, visitor: V, option)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Seq, visitor: V, sequence)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Map, visitor: V, map)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Tuple(len), visitor: V, sequence)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::UnitStruct(name), visitor: V, unit)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Newtype(name), visitor: V, newtype)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::TupleStruct(name, len), visitor: V, sequence)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Struct(name, names), visitor: V, fields)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        drive!(self.driver, Request::Enum(name, variants), visitor: V, variant)
    }
}

struct Elements<'d, 'de> {
    driver: &'d mut dyn Driver<'de>,
    /// How many elements follow was asked, and the driver does not know that yet.
    asked: Cell<bool>,
}

impl<'d, 'de> Elements<'d, 'de> {
    fn new(driver: &'d mut dyn Driver<'de>) -> Elements<'d, 'de> {
        Elements { driver, asked: Cell::new(false) }
    }

    fn more(&mut self) -> Result<bool, DriveError> {
        if self.asked.take() {
            self.driver.makes_room();
        }
        self.driver.more()
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DriveError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DriveError> {
        if !self.more()? {
            return Ok(None);
        }
        from_seed(self.driver, Place::Element, seed).map(Some)
    }

    /// Never told: nobody may rely on it.
    fn size_hint(&self) -> Option<usize> {
        self.asked.set(true);
        None
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = DriveError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DriveError> {
        if !self.more()? {
            return Ok(None);
        }
        let key = from_seed(self.driver, Place::Key, seed)?;
        self.driver.identified(token(&key))?;
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DriveError> {
        from_seed(self.driver, Place::Value, seed)
    }
}

struct Variant<'d, 'de> {
    driver: &'d mut dyn Driver<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DriveError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), DriveError> {
        let variant = from_seed(self.driver, Place::Variant, seed)?;
        self.driver.identified(token(&variant))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DriveError;

    fn unit_variant(self) -> Result<(), DriveError> {
        self.driver.payload(PayloadAsk::Unit).map(drop)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, DriveError> {
        self.driver.payload(PayloadAsk::Newtype)?;
        from_seed(self.driver, Place::Content, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        let answer = self.driver.payload(PayloadAsk::Tuple(len))?;
        let value = sequence(self.driver, answer, visitor);
        self.driver.done(value.as_ref().err());
        value
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DriveError> {
        let answer = self.driver.payload(PayloadAsk::Struct(names))?;
        let value = fields(self.driver, answer, visitor);
        self.driver.done(value.as_ref().err());
        value
    }
}

/// Tells identifiers apart without knowing their type: derived ones are
/// fieldless enums, so their discriminant is all there is to them. For a type
/// that is no enum the token says nothing.
fn token<T>(identifier: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    discriminant(identifier).hash(&mut hasher);
    hasher.finish()
}
