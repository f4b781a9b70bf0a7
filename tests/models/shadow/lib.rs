//! The standard library as the models have it: locks, threads and time that `loom` steers.
//!
//! Everything else is the real one. Time stands still until a model lets it [pass](std::time::pass), so a
//! wait that only its deadline ends is found as one that never ends.

pub mod atomic;
mod clock;
pub mod getrandom;
pub mod local;
pub mod mio;
mod once;
pub mod ready;
pub mod threads;

pub use clock::refuse_threads;

/// `std` with other threads, locks and clocks.
pub mod std {
    pub use ::std::*;

    /// As far as the library uses it.
    pub mod sync {
        pub use crate::atomic;
        pub use crate::clock::{Condvar, WaitTimeoutResult};
        pub use crate::once::OnceLock;
        pub use ::std::sync::*;
        pub use loom::sync::{Mutex, MutexGuard};

        /// A channel whose sender does not wait: the models never fill one.
        pub mod mpsc {
            pub use loom::sync::mpsc::{channel, Receiver, Sender};

            /// The same as [`channel`].
            pub fn sync_channel<T>(_room: usize) -> (Sender<T>, Receiver<T>) {
                channel()
            }
        }
    }

    /// As far as the library uses it.
    pub mod os {
        /// Descriptors.
        pub mod fd {
            use crate::ready::Ready;

            /// One that is open.
            #[derive(Clone, Copy, Debug)]
            pub struct BorrowedFd<'f>(pub(crate) &'f Ready);

            /// What has one.
            pub trait AsFd {
                /// It.
                fn as_fd(&self) -> BorrowedFd<'_>;
            }
        }

        /// Sockets of one system.
        pub mod unix {
            /// A pair of them.
            pub mod net {
                pub use crate::ready::UnixStream;
            }
        }
    }

    pub use crate::threads as thread;

    /// As far as the library uses it.
    pub mod time {
        pub use crate::clock::{let_pass, pass, until, until_at_rest, Instant};
        pub use ::std::time::Duration;
    }
}

/// Runs a model in every order of what its threads do, in which no more than `switches` times a
/// thread is stopped that could go on.
pub fn model(switches: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut all = loom::model::Builder::new();
    all.preemption_bound = Some(switches);
    all.max_branches = 10_000;
    all.check(move || {
        clock::reset();
        run();
    });
}
