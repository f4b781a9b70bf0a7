use isock::Action;
use serde::{Deserialize, Serialize};

#[derive(Action, Serialize, Deserialize)]
struct Say {
    text: &'static str,
}

#[derive(Action, Serialize, Deserialize)]
enum Do {
    Say(&'static str, u8),
    Wait,
}

fn main() {}
