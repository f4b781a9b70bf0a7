use isock::{Action, Client};

#[derive(Action)]
#[action(input = u32, kind = once)]
struct Pay;

fn call(client: &Client) {
    let _ = client.request::<Pay>(3).retry(3);
}

fn main() {}
