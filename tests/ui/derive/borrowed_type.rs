use isock::Action;
use std::borrow::Cow;

#[derive(Action)]
#[action(input = &str, output = &'static str)]
struct Text;

#[derive(Action)]
#[action(input = &[u8], output = [u8])]
struct Bytes;

#[derive(Action)]
#[action(input = (u8, &str), output = Vec<&[&str]>)]
struct Parts;

#[derive(Action)]
#[action(input = str, output = &mut Vec<u8>, stream = Cow<'_, str>)]
struct Others;

#[derive(Action)]
#[action(input = &std::time::Duration)]
struct Named;

fn main() {}
