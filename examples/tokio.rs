//! Calls inside async code: `cargo run --example tokio`
//!
//! A call that was started is a future for any executor: isock itself has no runtime, and the
//! handlers are ordinary blocking functions. Only `run` and `wait` block, so async code uses
//! `start(…).await`.

use isock::{Action, Address, Client, Server};

/// Multiplies a number with itself.
#[derive(Action)]
#[action(input = u64, output = u64, kind = read)]
struct Square;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let server = Server::builder().on::<Square>(|n, _cx| Ok(n * n)).bind("127.0.0.1:0")?.spawn()?;
    calls(server.address())
}

#[tokio::main]
async fn calls(address: Address) -> Result<(), Error> {
    // `connect` would block: this client connects with its first call.
    let client = Client::builder().connect_lazy(address)?;

    let nine = client.start::<Square>(3).await?;
    println!("awaited: {nine}");

    // Started together, on one connection; the first error ends the wait and cancels the rest.
    let (a, b, c) = tokio::try_join!(
        client.start::<Square>(1),
        client.start::<Square>(2),
        client.start::<Square>(nine),
    )?;
    println!("joined: {a} {b} {c}");

    // A call borrows nothing, so it can be a task of its own.
    let tasks: Vec<_> = (4..7).map(|n| tokio::spawn(client.start::<Square>(n))).collect();
    for task in tasks {
        println!("task: {}", task.await??);
    }
    Ok(())
}
