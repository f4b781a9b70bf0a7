//! The other process of tests that need one: a server or a client, until its input ends.

use isock::{Client, Limits, Server, ServerBuilder};
use isock_tests::{
    actions::{Boom, Deadly, Echo, Hold, Last, Place, PlaceError, Square},
    gate::Gate,
    usage,
    waiting::{block_on, eventually, ms, pass, poll_once, within},
};
use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", file] => serve(file.to_owned()),
        ["drained", address, file] => serve_until_terminated(address, file),
        #[cfg(unix)]
        ["signalled", when] => signals::hear_them(when),
        ["client", address] => call(address),
        ["churn", address] => churn(address),
        ["hoarder", address] => echo_with_few_descriptors(address),
        ["resting"] => rest(),
        ["polling", millis] => poll(ms(millis.parse()?)),
        ["impatient"] => ask_soon(),
        ["attended", address] => attend(address),
        ["sequential", address] => call_one_by_one(address),
        ["calls", address, count, len] => call_and_end(address, count.parse()?, len.parse()?),
        ["unresolved"] => call_by_a_dead_name(),
        ["interrupted", address] => echo_while_interrupted(address),
        _ => {
            Err("usage: peer resting | peer polling MILLIS | peer impatient | peer server FILE | \
                 peer drained ADDRESS FILE | peer calls ADDRESS COUNT LENGTH | \
                 peer signalled before|after|never | \
                 peer client|attended|sequential|churn|hoarder|interrupted ADDRESS"
                .into())
        }
    }
}

/// Serves at a port that it prints. An order is written to the file and never answered.
fn serve(file: String) -> Result<(), Box<dyn std::error::Error>> {
    let last = file.clone();
    let server = Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Boom>(|text, _| panic!("{text}"))
        .on::<Last>(move |number, _| {
            write_order(&last, &Place { sku: number.to_string(), qty: 1 })?;
            Ok(Deadly(number))
        })
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

/// Serves at this address until SIGTERM. Each run adds a line to the file; a run with number 0 goes
/// on until its standard input says so, also when it is cancelled.
fn serve_until_terminated(address: &str, file: &str) -> Result<(), Box<dyn std::error::Error>> {
    let file = Arc::new(OpenOptions::new().create(true).append(true).open(file)?);
    let gate = Gate::new();
    let builder = || {
        let (runs, held) = (Arc::clone(&file), gate.clone());
        Server::builder().log(say).on::<Hold>(move |number, cx| {
            (&*runs).write_all(format!("{number}\n").as_bytes())?;
            if number == 0 {
                cx.on_cancel(|| say("cancelled"));
                say("holding");
                held.pass();
                if !cx.cancelled() {
                    say("let go");
                }
            }
            Ok(number)
        })
    };
    let mut server = None;
    // Another server may still be leaving.
    let bound = within(ms(20_000), || {
        server = builder().drain_on_sigterm(ms(30_000)).bind(address).ok();
        server.is_some()
    });
    assert!(bound, "{address} does not come free");
    let server = server.expect("it is bound");
    say(&server.addresses()[0].to_string());
    thread::spawn(move || {
        let mut line = String::new();
        if io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            gate.open();
            until_told();
        }
        // The test has gone, and nobody else would end this.
        std::process::exit(3);
    });
    server.run();
    say("drained");
    Ok(())
}

/// SIGTERM in programs that have handlers and children of their own.
#[cfg(unix)]
mod signals {
    use super::{say, until_told};
    use isock::Server;
    use isock_tests::waiting::{ms, pass};
    use signal_hook::{consts::SIGTERM, flag, low_level};
    use std::{
        os::unix::process::{CommandExt, ExitStatusExt},
        process::Command,
        sync::{
            atomic::{AtomicBool, Ordering},
            Arc,
        },
    };

    type Any = Box<dyn std::error::Error>;

    /// Serves until SIGTERM, with a handler of the program's own that was installed before that of
    /// the server, after it, or never.
    pub(super) fn hear_them(when: &str) -> Result<(), Any> {
        let own = Arc::<AtomicBool>::default();
        if when == "before" {
            flag::register(SIGTERM, Arc::clone(&own))?;
        }
        let server = Server::builder().log(|_| ()).drain_on_sigterm(ms(30_000));
        let server = server.bind("127.0.0.1:0")?;
        if when == "after" {
            flag::register(SIGTERM, Arc::clone(&own))?;
        }
        let server = server.spawn()?;
        end_a_child()?;
        // A server that drains has closed its connections by then.
        pass(ms(100));
        server.client().ping()?;
        say("serving");
        server.wait();
        say(&format!("drained, heard: {}", own.swap(false, Ordering::SeqCst)));
        until_told();
        say(&format!("heard again: {}", own.load(Ordering::SeqCst)));
        Ok(())
    }

    /// A child gets the signal before it has become another program: it ends, and nothing else.
    #[allow(unsafe_code)]
    fn end_a_child() -> Result<(), Any> {
        let mut child = Command::new("true");
        // SAFETY: raising a signal is allowed in a child that has been forked.
        unsafe { child.pre_exec(|| low_level::raise(SIGTERM)) };
        let status = child.status()?;
        say(&format!("child: {:?}", status.signal()));
        Ok(())
    }
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
        // The thread that reads for it stays for as long as it may take, and ten seconds more.
        let future = client.request::<Echo>("as a future").timeout(ms(5_000));
        block_on(future.start())?;
    }
    say("idle");
    until_told();
    Ok(())
}

/// A server and a client that poll for this long, and have nothing to do after a few calls.
fn poll(window: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().busy_poll(window).on::<Square>(|n, _| Ok(n * n));
    let server = server.bind("127.0.0.1:0")?.spawn()?;
    let client = Client::builder().busy_poll(window).connect(server.address())?;
    for n in 0..100 {
        client.run::<Square>(n)?;
    }
    say("called");
    until_told();
    Ok(())
}

/// Serves and calls in both directions, over a socket and in memory, and then does nothing: one
/// future waits for an answer that never comes, and nothing else is under way.
fn rest() -> Result<(), Box<dyn std::error::Error>> {
    let with = |server: ServerBuilder| {
        server
            .event_loops(3)
            .on::<Echo>(|text, cx| Ok(format!("{text} {}", cx.peer().run::<Square>(3)?)))
            .on::<Place>(|_, _| loop {
                thread::park();
            })
    };
    let tcp = with(Server::builder()).bind("127.0.0.1:0")?.spawn()?;
    let servers = [tcp, with(Server::in_memory()).spawn()?];
    let mut kept = Vec::new();
    for server in &servers {
        let client = server.client_with(|client| client.on::<Square>(|n, _| Ok(n * n)))?;
        assert_eq!(client.run::<Echo>("three")?, "three 9");
        assert_eq!(block_on(client.start::<Echo>("three"))?, "three 9");
        let waiting = server.client();
        let mut order = waiting.start::<Place>(Place { sku: "never".into(), qty: 1 });
        assert!(poll_once(&mut order).is_pending());
        kept.push((client, waiting, order));
    }
    say("resting");
    until_told();
    // Its handlers never end.
    std::process::exit(0);
}

/// A server, at an address that it prints, that soon asks whether its clients are there.
fn ask_soon() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default().ping_after(ms(200)).ping_patience(ms(600));
    let server = Server::builder().limits(limits).bind("127.0.0.1:0")?.spawn()?;
    say(&server.address().to_string());
    until_told();
    Ok(())
}

/// Serves [`Square`] to the server, and nothing else.
fn attend(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let _client = Client::builder().on::<Square>(|n, _| Ok(n * n)).connect(address)?;
    say("attended");
    until_told();
    Ok(())
}

/// Makes 3000 calls, one after the other, while it serves; says how often its other thread ran.
fn call_one_by_one(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::builder().on::<Square>(|n, _| Ok(n * n)).connect(address)?;
    let runs = || {
        let tasks = usage::own().tasks().into_iter();
        tasks.filter(|task| task.name == "isock-client").map(|task| task.runs).sum::<u64>()
    };
    let before = runs();
    for _ in 0..3000 {
        client.run::<Echo>("blocking")?;
    }
    say(&runs().saturating_sub(before).to_string());
    until_told();
    Ok(())
}

/// Makes so many calls, one after the other, and nothing else.
fn call_and_end(address: &str, count: u32, len: usize) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect(address)?;
    let text = "x".repeat(len);
    for _ in 0..count {
        client.run::<Echo>(&text)?;
    }
    Ok(())
}

/// Calls a server by a name that nobody resolves: the only name server is here, and answers nothing.
fn call_by_a_dead_name() -> Result<(), Box<dyn std::error::Error>> {
    let name_server = std::net::UdpSocket::bind("127.0.0.1:53")?;
    let client = Client::builder().connect_lazy("nowhere.example:1")?;
    let call = || {
        let before = Instant::now();
        let error = client.request::<Echo>("hi").timeout(ms(200)).run().unwrap_err();
        assert_eq!(error.ran(), isock::Ran::No, "{error}");
        before.elapsed()
    };
    let late: Vec<_> = (0..10).map(|_| call()).filter(|took| *took >= ms(300)).collect();
    let tasks = usage::own().tasks();
    let resolving = tasks.iter().filter(|task| task.name == "isock-resolve").count();
    name_server.set_nonblocking(true)?;
    let asked = name_server.recv(&mut [0; 512]).is_ok();
    // A busy machine may hold a thread up now and then.
    match (late.len(), resolving, asked) {
        (0..=3, 1, true) => say("left in time, and asked once"),
        wrong => say(&format!("late, threads, asked: {wrong:?} {late:?}")),
    }
    // The name server is never answered for.
    std::process::exit(0);
}

/// Serves [`Echo`] at an address that it prints. All descriptors but a few are taken, until it
/// reads a line.
fn echo_with_few_descriptors(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    const LEFT: usize = 16;
    let server = Server::builder().on::<Echo>(|text, _| Ok(text)).bind(address)?.spawn()?;
    let mut hoard: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    hoard.truncate(hoard.len() - LEFT);
    say(&server.address().to_string());
    io::stdin().read_line(&mut String::new())?;
    drop(hoard);
    until_told();
    Ok(())
}

/// Serves [`Echo`] at an address that it prints, and calls it too, while its threads are
/// interrupted. Says when enough of its calls were, or what went wrong.
fn echo_while_interrupted(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let alarm = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGALRM, Arc::clone(&alarm))?;
    let server = Server::builder().on::<Echo>(|text, _| Ok(text)).bind(address)?.spawn()?;
    let client = Client::connect(server.address())?;
    say(&server.address().to_string());
    match call_while_interrupted(&client, &alarm) {
        Ok(()) => say("served"),
        Err(error) => say(&format!("failed: {error}")),
    }
    until_told();
    Ok(())
}

/// At least 200 calls, and a signal during at least 50 of them. A busy machine takes its time.
fn call_while_interrupted(client: &Client, alarm: &AtomicBool) -> Result<(), String> {
    let began = Instant::now();
    let (mut calls, mut interrupted) = (0, 0);
    while calls < 200 || interrupted < 50 {
        let echo = client.run::<Echo>("blocking").map_err(|error| error.to_string())?;
        let later = block_on(client.start::<Echo>(&echo)).map_err(|error| error.to_string())?;
        assert_eq!(later, "blocking");
        calls += 2;
        interrupted += u32::from(alarm.swap(false, Ordering::Relaxed));
        if began.elapsed() > Duration::from_secs(20) {
            return Err(format!("{calls} calls, {interrupted} interrupted"));
        }
    }
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
