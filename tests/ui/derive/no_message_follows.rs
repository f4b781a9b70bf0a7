//! What uses these actions as they were meant compiles: only the mistakes themselves are reported.

use isock::{Action, Client, Context, Failure, Handle, ManyItems, Server};

#[derive(Action)]
#[action(input = &str, output = "String", kind = reed)]
struct Echo;

#[derive(Action)]
#[action(inputs = Vec<u64>, output = u64, kind)]
struct Sum;

#[derive(Action)]
#[action(input = u32, steam = u64, kind = pure)]
struct Ticks;

#[derive(Action)]
#[action(name = 5, input: &[u8])]
struct Bytes;

#[derive(Action)]
#[action(error = Box<dyn std::error::Error>)]
struct Fail;

#[derive(Action)]
#[action(input)]
struct State {
    count: u64,
}

struct App;

impl Handle<Echo> for App {
    fn handle(&self, text: String, _: &Context<Echo>) -> Result<String, Failure> {
        Ok(text)
    }
}

isock::api! { Set = [Echo, Sum, Ticks, Bytes] }

impl Handle<Sum> for App {
    fn handle(&self, numbers: Vec<u64>, _: &Context<Sum>) -> Result<u64, Failure> {
        Ok(numbers.iter().sum())
    }
}

impl Handle<Ticks> for App {
    fn handle(&self, _: u32, _: &Context<Ticks>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Handle<Bytes> for App {
    fn handle(&self, _: Vec<u8>, _: &Context<Bytes>) -> Result<(), Failure> {
        Ok(())
    }
}

fn served() {
    let _ = Server::builder().serve(Set, App);
    let _ = Server::builder().on::<Echo>(|text, _cx| Ok(text.to_uppercase()));
    let _ = Server::builder().on::<Fail>(|(), _cx| Err(std::io::Error::last_os_error())?);
}

/// Stands in for `client.open`.
fn first<A: Action>(_: &Client, _: A::Input) -> Option<A::Item>
where
    A::Pattern: ManyItems,
{
    None
}

fn called(client: &Client) {
    let _: String = client.run::<Echo>("hi").unwrap();
    let _: u64 = client.request::<Sum>([1, 2]).retry(3).run().unwrap();
    let _: Option<u64> = first::<Ticks>(client, 3);
    let () = client.run::<Bytes>(b"bytes").unwrap();
}

fn main() {}
