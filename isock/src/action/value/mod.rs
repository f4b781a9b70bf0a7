//! Data whose form is known at run time only.
//!
//! Knows serde's data model. Does not know actions or frames. Left to the parts: `travel` is what a
//! value looks like on the wire, `write` and `read` turn a user's types into one and back, `from`
//! takes what a program has at hand, `text` is for people.

mod error;
mod from;
mod read;
mod text;
mod travel;
mod write;

pub use error::ValueError;

use super::Bytes;
use serde::{de::Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Index};

/// Data shaped at run time: what JSON can say, with whole numbers of up to 128 bits and bytes
/// beside it.
///
/// An action with it as input or output needs no type of its own, and an action that is known by
/// name only has no other: see [`Registration::named`](crate::Registration::named). It travels as
/// an ordinary enum, some two bytes larger for each value inside than a type that both sides have.
///
/// ```
/// use isock::{Action, Server, Value};
///
/// /// Says which fields a form has.
/// #[derive(Action)]
/// #[action(input = Value, output = Value)]
/// struct Fields;
///
/// let server = Server::in_memory()
///     .on::<Fields>(|form, _cx| Ok(form.entries().map(|(name, _)| name).collect()))
///     .spawn()?;
/// let form = Value::from([("name", "Ada"), ("city", "London")]);
/// let fields = server.client().run::<Fields>(form)?;
/// assert_eq!(fields[0], "city");
/// assert_eq!(fields.to_string(), r#"["city","name"]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A type with serde's derives becomes one with [`Value::of`] and is read out of one with
/// [`Value::to`]. A format that describes itself, such as JSON, writes and reads a `Value` as plain
/// data, so that `serde_json::from_str::<Value>(text)` is what it says.
///
/// A value from a peer is nested at most 64 deep, half of
/// [`Limits::decode_depth`](crate::Limits::decode_depth), and takes no more memory than decoding
/// may. A list of more than some 32 thousand values of a byte or two each needs
/// `#[action(decode_budget = …)]`, since each takes 32 bytes here.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing; also an option that is `None`.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number, whatever the type that it came from.
    Int(i128),
    /// A whole number above [`i128::MAX`]; smaller ones are [`Int`](Value::Int), which
    /// `Value::from` sees to.
    Big(u128),
    /// A number with a fraction. Equal as numbers are, so that NaN equals nothing.
    Float(f64),
    /// A text.
    // Not `String`: the compiler would write `std::string::String` in every message of a program
    // that uses isock.
    Text(String),
    /// Bytes.
    Bytes(Bytes),
    /// Values in their order.
    List(Vec<Value>),
    /// Values by name, in the order of their names.
    Map(BTreeMap<String, Value>),
}

/// What an index finds where there is nothing.
static NULL: Value = Value::Null;

impl Value {
    /// What `data` says, by the rules of JSON: structs become maps, a unit variant its name, other
    /// variants a map of one entry, and `None` becomes `Null`.
    ///
    /// ```
    /// use isock::Value;
    /// use serde::Serialize;
    ///
    /// #[derive(Serialize)]
    /// struct Order { sku: &'static str, quantity: u32 }
    ///
    /// let value = Value::of(&Order { sku: "ab-1", quantity: 3 })?;
    /// assert_eq!(value.to_string(), r#"{"quantity":3,"sku":"ab-1"}"#);
    /// # Ok::<(), isock::ValueError>(())
    /// ```
    ///
    /// # Errors
    /// If a key of a map is neither a text, a number, a bool nor a unit variant, or the type's own
    /// `Serialize` fails.
    pub fn of<T: Serialize + ?Sized>(data: &T) -> Result<Value, ValueError> {
        data.serialize(write::Writer)
    }

    /// The value as a `T`, by serde's rules: `default`, `alias`, `untagged` and `flatten` work as
    /// they do with JSON.
    ///
    /// ```
    /// use isock::Value;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Order { sku: String, #[serde(default)] quantity: u32 }
    ///
    /// let order: Order = Value::from([("sku", "ab-1")]).to()?;
    /// assert_eq!((order.sku.as_str(), order.quantity), ("ab-1", 0));
    ///
    /// let error = Value::from([("sku", 5)]).to::<Order>().err().unwrap();
    /// assert_eq!(error.to_string(), "`sku`: invalid type: integer `5`, expected a string");
    /// # Ok::<(), isock::ValueError>(())
    /// ```
    ///
    /// # Errors
    /// With the path of what is no part of a `T`, and why.
    pub fn to<'v, T: Deserialize<'v>>(&'v self) -> Result<T, ValueError> {
        T::deserialize(read::Reader(self))
    }

    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The bool, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The whole number, if it is one and fits.
    ///
    /// ```
    /// assert_eq!(isock::Value::from(-4).as_i64(), Some(-4));
    /// assert_eq!(isock::Value::from(u64::MAX).as_i64(), None);
    /// ```
    pub fn as_i64(&self) -> Option<i64> {
        self.as_i128()?.try_into().ok()
    }

    /// The whole number, if it is one, fits and is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_i128()?.try_into().ok()
    }

    /// The whole number, if it is one and fits.
    pub fn as_i128(&self) -> Option<i128> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Big(number) => (*number).try_into().ok(),
            _ => None,
        }
    }

    /// The number, a whole one rounded to the nearest that an `f64` can say.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Big(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if it is bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The values of a list, if it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    /// The values by name, if it is a map.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of that name, if it is a map that has it. `value["name"]` gives `Null` where this
    /// gives nothing.
    ///
    /// ```
    /// let value = isock::Value::from([("sku", "ab-1")]);
    /// assert_eq!(value.get("sku").and_then(|sku| sku.as_str()), Some("ab-1"));
    /// assert!(value["note"]["author"].is_null());
    /// ```
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// The values of a list; none of anything else.
    pub fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.as_list().unwrap_or_default().iter()
    }

    /// The names and values of a map, in the order of the names; none of anything else.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.as_map().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }

    /// What kind of value it is, for people.
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Int(_) | Value::Big(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// The value of that name; `Null` if there is none, or it is no map.
impl Index<&str> for Value {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NULL)
    }
}

/// The value at that place; `Null` if the list ends before, or it is no list.
impl Index<usize> for Value {
    type Output = Value;

    fn index(&self, place: usize) -> &Value {
        self.as_list().and_then(|values| values.get(place)).unwrap_or(&NULL)
    }
}

impl<'v> IntoIterator for &'v Value {
    type Item = &'v Value;
    type IntoIter = std::slice::Iter<'v, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_null_to_an_index_and_nothing_to_get() {
        let value = Value::from([("list", vec![1, 2])]);
        assert_eq!(value["list"][1], 2);
        for absent in [&value["list"][2], &value["none"], &value["none"]["deeper"], &value[0]] {
            assert!(absent.is_null());
        }
        assert_eq!(value.get("none"), None);
        assert_eq!(value.get("list").map(|list| list.iter().count()), Some(2));
        assert_eq!(value.iter().count(), 0);
        assert_eq!(value["list"].entries().count(), 0);
    }

    #[test]
    fn a_number_is_given_only_where_it_fits() {
        let number = Value::from(u128::from(u64::MAX));
        assert_eq!((number.as_i64(), number.as_u64()), (None, Some(u64::MAX)));
        assert_eq!((Value::from(-1).as_i64(), Value::from(-1).as_u64()), (Some(-1), None));
        assert_eq!(Value::from(u128::MAX).as_i128(), None);
        assert_eq!((Value::from(2).as_f64(), Value::from(2.5).as_i64()), (Some(2.0), None));
    }
}
