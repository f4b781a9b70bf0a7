//! A process that forks while its client is in the middle of everything.

use crate::{say, until_told};
use isock::{Action, Call, CallError, Client, Failure, ProblemKind, Ran, Server, Stream};
use isock_tests::{
    actions::{Echo, Peek},
    waiting::{block_on, ms, within},
};
use std::{
    error::Error,
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Ticks without end, as far as they are taken.
#[derive(Action)]
#[action(stream = u64)]
struct Tick;

/// What must not take long.
const SOON: Duration = ms(1000);
/// What other threads hold at that moment differs.
const FORKS: usize = 100;

/// The parent's other threads wait in a call, and read for it; a stream is open, and one more call
/// has been started.
pub(crate) fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let own = Server::builder().on::<Tick>(|(), cx| Ok((0..).try_for_each(|n| cx.send(n))?));
    let own = own.on::<Echo>(|text: String, _| Ok(text)).drain_on_sigterm(ms(1000));
    let own = own.bind("127.0.0.1:0")?.spawn()?;
    let streaming = Client::connect(own.address())?;
    let mut stream = streaming.open::<Tick>(())?;
    stream.next().ok_or("no tick")??;

    let client = Client::builder().timeout(ms(20_000)).connect(address)?;
    client.run::<Echo>("before")?;
    let id = client.id();
    let started = client.start::<Peek>(1);
    let polled = client.start::<Peek>(2);
    let own_calls = Client::connect(own.address())?;
    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| client.run::<Peek>(3));
        say("calling");
        // The other thread waits by now: what it calls has come.
        io::stdin().read_line(&mut String::new())?;
        let busy = scope.spawn(|| keep_busy(&own_calls, &goes_on));
        for _ in 0..FORKS {
            match fork()? {
                Forked::Child => {
                    let seen = child(&client, streaming, address, started, polled, stream);
                    drop((client.clone(), own));
                    std::process::exit(match seen {
                        Ok(()) => 0,
                        Err(what) => {
                            eprintln!("in the child: {what}");
                            1
                        }
                    });
                }
                Forked::Parent(child) => say(&format!("a child ended with {}", ended(child)?)),
            }
        }
        goes_on.store(false, Ordering::Relaxed);
        busy.join().map_err(|_| "a panic")??;
        assert_eq!(client.run::<Echo>("after")?, "after");
        assert_eq!(client.id(), id, "it is the connection of before");
        for _ in 0..10_000 {
            stream.next().ok_or("no tick")??;
        }
        say("calls on");
        let answers = [started.wait(), block_on(polled), waiting.join().map_err(|_| "a panic")?];
        say(&format!("{answers:?}"));
        until_told();
        Ok(())
    })
}

/// Has calls stay behind, and memory for long messages pass from one to the next, the whole time.
fn keep_busy(client: &Client, goes_on: &AtomicBool) -> Result<(), CallError<Failure>> {
    let long = "x".repeat(100_000);
    while goes_on.load(Ordering::Relaxed) {
        let calls = [(); 4].map(|()| client.start::<Echo>(&*long));
        calls.into_iter().try_for_each(|call| call.wait().map(drop))?;
    }
    Ok(())
}

/// Whatever the child tries with what it has inherited is an error, at once; what it makes itself
/// works.
fn child(
    client: &Client,
    streaming: Client,
    address: &str,
    started: Call<Peek>,
    polled: Call<Peek>,
    mut stream: Stream<Tick>,
) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    refused(client.run::<Echo>("x"), Ran::No)?;
    refused(block_on(client.start::<Echo>("x")), Ran::No)?;
    refused(started.wait(), Ran::Unknown)?;
    refused(block_on(polled), Ran::Unknown)?;
    refused(client.send::<Echo>("x").map_err(CallError::Call), Ran::No)?;
    refused(client.ping().map_err(CallError::Call), Ran::No)?;
    refused(streaming.open::<Tick>(()).map(drop).map_err(CallError::Call), Ran::No)?;
    let end = stream.by_ref().find_map(Result::err).ok_or("the stream goes on")?;
    refused(Err::<(), _>(end), Ran::Unknown)?;
    // The last ones who have that connection: it is let go of, and not closed.
    drop((stream, streaming));
    client.close();
    if began.elapsed() > SOON {
        return Err(format!("errors took {:?}", began.elapsed()).into());
    }
    let own = Client::connect(address)?;
    let many: Vec<_> = (0..10).map(|_| own.start::<Echo>("x")).collect();
    for call in many {
        block_on(call)?;
    }
    own.run::<Echo>("x".repeat(100_000))?;
    let server = Server::builder().drain_on_sigterm(ms(1000)).bind("127.0.0.1:0")?;
    terminate();
    server.run();
    Ok(())
}

fn refused<T>(result: Result<T, CallError<Failure>>, ran: Ran) -> Result<(), Box<dyn Error>> {
    match result {
        Err(CallError::Call(problem))
            if (problem.kind(), problem.ran()) == (ProblemKind::NotConnected, ran)
                && problem.to_string().contains("forked") =>
        {
            Ok(())
        }
        Err(other) => Err(format!("{other}, ran {:?} and not {ran:?}", other.ran()).into()),
        Ok(_) => Err("it is no error".into()),
    }
}

enum Forked {
    Child,
    Parent(libc::pid_t),
}

#[allow(unsafe_code)] // No crate of these tests forks safely, since nobody can.
fn fork() -> io::Result<Forked> {
    // SAFETY: the child uses memory, sockets and threads, which this system's library keeps in order
    // for it, and what this test is about: the client's own locks.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        child if child > 0 => Ok(Forked::Parent(child)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Tells this process to end.
#[allow(unsafe_code)]
fn terminate() {
    // SAFETY: it takes no pointers.
    unsafe { libc::raise(libc::SIGTERM) };
}

/// With which status; one that has not ended after ten seconds never will.
#[allow(unsafe_code)]
fn ended(child: libc::pid_t) -> Result<i32, Box<dyn Error>> {
    let mut status = 0;
    // SAFETY: the pointer is to a live local of that type, and the child is this process's own.
    let mut look = || unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
    let has_ended = within(ms(10_000), || look() == child);
    if !has_ended {
        // SAFETY: nobody has waited for it, so the number is still the child's.
        unsafe { libc::kill(child, libc::SIGKILL) };
        return Err("the child hangs".into());
    }
    Ok(libc::WEXITSTATUS(status))
}
