//! What is set once. That of the standard library would stop the one thread of the system that all
//! threads of a model are, and says nothing to `loom` of who sees what.

use crate::atomic::{AtomicBool, Ordering};
use loom::sync::Mutex;
use std::fmt;

/// See [`std::sync::OnceLock`].
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicBool,
    /// Held by whoever sets it.
    setting: Mutex<()>,
}

impl<T> OnceLock<T> {
    /// One that is not set.
    #[allow(clippy::new_without_default, reason = "below")]
    pub fn new() -> OnceLock<T> {
        let (is_set, setting) = (AtomicBool::new(false), Mutex::new(()));
        OnceLock { value: std::sync::OnceLock::new(), is_set, setting }
    }

    /// See [`std::sync::OnceLock::get`].
    pub fn get(&self) -> Option<&T> {
        self.is_set.load(Ordering::Acquire).then(|| self.value.get()).flatten()
    }

    /// See [`std::sync::OnceLock::set`].
    ///
    /// # Errors
    /// If it has been set.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock().unwrap();
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }

    /// See [`std::sync::OnceLock::get_or_init`].
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _setting = self.setting.lock().unwrap();
        let value = self.value.get_or_init(init);
        self.is_set.store(true, Ordering::Release);
        value
    }

    /// See [`std::sync::OnceLock::into_inner`].
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
