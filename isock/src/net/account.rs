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

/// Bytes of one thread that come and go all the time: what it counts for itself is on the account from
/// when it settles, and after so many at once.
#[derive(Debug)]
pub(crate) struct Tally {
    held: usize,
    settled: Charge,
}

/// Bytes that may come before they are on the account.
const UNSETTLED: usize = 64 * 1024;

impl Account {
    pub(crate) fn new(most: usize) -> Account {
        Account(Arc::new(Inner { held: AtomicUsize::new(0), most }))
    }

    /// Puts bytes on the account.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
        Charge { account: self.clone(), bytes }
    }

    /// The charge for bytes that are on the account already.
    pub(crate) fn take_over(&self, bytes: usize) -> Charge {
        Charge { account: self.clone(), bytes }
    }

    /// Whether more is held than may be.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.is_overdrawn_with(0)
    }

    /// The same with so many bytes more.
    fn is_overdrawn_with(&self, bytes: usize) -> bool {
        self.0.held.load(Ordering::Relaxed).saturating_add(bytes) > self.0.most
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

    /// Another one on the same account, for nothing yet.
    pub(super) fn sibling(&self) -> Charge {
        self.account.charge(0)
    }
}

impl Tally {
    pub(crate) fn new(account: &Account) -> Tally {
        Tally { held: 0, settled: account.charge(0) }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.settled.account
    }

    /// So many bytes come.
    #[inline]
    pub(crate) fn more(&mut self, bytes: usize) {
        self.held += bytes;
        if self.unsettled() >= UNSETTLED {
            self.settle();
        }
    }

    /// So many go.
    #[inline]
    pub(crate) fn less(&mut self, bytes: usize) {
        self.held -= bytes;
    }

    /// So many go to somebody else, who takes them over as they are on the account.
    pub(crate) fn hand_over(&mut self, bytes: usize) {
        self.settle();
        self.held -= bytes;
        self.settled.bytes -= bytes;
    }

    /// Puts all on the account, and what has gone off it.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.held != self.settled.bytes {
            self.settled.set(self.held);
        }
    }

    /// Takes off the account what has gone. What has come need not be there yet.
    #[inline]
    pub(crate) fn relieve(&mut self) {
        if self.held < self.settled.bytes {
            self.settle();
        }
    }

    /// Whether more is held than may be, by anybody.
    #[inline]
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.account().is_overdrawn_with(self.unsettled())
    }

    fn unsettled(&self) -> usize {
        self.held.saturating_sub(self.settled.bytes)
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

    #[test]
    fn what_a_thread_counts_for_itself_is_held_at_once_and_on_the_account_when_it_settles() {
        let account = Account::new(10);
        let mut tally = Tally::new(&account);
        tally.more(11);
        assert!(tally.is_overdrawn() && !account.is_overdrawn());
        tally.settle();
        assert_eq!(account.held(), 11);
        tally.less(11);
        assert_eq!(account.held(), 11);
        tally.settle();
        assert_eq!(account.held(), 0);
        tally.more(UNSETTLED);
        assert_eq!(account.held(), UNSETTLED, "so many do not wait");
        tally.more(1);
        tally.relieve();
        assert_eq!(account.held(), UNSETTLED, "what has come may wait");
        tally.less(2);
        tally.relieve();
        assert_eq!(account.held(), UNSETTLED - 1, "what has gone does not");
        drop(tally);
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn what_is_handed_over_stays_on_the_account_for_as_long_as_somebody_has_it() {
        let account = Account::new(10);
        let mut tally = Tally::new(&account);
        tally.more(3);
        tally.more(4);
        tally.hand_over(4);
        let other = account.take_over(4);
        assert_eq!(account.held(), 7);
        drop(tally);
        assert_eq!(account.held(), 4);
        drop(other);
        assert_eq!(account.held(), 0);
    }
}
