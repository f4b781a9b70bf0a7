//! postcard in, postcard out, within bounds.

use serde::{Deserialize, Serialize};

/// Bytes that are no value of the type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

/// A value that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoded value is longer than the limit, in bytes.
    #[error("longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The type's own `Serialize` failed, or asks for what postcard cannot carry.
    #[error("not encodable: {0}")]
    Unsupported(String),
}

/// Collects encoded bytes up to a limit.
#[derive(Debug)]
pub struct Encoder {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Encoder {
    /// An empty encoder that takes at most `limit` bytes.
    pub fn new(limit: usize) -> Encoder {
        Encoder { bytes: Vec::new(), limit, full: false }
    }

    /// Appends `value`.
    ///
    /// # Errors
    /// If it would pass the limit or postcard cannot carry it; what had been appended stays.
    pub fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let result = postcard::serialize_with_flavor(value, Sink(self));
        result.map_err(|error| match self.full {
            true => EncodeError::TooLarge { limit: self.limit },
            false => EncodeError::Unsupported(error.to_string()),
        })
    }

    /// What has been collected.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Drops what has been collected, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.full = false;
    }

    fn append(&mut self, data: &[u8]) -> postcard::Result<()> {
        if data.len() > self.limit - self.bytes.len() {
            self.full = true;
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

struct Sink<'e>(&'e mut Encoder);

impl postcard::ser_flavors::Flavor for Sink<'_> {
    type Output = ();

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.append(&[data])
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.append(data)
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Decodes one value that must take all of `bytes`.
///
/// # Errors
/// If the bytes are no value of the type, or some are left over.
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError(format!("{} bytes left over", rest.len()))),
        Err(error) => Err(DecodeError(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_exact() {
        let mut encoder = Encoder::new(3);
        assert_eq!(encoder.push("ab"), Ok(()));
        encoder.clear();
        assert_eq!(encoder.push("abc"), Err(EncodeError::TooLarge { limit: 3 }));
    }

    #[test]
    fn left_over_bytes_are_refused() {
        assert_eq!(decode::<u8>(&[1, 2]), Err(DecodeError("1 bytes left over".into())));
    }
}
