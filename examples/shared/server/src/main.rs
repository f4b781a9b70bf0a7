//! Keeps notes until it is stopped, with Ctrl-C or by a service manager: `cargo run -p shared-server -- --port 4440`

use isock::{Context, Failure, Handle, Server};
use shared_actions::{Add, AddError, List, Note, Notes, PORT};
#[cfg(unix)]
use std::time::Duration;
use std::{
    error::Error,
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The application: one value that handles every action of the set.
#[derive(Default)]
struct Board {
    notes: Mutex<Vec<Note>>,
}

impl Board {
    fn notes(&self) -> MutexGuard<'_, Vec<Note>> {
        // A handler that panicked while it held the lock has left a whole list behind.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle<Add> for Board {
    fn handle(&self, Add { text }: Add, _cx: &Context<Add>) -> Result<usize, AddError> {
        if text.trim().is_empty() {
            return Err(AddError::Empty);
        }
        let mut notes = self.notes();
        let number = notes.len() + 1;
        notes.push(Note { number, text });
        Ok(number)
    }
}

impl Handle<List> for Board {
    fn handle(&self, (): (), _cx: &Context<List>) -> Result<Vec<Note>, Failure> {
        Ok(self.notes().clone())
    }
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shared-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    // `serve` compiles only while `Board` handles every action of `Notes`.
    let server = Server::builder().serve(Notes, Board::default());
    // A service manager says SIGTERM: calls in flight finish, then `run` returns.
    #[cfg(unix)]
    let server = server.drain_on_sigterm(Duration::from_secs(25));
    let server = server.bind(("127.0.0.1", port()?))?;
    // The same for Ctrl-C, by a handler of the program's own.
    let stopper = server.stopper();
    ctrlc::set_handler(move || stopper.stop())?;
    for address in server.addresses() {
        println!("listening at {address}");
    }
    server.run();
    println!("stopped");
    Ok(())
}

/// What `--port` says.
fn port() -> Result<u16, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => Ok(PORT),
        [option, port] if option == "--port" => {
            port.parse().map_err(|_| format!("`{port}` is no port: 0 (any) to 65535").into())
        }
        _ => Err("usage: shared-server [--port PORT]".into()),
    }
}
