use isock::Action;

#[derive(Action)]
#[action(inputs = String, output = u8)]
struct Misspelt;

#[derive(Action)]
#[action(out = u8)]
struct Abbreviated;

#[derive(Action)]
#[action(input = u8, retries = 3, output = u8)]
struct Invented;

#[derive(Action)]
#[action(priority = u8)]
struct NotYet;

#[derive(Action)]
#[action("Echo")]
struct NoKey;

#[derive(Action)]
#[action(exmaple = 5, sample = isock::sample!(u8, 5u8))]
struct Values;

fn main() {}
