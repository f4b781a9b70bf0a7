//! The bytes: what every frame looks like, field by field.
//!
//! Knows layouts and numbers, as `PROTOCOL.md` states them. Does not know connections, time or
//! sockets: everything here is a pure function from values to bytes and back.

mod block;
mod call;
mod close;
mod codec;
mod frame;
#[cfg(test)]
mod golden;
pub mod guard;
mod hash;
mod items;
mod metadata;
mod number;
mod preface;
mod refusal;
mod serializer;
mod settings;
mod shared;
mod short;
pub mod spare;

pub use block::Block;
pub use call::{CallHead, Total, LEAST_WORDS, STEP_MICROS};
pub(crate) use close::printable;
pub use close::{Close, CloseCode, MAX_CLOSE_TEXT};
pub use codec::{EncodeError, Encoder};
pub use frame::{BadFrame, Flags, FrameKind, Header, CODEC_POSTCARD, HEADER_LEN, WORD_LEN};
pub use guard::{DecodeError, DecodeLimits};
pub use hash::name_hash;
pub use items::{items, Credit, ItemBatch, ItemsIn, ITEM_LEN, MAX_CREDIT};
pub use metadata::{ChainStep, Metadata, MAX_CHAIN, MAX_METADATA, MAX_OWN_METADATA};
pub use preface::{
    BadPreface, ConnectionToken, Features, Hello, InstanceId, PeerKind, Welcome, HELLO_LEN, MAGIC,
    MAX_PREFACE_LEN, VERSION, WELCOME_LEN,
};
pub use refusal::{Ran, Refusal, RefusalCode, MAX_REFUSAL_TEXT};
pub use settings::Settings;
pub use shared::{Keeper, Shared, WORTH_SHARING};

/// Calls a peer accepts before its own preface has been read, whatever it grants later.
pub const INITIAL_SLOTS: u16 = 16;
/// The longest message, in bytes, that may be sent before the peer's own preface has been read.
pub const INITIAL_MESSAGE: usize = 64 * 1024;

/// The longest payload of one frame that this build sends and accepts, in bytes.
pub const FRAGMENT: usize = 256 * 1024;

/// Reads a little-endian `u16` at `at`; the caller has checked the length.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a little-endian `u32` at `at`; the caller has checked the length.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a little-endian `u64` at `at`; the caller has checked the length.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
