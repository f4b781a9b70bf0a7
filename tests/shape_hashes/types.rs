//! Types whose hashes are compared.

#![allow(dead_code, reason = "only their shapes are of interest")]

/// As they were.
pub mod here {
    use serde::Deserialize;
    use std::collections::HashMap;

    #[derive(Deserialize)]
    pub struct Order {
        pub id: u64,
        pub lines: Vec<Line>,
        pub state: State,
        pub notes: HashMap<String, Option<String>>,
        pub place: (f64, f64),
        pub parent: Option<Box<Order>>,
    }

    #[derive(Deserialize)]
    pub struct Line {
        pub sku: String,
        pub qty: u32,
    }

    #[derive(Deserialize)]
    pub enum State {
        Open,
        Sent(u64),
        Lost { by: String },
        Split(Vec<Order>, u8),
    }

    #[derive(Deserialize)]
    pub struct Plain {
        pub id: u32,
        pub name: String,
    }

    #[derive(Deserialize)]
    pub struct Aliased {
        #[serde(alias = "number")]
        pub id: u32,
        pub name: String,
    }

    #[derive(Deserialize)]
    pub struct Defaulted {
        pub id: u32,
        #[serde(default)]
        pub name: String,
    }

    #[derive(Deserialize)]
    #[serde(rename = "Plainest")]
    pub struct Renamed {
        #[serde(rename = "id")]
        pub number: u32,
        pub name: String,
    }

    #[derive(Deserialize)]
    pub struct Nothing;

    #[derive(Deserialize)]
    pub struct Meters(pub f64);

    #[derive(Deserialize)]
    #[serde(transparent)]
    pub struct Clear {
        pub meters: f64,
    }

    #[derive(Deserialize)]
    pub struct Pair(pub f64, pub String);

    #[derive(Deserialize)]
    pub enum Light {
        Red,
        Green,
    }

    #[derive(Deserialize)]
    pub enum Step {
        Stay,
        Go(u8),
        Jump(u8, i8),
        Turn { by: i8 },
    }

    #[derive(Deserialize)]
    pub struct List {
        pub next: Option<Box<List>>,
    }

    #[derive(Deserialize)]
    pub enum Expr {
        Number(i64),
        Negated(Box<Expr>),
        Sum(Box<Expr>, Box<Expr>),
        Call { name: String, arguments: Vec<Expr> },
    }

    #[derive(Deserialize)]
    pub struct Even {
        pub odd: Option<Box<Odd>>,
        pub value: u8,
    }

    #[derive(Deserialize)]
    pub struct Odd {
        pub even: Vec<Even>,
        pub value: u16,
    }

    /// [`Even`], whose other side points back at this one.
    #[derive(Deserialize)]
    pub struct EvenAgain {
        pub odd: Option<Box<OddAgain>>,
        pub value: u8,
    }

    #[derive(Deserialize)]
    pub struct OddAgain {
        pub even: Vec<Even>,
        pub value: u16,
    }

    /// Two of its kind or none, which is said as a tuple and as an array in turns.
    #[derive(Deserialize)]
    pub struct Left(pub Option<Box<(Left, Right)>>);

    #[derive(Deserialize)]
    pub struct Right(pub Option<Box<[Left; 2]>>);

    /// The same, said once.
    #[derive(Deserialize)]
    pub struct Both(pub Option<Box<(Both, Both)>>);

    #[derive(Deserialize)]
    pub struct Page<T> {
        pub items: Vec<T>,
        pub next: Option<Box<Page<T>>>,
    }
}

/// The same under other names, and changed in one way each.
pub mod elsewhere {
    use super::here;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize)]
    pub struct Order {
        pub id: u64,
        pub lines: Vec<here::Line>,
        pub state: State,
        pub notes: BTreeMap<String, Option<String>>,
        pub place: (f64, f64),
        pub parent: Option<Box<Order>>,
    }

    #[derive(Deserialize)]
    pub enum State {
        Open,
        Sent(u64),
        Lost { by: String },
        Split(Vec<Order>, u8),
    }

    #[derive(Deserialize)]
    pub struct Purchase {
        pub id: Number,
        pub lines: Vec<Article>,
        pub state: Box<Status>,
        pub notes: BTreeMap<String, Option<Note>>,
        pub place: [f64; 2],
        #[serde(rename = "parent")]
        pub above: Option<Box<Purchase>>,
    }

    #[derive(Deserialize)]
    pub struct Number(pub u64);

    #[derive(Deserialize)]
    pub struct Note(pub String);

    #[derive(Deserialize)]
    pub struct Article {
        pub sku: String,
        #[serde(alias = "quantity")]
        pub qty: u32,
    }

    #[derive(Deserialize)]
    pub enum Status {
        Open,
        Sent(Number),
        Lost { by: std::borrow::Cow<'static, str> },
        Split(Vec<Purchase>, u8),
    }

    #[derive(Deserialize)]
    pub struct FieldRenamed {
        pub number: u32,
        pub name: String,
    }

    #[derive(Deserialize)]
    pub struct FieldsReordered {
        pub name: String,
        pub id: u32,
    }

    #[derive(Deserialize)]
    pub struct FieldRetyped {
        pub id: u64,
        pub name: String,
    }

    #[derive(Deserialize)]
    pub struct FieldOptional {
        pub id: u32,
        pub name: Option<String>,
    }

    #[derive(Deserialize)]
    pub struct FieldMore {
        pub id: u32,
        pub name: String,
        pub more: (),
    }

    #[derive(Deserialize)]
    pub struct FieldLess {
        pub id: u32,
    }

    #[derive(Deserialize)]
    pub enum VariantRenamed {
        Red,
        Go,
    }

    #[derive(Deserialize)]
    pub enum VariantsReordered {
        Green,
        Red,
    }

    #[derive(Deserialize)]
    pub enum VariantMore {
        Red,
        Green,
        Amber,
    }

    #[derive(Deserialize)]
    pub enum VariantPayload {
        Red,
        Green(u8),
    }

    /// [`here::Even`], met for the first time inside its other side.
    #[derive(Deserialize)]
    #[serde(transparent)]
    pub struct EvenFromOdd {
        pub inner: EvenOfOdd,
    }

    #[derive(Deserialize)]
    pub struct EvenOfOdd {
        pub odd: Option<Box<here::Odd>>,
        pub value: u8,
    }

    /// [`here::Odd`], met for the first time inside its other side.
    #[derive(Deserialize)]
    pub struct OddFromEven {
        pub even: Vec<EvenOfOdd>,
        pub value: u16,
    }
}

/// One type in two forms: by its derive and by `serde(with)`.
pub mod two_forms {
    use serde::{Deserialize, Deserializer};
    use std::time::Duration;

    #[derive(Deserialize)]
    pub struct Plain {
        pub bytes: Vec<u8>,
        pub time: Duration,
    }

    #[derive(Deserialize)]
    pub struct With {
        #[serde(with = "serde_bytes")]
        pub bytes: Vec<u8>,
        #[serde(deserialize_with = "seconds")]
        pub time: Duration,
    }

    fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u32::deserialize(from).map(|seconds| Duration::from_secs(seconds.into()))
    }
}
