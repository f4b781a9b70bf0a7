//! Connections that this thread has left calls behind on.
//!
//! Who drives several connections waits on one of them while its calls to the others are still
//! corked. It starts nothing as long as it waits, so nothing is left to wait for there: before it
//! does, they leave. Does not know when they would otherwise; that is the `corker`'s.

use super::link::Link;
use std::{
    cell::RefCell,
    mem, ptr,
    sync::{Arc, Weak},
};

/// Connections that a thread keeps in mind; on further ones calls leave by the corker's time.
const MOST: usize = 64;

thread_local! {
    static BEHIND: RefCell<Vec<Weak<Link>>> = const { RefCell::new(Vec::new()) };
}

/// A call of this thread stays behind, the first one on its connection.
pub(super) fn note(link: &Arc<Link>) {
    // At the end of its thread nothing is kept.
    let _ = BEHIND.try_with(|behind| {
        let mut behind = behind.borrow_mut();
        let known = |left: &Weak<Link>| ptr::eq(left.as_ptr(), Arc::as_ptr(link));
        if behind.len() < MOST && !behind.iter().any(known) {
            behind.push(Arc::downgrade(link));
        }
    });
}

/// This thread is about to wait on one of them: what stays behind on the others leaves.
pub(super) fn leave_all_but(here: &Link) {
    let _ = BEHIND.try_with(|behind| {
        if behind.borrow().is_empty() {
            return;
        }
        // Not while it is borrowed: whoever is woken meanwhile may start a call.
        let mut left = mem::take(&mut *behind.borrow_mut());
        for link in left.drain(..).filter(|link| !ptr::eq(link.as_ptr(), here)) {
            if let Some(link) = link.upgrade() {
                link.uncork_in_passing();
            }
        }
        let mut behind = behind.borrow_mut();
        if behind.is_empty() {
            *behind = left;
        }
    });
}
