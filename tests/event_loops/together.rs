//! What holds for the connections of all loops, and what one loop keeps from the others.

use crate::{both, Places, LOOPS, PATIENCE};
use isock::{Action, Client, Server, ServerBuilder, ServerHandle};
use isock_tests::{
    actions::{Echo, Hold},
    gate::Gate,
    waiting::{eventually, within},
};
use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
    thread,
};

/// Multiplies a number with itself.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct Square;

/// Asks the caller for the square, and adds one.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct AskBack;

/// Counts up to a number.
#[derive(Action)]
#[action(input = u64, stream = u64, output = u64)]
struct CountTo;

/// Adds up what comes.
#[derive(Action)]
#[action(upload = u64, output = u64)]
struct Sum;

/// Keeps the last number of a client; they come in order.
#[derive(Action)]
#[action(input = (u64, u64))]
struct Note;

/// Keeps a number.
#[derive(Action)]
#[action(input = u64)]
struct Keep;

/// The last note of each client.
type Notes = Arc<Mutex<HashMap<u64, u64>>>;

fn playing(builder: ServerBuilder, notes: &Notes) -> ServerBuilder {
    let notes = Arc::clone(notes);
    builder
        .on::<Square>(|n, _| Ok(n * n))
        .on::<AskBack>(|n, cx| Ok(cx.peer().run::<Square>(n)? + 1))
        .on::<CountTo>(|to, cx| {
            (1..=to).try_for_each(|n| cx.send(n))?;
            Ok(to)
        })
        .on::<Sum>(|(), cx| {
            let numbers: Result<Vec<u64>, _> = cx.items().collect();
            Ok(numbers?.iter().sum())
        })
        .on::<Note>(move |(client, number), _| {
            let mut notes = notes.lock().unwrap();
            let last = notes.entry(client).or_default();
            assert_eq!(*last + 1, number, "the notes of client {client}");
            *last = number;
            Ok(())
        })
}

fn answering(server: &ServerHandle) -> Client {
    server.client_with(|client| client.on::<Square>(|n, _| Ok(n * n))).expect("a client")
}

#[test]
fn a_broadcast_reaches_the_clients_of_all_loops() {
    both(
        |builder| builder,
        |server| {
            let kept = Arc::<Mutex<Vec<(usize, u64)>>>::default();
            let clients: Vec<Client> = (0..4 * LOOPS)
                .map(|me| {
                    let kept = Arc::clone(&kept);
                    let keep = move |number| kept.lock().unwrap().push((me, number));
                    let serving = |client: isock::ClientBuilder| {
                        client
                            .on::<Keep>(move |number, _| {
                                keep(number);
                                Ok(())
                            })
                            .on::<Square>(move |n, _| Ok(n + me as u64))
                    };
                    server.client_with(serving).unwrap()
                })
                .collect();
            let sent = server.connections().send_all::<Keep>(7);
            assert!(sent.len() == clients.len() && sent.iter().all(|(_, result)| result.is_ok()));
            eventually("all have it", PATIENCE, || kept.lock().unwrap().len() == clients.len());
            let mut who: Vec<_> = kept.lock().unwrap().iter().map(|(me, _)| *me).collect();
            who.sort_unstable();
            assert_eq!(who, (0..clients.len()).collect::<Vec<_>>());
            let results = server.connections().run_all::<Square>(100, PATIENCE);
            let answers: Vec<u64> = results.into_iter().map(|(_, it)| it.unwrap()).collect();
            assert_eq!(answers, (100..100 + clients.len() as u64).collect::<Vec<_>>());
        },
    );
}

/// A hook that blocks holds its loop up for as long as it likes: no watcher takes that one away.
#[test]
fn a_loop_that_stands_still_holds_up_no_connection_of_another() {
    let gate = Gate::new();
    let stuck = gate.clone();
    let places = Places::default();
    let (builder, _gone) = places.watch(Server::builder());
    let came = AtomicU64::new(0);
    let noting = places.clone();
    let builder = builder.on_connect(move |connection| {
        noting.0.lock().unwrap().insert(connection.id(), thread::current().id());
        if came.fetch_add(1, Ordering::SeqCst) == LOOPS as u64 + 1 {
            stuck.pass();
        }
    });
    let server = builder.event_loops(LOOPS).on::<Echo>(|text, _| Ok(text));
    let server = server.on::<Square>(|n, _| Ok(n * n)).on::<CountTo>(|to, cx| {
        (1..=to).try_for_each(|n| cx.send(n))?;
        Ok(to)
    });
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let mut clients: Vec<Client> = (0..LOOPS + 1).map(|_| server.client()).collect();
    thread::scope(|scope| {
        let _end = gate.opened_at_the_end();
        // It comes to the second loop, whose first client is not served while it blocks.
        let held = scope.spawn(|| server.client());
        gate.wait_for(1);
        let behind = clients.remove(1).start::<Square>(5);
        for client in &clients {
            for n in 0..500 {
                assert_eq!(client.run::<Square>(n).unwrap(), n * n);
            }
            let items: Result<Vec<u64>, _> = client.open::<CountTo>(1000).unwrap().collect();
            assert_eq!(items.unwrap(), (1..=1000).collect::<Vec<_>>());
        }
        // Whoever comes goes where the fewest are: to the third loop.
        assert_eq!(server.client().run::<Echo>("new").unwrap(), "new");
        assert!(!held.is_finished() && !behind.is_finished());
        gate.open();
        assert_eq!(behind.wait().unwrap(), 25);
        held.join().unwrap();
    });
}

/// Its watcher takes the loop away, and the others never notice.
#[test]
fn a_handler_that_blocks_its_loop_holds_up_no_client() {
    let gate = Gate::new();
    let _end = gate.opened_at_the_end();
    let held = gate.clone();
    let server = Server::in_memory().event_loops(LOOPS).on::<Square>(|n, _| Ok(n * n));
    let server = server.on::<Hold>(move |number, _| {
        if number == 1 {
            held.pass();
        }
        Ok(number)
    });
    let server = server.spawn().unwrap();
    let clients: Vec<Client> = (0..LOOPS).map(|_| server.client()).collect();
    for client in &clients {
        for n in 0..50 {
            assert_eq!(client.run::<Square>(n).unwrap(), n * n);
            assert_eq!(client.run::<Hold>(0).unwrap(), 0);
        }
    }
    let call = clients[1].start::<Hold>(1);
    gate.wait_for(1);
    for (place, client) in clients.iter().enumerate() {
        for n in 0..200 {
            assert_eq!(client.run::<Square>(n).unwrap(), n * n, "the client of loop {place}");
        }
    }
    assert!(!call.is_finished());
    gate.open();
    assert_eq!(call.wait().unwrap(), 1);
}

/// One client, and what it does.
fn play(server: &ServerHandle, notes: &Notes, me: u64, rounds: u64) {
    let mut noted = 0;
    for round in 0..rounds {
        let client = answering(server);
        let calls: Vec<_> = (0..30).map(|n| client.start::<Square>(n)).collect();
        assert_eq!(client.run::<AskBack>(round).unwrap(), round * round + 1);
        for (n, call) in (0..).zip(calls) {
            assert_eq!(call.wait().unwrap(), n * n);
        }
        let mut stream = client.open::<CountTo>(500).unwrap();
        for (n, item) in (1..).zip(stream.by_ref()) {
            assert_eq!(item.unwrap(), n);
        }
        assert_eq!(stream.finish().unwrap(), 500);
        let stream = client.open::<Sum>(()).unwrap();
        (0..300).for_each(|n| stream.send(n).unwrap());
        assert_eq!(stream.finish().unwrap(), (0..300).sum::<u64>());
        for _ in 0..20 {
            noted += 1;
            client.send::<Note>((me, noted)).unwrap();
        }
        let arrived = || notes.lock().unwrap().get(&me) == Some(&noted);
        // What is sent is lost with its connection: it has to have arrived.
        assert!(within(PATIENCE, arrived), "client {me} has sent {noted}");
        // Some go without a word.
        if round % 2 == 0 {
            client.close();
        }
    }
}

#[test]
fn calls_streams_and_sends_of_many_clients_that_come_and_go_are_all_served() {
    let notes = Notes::default();
    both(
        |builder| playing(builder, &notes),
        |server| {
            notes.lock().unwrap().clear();
            thread::scope(|scope| {
                for me in 0..4 * LOOPS as u64 {
                    let (server, notes) = (&server, &notes);
                    scope.spawn(move || play(server, notes, me, 8));
                }
            });
            eventually("all have gone", PATIENCE, || server.connections().is_empty());
            eventually("nothing is held", PATIENCE, || server.held_bytes() == 0);
        },
    );
}
