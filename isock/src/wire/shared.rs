//! Long bytes that several keep: who sends them, who sends them again, the program that they are from.
//!
//! They lie in the memory of a message, which serves another one once nobody keeps them, or with an owner
//! of whom nothing but the bytes is known.

use super::spare;
use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
    panic::RefUnwindSafe,
    sync::Arc,
};

/// Shorter bytes are copied, in bytes: that takes less than to share them.
pub const WORTH_SHARING: usize = 16 * 1024;

/// The memory of a message. Its bytes are those behind what the message has in front of them.
#[derive(Default)]
pub struct Block {
    message: Vec<u8>,
    start: usize,
}

/// Bytes that are not copied to be kept once more.
#[derive(Clone)]
pub struct Shared(Owner);

#[derive(Clone)]
enum Owner {
    Block(Arc<Block>),
    Keeper(Arc<dyn Keeper>),
}

/// An owner of bytes, which are always the same.
pub trait Keeper: Send + Sync + RefUnwindSafe {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

impl Block {
    /// The bytes of `message` from `start` on, which it has.
    pub fn new(message: Vec<u8>, start: usize) -> Block {
        debug_assert!(start <= message.len());
        Block { message, start }
    }

    /// The bytes alone, moved to where the message began.
    pub fn into_vec(mut self) -> Vec<u8> {
        let mut message = mem::take(&mut self.message);
        message.drain(..self.start);
        message
    }
}

impl Shared {
    /// The bytes of an owner.
    pub fn kept_by(keeper: Arc<dyn Keeper>) -> Shared {
        Shared(Owner::Keeper(keeper))
    }

    /// The bytes to be changed, if nobody else keeps them.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.0 {
            Owner::Block(block) => Arc::get_mut(block).map(|block| &mut **block),
            Owner::Keeper(_) => None,
        }
    }

    /// The bytes alone: copied if somebody else keeps them.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Owner::Block(block) => match Arc::try_unwrap(block) {
                Ok(block) => block.into_vec(),
                Err(block) => block.to_vec(),
            },
            Owner::Keeper(keeper) => keeper.bytes().to_vec(),
        }
    }
}

impl From<Block> for Shared {
    fn from(block: Block) -> Shared {
        Shared(Owner::Block(Arc::new(block)))
    }
}

impl From<Vec<u8>> for Block {
    fn from(bytes: Vec<u8>) -> Block {
        Block::new(bytes, 0)
    }
}

/// The memory of a long message serves the next one.
impl Drop for Block {
    fn drop(&mut self) {
        spare::give(mem::take(&mut self.message));
    }
}

impl Deref for Block {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.message[self.start..]
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.message[self.start..]
    }
}

impl Deref for Shared {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Owner::Block(block) => block,
            Owner::Keeper(keeper) => keeper.bytes(),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_changed_and_taken_where_they_are_unless_somebody_else_keeps_them() {
        let message = vec![7; WORTH_SHARING];
        let place = message[2..].as_ptr();
        let mut bytes = Shared::from(Block::new(message, 2));
        assert_eq!(bytes.as_ptr(), place);
        let other = bytes.clone();
        assert_eq!((bytes.get_mut(), other.as_ptr()), (None, place));
        assert_eq!(other.into_vec(), vec![7; WORTH_SHARING - 2]);
        bytes.get_mut().unwrap()[0] = 8;
        assert_eq!(bytes.as_ptr(), place);
        assert_eq!(bytes.into_vec()[..2], [8, 7]);
    }
}
