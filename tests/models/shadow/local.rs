//! What belongs to one thread of a model.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
};

/// A value that each thread has for itself.
pub struct Local<T: 'static>(loom::thread::LocalKey<T>);

impl<T> Local<T> {
    /// One that begins as this.
    pub const fn new(init: fn() -> T) -> Local<T> {
        Local(loom::thread::LocalKey { init, _p: PhantomData })
    }
}

impl<T> Local<T> {
    /// As long as its thread lives.
    ///
    /// # Errors
    /// Never here.
    pub fn try_with<R>(&'static self, look: impl FnOnce(&T) -> R) -> Result<R, Gone> {
        Ok(self.0.with(look))
    }
}

/// Its thread is at its end.
#[derive(Debug)]
pub enum Gone {}

impl<T> Local<Cell<T>> {
    /// See [`Cell::set`].
    pub fn set(&'static self, value: T) {
        self.0.with(|cell| cell.set(value));
    }

    /// See [`Cell::replace`].
    pub fn replace(&'static self, value: T) -> T {
        self.0.with(|cell| cell.replace(value))
    }

    /// See [`Cell::take`].
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.0.with(Cell::take)
    }

    /// See [`Cell::get`].
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.0.with(Cell::get)
    }
}

impl<T> Local<RefCell<T>> {
    /// See [`RefCell::replace`].
    pub fn set(&'static self, value: T) {
        drop(self.replace(value));
    }

    /// See [`RefCell::replace`].
    pub fn replace(&'static self, value: T) -> T {
        self.0.with(|cell| cell.replace(value))
    }

    /// See [`RefCell::take`].
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.0.with(RefCell::take)
    }

    /// Looks at it.
    pub fn with_borrow<R>(&'static self, look: impl FnOnce(&T) -> R) -> R {
        self.0.with(|cell| look(&cell.borrow()))
    }
}

/// `thread_local!`, as the library writes it.
#[macro_export]
macro_rules! thread_local {
    ($($(#[$note:meta])* static $name:ident: $type:ty = const { $init:expr };)*) => {$(
        $(#[$note])*
        static $name: $crate::local::Local<$type> = $crate::local::Local::new(|| $init);
    )*};
}
