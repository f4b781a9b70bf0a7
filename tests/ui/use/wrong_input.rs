use isock::{Action, Client};

#[derive(Action)]
#[action(input = String)]
struct Echo;

fn call(client: &Client) {
    let _ = client.run::<Echo>(5);
}

fn main() {}
