//! Two programs on one machine without a port: `cargo run --example unix`
//!
//! The path is open to the user who started the server alone, and goes when the server stops.
use isock::{Action, Server};

/// Says who asks.
#[derive(Action)]
#[action(output = String, kind = read)]
struct WhoAmI;

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("isock-example-{}.sock", std::process::id()));
    let server = Server::builder()
        .on::<WhoAmI>(|(), cx| match cx.peer().credentials() {
            Some(peer) if peer.pid() == Some(std::process::id()) => Ok("this very process".into()),
            Some(peer) => Ok(format!("a process of user {}", peer.uid())),
            None => Ok("the system does not tell".into()),
        })
        .bind(&path)? // or "unix:/run/app.sock"
        .spawn()?;
    let client = isock::Client::connect(server.address())?;
    println!("{} -> {}", server.address(), client.run::<WhoAmI>(())?);

    match Server::builder().bind(&path) {
        Err(error) => println!("a second server: {error}"),
        Ok(_) => println!("a second server took the path"),
    }

    server.stop();
    println!("removed: {}", !path.exists());
    match client.run::<WhoAmI>(()) {
        Err(error) => println!("after that: {error}"),
        Ok(answer) => println!("after that: {answer}"),
    }
    Ok(())
}

#[cfg(not(unix))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().on::<WhoAmI>(|(), _| Ok("anybody".into()));
    match server.bind("unix:/run/app.sock") {
        Err(error) => println!("{error}"),
        Ok(_) => println!("this system has Unix sockets after all"),
    }
    Ok(())
}
