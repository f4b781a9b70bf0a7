use isock::Action;
use serde::Deserialize;

#[derive(Deserialize)]
struct TextView<'a>(&'a str);

#[derive(Deserialize)]
struct PairView<'a, 'b>(&'a str, &'b str);

#[derive(Action)]
#[action(input = String, input_view = TextView)]
struct WithoutItsLifetime;

#[derive(Action)]
#[action(input = String, input_view = String, output = u64, output_view = u64)]
struct Owned;

#[derive(Action)]
#[action(input = String, input_view = str, output = Vec<u8>, output_view = [u8])]
struct Unsized;

#[derive(Action)]
#[action(input = String, input_view = &'static str)]
struct Forever;

#[derive(Action)]
#[action(input = String, input_view = &mut str)]
struct Mutable;

#[derive(Action)]
#[action(input = (String, String), input_view = PairView<'a, 'b>)]
struct TwoMessages;

#[derive(Action)]
#[action(input = String, input_view = impl AsRef<str>)]
struct Unnamed;

#[derive(Action)]
#[action(input = String, input_view)]
struct Missing;

#[derive(Action)]
#[action(input = String, inputview = &str)]
struct Misspelled;

fn main() {
    let _ = (TextView(""), PairView("", ""));
}
