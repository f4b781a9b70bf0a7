use isock::Action;
use serde::{Deserialize, Serialize};

#[derive(Action, Serialize, Deserialize)]
struct Say<'a> {
    text: &'a str,
}

#[derive(Action)]
#[action(input = String)]
struct State<'a, 'b: 'a> {
    log: &'a str,
    name: &'b str,
}

fn main() {}
