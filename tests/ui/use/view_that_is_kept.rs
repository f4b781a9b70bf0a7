use isock::{Action, Client, Server};
use std::sync::mpsc;

#[derive(Action)]
#[action(input = String, output = String, input_view = &str, output_view = &str)]
struct Echo;

fn serve() {
    let (keep, _kept) = mpsc::channel();
    let _ = Server::builder().on_view::<Echo>(move |text, _cx| {
        keep.send(text)?;
        Ok(String::new())
    });
}

fn call(client: &Client) {
    let _ = client.run_view::<Echo, _>("hi", |text| text);
}

fn main() {}
