//! Named packets both ways, and an operator's console: `cargo run --example packets`
//!
//! Server and client both bind functions to the names of actions, and each runs them on the other
//! side by sending a packet: an action, data, the time of its creation and the token of the
//! connection. The server knows its connections: it sends to one or to all, suspends, and
//! disconnects with a reason that the client hears. In two terminals:
//!
//! ```sh
//! cargo run --example packets -- serve      # then `help`
//! cargo run --example packets -- connect    # then `say hello` or `echo hello`: an action, its data
//! ```
//!
//! `serve [ADDRESS]` and `connect [ADDRESS]` take another address than 127.0.0.1:25565; `idle` in
//! place of `serve` leaves the listening to the console's `start`. Without arguments one program is
//! both, at a free port, and its console reads a script.
//!
//! Ends with 0 after `stop` or the end of its input, with 1 and a sentence on standard error when it
//! cannot listen or connect or is disconnected, and with 2 when it does not understand its
//! arguments.

mod client;
mod console;
mod hub;
mod packet;

use hub::Hub;
use isock::{Client, ConnectError, ServeError};
use packet::{post, send, shown, Bindings};
use std::{
    env,
    io::{self, BufReader, Read},
    process::ExitCode,
    str::Lines,
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

/// Where the server listens unless it is told otherwise.
const ADDRESS: &str = "127.0.0.1:25565";

const USAGE: &str = "usage: packets [serve|idle|connect [ADDRESS]]";

/// What the demonstration's operator does.
const SCRIPT: &str =
    "list\npingall\nbroadcast say hello to all\nmode latest\nsend say hello to you\n\
                      actions\ntrigger say to myself\ndropall that is all\nnonsense\nstop\n";

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{USAGE}")]
    Usage,
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the console: {0}")]
    Console(#[from] io::Error),
    #[error("disconnected: {0}")]
    Disconnected(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => demonstrate(),
        ["serve"] => serve(ADDRESS, true),
        ["serve", address] => serve(address, true),
        ["idle"] => serve(ADDRESS, false),
        ["idle", address] => serve(address, false),
        ["connect"] => connect(ADDRESS),
        ["connect", address] => connect(address),
        _ => Err(Error::Usage),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("packets: {error}");
            ExitCode::from(if matches!(error, Error::Usage) { 2 } else { 1 })
        }
    }
}

fn serve(address: &str, start: bool) -> Result<(), Error> {
    let mut hub = Hub::new(address, server_bindings(), |line| println!("{line}"));
    if start {
        hub.start()?;
        announce(&hub);
    }
    Ok(console::console(io::stdin().lock(), io::stdout(), &mut hub)?)
}

fn announce(hub: &Hub) {
    if let Some(server) = hub.server() {
        println!("listening at {}", server.address());
    }
}

fn server_bindings() -> Bindings {
    Bindings::default()
        .bind("say", |packet, _| {
            println!("{} says: {}", packet.token, shown(&packet.data));
            Ok(())
        })
        // A packet in return, whose end nobody waits for.
        .bind("echo", |packet, from| Ok(post(from, "echo", &packet.data)?))
}

/// What happens to a client's program.
enum Event {
    Line(String),
    EndOfInput,
    Disconnected(String),
}

fn connect(address: &str) -> Result<(), Error> {
    let (events, happened) = mpsc::channel();
    let gone = events.clone();
    // Nobody listens any more once the program ends.
    let client = client::connect(address, client_bindings(|| ()), move |why| {
        drop(gone.send(Event::Disconnected(why.into())));
    })?;
    if let Some(token) = client.id() {
        println!("token {token}");
    }
    thread::spawn(move || read_lines(&events));
    for event in happened {
        match event {
            Event::Line(line) => say(&client, &line),
            Event::EndOfInput => break,
            // It would come back by itself, but who is sent away stays away.
            Event::Disconnected(why) => return Err(Error::Disconnected(why)),
        }
    }
    client.close();
    Ok(())
}

fn read_lines(events: &Sender<Event>) {
    for line in io::stdin().lines() {
        let event = line.map_or(Event::EndOfInput, Event::Line);
        if events.send(event).is_err() {
            return;
        }
    }
    // The program has ended already if nobody hears it.
    let _ = events.send(Event::EndOfInput);
}

/// One line of a client's input: an action and its data.
fn say(client: &Client, line: &str) {
    let (action, data) = line.split_once(' ').unwrap_or((line, ""));
    match send(client, action, data.as_bytes()) {
        Ok(()) => println!("sent `{}`", shown(action.as_bytes())),
        Err(error) => println!("error: {error}"),
    }
}

/// Shows what comes, and says that it has.
fn client_bindings(heard: impl Fn() + Clone + Send + Sync + 'static) -> Bindings {
    ["say", "echo"].into_iter().fold(Bindings::default(), |bindings, action| {
        let heard = heard.clone();
        bindings.bind(action, move |packet, _| {
            println!("{}: {}", packet.action, shown(&packet.data));
            heard();
            Ok(())
        })
    })
}

/// A server and two clients in one program.
fn demonstrate() -> Result<(), Error> {
    let mut hub = Hub::new("127.0.0.1:0", server_bindings(), |line| println!("{line}"));
    hub.start()?;
    announce(&hub);
    let address = hub.server().map(|server| server.address().to_string()).unwrap_or_default();
    let (heard, echoes) = mpsc::channel();
    let bindings = client_bindings(move || heard.send(()).unwrap_or_default());
    let connect = |_| client::connect(&address, bindings.clone(), |_| ());
    let clients = (0..2).map(connect).collect::<Result<Vec<_>, _>>()?;
    for client in &clients {
        say(client, "echo from a client");
    }
    for _ in &clients {
        // The operator comes when all have heard theirs.
        let _ = echoes.recv_timeout(Duration::from_secs(5));
    }
    Ok(console::console(BufReader::new(Script(SCRIPT.lines())), io::stdout(), &mut hub)?)
}

/// An operator whose commands are known, and shown when they are read.
struct Script(Lines<'static>);

impl Read for Script {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let Some(line) = self.0.next() else { return Ok(0) };
        println!("> {line}");
        format!("{line}\n").as_bytes().read(space)
    }
}
