//! What handlers keep for a connection.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Values that belong to one connection, at most one of each type; they are dropped when the
/// connection has ended and nobody holds them any more.
///
/// ```
/// # use isock::{Action, Server};
/// # use std::sync::atomic::{AtomicU32, Ordering};
/// /// How often this connection has called.
/// #[derive(Action)]
/// #[action(output = u32)]
/// struct Count;
///
/// #[derive(Default)]
/// struct Calls(AtomicU32);
///
/// let server = Server::in_memory()
///     .on::<Count>(|(), cx| {
///         let calls = cx.session().get_or_default::<Calls>();
///         Ok(calls.0.fetch_add(1, Ordering::Relaxed) + 1)
///     })
///     .spawn()?;
/// let (a, b) = (server.client(), server.client());
/// assert_eq!((a.run::<Count>(())?, a.run::<Count>(())?, b.run::<Count>(())?), (1, 2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Session {
    // Most connections have none: the table is made with the first value.
    values: Mutex<Option<Box<Values>>>,
}

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

impl Session {
    /// The value of this type, if there is one.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let values = self.lock();
        let value = Arc::clone(values.as_ref()?.get(&TypeId::of::<T>())?);
        value.downcast().ok()
    }

    /// The value of this type, made with `make` if there is none yet. Of several callers at once
    /// all get the same value.
    pub fn get_or_insert_with<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(value) = self.get() {
            return value;
        }
        // Not under the lock: it is the user's code. Who comes second drops what it has made.
        let made: Arc<T> = Arc::new(make());
        let mut values = self.lock();
        let value = values.get_or_insert_default().entry(TypeId::of::<T>());
        let value = value.or_insert_with(|| Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        Arc::clone(value).downcast().unwrap_or(made)
    }

    /// The value of this type, its default if there is none yet.
    pub fn get_or_default<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        self.get_or_insert_with(T::default)
    }

    /// Sets the value of this type, and gives the one that was set before.
    pub fn insert<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        let before = self.lock().get_or_insert_default().insert(TypeId::of::<T>(), Arc::new(value));
        before.and_then(|before| before.downcast().ok())
    }

    /// Takes the value of this type away.
    pub fn remove<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = self.lock().as_mut()?.remove(&TypeId::of::<T>());
        value.and_then(|value| value.downcast().ok())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Values>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.lock().as_ref().map_or(0, |values| values.len());
        f.debug_struct("Session").field("values", &count).finish()
    }
}
