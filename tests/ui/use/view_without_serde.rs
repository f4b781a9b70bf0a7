use isock::{Action, Server};
use serde::Deserialize;

struct TextView<'a>(&'a str);

#[derive(Action)]
#[action(input = String, input_view = TextView<'_>)]
struct Unreadable;

#[derive(Deserialize)]
struct ReadView<'a>(&'a str);

#[derive(Action)]
#[action(input = String, output = String)]
#[action(input_view = ReadView<'_>, output_view = ReadView<'_>)]
struct Unsendable;

fn main() {
    let _ = Server::builder().on_views::<Unsendable>(|text, _cx| Ok(text));
}
