//! A server that comes back is found again, and nothing runs twice.

use super::spawn;
use isock::{ActionKind, Address, Client, Ran, Server, ServerBuilder, ServerHandle};
use isock_tests::{
    actions::*,
    gate::Gate,
    raw,
    waiting::{block_on, ms, pass},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc,
    },
    thread,
};

fn counting(runs: &Arc<AtomicU32>) -> ServerBuilder {
    let runs = Arc::clone(runs);
    Server::builder().on::<Square>(|n, _| Ok(n * n)).on::<Hold>(move |number, _| {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok(number)
    })
}

fn again(address: &Address, builder: ServerBuilder) -> ServerHandle {
    builder.bind(address).unwrap().spawn().unwrap()
}

#[test]
fn an_idle_client_notices_nothing_of_a_restart() {
    let runs = Arc::default();
    let mut server = spawn(counting(&runs));
    let address = server.address();
    let client = Client::connect(&address).unwrap();
    for restart in 0..5 {
        assert_eq!(client.run::<Square>(3).unwrap(), 9);
        assert_eq!(client.run::<Hold>(restart).unwrap(), restart);
        server.stop();
        server = again(&address, counting(&runs));
        // Idle for longer than a client trusts its connection unseen.
        pass(ms(15));
        assert_eq!(
            client.run::<Hold>(restart).unwrap(),
            restart,
            "it never left: it is sent again"
        );
        assert_eq!(block_on(client.start::<Square>(4)).unwrap(), 16);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 10);
}

#[test]
fn reads_survive_restarts_and_once_is_never_doubled() {
    let runs = Arc::new(AtomicU32::new(0));
    let mut server = spawn(counting(&runs));
    let address = server.address();
    let client = Client::builder().attempts(10).connect(&address).unwrap();
    let done = AtomicBool::new(false);
    let (mut sure, mut unsure) = (0, 0);
    thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                n += 1;
                assert_eq!(client.run::<Square>(n).unwrap(), n * n);
            }
        });
        let counts = scope.spawn(|| {
            let (mut sure, mut unsure) = (0, 0);
            while !done.load(Ordering::SeqCst) {
                match client.run::<Hold>(1).map_err(|error| error.ran()) {
                    Ok(_) => sure += 1,
                    Err(Ran::Unknown) => unsure += 1,
                    Err(Ran::Yes) => panic!("it cannot know that"),
                    Err(Ran::No) => {}
                }
            }
            (sure, unsure)
        });
        for _ in 0..10 {
            pass(ms(20));
            server.stop();
            server = again(&address, counting(&runs));
        }
        done.store(true, Ordering::SeqCst);
        reads.join().unwrap();
        (sure, unsure) = counts.join().unwrap();
    });
    let runs = runs.load(Ordering::SeqCst);
    assert!((sure..=sure + unsure).contains(&runs), "{sure} sure, {unsure} unsure, {runs} runs");
    assert!(sure > 0);
}

/// A server that takes a call and dies, so many times, and then is no more.
fn dying(deaths: usize) -> (Address, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    thread::spawn(move || {
        for _ in 0..deaths {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(&raw::welcome(1, (1, 1))).unwrap();
            let mut frames = vec![0; 48];
            stream.read_exact(&mut frames).unwrap();
            // The client's preface, then the first bytes of a call.
            if stream.read(&mut frames).is_ok_and(|n| n > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (address, calls)
}

#[test]
fn a_call_that_may_have_run_is_sent_again_only_if_that_does_no_harm() {
    let (address, calls) = dying(5);
    let client = Client::builder().attempts(3).connect(&address).unwrap();
    let error = client.run::<Hold>(1).unwrap_err();
    assert_eq!(error.ran(), Ran::Unknown, "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let (address, calls) = dying(5);
    let client = Client::builder().attempts(3).connect(&address).unwrap();
    let error = client.run::<Square>(1).unwrap_err();
    assert_eq!(error.ran(), Ran::Unknown, "{error}");
    assert_eq!(error.problem().unwrap().attempts(), 3);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn a_call_by_name_is_sent_again_only_if_the_caller_says_that_it_may() {
    for (kind, sent) in [(None, 1), (Some(ActionKind::Once), 1), (Some(ActionKind::Read), 3)] {
        let (address, calls) = dying(5);
        let client = Client::builder().attempts(3).connect(&address).unwrap();
        let call = client.request_named("Hold", vec![1]);
        let call = kind.into_iter().fold(call, |call, kind| call.kind(kind));
        let error = call.run().unwrap_err();
        assert_eq!(error.ran(), Ran::Unknown, "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), sent, "{kind:?}");
    }
}

#[test]
fn a_draining_server_answers_what_it_has_and_its_successor_the_rest() {
    let (gate, runs) = (Gate::new(), Arc::default());
    let held = gate.clone();
    let server = spawn(counting(&runs).on::<Peek>(move |number, _| {
        held.pass();
        Ok(number)
    }));
    let _end = gate.opened_at_the_end();
    let address = server.address();
    let client = Client::connect(&address).unwrap();
    thread::scope(|scope| {
        let before = scope.spawn(|| client.run::<Peek>(1));
        gate.wait_for(1);
        let stopping = scope.spawn(move || server.stop());
        let successor = (0..1000).find_map(|_| {
            pass(ms(2));
            counting(&runs).bind(&address).ok()
        });
        let _successor = successor.expect("the port comes free").spawn().unwrap();
        assert_eq!(client.run::<Hold>(2).unwrap(), 2);
        gate.open();
        assert_eq!(before.join().unwrap().unwrap(), 1);
        stopping.join().unwrap();
    });
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn the_calls_of_a_client_share_ten_further_attempts() {
    const CALLS: u32 = 40;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    thread::spawn(move || {
        // Each is dropped, so that its client sees a server that goes at once.
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let client = Client::builder().connect_lazy(address).unwrap();
    let made: u32 = (0..CALLS)
        .map(|n| client.run::<Square>(u64::from(n)).unwrap_err().problem().unwrap().attempts())
        .sum();
    assert_eq!(made, CALLS + 10);
    assert_eq!(tries.load(Ordering::SeqCst), made);
}

#[test]
fn what_succeeds_pays_for_further_attempts() {
    let runs = Arc::<AtomicU32>::default();
    let server = spawn(counting(&runs));
    let address = server.address();
    let client = Client::connect(&address).unwrap();
    server.stop();
    // Beyond the first of each call. One comes from the connection that has ended: to look for
    // another one costs nothing.
    let spent = |client: &Client| -> u32 {
        let error = |_| client.run::<Square>(1).unwrap_err();
        (0..20).map(error).map(|error| error.problem().unwrap().attempts() - 1).sum()
    };
    assert!((10..=11).contains(&spent(&client)));
    assert_eq!(spent(&client), 0);
    let server = again(&address, counting(&runs));
    (0..20).for_each(|_| assert_eq!(client.run::<Square>(3).unwrap(), 9));
    server.stop();
    assert!((2..=3).contains(&spent(&client)));
}
