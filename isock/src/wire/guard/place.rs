//! The deserializer that serde sees: a place in the message where a value goes.
//!
//! Counts levels, notices what lies behind a pointer, and hands scalars to postcard.
//! Leaves the parts of compound values to `access`.

use std::mem::size_of;

use postcard::Error as WireError;
use serde::de::{Deserialize, Deserializer, Visitor};

use super::access::{Elements, Entries, Fields, Variants};
use super::Guard;

/// Where the next value goes: the deserializer that serde sees.
///
/// The spot travels down by value, so nothing has to be put back on the way up, and a
/// scalar that doesn't look at it doesn't pay for it.
pub(super) struct Place<'g, 'de> {
    pub(super) guard: &'g mut Guard<'de>,
    spot: Spot,
}

impl<'g, 'de> Place<'g, 'de> {
    /// The place of the message as a whole, a `T`.
    #[inline]
    pub(super) fn root<T>(guard: &'g mut Guard<'de>, depth: u32) -> Self {
        Self { guard, spot: Spot::new::<T>(depth) }
    }

    /// Pays for a value that doesn't fit where it was announced: it must be behind a
    /// pointer.
    #[inline]
    fn hold<T>(mut self) -> Result<Self, WireError> {
        if size_of::<T>() > self.spot.size() {
            self.guard.charge(size_of::<T>() + POINTEE_HEADER)?;
            self.spot = self.spot.sized::<T>();
        }
        Ok(self)
    }

    /// Steps into a compound value of type `T`.
    #[inline]
    fn enter<T>(self) -> Result<Self, WireError> {
        let Self { guard, spot } = self.hold::<T>()?;
        match spot.deeper(const { levels::<T>() }) {
            Some(spot) => Ok(Self { guard, spot: spot.without_wrappers() }),
            None => Err(guard.too_deep()),
        }
    }

    /// Steps into an option or a newtype, which takes a level only in a long chain.
    #[inline]
    fn unwrap_one(self) -> Result<Self, WireError> {
        let Self { guard, spot } = self;
        match spot.wrapped() {
            Some(spot) => Ok(Self { guard, spot }),
            None => Err(guard.too_deep()),
        }
    }

    /// The place of a part of this value.
    #[inline]
    pub(super) fn part<T>(&mut self) -> Place<'_, 'de> {
        Place { guard: self.guard, spot: self.spot.sized::<T>() }
    }
}

/// How many levels a compound value of type `T` takes.
///
/// One, and one more for every full KiB: a frame holds several copies of its value, so
/// 128 levels of a recursive 4 KiB type would overflow 2 MiB of stack. At most 32, so
/// that a large type that isn't recursive can still be nested in another.
pub(super) const fn levels<T>() -> u16 {
    let kibibytes = size_of::<T>() >> 10;
    if kibibytes < 31 {
        1 + kibibytes as u16
    } else {
        32
    }
}

/// What is known of a place: 32 bits of size, 16 of levels left, 16 of wrappers. One
/// word, so that a `Place` is passed in two registers.
#[derive(Clone, Copy)]
struct Spot(u64);

impl Spot {
    const MAX_SIZE: u64 = u32::MAX as u64;
    const LEVEL: u64 = 1 << 32;
    const WRAPPER: u64 = 1 << 48;

    #[inline]
    fn new<T>(depth: u32) -> Self {
        Self(u64::from(depth.min(0xffff)) * Self::LEVEL).sized::<T>()
    }

    #[inline]
    fn sized<T>(self) -> Self {
        let size = (size_of::<T>() as u64).min(Self::MAX_SIZE);
        Self((self.0 & !Self::MAX_SIZE) | size)
    }

    #[inline]
    fn size(self) -> usize {
        (self.0 & Self::MAX_SIZE) as usize
    }

    #[inline]
    fn deeper(self, levels: u16) -> Option<Self> {
        let left = (self.0 >> 32) as u16;
        (left >= levels).then(|| Self(self.0 - u64::from(levels) * Self::LEVEL))
    }

    #[inline]
    fn wrapped(self) -> Option<Self> {
        if self.0 >> 48 < FREE_WRAPPERS {
            Some(Self(self.0 + Self::WRAPPER))
        } else {
            self.deeper(1)
        }
    }

    #[inline]
    fn without_wrappers(self) -> Self {
        Self(self.0 & (Self::WRAPPER - 1))
    }
}

/// The methods that read one scalar, a string included.
macro_rules! scalars {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
            self.guard.input.$method(visitor)
        }
    )*};
}

/// The methods that need a format which describes itself.
macro_rules! unsupported {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, WireError> {
            Err(WireError::WontImplement)
        }
    )*};
}

impl<'de> Deserializer<'de> for Place<'_, 'de> {
    type Error = WireError;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    scalars! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_unit
    }

    unsupported! { deserialize_any deserialize_identifier deserialize_ignored_any }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        let place = self.hold::<V::Value>()?;
        match u8::deserialize(&mut place.guard.input)? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(place.unwrap_one()?),
            _ => Err(WireError::DeserializeBadOption),
        }
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_newtype_struct(self.unwrap_one()?)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        let place = self.enter::<V::Value>()?;
        let len = place.guard.length()?;
        visitor.visit_seq(Elements::new::<V::Value>(place, len))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WireError> {
        let place = self.enter::<V::Value>()?;
        let len = place.guard.length()?;
        visitor.visit_map(Entries::new::<V::Value>(place, len))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        let place = self.enter::<V::Value>()?;
        visitor.visit_seq(Fields::new::<V::Value>(place, len))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_enum(Variants(self.enter::<V::Value>()?))
    }
}

/// Options and newtypes in a row that take no level. Without an end to them
/// `struct L(Option<Box<L>>)` would recurse as far as the message is long.
const FREE_WRAPPERS: u64 = 8;

/// What an `Arc` or `Rc` adds to the value it holds.
const POINTEE_HEADER: usize = 2 * size_of::<usize>();
