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

/// Counts up to a number.
#[derive(Action)]
#[action(input = u64, stream = u64, output = u64)]
struct Count;

/// Calls that are started before the first of them is waited for.
const DEPTH: u64 = 64;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(script), Some(calls)) = (args.next(), args.next()) else {
        panic!("a script, echo, pipelined, stream or bulk, and how many calls or items");
    };
    let calls: u64 = calls.parse().expect("a number");
    let server = Server::builder()
        .on::<Echo>(|number, _| Ok(number))
        .on::<Bulk>(|bytes, _| Ok(bytes))
        .on::<Count>(|count, cx| {
            (0..count).try_for_each(|n| cx.send(n))?;
            Ok(count)
        })
        .bind("127.0.0.1:0")
        .and_then(|server| server.spawn())
        .expect("a free port");
    let client = Client::connect(server.address()).expect("the server runs");
    match &*script {
        "echo" => (0..calls).for_each(|n| assert_eq!(client.run::<Echo>(n).unwrap(), n)),
        "pipelined" => (0..calls / DEPTH).for_each(|_| pipelined(&client)),
        "stream" => streamed(&client, calls),
        "bulk" => {
            let bytes = vec![7; 64 * 1024];
            (0..calls).for_each(|_| assert_eq!(client.run::<Bulk>(&bytes[..]).unwrap()[..], bytes));
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

fn streamed(client: &Client, items: u64) {
    let mut stream = client.open::<Count>(items).unwrap();
    for (n, item) in (0..).zip(stream.by_ref()) {
        assert_eq!(item.unwrap(), n);
    }
    assert_eq!(stream.finish().unwrap(), items);
}
