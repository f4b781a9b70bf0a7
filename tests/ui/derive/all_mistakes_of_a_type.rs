//! Eight mistakes, eight messages, in one build.

use isock::Action;

#[derive(Action)]
#[action(inputs = String, output = &str, kind = reed, name = "a b")]
#[action(error = "Failure", priority = u8, output = u8)]
struct Everything<'a> {
    text: &'a str,
}

fn main() {}
