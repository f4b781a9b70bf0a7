//! Named sets of actions.

use super::{
    check::{self, Member},
    CheckError, Description, Info, Registration,
};
use std::sync::Arc;

/// A named set of actions, made by [`api!`](crate::api!).
pub trait Api {
    /// The set's name, as it was declared.
    const NAME: &'static str;
    /// The actions, in the order of their declaration.
    const ACTIONS: &'static [Info];
    #[doc(hidden)]
    const MEMBERS: &'static [Member];

    /// Looks for every mistake that isock can find before a call is made: types that postcard
    /// cannot carry, types that are not read as they are written, types that refuse made-up values
    /// and have no sample, views that read something else than what travels, names that collide.
    ///
    /// For a test of the crate that declares the set. Debug builds find most of it when an action
    /// is registered; this finds it in any build, for all actions at once. Of each type it tells
    /// the first mistake. Only a view that is sent, by a handler of `on_views`, is looked at where that
    /// registers it.
    ///
    /// # Errors
    /// With all that was found.
    ///
    /// ```
    /// # use isock::Action;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize)]
    /// pub struct Note {
    ///     #[serde(skip_serializing_if = "Option::is_none")]
    ///     text: Option<String>,
    /// }
    ///
    /// #[derive(Action)]
    /// #[action(input = Note)]
    /// pub struct Keep;
    ///
    /// isock::api! { pub Notes = [Keep] }
    ///
    /// let error = Notes::check().unwrap_err().to_string();
    /// assert!(error.starts_with("1 mistake in `Notes`\n- `Keep`, its input: "), "{error}");
    /// assert!(error.contains("as #[serde(skip_serializing_if)] does"), "{error}");
    /// ```
    fn check() -> Result<(), CheckError> {
        check::check(Self::NAME, Self::MEMBERS)
    }

    /// Describes the set: every action with its documentation, types and limits. It prints as a
    /// text that a test can compare with a file, so that a change of what travels shows in a
    /// review.
    ///
    /// ```
    /// # use isock::Action;
    /// /// Sends the text back.
    /// #[derive(Action)]
    /// #[action(input = String, output = String, error = isock::Never, kind = read)]
    /// pub struct Echo;
    ///
    /// isock::api! { pub Shop = [Echo] }
    ///
    /// assert_eq!(Shop::describe().to_string(), "\
    /// Shop: 1 action
    ///
    /// Echo (read)
    ///     Sends the text back.
    ///   input: String
    ///   output: String");
    /// ```
    fn describe() -> Description {
        let actions = Self::MEMBERS.iter().map(|member| (member.describe)()).collect();
        Description { name: Self::NAME.to_owned(), actions }
    }
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
///
/// // In a test: whatever is wrong with the actions, all at once.
/// Shop::check().unwrap();
/// ```
#[macro_export]
macro_rules! api {
    ($(#[$meta:meta])* $vis:vis $set:ident = [$($action:ty),* $(,)?]) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $set;

        impl $crate::Api for $set {
            const NAME: &'static str = ::core::stringify!($set);
            const ACTIONS: &'static [$crate::Info] = &[$(<$action as $crate::Action>::INFO),*];
            const MEMBERS: &'static [$crate::__private::Member] =
                &[$($crate::__private::Member::of::<$action>()),*];
        }

        // So that nobody has to import the trait.
        #[allow(dead_code)]
        impl $set {
            /// As `isock::Api::check`.
            ///
            /// # Errors
            /// With all that is wrong with the actions.
            $vis fn check() -> ::core::result::Result<(), $crate::CheckError> {
                <$set as $crate::Api>::check()
            }

            /// As `isock::Api::describe`.
            $vis fn describe() -> $crate::Description {
                <$set as $crate::Api>::describe()
            }
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
