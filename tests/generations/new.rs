//! The same program, later: server or client.

#[path = "new/actions.rs"]
mod actions;
#[path = "program.rs"]
mod program;

use actions::{Article, Cents, Line, Purchase, Refused, State};
use std::collections::BTreeMap;

fn order() -> Purchase {
    let item = Article { qty: "three".into(), sku: "pen".into(), size: (1, 2, 3) };
    let notes = BTreeMap::from([("by".into(), Some("hand".into()))]);
    Purchase {
        id: 7,
        customer: "Eve".into(),
        items: vec![item],
        state: State::Open,
        notes,
        code: [7; 5],
    }
}

fn refused() -> Refused {
    Refused::Closed
}

fn lines() -> Vec<Line> {
    (1..=3).map(|n| Line { price: Cents(n.into()), count: n }).collect()
}

fn total(lines: &[Line]) -> Cents {
    Cents(lines.iter().map(|line| line.price.0 * u64::from(line.count)).sum())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::main()
}
