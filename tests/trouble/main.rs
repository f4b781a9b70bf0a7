//! The process that is in trouble: it overflows its stack, is stopped, forks, has a clock that jumps
//! or a network that breaks. It says what came of it, and ends with its input.

mod clock;
mod fork;
mod network;
mod ports;
mod relay;

use isock::{Client, Limits, Server};
use isock_tests::{
    actions::{Boom, Echo, Peek, Place},
    waiting::{block_on, ms, pass},
};
use std::{
    env,
    error::Error,
    io::{self, Read},
    panic, process, thread,
};

fn main() -> Result<(), Box<dyn Error>> {
    // Whatever becomes of it, it does not keep its test for ever.
    thread::spawn(|| {
        pass(if env::var_os("NETWORK_LONG").is_some() { ms(600_000) } else { ms(90_000) });
        eprintln!("nothing has come of it");
        process::exit(1);
    });
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fragile", address] => fragile(address),
        ["brief", address] => brief(address),
        ["patient", address] => patient(address),
        ["fork", address] => fork::run(address),
        ["clock", address] => clock::run(address),
        ["partition", address] => network::partition(address),
        ["loss", address] => network::loss(address),
        ["ports", address] => ports::run(address),
        ["backlog", address] => ports::backlog(address),
        _ => Err(
            "usage: trouble fragile|brief|patient|fork|clock|partition|loss|ports|backlog ADDRESS"
                .into(),
        ),
    }
}

/// Serves at an address that it prints. A `Boom` that says `overflow` overflows the stack, any other
/// one ends the process as `panic = "abort"` would. An order is told and never answered.
fn fragile(address: &str) -> Result<(), Box<dyn Error>> {
    panic::set_hook(Box::new(|_| process::abort()));
    let server = Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Boom>(|text, _| {
            if text == "overflow" {
                say(&deep(1).to_string());
            }
            panic!("{text}")
        })
        .on::<Place>(|_, _| {
            say("placed");
            loop {
                thread::park();
            }
        })
        .bind(address)?
        .spawn()?;
    say(&server.address().to_string());
    until_told();
    server.detach();
    Ok(())
}

/// Never comes back.
fn deep(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 512]);
    if depth == 0 {
        return room[0];
    }
    deep(depth + 1) + room[1]
}

/// A server that does not wait for long: neither for a preface, nor for a message, nor for a pong.
fn brief(address: &str) -> Result<(), Box<dyn Error>> {
    let limits = Limits::default().handshake(ms(1000)).message_stall(ms(1000));
    let limits = limits.ping_after(ms(300)).ping_patience(ms(1000));
    let server = Server::builder().limits(limits).on::<Echo>(|text, _| Ok(text));
    let server = server.bind(address)?.spawn()?;
    say(&server.address().to_string());
    until_told();
    Ok(())
}

/// Calls four times, twice as a future, and says what came.
fn patient(address: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder().timeout(ms(2000)).attempts(1).connect(address)?;
    let said = thread::scope(|scope| {
        let client = &client;
        let calls = [1, 2, 3, 4].map(|n| {
            scope.spawn(move || match n % 2 {
                0 => block_on(client.start::<Peek>(n)),
                _ => client.run::<Peek>(n),
            })
        });
        calls.map(|call| match call.join() {
            Ok(Ok(number)) => number.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a panic".to_owned(),
        })
    });
    said.iter().for_each(|line| say(line));
    until_told();
    Ok(())
}

fn say(line: &str) {
    println!("{line}");
}

fn until_told() {
    // Its end is what counts.
    let _ = io::stdin().read_to_end(&mut Vec::new());
}
