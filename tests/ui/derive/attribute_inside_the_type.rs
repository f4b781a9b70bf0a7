use isock::Action;
use serde::{Deserialize, Serialize};

#[derive(Action, Serialize, Deserialize)]
struct Place {
    #[action(name = "sku")]
    article: String,
}

#[derive(Action, Serialize, Deserialize)]
enum Exec {
    #[action(kind = read)]
    Line(String),
    List(#[action(input = u8)] Vec<String>),
}

fn main() {}
