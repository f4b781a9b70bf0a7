use isock::Action;

#[derive(Action)]
#[action]
struct Bare;

#[derive(Action)]
#[action = "Echo"]
struct Assigned;

fn main() {}
