use isock::Action;
use serde::{Deserialize, Serialize};

#[derive(Action, Serialize, Deserialize)]
struct Put<T: Clone, const N: usize> {
    value: T,
}

#[derive(Action)]
#[action(input = String)]
struct State<T>
where
    T: Clone,
{
    value: T,
}

fn main() {
    let _ = State::<u8>::with(|text, _cx| Ok(drop(text.to_uppercase())));
}
