use isock::{Client, ProblemKind, Server, ServerHandle};
use isock_tests::{
    actions::{Echo, Square},
    gate::Gate,
    waiting::{eventually, ms, pass, within},
};
use std::{thread, time::Duration};

const SOON: Duration = ms(5000);

fn servers() -> [ServerHandle; 2] {
    let tcp = Server::builder().on::<Echo>(|text, _| Ok(text)).bind("127.0.0.1:0").unwrap();
    let memory = Server::in_memory().on::<Echo>(|text, _| Ok(text));
    [tcp.spawn().unwrap(), memory.spawn().unwrap()]
}

fn assert_quick(took: Duration) {
    assert!((Duration::from_nanos(1)..SOON).contains(&took), "{took:?}");
}

#[test]
fn either_side_can_ask_whether_the_other_one_is_there() {
    for server in servers() {
        let client = server.client_with(|client| client.on::<Square>(|n, _| Ok(n * n))).unwrap();
        eventually("it is listed", SOON, || server.connections().len() == 1);
        let there = server.connections().latest().unwrap();
        for _ in 0..20 {
            assert_quick(client.ping().unwrap());
            assert_quick(there.ping().unwrap());
        }
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_quick(client.ping().unwrap()));
                scope.spawn(|| assert_quick(there.ping().unwrap()));
                scope.spawn(|| assert_eq!(client.run::<Echo>("beside").unwrap(), "beside"));
            }
        });
    }
}

#[test]
fn a_ping_is_answered_although_every_handler_is_stuck() {
    let gate = Gate::new();
    let stuck = gate.clone();
    let server = Server::builder().on::<Square>(move |n, _| {
        stuck.pass();
        Ok(n)
    });
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let _opens = gate.opened_at_the_end();
    let client = Client::connect(server.address()).unwrap();
    let calls: Vec<_> = (0..300).map(|n| client.start::<Square>(n)).collect();
    // All threads that one connection may have; the other calls wait for them.
    gate.wait_for(128);
    assert_quick(client.ping().unwrap());
    gate.open();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.wait().unwrap(), n);
    }
}

#[test]
fn a_client_that_serves_nothing_answers_when_it_next_calls() {
    for server in servers() {
        let client = server.client();
        eventually("it is listed", SOON, || server.connections().len() == 1);
        let there = server.connections().latest().unwrap();
        thread::scope(|scope| {
            let asked = scope.spawn(|| there.ping());
            assert!(!within(ms(200), || asked.is_finished()));
            pass(ms(10));
            client.run::<Echo>("reads").unwrap();
            let took = asked.join().unwrap().unwrap();
            assert!((ms(200)..SOON).contains(&took), "{took:?}");
        });
    }
}

#[test]
fn a_ping_ends_with_its_connection() {
    for server in servers() {
        let _client = server.client();
        eventually("it is listed", SOON, || server.connections().len() == 1);
        let there = server.connections().latest().unwrap();
        thread::scope(|scope| {
            let asked = scope.spawn(|| there.ping());
            assert!(!within(ms(50), || asked.is_finished()));
            there.disconnect("enough");
            let problem = asked.join().unwrap().unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::NotConnected, "{problem}");
        });
        assert_eq!(there.ping().unwrap_err().kind(), ProblemKind::NotConnected);
    }
}
