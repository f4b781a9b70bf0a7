//! Servers come and go under load: no call is lost, none runs twice, none ends without an outcome.

use isock::{Address, Client, Server, ServerBuilder, ServerHandle};
use isock_tests::{
    actions::Hold,
    waiting::{ms, pass, within},
};
use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc, Mutex,
    },
    thread,
};

const CLIENTS: u32 = 50;
const RESTARTS: usize = 20;

/// How often the handlers have run with each number, on whichever server.
type Runs = Arc<Mutex<HashMap<u32, u32>>>;

fn counting(runs: &Runs) -> ServerBuilder {
    let runs = Arc::clone(runs);
    Server::builder().on::<Hold>(move |number, _| {
        *runs.lock().unwrap().entry(number).or_default() += 1;
        Ok(number)
    })
}

/// Serves at an address that another server may still be leaving.
fn at(address: &Address, runs: &Runs) -> ServerHandle {
    let mut server = None;
    let bound = within(ms(10_000), || {
        server = counting(runs).bind(address).ok();
        server.is_some()
    });
    assert!(bound, "{address} does not come free");
    server.unwrap().spawn().unwrap()
}

/// Calls from all clients while `restart` is done over and over, and compares what they heard with
/// what has run.
fn calls_go_on(runs: &Runs, addresses: &[Address], attempts: u32, mut restart: impl FnMut()) {
    let (done, numbers) = (AtomicBool::new(false), AtomicU32::new(0));
    let ended: Vec<_> = (0..CLIENTS).map(|_| AtomicU32::new(0)).collect();
    let addresses: Vec<_> = addresses.iter().map(Address::to_string).collect();
    thread::scope(|scope| {
        for ended in &ended {
            let client = Client::builder().attempts(attempts).connect(&*addresses).unwrap();
            let (done, numbers) = (&done, &numbers);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    let number = numbers.fetch_add(1, Ordering::SeqCst);
                    if let Err(error) = client.run::<Hold>(number) {
                        done.store(true, Ordering::SeqCst);
                        panic!("call {number}: {error}");
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..RESTARTS {
            let before = numbers.load(Ordering::SeqCst);
            let counts = || ended.iter().map(|ended| ended.load(Ordering::SeqCst));
            let earlier: Vec<_> = counts().collect();
            // Two calls of each client: one of them has begun since the last restart, so that no call
            // meets two of them.
            let of_each = || earlier.iter().zip(counts()).all(|(earlier, now)| now >= *earlier + 2);
            let goes_on = within(ms(10_000), || {
                let many = numbers.load(Ordering::SeqCst) >= before + 500;
                done.load(Ordering::SeqCst) || (many && of_each())
            });
            assert!(goes_on, "calls stand still");
            if !done.load(Ordering::SeqCst) {
                restart();
            }
        }
        pass(ms(20));
        done.store(true, Ordering::SeqCst);
    });
    let (runs, calls) = (runs.lock().unwrap(), numbers.into_inner());
    let lost: Vec<_> = (0..calls).filter(|number| !runs.contains_key(number)).collect();
    let doubled: Vec<_> = runs.iter().filter(|(_, count)| **count > 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?}, doubled {doubled:?}");
}

#[test]
fn twenty_restarts_at_one_address_are_not_noticed() {
    let runs = Runs::default();
    let first = counting(&runs).bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let address = first.address();
    let mut server = Some(first);
    // For a moment nobody listens: some calls need more than one further attempt.
    calls_go_on(&runs, std::slice::from_ref(&address), 10, || {
        let old = server.take().unwrap();
        old.stopper().stop();
        server = Some(at(&address, &runs));
        old.stop();
    });
}

#[test]
fn of_two_servers_one_after_the_other_restarts_unnoticed() {
    let runs = Runs::default();
    let mut servers: Vec<_> = (0..2)
        .map(|_| Some(counting(&runs).bind("127.0.0.1:0").unwrap().spawn().unwrap()))
        .collect();
    let addresses: Vec<_> = servers.iter().flatten().map(ServerHandle::address).collect();
    let mut turn = 0;
    calls_go_on(&runs, &addresses, 3, || {
        servers[turn].take().unwrap().stop();
        servers[turn] = Some(at(&addresses[turn], &runs));
        turn = 1 - turn;
    });
}
