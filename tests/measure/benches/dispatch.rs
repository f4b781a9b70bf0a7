//! From a call to its handler and back: client and server in one process, over memory alone.

use criterion::{Criterion, Throughput};
use isock::{Action, Client, Server};
use std::sync::mpsc::{channel, Receiver};

/// Sends a number back.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct Echo;

/// Takes a number.
#[derive(Action)]
#[action(input = u64)]
struct Note;

/// Calls that are started before the first of them is waited for.
const DEPTH: u64 = 64;

fn pipelined(client: &Client) -> u64 {
    let calls: Vec<_> = (0..DEPTH).map(|n| client.start::<Echo>(n)).collect();
    calls.into_iter().map(|call| call.wait().unwrap()).sum()
}

/// Waits for the last one: else there would soon be more of them than may wait.
fn noted(client: &Client, last: &Receiver<()>) {
    (0..DEPTH).for_each(|n| client.send::<Note>(n).unwrap());
    last.recv().unwrap();
}

fn dispatch(criterion: &mut Criterion) {
    let (tell, last) = channel();
    let server = Server::in_memory()
        .on::<Echo>(|number, _| Ok(number))
        .on::<Note>(move |n, _| {
            if n == DEPTH - 1 {
                tell.send(()).expect("it waits");
            }
            Ok(())
        })
        .spawn()
        .unwrap();
    let client = server.client();
    criterion.bench_function("a call", |bench| bench.iter(|| client.run::<Echo>(7).unwrap()));
    let mut group = criterion.benchmark_group("together");
    group.throughput(Throughput::Elements(DEPTH));
    group.bench_function("64 calls", |bench| bench.iter(|| pipelined(&client)));
    group.bench_function("64 sends", |bench| bench.iter(|| noted(&client, &last)));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    dispatch(&mut criterion);
    criterion.final_summary();
}
