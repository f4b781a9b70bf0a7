//! A program as it was: server or client.

#[path = "old/actions.rs"]
mod actions;
#[path = "program.rs"]
mod program;

use actions::{Item, Line, Order, Refused, State};
use std::collections::BTreeMap;

fn order() -> Order {
    let item = Item { sku: "pen".into(), qty: 3, size: (1, 2) };
    let notes = BTreeMap::from([("by".into(), "hand".into())]);
    Order { id: 7, items: vec![item], state: State::Open, notes, code: [7; 4] }
}

fn refused() -> Refused {
    Refused::OutOfStock { left: 1 }
}

fn lines() -> Vec<Line> {
    (1..=3).map(|n| Line { price: n.into(), count: n }).collect()
}

fn total(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.price * u64::from(line.count)).sum()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::main()
}
