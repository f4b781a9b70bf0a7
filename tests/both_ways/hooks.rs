use super::{Note, Square, Who};
use crate::PATIENCE;
use isock::{Client, Connection, Failure, ProblemKind, Ran, Server};
use isock_tests::waiting::eventually;
use std::{
    future::Future,
    pin::pin,
    sync::{mpsc, Arc, Mutex},
    task::{Context, Wake, Waker},
};

#[test]
fn hooks_hear_who_comes_and_who_goes() {
    let (sent, seen) = mpsc::channel();
    let gone = sent.clone();
    let server = Server::builder()
        .on_connect(move |it| drop(sent.send(format!("{} came", it.id()))))
        .on_disconnect(move |it, why| drop(gone.send(format!("{}: {why}", it.id()))))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let client = server.client();
    let id = client.id().unwrap();
    assert_eq!(seen.recv().unwrap(), format!("{id} came"));
    drop(client);
    assert_eq!(seen.recv().unwrap(), format!("{id}: the client closed it"));
}

#[test]
fn what_a_hook_sets_is_there_for_the_first_call() {
    let server = Server::builder()
        .on_connect(|it| drop(it.session().insert(String::from("set by the hook"))))
        .on::<Who>(|(), cx| {
            Ok((*cx.session().get::<String>().ok_or_else(|| Failure::new("nothing"))?).clone())
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    for _ in 0..50 {
        assert_eq!(server.client().run::<Who>(()).unwrap(), "set by the hook");
    }
}

#[test]
fn a_blocking_call_in_a_hook_fails_at_once_and_did_not_run() {
    let (sent, seen) = mpsc::channel();
    let server = Server::builder()
        .on_connect(move |it| drop(sent.send(it.run::<Square>(1))))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let _client = server.client_with(|client| client.on::<Square>(|n, _| Ok(n))).unwrap();
    let error = seen.recv().unwrap().unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.kind(), ProblemKind::WouldDeadlock);
    assert!(problem.to_string().contains("may not block"), "{problem}");
    assert_eq!(problem.ran(), Ran::No);
}

#[test]
fn a_hook_may_start_calls_and_send() {
    let (sent, seen) = mpsc::channel();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&calls);
    let server = Server::builder()
        .on_connect(move |it: &Connection| {
            it.send::<Square>(4).unwrap();
            kept.lock().unwrap().push(it.start::<Square>(5));
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let _client = server
        .client_with(|client| {
            client.on::<Square>(move |n, _| {
                sent.send(n)?;
                Ok(n * n)
            })
        })
        .unwrap();
    let mut got = [seen.recv().unwrap(), seen.recv().unwrap()];
    got.sort_unstable();
    assert_eq!(got, [4, 5]);
    let call = calls.lock().unwrap().pop().unwrap();
    assert_eq!(call.wait().unwrap(), 25);
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    let (told, log) = mpsc::channel();
    let server = Server::builder()
        .on_connect(|_| panic!("by intention"))
        .on::<Square>(|n, _| Ok(n))
        .log(move |line| drop(told.send(line.to_owned())))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    assert_eq!(server.client().run::<Square>(3).unwrap(), 3);
    assert_eq!(log.recv().unwrap(), "a hook panicked: by intention");
}

#[test]
fn a_blocking_call_in_a_waker_fails_at_once() {
    struct Blocks(Mutex<Option<isock::Client>>, mpsc::Sender<Option<ProblemKind>>);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            if let Some(client) = self.0.lock().unwrap().take() {
                let error = client.run::<Square>(1).err();
                let kind = error.and_then(|error| error.problem().map(|problem| problem.kind()));
                self.1.send(kind).unwrap();
            }
        }
    }
    let server =
        Server::builder().on::<Square>(|n, _| Ok(n)).bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = server.client();
    let (sent, seen) = mpsc::channel();
    let waker = Waker::from(Arc::new(Blocks(Mutex::new(Some(client.clone())), sent)));
    let mut call = pin!(client.start::<Square>(2));
    if call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        assert_eq!(seen.recv().unwrap(), Some(ProblemKind::WouldDeadlock));
    }
}

#[test]
fn hooks_of_a_client_hear_of_every_connection_and_why_it_ended() {
    let server = Server::builder().bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let (sent, seen) = mpsc::channel();
    let went = sent.clone();
    let client = Client::builder()
        .on_connect(move |server| sent.send(format!("came {:?}", server.id())).unwrap())
        .on_disconnect(move |_, why| went.send(format!("went: {why}")).unwrap())
        .connect(server.address())
        .unwrap();
    for reason in ["closing time", "again"] {
        let came = seen.recv_timeout(PATIENCE).unwrap();
        let there = server.connections().latest().unwrap();
        assert_eq!(came, format!("came {:?}", Some(there.id())), "the server knows it already");
        there.disconnect(reason);
        assert_eq!(
            seen.recv_timeout(PATIENCE).unwrap(),
            format!("went: the server closed it: {reason}")
        );
    }
    assert!(seen.recv_timeout(PATIENCE).unwrap().starts_with("came"), "it comes back by itself");
    client.close();
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "went: closed by this side");
    drop(client);
    assert!(
        seen.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Disconnected),
        "and that is all: nobody holds the hooks any more"
    );
}

#[test]
fn a_hook_of_a_client_may_call_and_a_panic_of_it_harms_nobody() {
    let server = Server::builder()
        .on::<Square>(|n, _| Ok(n * n))
        .on::<Note>(|_, _| Ok(()))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let (sent, seen) = mpsc::channel();
    let (told, log) = mpsc::channel();
    let client = Client::builder()
        .on_connect(move |server| {
            sent.send(server.run::<Square>(5).unwrap()).unwrap();
            panic!("by intention");
        })
        .log(move |line| told.send(line.to_owned()).unwrap())
        .connect(server.address())
        .unwrap();
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), 25);
    assert_eq!(log.recv_timeout(PATIENCE).unwrap(), "a hook panicked: by intention");
    assert_eq!(client.run::<Square>(6).unwrap(), 36);
    server.connections().latest().unwrap().disconnect("for a test");
    assert_eq!(
        seen.recv_timeout(PATIENCE).unwrap(),
        25,
        "the next connection is told all the same"
    );
}

#[test]
fn a_client_that_leaves_a_stopping_server_hears_of_the_end() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let (began, begun) = mpsc::channel();
    let stopping = Server::builder()
        .on::<Square>(move |n, _| {
            began.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
            Ok(n * n)
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let other = Server::builder().bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let (sent, seen) = mpsc::channel();
    let client = Client::builder()
        .on_disconnect(move |_, why| sent.send(why.to_owned()).unwrap())
        .connect([stopping.address(), other.address()])
        .unwrap();
    let call = client.start::<Square>(7);
    begun.recv().unwrap();
    stopping.stopper().stop();
    eventually("it is at the other server", PATIENCE, || !other.connections().is_empty());
    // Its last call there is given up, and with it the connection, which has not ended by itself.
    drop(call);
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "the server closed it: stopping");
    drop(open);
}

#[test]
fn on_reconnect_hears_of_every_connection_but_the_first_and_may_call() {
    let (sent, seen) = mpsc::channel();
    let came = sent.clone();
    let server = Server::builder().on::<Square>(|n, _| Ok(n * n));
    let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = Client::builder()
        .on_connect(move |_| came.send("connected".to_owned()).unwrap())
        .on_reconnect(move |server| {
            sent.send(format!("again: {}", server.run::<Square>(5).unwrap())).unwrap();
        })
        .connect(server.address())
        .unwrap();
    let next = || seen.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), "connected");
    assert_eq!(client.run::<Square>(2).unwrap(), 4);
    for _ in 0..3 {
        eventually("it is connected", PATIENCE, || !server.connections().is_empty());
        server.connections().latest().unwrap().disconnect("once more");
        assert_eq!([next(), next()], ["connected", "again: 25"]);
        assert_eq!(client.run::<Square>(3).unwrap(), 9);
    }
    assert!(seen.try_recv().is_err());
}

#[test]
fn a_call_of_a_server_that_stops_is_answered_although_its_client_has_moved_on() {
    let (told, answer) = mpsc::channel();
    let stopping = Server::builder().on::<Who>(move |(), cx| {
        // Its own caller does not wait for it any more.
        told.send(cx.peer().run::<Square>(7))?;
        Ok(String::new())
    });
    let stopping = stopping.bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let other = Server::builder().bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let gate = isock_tests::gate::Gate::new();
    let held = gate.clone();
    let _end = gate.opened_at_the_end();
    let client = Client::builder()
        .on::<Square>(move |n, _| {
            held.pass();
            Ok(n * n)
        })
        .connect([stopping.address(), other.address()])
        .unwrap();
    let call = client.start::<Who>(());
    gate.wait_for(1);
    stopping.stopper().stop();
    eventually("it is at the other server", PATIENCE, || !other.connections().is_empty());
    drop(call);
    gate.open();
    assert_eq!(answer.recv_timeout(PATIENCE).unwrap().unwrap(), 49);
    drop(client);
}
