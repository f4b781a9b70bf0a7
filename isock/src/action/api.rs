//! Named sets of actions.

use super::{Info, Registration};
use std::sync::Arc;

/// A named set of actions, made by [`api!`](crate::api!).
pub trait Api {
    /// The actions, in the order of their declaration.
    const ACTIONS: &'static [Info];
}

/// A set whose every action `H` handles.
// The bound is this way round because a user crate may not implement a foreign trait for a type
// that is not its own: the set is, the handler need not be.
pub trait ServedBy<H>: Api {
    /// The actions, each bound to `handler`.
    fn stubs(handler: Arc<H>) -> Vec<Registration>;
}

/// Declares a named set of actions.
///
/// A server that takes the set with [`serve`](crate::ServerBuilder::serve) is complete when it
/// compiles; one that registers closures says [`require`](crate::ServerBuilder::require) and is
/// checked when it binds; a client says [`expect`](crate::Peer::expect).
///
/// ```
/// # use isock::Action;
/// # #[derive(Action)] #[action(input = String, output = String)] pub struct Echo;
/// # #[derive(Action)] #[action(output = u64)] pub struct Count;
/// isock::api! {
///     /// All that the shop offers.
///     pub Shop = [Echo, Count]
/// }
/// ```
#[macro_export]
macro_rules! api {
    ($(#[$meta:meta])* $vis:vis $set:ident = [$($action:ty),* $(,)?]) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $set;

        impl $crate::Api for $set {
            const ACTIONS: &'static [$crate::Info] = &[$(<$action as $crate::Action>::INFO),*];
        }

        impl<H> $crate::ServedBy<H> for $set
        where
            $(H: $crate::Handle<$action>,)*
        {
            fn stubs(handler: ::std::sync::Arc<H>) -> ::std::vec::Vec<$crate::Registration> {
                let _ = &handler;
                ::std::vec![$({
                    let handler = ::std::sync::Arc::clone(&handler);
                    <$action as $crate::Action>::with(move |input, cx| {
                        $crate::Handle::<$action>::handle(&*handler, input, cx)
                    })
                }),*]
            }
        }
    };
}
