//! Values from what a program has at hand, and compared with it.

use super::Value;
use crate::action::Bytes;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

/// Whole numbers are one kind of value, whatever their type.
macro_rules! from_integers {
    ($($integer:ty)*) => {
        $(impl From<$integer> for Value {
            fn from(number: $integer) -> Value {
                match i128::try_from(number) {
                    Ok(number) => Value::Int(number),
                    // Nothing but a `u128` can be too large.
                    Err(_) => Value::Big(number as u128),
                }
            }
        }

        impl PartialEq<$integer> for Value {
            fn eq(&self, other: &$integer) -> bool {
                match (self, i128::try_from(*other)) {
                    (Value::Int(number), Ok(other)) => *number == other,
                    (Value::Big(number), Err(_)) => *number == *other as u128,
                    _ => false,
                }
            }
        })*
    };
}

from_integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

macro_rules! from_others {
    ($($from:ty: $value:ident => $made:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Value {
                $made
            }
        })*
    };
}

from_others! {
    (): _nothing => Value::Null;
    bool: value => Value::Bool(value);
    f32: number => Value::Float(number.into());
    f64: number => Value::Float(number);
    char: letter => Value::Text(letter.into());
    &str: text => Value::Text(text.into());
    String: text => Value::Text(text);
    Cow<'_, str>: text => Value::Text(text.into_owned());
    Bytes: bytes => Value::Bytes(bytes);
}

/// `Null` for `None`.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Value {
        option.map_or(Value::Null, Into::into)
    }
}

/// A list, also of a `Vec<u8>`: bytes come from [`Bytes`].
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        values.into_iter().collect()
    }
}

impl<T: Into<Value> + Clone> From<&[T]> for Value {
    fn from(values: &[T]) -> Value {
        values.iter().cloned().collect()
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(values: [T; N]) -> Value {
        values.into_iter().collect()
    }
}

/// A map: `Value::from([("sku", "ab-1"), ("note", "fragile")])`.
impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Value {
    fn from(entries: [(K, V); N]) -> Value {
        entries.into_iter().collect()
    }
}

impl<V: Into<Value>> From<BTreeMap<String, V>> for Value {
    fn from(entries: BTreeMap<String, V>) -> Value {
        entries.into_iter().collect()
    }
}

impl<V: Into<Value>, S> From<HashMap<String, V, S>> for Value {
    fn from(entries: HashMap<String, V, S>) -> Value {
        entries.into_iter().collect()
    }
}

/// A list of them.
impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

/// A map; of several values with one name the last one stays.
impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Value {
        let entries = entries.into_iter().map(|(name, value)| (name.into(), value.into()));
        Value::Map(entries.collect())
    }
}

impl PartialEq<bool> for Value {
    fn eq(&self, other: &bool) -> bool {
        self.as_bool() == Some(*other)
    }
}

impl PartialEq<f64> for Value {
    fn eq(&self, other: &f64) -> bool {
        matches!(self, Value::Float(number) if number == other)
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == Some(*other)
    }
}

impl PartialEq<String> for Value {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == Some(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_value_whatever_type_it_had() {
        for five in [Value::from(5_u8), 5_i128.into(), 5_u128.into(), 5_usize.into()] {
            assert_eq!(five, Value::Int(5));
            assert_eq!(five, 5);
            assert_eq!(five, 5_u64);
            assert_ne!(five, 5.0);
        }
        assert_eq!(Value::from(u128::MAX), Value::Big(u128::MAX));
        assert_eq!(Value::from(u128::MAX), u128::MAX);
        assert_ne!(Value::from(u128::MAX), -1);
    }

    #[test]
    fn lists_are_lists_and_pairs_are_maps() {
        let list = Value::List(vec![1.into(), 2.into()]);
        assert_eq!(Value::from([1, 2]), list);
        assert_eq!(Value::from(vec![1, 2]), list);
        assert_eq!(Value::from([1, 2].as_slice()), list);
        let map = Value::Map(BTreeMap::from([("a".to_owned(), 1.into())]));
        assert_eq!(Value::from([("a", 1)]), map);
        assert_eq!(Value::from(HashMap::from([("a".to_owned(), 1)])), map);
        assert_eq!([("a", 0), ("a", 1)].into_iter().collect::<Value>(), map);
        assert_eq!(Value::from(vec![Some("x"), None]).to_string(), r#"["x",null]"#);
    }
}
