//! Values to postcard, within bounds. The other direction is the `guard`.

use serde::Serialize;

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
}
