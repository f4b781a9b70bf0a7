//! What a server holds in memory for its connections, in one number.

use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Arc,
};

/// Bytes held, and how many may be.
#[derive(Clone, Debug)]
pub(crate) struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: AtomicUsize,
    most: usize,
}

/// Bytes that are on the account until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Account,
    bytes: usize,
}

impl Account {
    pub(crate) fn new(most: usize) -> Account {
        Account(Arc::new(Inner { held: AtomicUsize::new(0), most }))
    }

    /// Puts bytes on the account.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
        Charge { account: self.clone(), bytes }
    }

    /// Whether more is held than may be.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.0.held.load(Ordering::Relaxed) > self.0.most
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }
}

impl Charge {
    /// The charge is for this many bytes from now on.
    pub(super) fn set(&mut self, bytes: usize) {
        let held = &self.account.0.held;
        // Wrapping arithmetic: the difference may be negative, the sum never is.
        held.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what it is for over; nothing is left here.
    pub(crate) fn take(&mut self) -> Charge {
        let bytes = std::mem::take(&mut self.bytes);
        Charge { account: self.account.clone(), bytes }
    }

    /// Another one on the same account, for nothing yet.
    pub(super) fn sibling(&self) -> Charge {
        self.account.charge(0)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_come_and_go() {
        let account = Account::new(10);
        let mut first = account.charge(4);
        let second = account.charge(7);
        assert!(account.is_overdrawn());
        first.set(3);
        assert!(!account.is_overdrawn());
        drop((first, second));
        assert_eq!(account.held(), 0);
    }
}
