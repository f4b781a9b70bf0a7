//! The other process of tests that need one: a server or a client, until its input ends.

use isock::{Client, Server};
use isock_tests::{
    actions::{Boom, Echo, Place, PlaceError, Square},
    usage,
    waiting::{block_on, eventually, ms, pass},
};
use std::{
    env,
    fs::OpenOptions,
    io::{self, Read, Write},
    thread,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", file] => serve(file.to_owned()),
        ["client", address] => call(address),
        ["churn", address] => churn(address),
        _ => Err("usage: peer server FILE | peer client ADDRESS | peer churn ADDRESS".into()),
    }
}

/// Serves at a port that it prints. An order is written to the file and never answered.
fn serve(file: String) -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Boom>(|text, _| panic!("{text}"))
        .on::<Place>(move |place, _| {
            write_order(&file, &place).map_err(|_| PlaceError::OutOfStock { left: 0 })?;
            say("placed");
            loop {
                thread::park();
            }
        })
        .bind("127.0.0.1:0")?
        .spawn()?;
    say(&server.address().to_string());
    until_told();
    server.detach();
    Ok(())
}

fn write_order(file: &str, place: &Place) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{} {}", place.qty, place.sku)
}

/// Calls in both ways, then keeps its connection without using it.
fn call(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect(address)?;
    for _ in 0..10 {
        client.run::<Echo>("blocking")?;
        block_on(client.start::<Echo>("as a future"))?;
    }
    say("idle");
    until_told();
    Ok(())
}

/// Makes clients that call in both ways, drops them, and sees that nothing is left of them.
fn churn(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let usage = usage::own();
    let (threads, descriptors) = (usage.threads(), usage.descriptors());
    let clients = (0..20).map(|_| Client::connect(address)).collect::<Result<Vec<_>, _>>()?;
    for client in &clients {
        client.run::<Square>(2)?;
        block_on(client.start::<Square>(3))?;
        let calls: Vec<_> = (0..10).map(|n| client.start::<Square>(n)).collect();
        calls.into_iter().try_for_each(|call| call.wait().map(drop))?;
    }
    // Longer than their threads look for more to read.
    pass(ms(150));
    drop(clients);
    eventually("their threads have ended", ms(2000), || usage.threads() == threads);
    eventually("their connections have ended", ms(2000), || usage.descriptors() == descriptors);
    say("nothing is left");
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
