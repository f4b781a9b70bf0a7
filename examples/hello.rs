//! One program that is server and client: `cargo run --example hello`
use isock::{Action, Client, Server};

/// Makes a text loud.
#[derive(Action)]
#[action(input = String, output = String, kind = read)]
struct Shout;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .on::<Shout>(|text, _cx| Ok(text.to_uppercase() + "!"))
        .bind("127.0.0.1:0")? // port 0: any that is free
        .spawn()?;
    let client = Client::connect(server.address())?;

    let answer = client.run::<Shout>("hello")?;
    println!("Shout(\"hello\") at {} -> {answer:?}", server.address());
    println!("next: cargo run --example classic");
    Ok(())
}
