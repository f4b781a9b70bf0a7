//! The programs that the API was designed with, run against the real crates.

use isock::{Action, CallError, Client, Context, Failure, Handle, Problem, Ran, Server};
use isock_tests::actions::*;
use std::{
    process::Command,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
    time::{Duration, SystemTime},
};

type Any = Box<dyn std::error::Error>;

#[test]
fn hello() -> Result<(), Any> {
    let server = Server::builder()
        .on::<Echo>(|text, _cx| Ok(text.to_uppercase()))
        .bind("127.0.0.1:0")?
        .spawn()?;
    let client = server.client();
    assert_eq!(client.run::<Echo>("hi")?, "HI");
    Ok(())
}

#[test]
fn classic() -> Result<(), Any> {
    let history = Arc::new(Mutex::new(Vec::new()));
    let seen = history.clone();
    let server = Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Exec>(move |line, _cx| {
            history.lock().unwrap().push(line.clone());
            let out = Command::new("sh").arg("-c").arg(&line).output()?;
            if !out.status.success() {
                return Err(ExecError::Status(out.status.code().unwrap_or(-1)));
            }
            Ok(String::from_utf8_lossy(&out.stdout).into_owned())
        })
        .on::<ExecHistory>(move |(), _| Ok(seen.lock().unwrap().clone()))
        .bind(("127.0.0.1", 0))?
        .spawn()?;
    let client = server.client();
    assert_eq!(client.run::<Exec>("echo hi")?, "hi\n");
    assert_eq!(client.run::<ExecHistory>(())?, ["echo hi"]);
    match client.run::<Exec>("exit 3") {
        Err(CallError::Action(ExecError::Status(3))) => {}
        other => panic!("{other:?}"),
    }
    match client.run::<Time>(()) {
        Err(error) if error.ran() == Ran::No => {
            assert!(error.to_string().contains("`Time`"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    server.on::<Time>(|(), _| Ok(SystemTime::now()))?;
    server.add(Square::with(|n, _| Ok(n * n)))?;
    client.run::<Time>(())?;
    assert!(server.on::<Time>(|(), _| Ok(SystemTime::now())).is_err());
    Ok(())
}

struct App {
    next: AtomicU64,
}

impl Handle<Echo> for App {
    fn handle(&self, text: String, _: &Context<Echo>) -> Result<String, Failure> {
        Ok(std::fs::read_to_string(&text).unwrap_or(text))
    }
}

impl Handle<Place> for App {
    fn handle(&self, place: Place, _: &Context<Place>) -> Result<Receipt, PlaceError> {
        if place.qty > 5 {
            Err(PlaceError::OutOfStock { left: 5 })?
        }
        Ok(Receipt { id: self.next.fetch_add(1, Ordering::Relaxed) })
    }
}

fn named(place: Place, cx: &Context<Place>) -> Result<Receipt, PlaceError> {
    let _ = cx.remaining();
    Ok(Receipt { id: place.qty.into() })
}

fn buy(client: &Client, place: &Place) -> Result<u64, CallError<PlaceError>> {
    match client.run::<Place>(place) {
        Err(CallError::Action(PlaceError::OutOfStock { left })) => {
            Ok(client.call(Place { qty: left, ..place.clone() })?.id)
        }
        result => Ok(result?.id),
    }
}

/// Two actions, two error types, one signature.
fn mixed(client: &Client) -> Result<u64, Problem> {
    match client.run::<Square>(3) {
        Ok(n) => Ok(n),
        Err(error) => {
            error.own()?;
            Ok(0)
        }
    }
}

struct Sq;

impl Handle<Square> for Sq {
    fn handle(&self, n: u64, _: &Context<Square>) -> Result<u64, Failure> {
        n.checked_mul(n).ok_or_else(|| Failure::new("too large"))
    }
}

#[test]
fn shop() -> Result<(), Any> {
    let app = Arc::new(App { next: 0.into() });
    let server = Server::builder()
        .serve(Counter, app.clone())
        .handler::<Square>(Sq)
        .bind("127.0.0.1:0")?
        .spawn()?;
    let second = Server::builder()
        .serve(Counter, App { next: 7.into() })
        .bind(String::from("127.0.0.1:0"))?
        .spawn()?;
    let third = Server::builder().on::<Place>(named).require(Counter).bind("127.0.0.1:0");
    assert_eq!(
        third.err().map(|error| error.to_string()).as_deref(),
        Some("no handler for `Echo`; add `.on::<…>(…)` for each")
    );
    let place = Place { sku: "a".into(), qty: 9 };
    assert_eq!(buy(&server.client(), &place)?, 0);
    assert_eq!(mixed(&server.client())?, 9);
    assert_eq!(buy(&second.client(), &place)?, 7);
    Ok(())
}

fn block_on<F: std::future::Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn pipelined() -> Result<(), Any> {
    let server = Server::builder()
        .handler::<Square>(Sq)
        .on::<Sum>(|numbers, _| Ok(numbers.iter().sum()))
        .on::<Pt>(|_, _| Ok(()))
        .on::<Opt>(|_, _| Ok(()))
        .on::<EchoOf<u8>>(|byte, _| Ok(byte))
        .on::<Echo>(|path, _| {
            let text = std::fs::read_to_string(path)?;
            let number: u32 = text.trim().parse()?;
            Ok(number.to_string())
        })
        .bind("127.0.0.1:0")?
        .spawn()?;
    let c = server.client();
    let calls: Vec<_> = (0..10).map(|i| c.start::<Square>(i)).collect();
    let all = calls.into_iter().map(|call| call.wait()).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(all, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
    let total: u64 = std::thread::scope(|s| {
        let c = &c;
        let threads: Vec<_> =
            (0..4).map(|i| s.spawn(move || c.run::<Square>(i).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 14);
    let elsewhere = std::thread::spawn({
        let c = c.clone();
        move || c.run::<Square>(12)
    });
    assert_eq!(elsewhere.join().unwrap()?, 144);
    let n = block_on(async {
        let a = c.start::<Square>(2);
        let b = c.start::<Sum>([1, 2, 3]);
        Ok::<_, Any>(a.await? + b.await?)
    })?;
    assert_eq!(n, 10);
    c.run::<Sum>(vec![1, 2])?;
    c.run::<Sum>(&[1, 2])?;
    c.run::<Sum>(&vec![1, 2])?;
    c.run::<Pt>((1, 2.0))?;
    c.run::<Opt>(None)?;
    c.run::<Opt>(Some(3))?;
    c.run::<EchoOf<u8>>(7)?;
    c.run::<Sum>((0..3).collect::<Vec<_>>())?;
    let error = c.run::<Echo>("/nope").unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    let n = c.request::<Square>(9).timeout(Duration::from_secs(5)).retry(5).run()?;
    assert_eq!(n, 81);
    Ok(())
}

/// The second call is started while the first is under way and nobody waits for either: it may
/// stay behind for a moment to leave with others, and then it is sent all the same.
#[test]
fn calls_that_nobody_waits_for_are_sent() -> Result<(), Any> {
    let (seen, sees) = std::sync::mpsc::channel();
    let seen = Mutex::new(seen);
    let server = Server::builder()
        .on::<Square>(move |n, _| {
            seen.lock().unwrap().send(n)?;
            Ok(n)
        })
        .bind("127.0.0.1:0")?
        .spawn()?;
    let client = server.client();
    client.run::<Square>(0)?;
    for round in 0..50 {
        let calls: Vec<_> = (1..4).map(|n| client.start::<Square>(round * 10 + n)).collect();
        let mut arrived: Vec<u64> = Vec::new();
        while arrived.len() < 3 {
            let n = sees.recv_timeout(Duration::from_secs(5))?;
            arrived.extend((n > 0).then_some(n));
        }
        arrived.sort_unstable();
        assert_eq!(arrived, [round * 10 + 1, round * 10 + 2, round * 10 + 3]);
        drop(calls);
    }
    Ok(())
}
