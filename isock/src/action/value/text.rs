//! Values as text for people.

use super::Value;
use std::fmt::{self, Display, Formatter, Write};

/// As JSON, in one line. What JSON has no word for is `0x00ff` for bytes, `NaN` and `inf`. Nothing
/// that a terminal would act on is left in texts.
impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Big(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number:?}"),
            Value::Text(text) => quoted(text, f),
            Value::Bytes(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Value::List(values) => {
                f.write_char('[')?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", comma(at))?;
                }
                f.write_char(']')
            }
            Value::Map(entries) => {
                f.write_char('{')?;
                for (at, (name, value)) in entries.iter().enumerate() {
                    f.write_str(comma(at))?;
                    quoted(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

/// What stands before the part at that place.
fn comma(at: usize) -> &'static str {
    if at == 0 {
        ""
    } else {
        ","
    }
}

/// With JSON's escapes, also for letters that turn the text around them.
fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            // All of these have one unit in UTF-16, which is what JSON counts.
            _ if !crate::action::plain::is_harmless(letter) => {
                write!(f, "\\u{:04x}", u32::from(letter))?;
            }
            _ => f.write_char(letter)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Bytes;

    #[test]
    fn a_value_reads_as_json() {
        let list: Value = [
            Value::Null,
            true.into(),
            (-7).into(),
            u128::MAX.into(),
            1.0.into(),
            f64::NAN.into(),
            Bytes::from(vec![0, 255]).into(),
        ]
        .into();
        let value = Value::from([("list", list), ("text\u{1b}", "a\"\\\n\u{202e}é".into())]);
        let text =
            "{\"list\":[null,true,-7,340282366920938463463374607431768211455,1.0,NaN,0x00ff],\
                    \"text\\u001b\":\"a\\\"\\\\\\n\\u202eé\"}";
        assert_eq!(value.to_string(), text);
    }
}
