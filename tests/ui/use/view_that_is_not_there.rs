use isock::{Action, Client, Server};

#[derive(Action)]
#[action(input = String, output = String)]
struct Echo;

fn main() {
    let _ = Server::builder().on_view::<Echo>(|text, _cx| Ok(text));
}

fn call(client: &Client) {
    let _ = client.run_view::<Echo, _>("hi", |text| text);
}
