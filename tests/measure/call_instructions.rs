//! One script of calls, client and server in one process, for `instructions.sh` to count.

use isock::{Action, Bytes, Client, Server};
use serde::{Deserialize, Serialize};

/// Sends a number back.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct Echo;

/// Sends bytes back.
#[derive(Action)]
#[action(input = Bytes, output = Bytes)]
struct Bulk;

/// Sends records back.
#[derive(Action)]
#[action(input = Vec<Record>, output = Vec<Record>)]
#[action(input_view = Vec<RecordView<'_>>, output_view = Vec<RecordView<'_>>)]
struct Records;

#[derive(PartialEq, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    score: f64,
    group: Option<u32>,
    samples: Vec<u16>,
}

/// A record that is read in place.
#[derive(Serialize, Deserialize)]
struct RecordView<'a> {
    id: u64,
    name: &'a str,
    score: f64,
    group: Option<u32>,
    samples: Vec<u16>,
}

/// Counts up to a number.
#[derive(Action)]
#[action(input = u64, stream = u64, output = u64)]
struct Count;

/// Calls that are started before the first of them is waited for.
const DEPTH: u64 = 64;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(script), Some(calls)) = (args.next(), args.next()) else {
        panic!("a script, echo, pipelined, stream, bulk, records or views, and how many calls or items");
    };
    let calls: u64 = calls.parse().expect("a number");
    let server = match &*script {
        "views" => Server::builder().on_views::<Records>(|records, _| Ok(records)),
        _ => Server::builder().on::<Records>(|records, _| Ok(records)),
    };
    let server = server
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
        "records" => {
            let records: Vec<Record> = (0..1000).map(record).collect();
            (0..calls).for_each(|_| assert!(client.run::<Records>(&records).unwrap() == records));
        }
        "views" => {
            let records: Vec<Record> = (0..1000).map(record).collect();
            let count = |views: Vec<RecordView<'_>>| views.len();
            let each = || client.run_view::<Records, _>(&records, count).unwrap();
            (0..calls).for_each(|_| assert_eq!(each(), records.len()));
        }
        other => panic!("no script {other}"),
    }
}

/// With numbers and texts of many lengths.
fn record(n: u64) -> Record {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Record {
        id: mixed >> (n % 60),
        name: "a name of some letters"[..(mixed >> 32) as usize % 22].to_owned(),
        score: mixed as f64 / 7.0,
        group: (n % 3 > 0).then_some((mixed >> 20) as u32),
        samples: (0..n % 16).map(|shift| (mixed >> shift) as u16).collect(),
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
