//! What can be registered, when, and what is refused.

use super::{connect, spawn};
use isock::{Action, Failure, Info, Never, Read, RegisterError, ServeError, Server, Unary};
use isock_tests::actions::{Counter, Echo, Square};
use std::thread;

macro_rules! named {
    ($type:ident, $name:literal) => {
        struct $type;
        impl Action for $type {
            type Input = ();
            type Output = ();
            type Error = Failure;
            type Item = Never;
            type Upload = Never;
            type Kind = Read;
            type Pattern = Unary;
            const INFO: Info = Info::new($name);
        }
    };
}

named!(OtherEcho, "Echo");
named!(Costarring, "costarring");
// Shares its number on the wire with the one above.
named!(Liquid, "liquid");
named!(Own, "isock.own");

fn refused(server: isock::ServerBuilder) -> RegisterError {
    match server.bind("127.0.0.1:0") {
        Err(ServeError::Register(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_is_taken_once_before_and_while_serving() {
    let twice = Server::builder().on::<Echo>(|text, _| Ok(text)).on::<OtherEcho>(|(), _| Ok(()));
    assert_eq!(refused(twice), RegisterError::Duplicate { name: "Echo" });

    let server = spawn(Server::builder().on::<Echo>(|text, _| Ok(text)));
    let again = server.on::<OtherEcho>(|(), _| Ok(()));
    assert_eq!(again, Err(RegisterError::Duplicate { name: "Echo" }));
    assert_eq!(server.client().run::<Echo>("the first stays").unwrap(), "the first stays");
}

#[test]
fn two_names_with_one_number_are_refused() {
    let both = Server::builder().on::<Liquid>(|(), _| Ok(())).on::<Costarring>(|(), _| Ok(()));
    let collision = RegisterError::Collision { name: "costarring", other: "liquid" };
    assert_eq!(refused(both), collision);
    assert!(collision.to_string().contains("rename one of them"));
}

#[test]
fn the_names_of_the_library_are_kept() {
    let own = Server::builder().on::<Own>(|(), _| Ok(()));
    assert_eq!(refused(own), RegisterError::Reserved { name: "isock.own" });
}

#[test]
fn a_set_is_complete_or_the_server_does_not_start() {
    let error = Server::builder().on::<Echo>(|text, _| Ok(text)).require(Counter);
    match error.bind("127.0.0.1:0") {
        Err(ServeError::Missing(missing)) => assert_eq!(missing, ["Place"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn actions_are_added_while_others_call() {
    let server = spawn(Server::builder().on::<Echo>(|text, _| Ok(text)));
    let client = connect(&server);
    thread::scope(|scope| {
        let calls = scope.spawn(|| (0..500).all(|_| client.run::<Echo>("a").is_ok()));
        assert!(connect(&server).run::<Square>(3).is_err());
        server.add(Square::with(|n, _| Ok(n * n))).unwrap();
        assert_eq!(connect(&server).run::<Square>(3).unwrap(), 9);
        assert!(calls.join().unwrap());
    });
}

#[test]
fn a_server_that_has_stopped_takes_no_more_actions() {
    let server = spawn(Server::builder());
    server.stopper().stop();
    let stopped = || server.add(Square::with(|n, _| Ok(n * n)));
    let mut last = Ok(());
    isock_tests::waiting::eventually("it has stopped", isock_tests::waiting::ms(5000), || {
        last = stopped();
        matches!(last, Err(RegisterError::Stopped { name: "Square" }))
    });
}
