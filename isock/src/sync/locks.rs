//! The locks that the state of this folder stands on.

pub(super) use std::sync::{
    atomic::{AtomicU8, Ordering},
    Mutex, MutexGuard,
};
