//! Values as postcard writes them.
//!
//! The same bytes as postcard's own serializer makes, which tests compare; only a number is written as
//! one word where that one writes and copies each byte. Leaves memory and limits to the encoder.

use super::{codec::Encoder, number};
use postcard::Error;
use serde::ser::{self, Serialize, Serializer};
use std::fmt::{self, Display, Write};

type Written = postcard::Result<()>;

impl Encoder {
    #[inline]
    fn short_number(&mut self, number: u16) -> Written {
        match number {
            0..=0x7f => self.put_byte(number as u8),
            _ => self.two_or_three(number.into()),
        }
    }

    #[inline]
    fn number(&mut self, number: u64) -> Written {
        const NOT_SHORT: u64 = number::NOT_SHORT as u64;
        match number {
            0..=0x7f => self.put_byte(number as u8),
            0x80..NOT_SHORT => self.two_or_three(number as u32),
            _ => self.long_number(number),
        }
    }

    #[inline]
    fn two_or_three(&mut self, number: u32) -> Written {
        let (bytes, len) = number::short(number);
        self.put(bytes, len)
    }

    fn long_number(&mut self, number: u64) -> Written {
        let (bytes, len) = number::word(number);
        self.put(bytes, len)?;
        match number >> 56 {
            0 => Ok(()),
            rest => self.put([rest as u8, (rest >> 7) as u8], 1 + usize::from(rest > 0x7f)),
        }
    }

    #[cold]
    fn huge_number(&mut self, number: u128) -> Written {
        let (bytes, len) = number::huge(number);
        self.put(bytes, len)
    }

    #[inline]
    fn length(&mut self, len: Option<usize>) -> Written {
        self.number(len.ok_or(Error::SerializeSeqLengthUnknown)? as u64)
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> Written {
        self.number(bytes.len() as u64)?;
        self.put_all(bytes)
    }
}

/// Numbers below zero are between those above: 0, -1, 1, -2.
macro_rules! zigzag {
    ($number:ident, $signed:ty, $unsigned:ty) => {
        (($number << 1) ^ ($number >> (<$signed>::BITS - 1))) as $unsigned
    };
}

impl<'e> Serializer for &'e mut Encoder {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = &'e mut Encoder;
    type SerializeTuple = &'e mut Encoder;
    type SerializeTupleStruct = &'e mut Encoder;
    type SerializeTupleVariant = &'e mut Encoder;
    type SerializeMap = &'e mut Encoder;
    type SerializeStruct = &'e mut Encoder;
    type SerializeStructVariant = &'e mut Encoder;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Written {
        self.put_byte(u8::from(value))
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Written {
        self.put_byte(value as u8)
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Written {
        self.short_number(zigzag!(value, i16, u16))
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Written {
        self.number(zigzag!(value, i32, u32).into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Written {
        self.number(zigzag!(value, i64, u64))
    }

    #[inline]
    fn serialize_i128(self, value: i128) -> Written {
        self.huge_number(zigzag!(value, i128, u128))
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Written {
        self.put_byte(value)
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Written {
        self.short_number(value)
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Written {
        self.number(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Written {
        self.number(value)
    }

    #[inline]
    fn serialize_u128(self, value: u128) -> Written {
        self.huge_number(value)
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Written {
        self.put(value.to_le_bytes(), 4)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Written {
        self.put(value.to_le_bytes(), 8)
    }

    #[inline]
    fn serialize_char(self, value: char) -> Written {
        self.bytes(value.encode_utf8(&mut [0; 4]).as_bytes())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Written {
        self.bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Written {
        self.bytes(value)
    }

    #[inline]
    fn serialize_none(self) -> Written {
        self.put_byte(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        self.put_byte(1)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Written {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Written {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
    ) -> Written {
        self.number(index.into())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Written {
        self.number(index.into())?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> postcard::Result<Self> {
        self.length(len)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _len: usize) -> postcard::Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> postcard::Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> postcard::Result<Self> {
        self.number(index.into())?;
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> postcard::Result<Self> {
        self.length(len)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, _len: usize) -> postcard::Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> postcard::Result<Self> {
        self.number(index.into())?;
        Ok(self)
    }

    /// Formats it twice, as postcard does: its length comes first, and it may be past the limit.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Written {
        let mut counted = Counted(0);
        write!(counted, "{value}").map_err(|_| Error::CollectStrError)?;
        self.number(counted.0 as u64)?;
        write!(Text(self), "{value}").map_err(|_| Error::CollectStrError)
    }
}

/// How long a text is.
struct Counted(usize);

impl Write for Counted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// A text that is written piece by piece.
struct Text<'e>(&'e mut Encoder);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// What has parts: each is a value, and nothing stands between or behind them.
macro_rules! parts {
    ($($compound:ident: $($method:ident($($name:ident)?))*;)*) => {$(
        impl ser::$compound for &mut Encoder {
            type Ok = ();
            type Error = Error;

            $(#[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Written {
                value.serialize(&mut **self)
            })*

            #[inline]
            fn end(self) -> Written {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key() serialize_value();
    SerializeStruct: serialize_field(_name);
    SerializeStructVariant: serialize_field(_name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::EncodeError;
    use serde::Serialize;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Wrapped(f32);

    #[derive(Serialize)]
    struct Pair(bool, char);

    #[derive(Serialize)]
    enum Kind {
        Empty,
        Number(u32),
        Pair(i8, i16),
        Named { id: i32, text: &'static str },
    }

    /// Written by its `Display`, in two pieces.
    struct Shown;

    impl Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text of its own, ")?;
            f.write_str("and it goes on")
        }
    }

    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    /// A list that does not know its length.
    struct Endless;

    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_seq(None).map(|_| unreachable!("postcard needs the length"))
        }
    }

    fn check<T: Serialize + ?Sized>(value: &T) {
        let mut encoder = Encoder::new(usize::MAX);
        match postcard::to_stdvec(value) {
            Ok(bytes) => {
                encoder.push(value).unwrap();
                assert_eq!(encoder.as_bytes(), bytes);
            }
            Err(error) => {
                let refused = Err(EncodeError::Unsupported(error.to_string()));
                assert_eq!(encoder.push(value), refused);
            }
        }
    }

    #[test]
    fn every_kind_of_value_is_written_as_postcard_writes_it() {
        check(&(Unit, (), Wrapped(0.1), Pair(true, 'q'), '\u{10ffff}', 'ß'));
        check(&[Kind::Empty, Kind::Number(300), Kind::Pair(-1, -300)][..]);
        check(&Kind::Named { id: i32::MIN, text: "text" });
        check(&(Some(f64::MIN_POSITIVE), None::<u8>, Some(Some(()))));
        check(&BTreeMap::from([("one", vec![1_u8]), ("two", vec![2; 200])]));
        check(&(Shown, Endless));
        check(&Shown);
        check(&Endless);
    }

    #[test]
    fn every_number_is_written_as_postcard_writes_it() {
        for shift in 0..128 {
            for number in [1_u128 << shift, u128::MAX >> shift, (u128::MAX >> shift) / 3] {
                let signed = number as i128;
                check(&(number, number as u64, number as u32, number as u16, number as u8));
                check(&(signed, signed as i64, signed as i32, signed as i16, signed as i8));
                check(&(-(signed >> 1), -(signed as i64 >> 1), !(signed as i32), !(signed as i16)));
            }
        }
    }

    #[test]
    fn a_value_of_any_kind_keeps_to_the_limit() {
        let value = (u64::MAX, "a text that is not short, as texts go", 3_u16, 1.5_f64, Shown);
        let whole = postcard::to_stdvec(&value).unwrap();
        for limit in 0..whole.len() {
            let mut encoder = Encoder::new(limit);
            assert_eq!(encoder.push(&value), Err(EncodeError::TooLarge { limit }));
            assert!(encoder.as_bytes().len() <= limit);
        }
        let mut encoder = Encoder::new(whole.len());
        encoder.push(&value).unwrap();
        assert_eq!(encoder.as_bytes(), whole);
    }
}
