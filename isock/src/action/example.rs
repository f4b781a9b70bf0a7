//! Values of an action's types, as its attribute states them.

use super::SendAs;
use crate::{shape::Samples, wire::Encoder};

/// Samples, as an attribute states them: one, or an array.
pub fn samples(stated: impl Into<Samples>) -> Samples {
    stated.into()
}

/// An example of a `T`, written as a caller may write it: `"a"` for a `String`.
pub fn example<T>(value: impl SendAs<T>) -> Samples {
    let mut encoder = Encoder::new(u32::MAX as usize);
    let encoded = value.encode(&mut encoder).map(|()| encoder.into_bytes());
    Samples::new().with_encoded::<T>(encoded.map_err(|error| error.to_string()))
}
