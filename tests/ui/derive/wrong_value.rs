use isock::Action;

#[derive(Action)]
#[action(input = 5, output = "Vec<u8>", error = "no type", stream = 5)]
struct Types;

#[derive(Action)]
#[action(name = Echo)]
struct Name;

#[derive(Action)]
#[action(name = 7, crate = 7)]
struct Numbers;

#[derive(Action)]
#[action(crate = "no path")]
struct Crate;

#[derive(Action)]
#[action(input = std::collections::HashMap<u8, =>, output = u8)]
struct Unfinished;

fn main() {}
