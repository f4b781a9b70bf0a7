//! A user's data as a value.

use super::{error::Step, Value, ValueError};
use crate::action::Bytes;
use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::{collections::BTreeMap, fmt::Display};

type Written = Result<Value, ValueError>;

/// Makes a value of what it is given.
pub(super) struct Writer;

/// A list under way, and the variant that it is the content of.
pub(super) struct List {
    variant: Option<&'static str>,
    values: Vec<Value>,
}

/// A map under way, and the variant that it is the content of.
pub(super) struct Map {
    variant: Option<&'static str>,
    entries: BTreeMap<String, Value>,
    /// The name of the value that comes next.
    name: String,
}

impl List {
    fn new(variant: Option<&'static str>, len: usize) -> List {
        List { variant, values: Vec::with_capacity(len) }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let at = Step::Place(self.values.len());
        self.values.push(Value::of(value).map_err(|error| error.within(at))?);
        Ok(())
    }

    fn done(self) -> Written {
        Ok(inside(self.variant, Value::List(self.values)))
    }
}

impl Map {
    fn new(variant: Option<&'static str>) -> Map {
        Map { variant, entries: BTreeMap::new(), name: String::new() }
    }

    fn insert<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), ValueError> {
        match Value::of(value) {
            Ok(value) => {
                self.entries.insert(name, value);
                Ok(())
            }
            Err(error) => Err(error.within(Step::Key(name))),
        }
    }

    fn done(self) -> Written {
        Ok(inside(self.variant, Value::Map(self.entries)))
    }
}

fn inside(variant: Option<&'static str>, content: Value) -> Value {
    match variant {
        Some(variant) => Value::from([(variant, content)]),
        None => content,
    }
}

/// The methods that take what `Value::from` takes.
macro_rules! write_leaves {
    ($($method:ident: $type:ty)*) => {
        $(fn $method(self, value: $type) -> Written {
            Ok(value.into())
        })*
    };
}

impl Serializer for Writer {
    type Ok = Value;
    type Error = ValueError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Map;
    type SerializeStruct = Map;
    type SerializeStructVariant = Map;

    write_leaves! {
        serialize_bool: bool
        serialize_i8: i8 serialize_i16: i16 serialize_i32: i32 serialize_i64: i64
        serialize_i128: i128
        serialize_u8: u8 serialize_u16: u16 serialize_u32: u32 serialize_u64: u64
        serialize_u128: u128
        serialize_f32: f32 serialize_f64: f64 serialize_char: char serialize_str: &str
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        Ok(Value::Bytes(Bytes::from(bytes.to_vec())))
    }

    fn serialize_none(self) -> Written {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Written {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, of: &T) -> Written {
        of.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        of: &T,
    ) -> Written {
        let of = Value::of(of).map_err(|error| error.within(Step::Key(variant.into())))?;
        Ok(inside(Some(variant), of))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<List, ValueError> {
        // A `Serialize` may say anything.
        Ok(List::new(None, len.unwrap_or(0).min(1024)))
    }

    fn serialize_tuple(self, len: usize) -> Result<List, ValueError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List, ValueError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<List, ValueError> {
        Ok(List::new(Some(variant), len.min(1024)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map, ValueError> {
        Ok(Map::new(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Map, ValueError> {
        Ok(Map::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map, ValueError> {
        Ok(Map::new(Some(variant)))
    }
}

/// The five ways in which serde writes a list.
macro_rules! lists {
    ($($list:ident: $method:ident)*) => {
        $(impl $list for List {
            type Ok = Value;
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.push(value)
            }

            fn end(self) -> Written {
                self.done()
            }
        })*
    };
}

lists! {
    SerializeSeq: serialize_element
    SerializeTuple: serialize_element
    SerializeTupleStruct: serialize_field
    SerializeTupleVariant: serialize_field
}

macro_rules! structs {
    ($($of:ident)*) => {
        $(impl $of for Map {
            type Ok = Value;
            type Error = ValueError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), ValueError> {
                self.insert(name.to_owned(), value)
            }

            fn end(self) -> Written {
                self.done()
            }
        })*
    };
}

structs! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Map {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        self.name = key.serialize(Key)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let name = std::mem::take(&mut self.name);
        self.insert(name, value)
    }

    fn end(self) -> Written {
        self.done()
    }
}

/// Makes the name of an entry of what it is given.
struct Key;

fn no_key(what: impl Display) -> ValueError {
    ValueError::new(format_args!("{what} cannot be the key of a map; use a string or a number"))
}

macro_rules! keys {
    ($($method:ident: $type:ty)*) => {
        $(fn $method(self, value: $type) -> Result<String, ValueError> {
            Ok(value.to_string())
        })*
    };
}

/// What has no name.
macro_rules! no_keys {
    ($($method:ident($($of:ty),*): $what:literal -> $result:ty;)*) => {
        $(fn $method(self, $(_: $of),*) -> Result<$result, ValueError> {
            Err(no_key($what))
        })*
    };
}

type NoKey = Impossible<String, ValueError>;

impl Serializer for Key {
    type Ok = String;
    type Error = ValueError;
    type SerializeSeq = NoKey;
    type SerializeTuple = NoKey;
    type SerializeTupleStruct = NoKey;
    type SerializeTupleVariant = NoKey;
    type SerializeMap = NoKey;
    type SerializeStruct = NoKey;
    type SerializeStructVariant = NoKey;

    keys! {
        serialize_bool: bool
        serialize_i8: i8 serialize_i16: i16 serialize_i32: i32 serialize_i64: i64
        serialize_i128: i128
        serialize_u8: u8 serialize_u16: u16 serialize_u32: u32 serialize_u64: u64
        serialize_u128: u128
        serialize_char: char serialize_str: &str
    }

    no_keys! {
        serialize_f32(f32): "a number with a fraction" -> String;
        serialize_f64(f64): "a number with a fraction" -> String;
        serialize_bytes(&[u8]): "bytes" -> String;
        serialize_none(): "nothing" -> String;
        serialize_unit(): "nothing" -> String;
        serialize_unit_struct(&'static str): "nothing" -> String;
        serialize_seq(Option<usize>): "a list" -> NoKey;
        serialize_tuple(usize): "a tuple" -> NoKey;
        serialize_tuple_struct(&'static str, usize): "a tuple" -> NoKey;
        serialize_tuple_variant(&'static str, u32, &'static str, usize): "a variant" -> NoKey;
        serialize_map(Option<usize>): "a map" -> NoKey;
        serialize_struct(&'static str, usize): "a struct" -> NoKey;
        serialize_struct_variant(&'static str, u32, &'static str, usize): "a variant" -> NoKey;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, ValueError> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<String, ValueError> {
        Ok(variant.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        of: &T,
    ) -> Result<String, ValueError> {
        of.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, ValueError> {
        Err(no_key("a variant with content"))
    }
}
