//! One script of calls, client and server in one process, for `instructions.sh` to count.

use isock::{Action, Bytes, Client, Server};

/// Sends a number back.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct Echo;

/// Sends bytes back.
#[derive(Action)]
#[action(input = Bytes, output = Bytes)]
struct Bulk;

/// Calls that are started before the first of them is waited for.
const DEPTH: u64 = 64;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(script), Some(calls)) = (args.next(), args.next()) else {
        panic!("a script, echo, pipelined or bulk, and how many calls");
    };
    let calls: u64 = calls.parse().expect("a number");
    let server = Server::builder()
        .on::<Echo>(|number, _| Ok(number))
        .on::<Bulk>(|bytes, _| Ok(bytes))
        .bind("127.0.0.1:0")
        .and_then(|server| server.spawn())
        .expect("a free port");
    let client = Client::connect(server.addresses()[0].to_string()).expect("the server runs");
    match &*script {
        "echo" => (0..calls).for_each(|n| assert_eq!(client.run::<Echo>(n).unwrap(), n)),
        "pipelined" => (0..calls / DEPTH).for_each(|_| pipelined(&client)),
        "bulk" => {
            let bytes = vec![7; 64 * 1024];
            (0..calls).for_each(|_| assert_eq!(client.run::<Bulk>(&bytes[..]).unwrap().0, bytes));
        }
        other => panic!("no script {other}"),
    }
}

fn pipelined(client: &Client) {
    let calls: Vec<_> = (0..DEPTH).map(|n| client.start::<Echo>(n)).collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.wait().unwrap(), n);
    }
}
