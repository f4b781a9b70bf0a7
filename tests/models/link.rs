//! Callers that share a connection, one of whom reads for all.

use crate::{
    address::Address,
    limits::Limits,
    net::{
        flow::{Conduit, Driver, Flow},
        link::Link,
        pending::{Ended, Pending},
        stream::CallerStream,
    },
    pair::Unpark,
    proto::{Closed, Config, NewCall, SharedBody},
    wire::{name_hash, CallHead, InstanceId, Ran},
};
use isock_models::{
    model,
    std::{
        sync::Arc,
        thread,
        time::{pass, Duration, Instant},
    },
};

/// A connection whose other end echoes each call: at once, or when it is told to.
fn connected(holds: bool) -> (Arc<Link>, CallerStream) {
    let away = CallerStream::echo(holds);
    let config = Config::new(Limits::default(), InstanceId([1; 16]));
    let link = Link::new(away.clone(), Address, config, None);
    link.handshake(late()).unwrap();
    (link, away)
}

fn late() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn new_call(input: u8) -> NewCall {
    let head = CallHead { name: name_hash("model"), ..CallHead::default() };
    NewCall { head, body: SharedBody::new(vec![input]) }
}

/// Calls, and waits for the answer.
fn call(link: &Link, input: u8) {
    let started = link.start(Instant::now(), new_call(input)).unwrap();
    let ended = link.wait(&started.pending, late());
    assert!(matches!(ended, Some(Ended::Value(value)) if value == [input]));
}

/// Two callers: whichever reads, each has its own answer.
#[test]
fn each_of_two_callers_has_its_own_answer() {
    model(2, || {
        let (link, away) = connected(false);
        let other = Arc::clone(&link);
        let caller = thread::spawn(move || call(&other, 1));
        call(&link, 2);
        caller.join().unwrap();
        assert_eq!(away.seen().len(), 2);
    });
}

/// Three callers whose answers come later: whoever leaves hands the role on.
#[test]
fn the_role_is_handed_on_while_anybody_waits() {
    model(1, || {
        let (link, away) = connected(true);
        let callers = [1, 2].map(|input| {
            let link = Arc::clone(&link);
            thread::spawn(move || call(&link, input))
        });
        let server = thread::spawn(move || [3, 1, 2].map(|input| away.answer(&[input])));
        call(&link, 3);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        server.join().unwrap();
    });
}
