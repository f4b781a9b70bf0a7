//! Long bytes that several keep: who sends them, who sends them again, the program that they are from.
//!
//! They lie in the memory of a message, which serves another one once nobody keeps them, or with an owner
//! of whom nothing but the bytes is known.

use super::Block;
use std::{fmt, ops::Deref, panic::RefUnwindSafe, sync::Arc};

/// Shorter bytes are copied, in bytes: that takes less than to share them.
pub const WORTH_SHARING: usize = 16 * 1024;

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

impl Shared {
    /// The bytes of an owner.
    pub fn kept_by(keeper: Arc<dyn Keeper>) -> Shared {
        Shared(Owner::Keeper(keeper))
    }

    /// Whether they have an owner of their own.
    #[inline]
    pub fn has_keeper(&self) -> bool {
        matches!(self.0, Owner::Keeper(_))
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
        let mut message = Block::from(vec![7; WORTH_SHARING]);
        message.skip(2);
        let place = message.as_ptr();
        let mut bytes = Shared::from(message);
        assert_eq!(bytes.as_ptr(), place);
        let other = bytes.clone();
        assert_eq!((bytes.get_mut(), other.as_ptr()), (None, place));
        assert_eq!(other.into_vec(), vec![7; WORTH_SHARING - 2]);
        bytes.get_mut().unwrap()[0] = 8;
        assert_eq!(bytes.as_ptr(), place);
        assert_eq!(bytes.into_vec()[..2], [8, 7]);
    }
}
