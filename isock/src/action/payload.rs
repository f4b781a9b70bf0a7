//! What can travel.

use super::Bytes;
use crate::{
    shape::{Learnt, RoundtripError, Samples, Tracer},
    wire::{
        guard::{self, Ceiling},
        Block, DecodeError, DecodeLimits, EncodeError, Encoder,
    },
};
use serde::{de::DeserializeOwned, Serialize};
use std::any::Any;

/// A type that can be sent and received: every owned type with serde's two derives.
// No supertraits, and the blanket impl not recommended: else the compiler's help for a missing
// serde derive names traits that the user never wrote.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel in an action",
    label = "derive serde's `Serialize` and `Deserialize`"
)]
pub trait Payload: Sized + Send + 'static {
    #[doc(hidden)]
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError>;
    #[doc(hidden)]
    fn decode(
        bytes: &[u8],
        limits: DecodeLimits,
        ceiling: Option<Ceiling>,
    ) -> Result<Self, DecodeError>;
    /// The same of a message that needs no guard.
    #[doc(hidden)]
    fn decode_plain(bytes: &[u8]) -> Result<Self, DecodeError>;
    /// The same of a message that nobody else needs.
    #[doc(hidden)]
    fn decode_owned(
        bytes: Block,
        limits: DecodeLimits,
        ceiling: Option<Ceiling>,
    ) -> Result<Self, DecodeError>;
    #[doc(hidden)]
    fn learn(samples: &Samples) -> Result<Learnt, RoundtripError>;
    #[doc(hidden)]
    fn check(samples: &Samples) -> Result<Learnt, RoundtripError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        match (self as &dyn Any).downcast_ref::<Bytes>() {
            Some(bytes) => bytes.push_to(out),
            None => out.push(self),
        }
    }

    fn decode(
        bytes: &[u8],
        limits: DecodeLimits,
        ceiling: Option<Ceiling>,
    ) -> Result<T, DecodeError> {
        guard::decode_below(bytes, limits, ceiling)
    }

    #[inline]
    fn decode_plain(bytes: &[u8]) -> Result<T, DecodeError> {
        guard::decode_unguarded(bytes)
    }

    fn decode_owned(
        bytes: Block,
        limits: DecodeLimits,
        ceiling: Option<Ceiling>,
    ) -> Result<T, DecodeError> {
        match Bytes::in_place::<T>(bytes) {
            Ok(value) => Ok(value),
            Err(bytes) => guard::decode_below(&bytes, limits, ceiling),
        }
    }

    fn learn(samples: &Samples) -> Result<Learnt, RoundtripError> {
        // What `Serialize` writes is checked where tests run; shipped programs start sooner.
        if cfg!(debug_assertions) {
            Self::check(samples)
        } else {
            Ok(Tracer::with_samples(samples.clone()).trace::<T>()?)
        }
    }

    fn check(samples: &Samples) -> Result<Learnt, RoundtripError> {
        Tracer::with_samples(samples.clone()).check_roundtrip::<T>()
    }
}
