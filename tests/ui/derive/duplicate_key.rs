use isock::Action;

#[derive(Action)]
#[action(input = String, input = u8)]
struct InOne;

#[derive(Action)]
#[action(output = u8, kind = read)]
#[action(kind = once)]
struct InTwo;

fn main() {}
