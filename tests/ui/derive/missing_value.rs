use isock::Action;

#[derive(Action)]
#[action(input)]
struct Input;

#[derive(Action)]
#[action(output = , kind)]
struct Output;

#[derive(Action)]
#[action(error(PlaceError))]
struct Error;

#[derive(Action)]
#[action(stream =)]
struct Stream;

#[derive(Action)]
#[action(name, crate)]
struct Name;

#[derive(Action)]
#[action(example, example_output =, samples)]
struct Values;

fn main() {}
