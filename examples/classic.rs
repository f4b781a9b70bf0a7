//! A server with state and its client, over TCP: `cargo run --example classic`
//!
//! Four actions, and both ways to give a handler the server's state: a closure that shares it
//! (`ExecHistory`), and an action object that holds it (`Exec`). A fourth action (`Time`) joins
//! while the server runs.

use isock::{Action, Client, Context, Handle, Never, Server};
use serde::{Deserialize, Serialize};
use std::{
    io,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Sends the text back.
#[derive(Action)]
#[action(input = String, output = String, kind = read)]
struct Echo;

/// Runs a command on the server and returns what it printed.
//
// With `input = …` the fields stay at home: they are the server's state, and never travel.
#[derive(Action)]
#[action(input = CommandLine, output = String, error = ExecError)]
struct Exec {
    history: History,
}

/// The commands that the server was given, oldest first.
#[derive(Action)]
#[action(output = Vec<String>, kind = read)]
struct ExecHistory;

/// The server's time.
#[derive(Action)]
#[action(output = SystemTime, error = Never, kind = read)]
struct Time;

/// A line for the shell, or a program and its arguments as they are.
#[derive(Serialize, Deserialize)]
enum CommandLine {
    Line(String),
    List(Vec<String>),
}

impl From<&str> for CommandLine {
    fn from(line: &str) -> CommandLine {
        CommandLine::Line(line.into())
    }
}

impl<const N: usize> From<[&str; N]> for CommandLine {
    fn from(words: [&str; N]) -> CommandLine {
        CommandLine::List(words.map(String::from).into())
    }
}

/// Why a command gave nothing. The caller gets this value, not its text.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum ExecError {
    #[error("there is no command in an empty list")]
    Empty,
    #[error("could not start: {0}")]
    Start(String),
    /// `None`: a signal ended it.
    #[error("ended with status {0:?}")]
    Status(Option<i32>),
}

// `?` on an `io::Error` makes it the action's error: no `map_err` in the handler.
impl From<io::Error> for ExecError {
    fn from(error: io::Error) -> ExecError {
        ExecError::Start(error.to_string())
    }
}

/// What the handlers share. Handlers run on several threads, so a lock is due.
#[derive(Clone, Default)]
struct History(Arc<Mutex<Vec<String>>>);

impl History {
    fn add(&self, line: String) {
        // A handler that panicked while it held the lock has left a whole list behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Handle<Exec> for Exec {
    fn handle(&self, line: CommandLine, _cx: &Context<Exec>) -> Result<String, ExecError> {
        let words = match line {
            CommandLine::Line(line) => {
                self.history.add(line.clone());
                vec!["sh".into(), "-c".into(), line]
            }
            CommandLine::List(words) => {
                self.history.add(words.join(" "));
                words
            }
        };
        let (program, arguments) = words.split_first().ok_or(ExecError::Empty)?;
        let done = Command::new(program).args(arguments).output()?;
        if !done.status.success() {
            return Err(ExecError::Status(done.status.code()));
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let history = History::default();
    let server = Server::builder()
        .on::<Echo>(|text, _cx| Ok(text))
        .handler(Exec { history: history.clone() })
        .on::<ExecHistory>(move |(), _cx| Ok(history.lines()))
        .bind("127.0.0.1:0")?
        .spawn()?;

    let client = Client::connect(server.address())?;

    println!("== Echo");
    println!("{}", client.run::<Echo>("Echo test!")?);

    println!("== Exec");
    print!("{}", client.run::<Exec>(CommandLine::from("echo hi"))?);
    print!("{}", client.run::<Exec>(CommandLine::from(["echo", "no shell:", "$HOME; exit 3"]))?);

    println!("== ExecHistory");
    println!("{:?}", client.run::<ExecHistory>(())?);

    // A server takes actions while it runs; this connection can call it at once.
    server.on::<Time>(|(), _cx| Ok(SystemTime::now()))?;
    println!("== Time");
    println!("{} UTC", clock(client.run::<Time>(())?)?);

    server.stop(); // lets calls in flight finish
    Ok(())
}

/// The time of the day.
fn clock(time: SystemTime) -> Result<String, std::time::SystemTimeError> {
    let seconds = time.duration_since(UNIX_EPOCH)?.as_secs();
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    Ok(format!("{hours:02}:{minutes:02}:{:02}", seconds % 60))
}
