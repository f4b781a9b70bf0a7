//! A time with its unit.

use crate::errors::Errors;
use syn::LitStr;

/// The units, and how many milliseconds each has.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000)];

/// The milliseconds that were written; `None` for what is no time, which is noted.
pub(crate) fn millis(written: &LitStr, errors: &mut Errors) -> Option<u64> {
    let millis = parse(&written.value());
    millis.map_err(|flaw| errors.at(written, flaw)).ok()
}

/// Reads a whole number and a unit; else says what is wrong.
fn parse(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let (false, Some((_, each))) = (number.is_empty(), unit) else {
        return Err(format!(
            "`{text}` is no time: write a whole number and `ms`, `s`, `min` or `h`"
        ));
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*each)) {
        Some(0) => Err("no call ends within no time: write a longer one".to_owned()),
        Some(millis) => Ok(millis),
        None => Err(format!("`{text}` is too long: write a shorter time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_and_a_unit() {
        for (text, millis) in [
            ("1ms", 1),
            ("250 ms", 250),
            ("5s", 5_000),
            ("2min", 120_000),
            ("1 h", 3_600_000),
            ("007s", 7_000),
        ] {
            assert_eq!(parse(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_how_to_write_one() {
        for (text, flaw) in [
            ("", "`ms`, `s`, `min` or `h`"),
            ("5", "`ms`, `s`, `min` or `h`"),
            ("s", "`ms`, `s`, `min` or `h`"),
            ("5m", "`ms`, `s`, `min` or `h`"),
            ("1.5s", "`ms`, `s`, `min` or `h`"),
            ("-5s", "`ms`, `s`, `min` or `h`"),
            ("five s", "`ms`, `s`, `min` or `h`"),
            ("0s", "write a longer one"),
            ("99999999999999999999ms", "write a shorter time"),
            ("18446744073709551615h", "write a shorter time"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(flaw), "{text}: {error}");
        }
    }
}
