//! The shared crate, as it was.

use isock::Action;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub id: u64,
    pub items: Vec<Item>,
    pub state: State,
    pub notes: BTreeMap<String, String>,
    pub code: [u8; 4],
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub qty: u32,
    pub size: (u8, u8),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum State {
    Open,
    Sent(u64),
    Lost { by: String },
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    #[error("only {left} left")]
    OutOfStock { left: u64 },
}

/// Takes an order that has changed.
#[derive(Action)]
#[action(input = Order, output = u64)]
pub struct Place;

/// Returns an order that has changed.
#[derive(Action)]
#[action(input = u64, output = Order, kind = read)]
pub struct Find;

/// Fails with an error that has changed.
#[derive(Action)]
#[action(input = u64, error = Refused)]
pub struct Cancel;

/// What has not changed but for the names of its types.
#[derive(Action)]
#[action(input = Vec<Line>, output = u64, kind = read)]
pub struct Total;

#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub price: u64,
    pub count: u32,
}

/// The address that the server sees.
#[derive(Action)]
#[action(output = String, kind = read)]
pub struct Who;

/// What only this build has.
#[derive(Action)]
#[action(name = "OnlyOld", output = u64)]
pub struct OnlyHere;
