//! Who may block: a thread that holds an event loop gives it away first, and one that runs a hook
//! for others may not at all.
//!
//! Knows what the current thread is for. Does not know loops or calls.

use super::inherited::serving;
use std::{cell::RefCell, mem, sync::Arc};

/// Something that others need and that this thread holds.
pub(crate) trait GiveAway: Send + Sync {
    /// Lets another thread have it now.
    fn give_away(&self);
}

#[derive(Default)]
enum Stand {
    #[default]
    Free,
    /// It runs a handler while an event loop lies beside it.
    Holding(Arc<dyn GiveAway>),
    /// It runs code of the user's that others wait for.
    Hook,
}

thread_local! {
    static STAND: RefCell<Stand> = const { RefCell::new(Stand::Free) };
}

/// This thread would wait for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WouldDeadlock;

/// Takes note of what this thread is for until it is dropped.
pub(super) struct Standing(Stand);

impl Standing {
    /// This thread holds something that it gives away before it blocks.
    pub(super) fn holding(what: Arc<dyn GiveAway>) -> Standing {
        Standing(STAND.replace(Stand::Holding(what)))
    }

    fn hook() -> Standing {
        Standing(STAND.replace(Stand::Hook))
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        STAND.set(mem::take(&mut self.0));
    }
}

/// Runs code that must not block: a blocking call in it fails at once instead of waiting for
/// itself. It is not the caller's whom the thread serves, so it inherits nothing.
pub(crate) fn hook<T>(run: impl FnOnce() -> T) -> T {
    let _standing = Standing::hook();
    serving(None, run)
}

/// What every wait for a connection says first.
///
/// # Errors
/// In a hook.
pub(crate) fn about_to_block() -> Result<(), WouldDeadlock> {
    STAND.with_borrow(|stand| match stand {
        Stand::Free => Ok(()),
        Stand::Holding(what) => {
            what.give_away();
            Ok(())
        }
        Stand::Hook => Err(WouldDeadlock),
    })
}

/// Whether a call that waits would fail: said before it is sent.
pub(crate) fn may_block() -> Result<(), WouldDeadlock> {
    STAND.with_borrow(|stand| match stand {
        Stand::Hook => Err(WouldDeadlock),
        Stand::Free | Stand::Holding(_) => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Given(AtomicU32);

    impl GiveAway for Given {
        fn give_away(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_hook_may_not_block_and_a_holder_gives_away_first() {
        assert_eq!(about_to_block(), Ok(()));
        let given = Arc::new(Given::default());
        let standing = Standing::holding(Arc::clone(&given) as Arc<dyn GiveAway>);
        assert_eq!(hook(about_to_block), Err(WouldDeadlock));
        assert_eq!((hook(may_block), may_block()), (Err(WouldDeadlock), Ok(())));
        assert_eq!(given.0.load(Ordering::Relaxed), 0);
        assert_eq!(about_to_block(), Ok(()));
        assert_eq!(given.0.load(Ordering::Relaxed), 1);
        drop(standing);
        assert_eq!(about_to_block(), Ok(()));
        assert_eq!(given.0.load(Ordering::Relaxed), 1);
    }
}
