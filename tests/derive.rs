//! What `#[derive(Action)]` makes of types that are right.

use isock::{
    Action, ActionKind, Context, Failure, Handle, Idempotent, Info, Never, Once, Read,
    Registration, ServedBy, Streams, Unary,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// Two types are the same: `same::<A, A>()`.
fn same<A: Same<B>, B>() {}

trait Same<T> {}
impl<T> Same<T> for T {}

/// Nothing is said.
#[derive(Action)]
struct Ping;

#[test]
fn a_type_that_says_nothing_takes_and_returns_nothing() {
    same::<<Ping as Action>::Input, ()>();
    same::<<Ping as Action>::Output, ()>();
    same::<<Ping as Action>::Error, Failure>();
    same::<<Ping as Action>::Item, Never>();
    same::<<Ping as Action>::Upload, Never>();
    same::<<Ping as Action>::Kind, Once>();
    same::<<Ping as Action>::Pattern, Unary>();
    assert_eq!(Ping::INFO, Info::new("Ping").docs("Nothing is said."));
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum PlaceError {
    #[error("only {left} left")]
    OutOfStock { left: u32 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tick(u32);

/// Everything is said.
#[derive(Action)]
#[action(
    input = Vec<(String, u8)>,
    output = [f32; 2],
    error = PlaceError,
    stream = Tick,
    name = "every.key",
    kind = read,
    timeout = "250ms",
    crate = isock,
)]
struct Every;

#[test]
fn every_key_arrives() {
    same::<<Every as Action>::Input, Vec<(String, u8)>>();
    same::<<Every as Action>::Output, [f32; 2]>();
    same::<<Every as Action>::Error, PlaceError>();
    same::<<Every as Action>::Item, Tick>();
    same::<<Every as Action>::Upload, Never>();
    same::<<Every as Action>::Kind, Read>();
    same::<<Every as Action>::Pattern, Streams>();
    let info = Info::new("every.key")
        .docs("Everything is said.")
        .kind::<Read>()
        .timeout(Duration::from_millis(250));
    assert_eq!(Every::INFO, info);
}

#[derive(Action)]
#[action(kind = idempotent)]
#[action(output = u8)]
struct InTwoAttributes;

#[test]
fn attributes_add_up() {
    same::<<InTwoAttributes as Action>::Kind, Idempotent>();
    same::<<InTwoAttributes as Action>::Output, u8>();
}

#[derive(Action)]
#[action(kind = once)]
struct Pay;

#[test]
fn the_kind_is_a_value_and_a_type() {
    assert_eq!(Pay::INFO.kind, ActionKind::Once);
    assert_eq!(InTwoAttributes::INFO.kind, ActionKind::Idempotent);
    assert_eq!(Every::INFO.kind, ActionKind::Read);
    same::<<Pay as Action>::Kind, Once>();
}

#[derive(Debug, PartialEq, Action, Serialize, Deserialize)]
#[action(output = u64, error = PlaceError)]
struct Place {
    sku: String,
    quantity: u32,
}

#[derive(Action, Serialize, Deserialize)]
struct Move(f64, f64);

#[derive(Action, Serialize, Deserialize)]
#[action(output = Vec<u8>)]
enum Exec {
    Line(String),
    List { program: String, arguments: Vec<String> },
    Nothing,
}

#[derive(Action)]
struct Braces {}

#[derive(Action)]
enum NoVariants {}

#[test]
fn a_type_that_holds_something_is_the_input() {
    same::<<Place as Action>::Input, Place>();
    same::<<Move as Action>::Input, Move>();
    same::<<Exec as Action>::Input, Exec>();
    same::<<Braces as Action>::Input, ()>();
    same::<<NoVariants as Action>::Input, ()>();
    let _ = Exec::with(|input, _cx| match input {
        Exec::Line(line) => Ok(line.into_bytes()),
        Exec::List { program, arguments } => Ok([program, arguments.concat()].concat().into()),
        Exec::Nothing => Ok(Vec::new()),
    });
}

/// With `input`, the fields are the server's, and need no serde.
#[derive(Action)]
#[action(input = u32, output = u64)]
struct Counter {
    counts: std::sync::atomic::AtomicU64,
    borrowed: &'static str,
}

impl Handle<Counter> for Counter {
    fn handle(&self, add: u32, _: &Context<Counter>) -> Result<u64, Failure> {
        let before = self.counts.fetch_add(add.into(), std::sync::atomic::Ordering::Relaxed);
        Ok(before + u64::from(add) + self.borrowed.len() as u64)
    }
}

isock::api! { Counters = [Counter] }

#[test]
fn a_type_with_an_input_holds_server_state() {
    let stubs = Counters::stubs(Arc::new(Counter { counts: 3.into(), borrowed: "four" }));
    assert_eq!(stubs[0].info(), Counter::INFO);
}

#[test]
fn with_binds_a_handler() {
    let stub: Registration = Place::with(|place, _cx| match place.quantity {
        0..=5 => Ok(1),
        _ => Err(PlaceError::OutOfStock { left: 5 }),
    });
    assert_eq!(stub.info(), Place::INFO);
    let _ = Every::with(|list, _cx| Ok([list.len() as f32, 0.5]));
}

/// The first line.
///
///   Indented, and "quoted" with a \ in it.
/// The last line.
#[derive(Action)]
struct Lines;

/** A block.

 More of it.
*/
#[derive(Action)]
struct Block;

#[doc = concat!("made by a ", "macro")]
/// and continued
#[doc(alias = "ignored")]
#[derive(Action)]
struct Made;

#[derive(Action)]
struct Undocumented;

#[test]
fn doc_comments_travel_as_written() {
    let lines = "The first line.\n\n  Indented, and \"quoted\" with a \\ in it.\nThe last line.";
    assert_eq!(Lines::INFO.docs, lines);
    assert_eq!(Lines::INFO.summary(), "The first line.");
    assert_eq!(Block::INFO.docs, "A block.\n\nMore of it.");
    assert_eq!(Made::INFO.docs, "made by a macro\nand continued");
    assert_eq!(Undocumented::INFO.docs, "");
}

#[derive(Action)]
#[allow(non_camel_case_types)]
struct r#match;

#[derive(Action)]
#[action(name = "größe/µ-\"'\\")]
struct Unusual;

#[test]
fn the_name_is_the_types_own_or_the_given_one() {
    assert_eq!(r#match::INFO.name, "match");
    assert_eq!(inner::Echo::INFO.name, "Echo");
    assert_eq!(Unusual::INFO.name, "größe/µ-\"'\\");
}

/// Names that the derive must not depend on.
#[allow(dead_code, unused_macros)]
mod inner {
    #![no_implicit_prelude]

    struct Result;
    struct Option;
    struct String;
    struct Vec;
    struct Failure;
    struct Never;
    struct Info;
    struct Read;
    struct Unary;
    trait Kind {}
    mod core {}
    mod std {}
    macro_rules! concat {
        () => {};
    }

    /// Everything is shadowed.
    #[derive(::isock::Action)]
    #[action(input = u8, output = u8, kind = read)]
    pub(crate) struct Echo;
}

mod renamed {
    use ::isock as other;

    mod reexported {
        pub(super) mod deep {
            pub(in super::super) use ::isock as inside;
        }
    }

    /// The crate has no dependency called `isock` as far as the derive knows.
    #[allow(dead_code)]
    mod isock {}

    #[derive(other::Action)]
    #[action(crate = other, output = u8)]
    pub(super) struct Relative;

    #[derive(other::Action)]
    #[action(crate = "other")]
    pub(super) struct Quoted;

    #[derive(other::Action)]
    #[action(crate = self::reexported::deep::inside)]
    pub(super) struct Deep;

    #[derive(other::Action)]
    #[action(crate = ::isock)]
    pub(super) struct Absolute;
}

#[test]
fn isock_may_have_another_path() {
    let infos = [
        renamed::Relative::INFO,
        renamed::Quoted::INFO,
        renamed::Deep::INFO,
        renamed::Absolute::INFO,
    ];
    assert_eq!(infos.map(|info| info.name), ["Relative", "Quoted", "Deep", "Absolute"]);
}

/// Declares an action, as a user's own macro would.
macro_rules! declare {
    ($(#[$meta:meta])* $name:ident($input:ty) -> $output:ty, $wire:literal, $kind:ident) => {
        $(#[$meta])*
        #[derive(Action)]
        #[action(input = $input, output = $output, name = $wire, kind = $kind, crate = $crate::again)]
        struct $name;
    };
}

mod again {
    pub(crate) use isock::__private;
}

declare!(
    /// Declared by a macro.
    Declared(Vec<u8>) -> (u8, u8), "declared", read
);

#[test]
fn a_macro_may_write_the_attribute() {
    same::<<Declared as Action>::Input, Vec<u8>>();
    same::<<Declared as Action>::Output, (u8, u8)>();
    let info = Info::new("declared").docs("Declared by a macro.").kind::<Read>();
    assert_eq!(Declared::INFO, info);
}

#[test]
fn an_action_may_be_declared_in_a_function() {
    #[derive(Action)]
    #[action(output = Local)]
    struct Inside;

    #[derive(Serialize, Deserialize)]
    struct Local;

    assert_eq!(Inside::with(|(), _cx| Ok(Local)).info().name, "Inside");
}

/// The impl causes no warning where the type would not.
#[deny(warnings, missing_docs, clippy::pedantic)]
pub mod strict {
    use super::{Action, Deserialize, Serialize};

    /// Old.
    #[derive(Action)]
    #[action(input = Old, output = Vec<String>)]
    #[deprecated = "use something newer"]
    pub struct Legacy;

    /// Old too.
    #[derive(Action, Serialize, Deserialize)]
    #[deprecated = "use something newer"]
    pub struct Old {
        /// Its number.
        pub number: u8,
    }
}
