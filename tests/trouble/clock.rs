//! A process whose time of day jumps by a year each time that somebody looks.

use crate::{say, until_told};
use isock::{Client, Limits, ProblemKind, Server};
use isock_tests::{
    actions::{Echo, Square, Tick, Ticks},
    waiting::{block_on, ms, pass},
};
use std::{
    error::Error,
    thread,
    time::{Duration, Instant, SystemTime},
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Everything that keeps time: deadlines of calls and of streams, handshakes, pings, pauses.
pub(crate) fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let (one, other) = (SystemTime::now(), SystemTime::now());
    let jump = one.duration_since(other).or_else(|_| other.duration_since(one))?;
    if jump < YEAR {
        return Err(format!("the time of day has moved by {jump:?} alone").into());
    }
    let limits = || Limits::default().ping_after(ms(50)).ping_patience(ms(5000));
    let server = Server::builder()
        .limits(limits())
        .on::<Echo>(|text, _| Ok(text))
        .on::<Square>(|_, _| loop {
            thread::park();
        })
        .on::<Ticks>(|count, cx| {
            for n in 0..count {
                pass(ms(20));
                cx.send(Tick(n))?;
            }
            Ok(u64::from(count))
        });
    let server = server.bind(address)?.spawn()?;
    let client = Client::builder().limits(limits()).on::<Square>(|n, _| Ok(n * n));
    let client = client.timeout(ms(10_000)).connect(server.address())?;
    let id = client.id();
    for _ in 0..200 {
        client.run::<Echo>("blocking")?;
        block_on(client.start::<Echo>("a future"))?;
    }
    if client.open::<Ticks>(20)?.finish()? != 20 {
        return Err("a tick is missing".into());
    }
    for timeout in [ms(100), ms(300)] {
        let began = Instant::now();
        let error = client.request::<Square>(1).timeout(timeout).run().err().ok_or("an answer")?;
        let took = began.elapsed();
        if error.kind() != Some(ProblemKind::Deadline) || took < timeout || took > 10 * timeout {
            return Err(format!("{error} after {took:?}, not {timeout:?}").into());
        }
    }
    // Ten questions whether the other side is there, in either direction.
    pass(ms(500));
    client.run::<Echo>("after")?;
    if client.id() != id {
        return Err("the connection was lost".into());
    }
    say("on time");
    until_told();
    // A handler of it never ends.
    std::process::exit(0)
}
