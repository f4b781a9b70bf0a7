//! A value as a user's data.

use super::{error::Step, Value, ValueError};
use serde::{
    de::{
        value::{BorrowedStrDeserializer, SeqDeserializer},
        DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess,
        VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};
use std::collections::btree_map;

/// Gives a value to whoever asks for a type.
pub(super) struct Reader<'v>(pub(super) &'v Value);

impl<'v> Deserializer<'v> for Reader<'v> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            // The narrowest type: most visitors take no 128 bits.
            Value::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) => visitor.visit_u64(number),
                _ => visitor.visit_i128(*number),
            },
            Value::Big(number) => visitor.visit_u128(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Value::List(values) => list(values, visitor),
            Value::Map(entries) => {
                let mut entries = Entries { left: entries.iter(), next: None };
                let made = visitor.visit_map(&mut entries)?;
                left_over(entries.left.len(), "an entry for each of its parts").map(|()| made)
            }
        }
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    /// Bytes are a list to who wants one: a `Vec<u8>` does.
    fn deserialize_seq<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Bytes(bytes) => {
                let mut numbers = SeqDeserializer::new(bytes.iter().copied());
                let made = visitor.visit_seq(&mut numbers)?;
                numbers.end().map(|()| made)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'v>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let (name, content) = match self.0 {
            Value::Text(name) => (name, None),
            Value::Map(entries) if entries.len() == 1 => {
                let (name, content) = entries.iter().next().expect("there is one");
                (name, Some(content))
            }
            other => {
                let expected = "the name of a variant, or a map of one entry";
                let why = format_args!("invalid type: {}, expected {expected}", other.kind());
                return Err(ValueError::new(why));
            }
        };
        let within = |error: ValueError| match content {
            Some(_) => error.within(Step::Key(name.clone())),
            None => error,
        };
        visitor.visit_enum(Variant { name, content }).map_err(within)
    }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'v>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct map struct identifier
    }
}

fn list<'v, V: Visitor<'v>>(values: &'v [Value], visitor: V) -> Result<V::Value, ValueError> {
    let mut elements = Elements { left: values.iter(), at: 0 };
    let made = visitor.visit_seq(&mut elements)?;
    match elements.left.len() {
        0 => Ok(made),
        _ => Err(ValueError::invalid_length(values.len(), &Fewer(elements.at))),
    }
}

/// A type that has read all its parts.
struct Fewer(usize);

impl Expected for Fewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} elements", self.0)
    }
}

fn left_over(left: usize, expected: &str) -> Result<(), ValueError> {
    match left {
        0 => Ok(()),
        _ => Err(ValueError::invalid_length(left, &expected)),
    }
}

struct Elements<'v> {
    left: std::slice::Iter<'v, Value>,
    at: usize,
}

impl<'v> SeqAccess<'v> for Elements<'v> {
    type Error = ValueError;

    fn next_element_seed<S: DeserializeSeed<'v>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ValueError> {
        let Some(value) = self.left.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        seed.deserialize(Reader(value)).map(Some).map_err(|error| error.within(Step::Place(at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

struct Entries<'v> {
    left: btree_map::Iter<'v, String, Value>,
    /// The entry whose name has been read.
    next: Option<(&'v String, &'v Value)>,
}

impl<'v> MapAccess<'v> for Entries<'v> {
    type Error = ValueError;

    fn next_key_seed<S: DeserializeSeed<'v>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ValueError> {
        self.next = self.left.next();
        let Some((name, _)) = self.next else { return Ok(None) };
        seed.deserialize(Name(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<S::Value, ValueError> {
        let Some((name, value)) = self.next.take() else {
            return Err(ValueError::new("a value was asked for before its key"));
        };
        seed.deserialize(Reader(value)).map_err(|error| error.within(Step::Key(name.clone())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// The name of an entry: a text, or what `write` makes a text of.
struct Name<'v>(&'v str);

macro_rules! parsed {
    ($($method:ident: $visit:ident)*) => {
        $(fn $method<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, ValueError> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'v> Deserializer<'v> for Name<'v> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_bool: visit_bool
        deserialize_i8: visit_i64 deserialize_i16: visit_i64 deserialize_i32: visit_i64
        deserialize_i64: visit_i64 deserialize_i128: visit_i128
        deserialize_u8: visit_u64 deserialize_u16: visit_u64 deserialize_u32: visit_u64
        deserialize_u64: visit_u64 deserialize_u128: visit_u128
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_enum(Variant { name: self.0, content: None })
    }

    forward_to_deserialize_any! {
        <W: Visitor<'v>>
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant, and what it contains.
struct Variant<'v> {
    name: &'v str,
    content: Option<&'v Value>,
}

impl<'v> EnumAccess<'v> for Variant<'v> {
    type Error = ValueError;
    type Variant = Content<'v>;

    fn variant_seed<S: DeserializeSeed<'v>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content<'v>), ValueError> {
        let name: BorrowedStrDeserializer<'_, ValueError> = BorrowedStrDeserializer::new(self.name);
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

struct Content<'v>(Option<&'v Value>);

impl<'v> Content<'v> {
    fn expect(self, expected: &str) -> Result<Reader<'v>, ValueError> {
        let why =
            || ValueError::new(format_args!("invalid type: unit variant, expected {expected}"));
        self.0.map(Reader).ok_or_else(why)
    }
}

impl<'v> VariantAccess<'v> for Content<'v> {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        match self.0 {
            None | Some(Value::Null) => Ok(()),
            Some(other) => {
                let kind = other.kind();
                Err(ValueError::new(format_args!("invalid type: {kind}, expected unit variant")))
            }
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'v>>(self, seed: S) -> Result<S::Value, ValueError> {
        seed.deserialize(self.expect("newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value, ValueError> {
        self.expect("tuple variant")?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'v>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.expect("struct variant")?.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Bytes;
    use serde::{de::DeserializeOwned, Deserialize, Serialize};
    use std::{
        collections::{BTreeMap, BTreeSet},
        fmt::Debug,
        net::IpAddr,
        num::NonZeroU8,
        time::Duration,
    };

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Form {
        Unit,
        Newtype(u8),
        Tuple(i8, String),
        Struct { x: f32, y: Option<f64> },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Unit;

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    struct Wrapped(u16);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        id: u32,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Dot { at: (i32, i32) },
        None,
    }

    #[derive(Debug, Deserialize)]
    struct Order {
        #[allow(dead_code, reason = "it is only read")]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[allow(dead_code, reason = "it is only read")]
        qty: u8,
    }

    fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: T, text: &str) {
        let value = Value::of(&data).unwrap_or_else(|error| panic!("{data:?}: {error}"));
        assert_eq!(value.to_string(), text);
        assert_eq!(value.to::<T>(), Ok(data));
    }

    #[test]
    fn data_comes_back_as_it_was() {
        same((), "null");
        same(Unit, "null");
        same(Some(3), "3");
        same(None::<u8>, "null");
        same('é', "\"é\"");
        same(0.5_f32, "0.5");
        same((i64::MIN, u64::MAX, i128::MIN, u128::MAX), "[-9223372036854775808,18446744073709551615,-170141183460469231731687303715884105728,340282366920938463463374607431768211455]");
        same(vec![Wrapped(1)], "[1]");
        same(Bytes::from(vec![1, 2]), "0x0102");
        same(vec![1_u8, 2], "[1,2]");
        same(BTreeSet::from([1, 2]), "[1,2]");
        same(BTreeMap::from([(Wrapped(7), 'a')]), "{\"7\":\"a\"}");
        same(BTreeMap::from([(-1_i128, true)]), "{\"-1\":true}");
        same(BTreeMap::from([(false, ())]), "{\"false\":null}");
        same(IpAddr::from([127, 0, 0, 1]), "\"127.0.0.1\"");
        same(Duration::new(1, 2), "{\"nanos\":2,\"secs\":1}");
        same(Form::Unit, "\"Unit\"");
        same(Form::Newtype(9), "{\"Newtype\":9}");
        same(Form::Tuple(-1, "t".into()), "{\"Tuple\":[-1,\"t\"]}");
        same(Form::Struct { x: 1.0, y: None }, "{\"Struct\":{\"x\":1.0,\"y\":null}}");
        same(Flat { id: 1, rest: BTreeMap::from([("n".into(), 2.into())]) }, "{\"id\":1,\"n\":2}");
        same((Either::Number(1), Either::Text("a".into())), "[1,\"a\"]");
        same(
            (Tagged::Dot { at: (1, -2) }, Tagged::None),
            "[{\"at\":[1,-2],\"kind\":\"Dot\"},{\"kind\":\"None\"}]",
        );
        same(NonZeroU8::new(3), "3");
    }

    #[test]
    fn a_value_is_a_value_whichever_way_it_is_asked_for() {
        let numbers = [Value::Big(u128::MAX), i128::MIN.into(), u64::MAX.into(), 0.5.into()];
        let value = Value::from([
            ("numbers", Value::from(numbers)),
            ("bytes", Bytes::from(vec![0]).into()),
            ("nothing", Value::Null),
        ]);
        assert_eq!(Value::of(&value).as_ref(), Ok(&value));
        assert_eq!(value.to::<Value>().as_ref(), Ok(&value));
        assert_eq!(value["bytes"].to::<Vec<u8>>(), Ok(vec![0]));
        assert_eq!(Value::from([1, 2]).to::<Bytes>(), Ok(Bytes::from(vec![1, 2])));
        assert_eq!(Value::from("lent").to::<&str>(), Ok("lent"));
        assert_eq!(Value::from(3).to::<f32>(), Ok(3.0));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_path() {
        let item = |qty: Value| Value::from([("items", vec![Value::from([("qty", qty)])])]);
        let order = |value: Value| value.to::<Order>().map(drop);
        let extra = Value::from([("qty", 1), ("x", 2)]);
        let told: &[(Result<(), ValueError>, &str)] = &[
            (order(1.into()), "invalid type: integer `1`, expected struct Order"),
            (order(Value::from([("item", 1)])), "missing field `items`"),
            (order(item("x".into())), "`items[0].qty`: invalid type: string \"x\", expected u8"),
            (order(item(256.into())), "`items[0].qty`: invalid value: integer `256`, expected u8"),
            (
                order(Value::from([("items", vec![extra])])),
                "`items[0]`: unknown field `x`, expected `qty`",
            ),
            (
                Value::from([1, 2, 3]).to::<(u8, u8)>().map(drop),
                "invalid length 3, expected 2 elements",
            ),
            (
                Value::from([("Newtype", 256)]).to::<Form>().map(drop),
                "`Newtype`: invalid value: integer `256`, expected u8",
            ),
            (
                Value::from("Newtype").to::<Form>().map(drop),
                "invalid type: unit variant, expected newtype variant",
            ),
            (
                Value::from([1]).to::<Form>().map(drop),
                "invalid type: a list, expected the name of a variant, or a map of one entry",
            ),
            (
                Value::of(&BTreeMap::from([("a", BTreeMap::from([((), 1)]))])).map(drop),
                "`a`: nothing cannot be the key of a map; use a string or a number",
            ),
        ];
        for (result, text) in told {
            assert_eq!(result.as_ref().map_err(ToString::to_string), Err((*text).to_owned()));
        }
    }
}
