use isock::{Action, Client};

#[derive(Action)]
#[action(input = u32)]
struct Square;

fn call(client: &Client) {
    let _ = client.open::<Square>(3);
}

fn main() {}
