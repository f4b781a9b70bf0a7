//! Which loop a connection comes to.

use crate::{both, Places, LOOPS, PATIENCE};
use isock::{
    wire::{CloseCode, VERSION},
    Client, Limits, Server, ServerBuilder, ServerHandle,
};
use isock_tests::{
    actions::{Echo, Square},
    raw::{self, Raw},
};
use std::{cell::RefCell, net::Ipv4Addr, sync::mpsc::Receiver};

fn echoing(builder: ServerBuilder) -> ServerBuilder {
    builder.on::<Echo>(|text, _| Ok(text)).on::<Square>(|n, _| Ok(n * n))
}

fn at_a_port(builder: ServerBuilder) -> ServerHandle {
    let server = echoing(builder).event_loops(LOOPS).bind("127.0.0.1:0");
    server.and_then(Server::spawn).expect("a server")
}

/// Over TCP and in memory; each test has a new note of who is where.
fn watched(test: impl Fn(ServerHandle, &Places, Receiver<isock::ConnectionId>)) {
    let watch = RefCell::new(None);
    let builder = |builder| {
        let places = Places::default();
        let (builder, gone) = places.watch(echoing(builder));
        watch.replace(Some((places, gone)));
        builder
    };
    both(builder, |server| {
        let (places, gone) = watch.take().expect("it has been built");
        test(server, &places, gone);
    });
}

#[test]
fn each_loop_gets_as_many_connections_as_the_others() {
    watched(|server, places, _| {
        let clients: Vec<Client> = (0..10 * LOOPS).map(|_| server.client()).collect();
        assert_eq!(places.counts(), [10; LOOPS]);
        for (n, client) in clients.iter().enumerate() {
            assert_eq!(client.run::<Square>(n as u64).unwrap(), (n * n) as u64);
        }
    });
}

#[test]
fn who_comes_goes_where_others_have_left() {
    watched(|server, places, gone| {
        let mut clients: Vec<Client> = (0..4 * LOOPS).map(|_| server.client()).collect();
        let left = places.of(&clients[5]);
        let (leave, stay) = clients.drain(..).partition::<Vec<_>, _>(|it| places.of(it) == left);
        assert_eq!(leave.len(), 4);
        leave.iter().for_each(Client::close);
        for _ in &leave {
            gone.recv_timeout(PATIENCE).expect("it goes");
        }
        let come: Vec<Client> = (0..4).map(|_| server.client()).collect();
        assert!(come.iter().all(|client| places.of(client) == left));
        assert_eq!(places.counts(), [4; LOOPS]);
        drop(stay);
    });
}

#[test]
fn the_latest_connection_is_that_which_was_accepted_last_whichever_loop_has_it() {
    both(echoing, |server| {
        let clients: Vec<Client> = (0..5 * LOOPS).map(|_| server.client()).collect();
        let ids = || server.connections().all().iter().map(|it| it.id()).collect::<Vec<_>>();
        let in_order: Vec<_> = clients.iter().map(|client| client.id().unwrap()).collect();
        assert_eq!(ids(), in_order);
        assert_eq!(server.connections().latest().unwrap().id(), in_order[5 * LOOPS - 1]);
    });
}

#[test]
fn a_connection_keeps_its_place_in_the_order_while_it_says_nothing() {
    let server = at_a_port(Server::builder());
    let mut early = Raw::new(raw::connect(server.address()).unwrap());
    let accepted = server.client();
    let clients: Vec<Client> = (0..LOOPS + 1).map(|_| server.client()).collect();
    early.shake_hands();
    let all = server.connections().all();
    assert_eq!(all.len(), clients.len() + 2);
    assert!(!clients.iter().any(|client| client.id() == Some(all[0].id())));
    assert_eq!(accepted.id(), Some(all[1].id()));
}

#[test]
fn strangers_that_say_nothing_are_no_work_for_any_loop() {
    let places = Places::default();
    let (builder, _gone) = places.watch(Server::builder());
    let server = at_a_port(builder);
    let strangers: Vec<Raw> =
        (0..10).map(|_| Raw::new(raw::connect(server.address()).unwrap())).collect();
    let clients: Vec<Client> = (0..2 * LOOPS).map(|_| server.client()).collect();
    assert_eq!(places.counts(), [2; LOOPS]);
    drop((strangers, clients));
}

/// What stands behind a preface at once goes with it: a call, and half of one.
#[test]
fn what_comes_with_the_preface_is_answered_by_whichever_loop() {
    let server = at_a_port(Server::builder());
    let mut peers: Vec<Raw> = (0..2 * LOOPS)
        .map(|_| {
            let mut raw = Raw::new(raw::connect(server.address()).unwrap());
            let call = |slot, text: &str| raw::call::<Echo>(slot, 1, &raw::text(text));
            let half = call(1, "half");
            let half = &half[..half.len() / 2];
            raw.send(&[&raw::hello(VERSION, VERSION), &*call(0, "whole"), half].concat());
            raw
        })
        .collect();
    for raw in &mut peers {
        assert_eq!(raw.welcome().version, VERSION);
        assert_eq!(raw.answer().payload, raw::text("whole"));
        let rest = raw::call::<Echo>(1, 1, &raw::text("half"));
        raw.send(&rest[rest.len() / 2..]);
        assert_eq!(raw.answer().payload, raw::text("half"));
    }
}

/// The same where only half of the preface comes at first.
#[test]
fn a_preface_in_pieces_leads_to_any_loop() {
    let places = Places::default();
    let (builder, _gone) = places.watch(Server::builder());
    let server = at_a_port(builder);
    let peers: Vec<Raw> = (0..LOOPS)
        .map(|n| {
            let mut raw = Raw::new(raw::connect(server.address()).unwrap());
            raw.dribble(&raw::hello(VERSION, VERSION));
            assert_eq!(raw.welcome().version, VERSION);
            let call = raw::call::<Square>(0, 1, &[n as u8]);
            raw.dribble(&call);
            assert_eq!(raw.answer().payload, [(n * n) as u8]);
            raw
        })
        .collect();
    assert_eq!(places.counts(), [1; LOOPS]);
    drop(peers);
}

/// From another address of this machine for each host.
fn stranger_from(host: u8, server: &ServerHandle) -> Raw {
    let host = Ipv4Addr::new(127, 0, 0, host);
    Raw::new(raw::connect_from(host, &server.address()).expect("a connection"))
}

/// Every loop has clients already, and the next one to accept would be dealt to any.
fn crowded(limits: Limits, hosts: &[u8]) {
    for busy in 0..LOOPS {
        let server = at_a_port(Server::builder().limits(limits.clone()));
        let clients: Vec<Client> = (0..LOOPS + busy).map(|_| server.client()).collect();
        let mut strangers: Vec<Raw> =
            hosts.iter().map(|host| stranger_from(*host, &server)).collect();
        assert_eq!(strangers[0].welcome().version, 0, "the oldest one is refused");
        assert_eq!(strangers[0].closed(), Ok(CloseCode::DISPLACED));
        // They are held all at once: the newest one is answered first.
        for raw in strangers[1..].iter_mut().rev() {
            assert_eq!(raw.shake_hands().version, VERSION);
        }
        for client in &clients {
            assert_eq!(client.run::<Echo>("served").unwrap(), "served");
        }
    }
}

#[test]
fn strangers_are_counted_for_all_loops_together() {
    crowded(Limits::default().unauthenticated(LOOPS + 1), &[1, 2, 3, 4, 5]);
}

#[test]
fn strangers_of_one_address_are_counted_for_all_loops_together() {
    crowded(Limits::default().unauthenticated_per_address(LOOPS + 1), &[9; LOOPS + 2]);
}
