use isock::Action;

#[derive(Action)]
#[action(input: String, output: u8)]
struct Colon;

#[derive(Action)]
#[action(input = String output = u8)]
struct NoComma;

#[derive(Action)]
#[action(input = String; output = u8)]
struct Semicolon;

#[derive(Action)]
#[action(input = Vec<u8>>)]
struct Surplus;

fn main() {}
