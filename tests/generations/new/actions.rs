//! The shared crate, later.

use isock::Action;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub struct Purchase {
    pub id: u64,
    pub customer: String,
    pub items: Vec<Article>,
    pub state: State,
    pub notes: BTreeMap<String, Option<String>>,
    pub code: [u8; 5],
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Article {
    pub qty: String,
    pub sku: String,
    pub size: (u8, u8, u8),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum State {
    Sent(u64),
    Open,
    Lost { by: Option<String> },
    Back,
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    #[error("only {left} left")]
    OutOfStock { left: u32 },
    #[error("closed")]
    Closed,
}

/// Takes an order that has changed.
#[derive(Action)]
#[action(input = Purchase, output = u64)]
pub struct Place;

/// Returns an order that has changed.
#[derive(Action)]
#[action(input = u64, output = Purchase, kind = read)]
pub struct Find;

/// Fails with an error that has changed.
#[derive(Action)]
#[action(input = u64, error = Refused)]
pub struct Cancel;

/// What has not changed but for the names of its types.
#[derive(Action)]
#[action(input = Vec<Line>, output = Cents, kind = read)]
pub struct Total;

mod prices {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    pub struct Row {
        pub price: super::Cents,
        pub count: u32,
    }
}
pub use prices::Row as Line;

#[derive(Debug, Serialize, Deserialize)]
pub struct Cents(pub u64);

/// The address that the server sees.
#[derive(Action)]
#[action(output = String, kind = read)]
pub struct Who;

/// What only this build has.
#[derive(Action)]
#[action(name = "OnlyNew", output = u64)]
pub struct OnlyHere;
