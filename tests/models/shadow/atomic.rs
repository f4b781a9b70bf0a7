//! Atomics with one total order of those accesses that ask for it. `loom` gives that to fences
//! alone: here each such access has one beside it, as on real processors.

pub use loom::sync::atomic::Ordering;
use loom::sync::atomic::{self, fence};

/// In front of what reads.
fn before(order: Ordering) {
    if order == Ordering::SeqCst {
        fence(Ordering::SeqCst);
    }
}

macro_rules! atomics {
    ($($name:ident: $type:ty;)*) => {$(
        /// See the standard library.
        #[derive(Debug, Default)]
        pub struct $name(atomic::$name);

        impl $name {
            /// One with this value.
            pub fn new(value: $type) -> $name {
                $name(atomic::$name::new(value))
            }

            /// See the standard library.
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $type {
                before(order);
                self.0.load(order)
            }

            /// See the standard library.
            #[track_caller]
            pub fn store(&self, value: $type, order: Ordering) {
                self.0.store(value, order);
                before(order);
            }

            /// See the standard library.
            #[track_caller]
            pub fn swap(&self, value: $type, order: Ordering) -> $type {
                before(order);
                let value = self.0.swap(value, order);
                before(order);
                value
            }

            /// See the standard library.
            ///
            /// # Errors
            /// If there is another value.
            #[track_caller]
            pub fn compare_exchange(
                &self,
                from: $type,
                to: $type,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$type, $type> {
                before(success);
                let result = self.0.compare_exchange(from, to, success, failure);
                before(success);
                result
            }
        }
    )*};
}

atomics! {
    AtomicBool: bool;
    AtomicU8: u8;
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicUsize: usize;
}

macro_rules! numbers {
    ($($name:ident: $type:ty;)*) => {$(
        impl $name {
            /// See the standard library.
            #[track_caller]
            pub fn fetch_add(&self, value: $type, order: Ordering) -> $type {
                before(order);
                let value = self.0.fetch_add(value, order);
                before(order);
                value
            }

            /// See the standard library.
            #[track_caller]
            pub fn fetch_sub(&self, value: $type, order: Ordering) -> $type {
                self.fetch_add(value.wrapping_neg(), order)
            }
        }
    )*};
}

numbers! {
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicUsize: usize;
}
