//! What a value looks like on the wire, and to formats that describe themselves.
//!
//! postcard cannot tell what comes next, so there a value is an enum like any other. The numbers of
//! its variants are those of the protocol's page.

use super::Value;
use crate::action::Bytes;
use serde::{
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
    ser::Serializer,
    Deserialize, Serialize,
};
use std::{collections::BTreeMap, fmt};

/// A value as it travels; the ones inside take the same way.
#[derive(Deserialize)]
#[serde(rename = "Value")]
enum Travelling {
    Null,
    Bool(bool),
    Int(i128),
    Big(u128),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl From<Travelling> for Value {
    fn from(value: Travelling) -> Value {
        match value {
            Travelling::Null => Value::Null,
            Travelling::Bool(value) => Value::Bool(value),
            Travelling::Int(number) => Value::Int(number),
            // A peer may have written a small one so.
            Travelling::Big(number) => number.into(),
            Travelling::Float(number) => Value::Float(number),
            Travelling::Text(text) => Value::Text(text),
            Travelling::Bytes(bytes) => Value::Bytes(bytes),
            Travelling::List(values) => Value::List(values),
            Travelling::Map(entries) => Value::Map(entries),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return self.describe(to);
        }
        match self {
            Value::Null => to.serialize_unit_variant("Value", 0, "Null"),
            Value::Bool(value) => to.serialize_newtype_variant("Value", 1, "Bool", value),
            Value::Int(number) => to.serialize_newtype_variant("Value", 2, "Int", number),
            Value::Big(number) => to.serialize_newtype_variant("Value", 3, "Big", number),
            Value::Float(number) => to.serialize_newtype_variant("Value", 4, "Float", number),
            Value::Text(text) => to.serialize_newtype_variant("Value", 5, "Text", text),
            Value::Bytes(bytes) => to.serialize_newtype_variant("Value", 6, "Bytes", bytes),
            Value::List(values) => to.serialize_newtype_variant("Value", 7, "List", values),
            Value::Map(entries) => to.serialize_newtype_variant("Value", 8, "Map", entries),
        }
    }
}

impl Value {
    /// Writes plain data, for a format that says itself what it has.
    fn describe<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => to.serialize_unit(),
            Value::Bool(value) => to.serialize_bool(*value),
            // The narrowest type: few formats take 128 bits.
            Value::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => to.serialize_i64(number),
                (_, Ok(number)) => to.serialize_u64(number),
                _ => to.serialize_i128(*number),
            },
            Value::Big(number) => to.serialize_u128(*number),
            Value::Float(number) => to.serialize_f64(*number),
            Value::Text(text) => to.serialize_str(text),
            Value::Bytes(bytes) => to.serialize_bytes(bytes),
            Value::List(values) => to.collect_seq(values),
            Value::Map(entries) => to.collect_map(entries),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        match from.is_human_readable() {
            true => from.deserialize_any(Described),
            false => Travelling::deserialize(from).map(Value::from),
        }
    }
}

/// Takes whatever a format says that it has.
struct Described;

/// The visits that `Value::from` has an answer to.
macro_rules! visits {
    ($($visit:ident: $type:ty)*) => {
        $(fn $visit<E>(self, value: $type) -> Result<Value, E> {
            Ok(value.into())
        })*
    };
}

impl<'de> Visitor<'de> for Described {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    visits! {
        visit_bool: bool
        visit_i64: i64 visit_i128: i128
        visit_u64: u64 visit_u128: u128
        visit_f64: f64
        visit_str: &str visit_string: String
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(Bytes::from(bytes.to_vec())))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(Bytes::from(bytes)))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Value::deserialize(from)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Value::deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            entries.insert(name, value);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        shape::{check_roundtrip, Shape},
        wire::{guard, DecodeError, DecodeLimits, Encoder},
    };

    fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
        guard::decode(bytes, DecodeLimits::for_len(bytes.len()))
    }

    fn encode(value: &Value) -> Vec<u8> {
        let mut encoder = Encoder::new(usize::MAX);
        encoder.push(value).expect("every value can be sent");
        encoder.into_bytes()
    }

    /// The bytes of so many lists or maps inside one another, the innermost one empty.
    fn nested(levels: usize, shell: &[u8], innermost: &[u8]) -> Vec<u8> {
        [&shell.repeat(levels - 1), innermost].concat()
    }

    #[test]
    fn p136_a_value_has_these_bytes() {
        let map = Value::from([("b", Value::Null), ("a", 1.into())]);
        let golden: &[(Value, &[u8])] = &[
            (Value::Null, &[0]),
            (true.into(), &[1, 1]),
            (0.into(), &[2, 0]),
            ((-1).into(), &[2, 1]),
            (300.into(), &[2, 0xd8, 0x04]),
            (u64::MAX.into(), &[2, 254, 255, 255, 255, 255, 255, 255, 255, 255, 3]),
            (1.5.into(), &[4, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f]),
            ("hi".into(), &[5, 2, b'h', b'i']),
            (Bytes::from(vec![7, 0]).into(), &[6, 2, 7, 0]),
            ([Value::Null, false.into()].into(), &[7, 2, 0, 1, 0]),
            (map, &[8, 2, 1, b'a', 2, 2, 1, b'b', 0]),
        ];
        for (value, bytes) in golden {
            assert_eq!(encode(value), *bytes, "{value}");
            assert_eq!(decode(bytes).as_ref(), Ok(value));
        }
        for big in [1 << 127, u128::MAX] {
            let bytes = encode(&big.into());
            assert_eq!((bytes[0], bytes.len()), (3, 20));
            assert_eq!(decode(&bytes), Ok(Value::Big(big)));
        }
    }

    #[test]
    fn p137_a_small_number_that_came_as_a_big_one_is_the_same_number() {
        assert_eq!(decode(&[3, 5]), Ok(Value::Int(5)));
    }

    #[test]
    fn p138_a_value_nested_deeper_than_64_is_refused() {
        let shells: [(&[u8], &[u8]); 2] = [(&[7, 1], &[7, 0]), (&[8, 1, 1, b'k'], &[8, 0])];
        for (shell, innermost) in shells {
            assert!(decode(&nested(64, shell, innermost)).is_ok());
            for levels in [65, 100_000] {
                let refused = decode(&nested(levels, shell, innermost));
                assert_eq!(refused, Err(DecodeError::TooDeep(128)), "{levels}");
            }
        }
    }

    #[test]
    fn hostile_values_are_refused_within_the_budget() {
        let mebibyte = [&[7, 0x80, 0x80, 0x40][..], &[0; 1 << 20]].concat();
        let over = |bytes: &[u8]| matches!(decode(bytes), Err(DecodeError::OverBudget { .. }));
        assert!(over(&mebibyte), "a mebibyte of nulls");
        let length_of_everything = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        for variant in [5, 6, 7, 8] {
            let bytes = [&[variant], &length_of_everything[..]].concat();
            assert!(decode(&bytes).is_err(), "variant {variant}");
        }
        let malformed: [&[u8]; 6] = [&[], &[9], &[1, 2], &[5, 1, 0xff], &[0, 0], &[2]];
        for bytes in malformed {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_list_of_thirty_thousand_small_values_needs_no_larger_budget() {
        for small in [Value::Null, true.into(), 1.into(), "".into()] {
            let list = Value::List(vec![small; 32_000]);
            assert_eq!(decode(&encode(&list)), Ok(list));
        }
    }

    #[test]
    fn p139_the_shape_of_a_value_stays_what_it_is() {
        let shape = Shape::of::<Value>().expect("a shape");
        assert_eq!(shape.hash(), 0x6bb5_25c1_ef33_b6ae);
        let text = "enum Value {\n    Null,\n    Bool(bool),\n    Int(i128),\n    Big(u128),\n    \
                    Float(f64),\n    Text(String),\n    Bytes(Bytes),\n    List(Vec<Value>),\n    \
                    Map(HashMap<String, Value>),\n}";
        assert_eq!(shape.to_string(), text);
        assert!(check_roundtrip::<Value>().is_ok());
    }
}
