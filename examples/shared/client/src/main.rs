//! Adds a note and prints them all: `cargo run -p shared-client -- 127.0.0.1:4440 'Buy milk'`

use isock::Client;
use shared_actions::{Add, List, Notes, PORT};
use std::{error::Error, process::ExitCode};

fn main() -> ExitCode {
    match talk() {
        Ok(()) => ExitCode::SUCCESS,
        // Every error of isock says in words what happened, where, and what to do.
        Err(error) => {
            eprintln!("shared-client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn talk() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| format!("127.0.0.1:{PORT}"));
    let client = Client::connect(address)?;
    // A server of another build fails here, with the names that it lacks.
    client.expect(Notes)?;

    for text in arguments {
        let number = client.call(Add { text })?;
        println!("added note {number}");
    }
    for note in client.run::<List>(())? {
        println!("{}. {}", note.number, note.text);
    }
    Ok(())
}
