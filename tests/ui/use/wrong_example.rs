use isock::Action;

#[derive(Action)]
#[action(input = String, output = u64, example = 5, example_output = "7")]
struct Echo;

#[derive(Action)]
#[action(input = String, samples = "a@b.c")]
struct Invite;

fn main() {}
