use isock::{Action, Client};

#[derive(Action)]
#[action(input = u32, stream = u64)]
struct Ticks;

fn call(client: &Client) {
    let _ = client.run::<Ticks>(3);
}

fn main() {}
