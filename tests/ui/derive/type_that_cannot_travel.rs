use isock::Action;

#[derive(Action)]
#[action(input = impl ToString, output = dyn std::fmt::Debug, stream = Box<dyn std::fmt::Debug>)]
struct Traits;

#[derive(Action)]
#[action(error = Box<dyn std::error::Error>)]
struct Error;

#[derive(Action)]
#[action(input = _, output = Vec<_>)]
struct Inferred;

#[derive(Action)]
#[action(input = *const u8, output = fn() -> u8, error = !)]
struct Others;

fn main() {}
