use isock::Action;

#[derive(Action)]
#[action(crate = isok)]
struct Echo;

fn main() {}
