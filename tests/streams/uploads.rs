use crate::{everywhere, server, Odd, Sum};
use isock::{
    wire::{name_hash, CallHead, Flags, FrameKind, Header},
    Action, CallError, Failure, ProblemKind,
};
use isock_tests::raw::{self, Raw};
use std::time::Duration;

/// Takes as many items as it likes.
#[derive(Action)]
#[action(upload = u64, error = Odd)]
struct Quota;

/// Takes three items, and no more.
#[derive(Action)]
#[action(upload = u64, output = u64)]
struct Three;

#[test]
fn what_is_sent_arrives_in_order_and_the_output_comes_back() {
    everywhere(|client| {
        let stream = client.open::<Sum>(()).unwrap();
        for n in 0..100_000u64 {
            stream.send(n).unwrap();
        }
        assert_eq!(stream.finish().unwrap(), 100_000 * 99_999 / 2);
    });
}

#[test]
fn an_upload_without_items_has_an_output() {
    everywhere(|client| assert_eq!(client.open::<Sum>(()).unwrap().finish().unwrap(), 0));
}

#[test]
fn a_handler_that_has_enough_ends_the_upload() {
    let server = server();
    server
        .on::<Three>(|(), cx| cx.items().take(3).try_fold(0, |sum, n| Ok::<_, Failure>(sum + n?)))
        .unwrap();
    let client = server.client();
    let stream = client.open::<Three>(()).unwrap();
    let error = (0..).find_map(|_| stream.send(7u64).err()).unwrap();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::Cancelled);
    assert_eq!(stream.finish().unwrap(), 21);
    assert_eq!(client.open::<Sum>(()).unwrap().finish().unwrap(), 0, "the connection lives on");
}

#[test]
fn a_handler_of_an_upload_that_fails_says_why() {
    let server = server();
    server
        .on::<Three>(|(), cx| match cx.items().next() {
            Some(_) => Err(Failure::new("not this one")),
            None => Ok(0),
        })
        .unwrap();
    let stream = server.client().open::<Three>(()).unwrap();
    stream.send(1).unwrap();
    let error = stream.finish().unwrap_err();
    assert!(
        matches!(&error, CallError::Action(failure) if failure.to_string() == "not this one"),
        "{error}"
    );
}

#[test]
fn a_send_gives_the_error_that_ended_the_handler() {
    let server = server();
    server
        .on::<Quota>(|(), cx| match cx.items().nth(2) {
            Some(_) => Err(Odd(3)),
            None => Ok(()),
        })
        .unwrap();
    let client = server.client();
    let sends = || -> Result<(), CallError<Odd>> {
        let stream = client.open::<Quota>(())?;
        loop {
            stream.send(1)?;
        }
    };
    let error = sends().unwrap_err();
    assert!(matches!(error, CallError::Action(Odd(3))), "{error}");

    let stream = client.open::<Quota>(()).unwrap();
    stream.close();
    let error = stream.send(1).unwrap_err();
    assert!(
        error.to_string().contains("this side has said that no further items follow"),
        "{error}"
    );
    stream.finish().unwrap();

    let stream = client.open::<Quota>(()).unwrap();
    stream.send(1).unwrap();
    client.close();
    let error = (0..).find_map(|_| stream.send(1).err()).unwrap();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::ConnectionLost, "{error}");
}

#[test]
fn a_caller_that_gives_up_ends_the_handler() {
    let (ended, seen) = std::sync::mpsc::channel();
    let server = server();
    server
        .on::<Three>(move |(), cx| {
            let last = cx.items().last();
            ended.send(last.is_some_and(|item| item.is_err()))?;
            Ok(0)
        })
        .unwrap();
    let client = server.client();
    let stream = client.open::<Three>(()).unwrap();
    stream.send(1).unwrap();
    drop(stream);
    assert!(seen.recv().unwrap(), "the last thing that it sees is that its caller has gone");
}

#[test]
fn a_client_that_goes_in_the_midst_of_an_upload_ends_its_handler() {
    let (ended, seen) = std::sync::mpsc::channel();
    let server = server();
    server
        .on::<Three>(move |(), cx| {
            let last = cx.items().last();
            ended.send(last.is_some_and(|item| item.is_err()) && cx.cancelled())?;
            Ok(0)
        })
        .unwrap();
    let head = CallHead { name: name_hash(Three::INFO.name), ..CallHead::default() };
    let mut call = Vec::new();
    let flags = Flags::INITIATOR.with(Flags::ITEMS);
    let header = Header::new(FrameKind::CALL, flags, head.words(None), 0);
    header.of_call(0, 1).write(&mut call);
    head.write(None, &mut call);
    // As a process that dies: no close, but the end of what it sends.
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    raw.send(&call);
    assert_eq!(raw.answer().header.kind, FrameKind::CREDIT, "its handler runs");
    raw.finish();
    let told = seen.recv_timeout(Duration::from_secs(10));
    assert_eq!(told, Ok(true), "long before the stream has rested too long");
}
