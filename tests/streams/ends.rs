use crate::{server, CountTo, Fails, Odd, PATIENCE};
use isock::{Action, CallError, Client, ProblemKind, Ran, Server};
use isock_tests::waiting::eventually;
use std::{sync::mpsc, time::Duration};

/// Sends until it is stopped, and tells the test so.
#[derive(Action)]
#[action(stream = u64)]
struct Endless;

#[test]
fn the_actions_own_error_is_the_last_thing_that_comes() {
    let server = server();
    let mut stream = server.client().open::<Fails>(3).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 3);
    assert!(matches!(stream.next(), Some(Err(CallError::Action(Odd(3))))));
    assert!(stream.next().is_none());
    assert!(matches!(stream.finish(), Err(CallError::Action(Odd(3)))));
}

#[test]
fn a_stream_that_is_dropped_stops_its_handler() {
    let server = server();
    let (told, stopped) = mpsc::channel();
    server
        .on::<Endless>(move |(), cx| {
            let end = (0..).find_map(|n| cx.send(n).err());
            told.send((end.map(|end| end.to_string()), cx.cancelled()))?;
            Ok(())
        })
        .unwrap();
    let client = server.client();
    let mut stream = client.open::<Endless>(()).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 0);
    drop(stream);
    let text = "the caller has stopped the stream or has gone";
    assert_eq!(stopped.recv().unwrap(), (Some(text.to_owned()), true));
    // And so does one whose client goes.
    let mut stream = client.open::<Endless>(()).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 0);
    client.close();
    assert_eq!(stopped.recv().unwrap(), (Some(text.to_owned()), true));
    let error = stream.find_map(|item| item.err()).unwrap();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::ConnectionLost);
    assert_eq!(error.ran(), Ran::Unknown);
}

#[test]
fn a_stream_that_never_begins_ends_by_its_deadline() {
    let server = server();
    let (open, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    server
        .on::<Endless>(move |(), _| {
            let _ = gate.lock().map(|gate| gate.recv());
            Ok(())
        })
        .unwrap();
    let client = server.client();
    let stream = client.request::<Endless>(()).timeout(Duration::from_millis(50)).open().unwrap();
    let error = stream.finish().unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::Deadline);
    drop(open);
}

#[test]
fn a_stream_that_rests_too_long_is_given_up() {
    let server = server();
    let (open, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    server
        .on::<Endless>(move |(), cx| {
            cx.send(1)?;
            let _ = gate.lock().map(|gate| gate.recv());
            Ok(())
        })
        .unwrap();
    let client = server.client();
    let mut stream = client.request::<Endless>(()).idle(Duration::from_millis(50)).open().unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 1);
    let error = stream.next().unwrap().unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::Deadline);
    assert!(error.to_string().contains("neither sent nor took"), "{error}");
    drop(open);
}

#[test]
fn a_stream_ends_with_its_server() {
    let server = server();
    let (began, begun) = mpsc::channel();
    server
        .on::<Endless>(move |(), cx| {
            cx.send(1)?;
            began.send(())?;
            while !cx.cancelled() {
                std::thread::yield_now();
            }
            Ok(())
        })
        .unwrap();
    let client = server.client();
    let mut stream = client.open::<Endless>(()).unwrap();
    begun.recv().unwrap();
    server.drain(Duration::ZERO);
    assert_eq!(stream.next().unwrap().unwrap(), 1);
    let error = stream.next().unwrap().unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::ConnectionLost);
}

#[test]
fn a_server_that_drains_lets_its_streams_end() {
    let server = server();
    let client = server.client();
    let mut stream = client.open::<CountTo>(200_000).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 1);
    let stopped = std::thread::spawn(move || server.stop());
    assert_eq!(stream.by_ref().map(|n| n.unwrap()).last(), Some(200_000));
    assert_eq!(stream.finish().unwrap(), 200_000);
    stopped.join().unwrap();
}

#[test]
fn builds_that_disagree_about_the_pattern_get_a_sentence() {
    mod other {
        #[derive(isock::Action)]
        #[action(input = u64, output = u64)]
        pub struct CountTo;
    }
    let server = Server::builder()
        .on::<other::CountTo>(|n, _| Ok(n))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let error = server.client().open::<CountTo>(1).unwrap().finish().unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.kind(), ProblemKind::Mismatch);
    assert!(problem.to_string().contains("item: one here, none there"), "{problem}");
}

#[test]
fn more_streams_than_allowed_are_refused() {
    let server = crate::serving()
        .limits(isock::Limits::default().streams(2))
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap();
    let (told, stopped) = mpsc::channel();
    server
        .on::<Endless>(move |(), cx| {
            while cx.send(1).is_ok() {}
            Ok(told.send(())?)
        })
        .unwrap();
    let client: Client = server.client();
    let mut open = [client.open::<Endless>(()).unwrap(), client.open::<Endless>(()).unwrap()];
    open.iter_mut().for_each(|stream| assert_eq!(stream.next().unwrap().unwrap(), 1));
    let error = client.open::<Endless>(()).unwrap().finish().unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::Overloaded);
    drop(open);
    stopped.recv().unwrap();
    stopped.recv().unwrap();
    eventually("there is room again", PATIENCE, || {
        client.open::<CountTo>(1).unwrap().finish().is_ok()
    });
}

#[test]
fn a_stream_that_is_cancelled_from_elsewhere_lets_its_user_go_and_stops_its_handler() {
    let server = server();
    let (began, begun) = mpsc::channel();
    let (told, stopped) = mpsc::channel();
    server
        .on::<Endless>(move |(), cx| {
            began.send(())?;
            while !cx.cancelled() {
                std::thread::yield_now();
            }
            Ok(told.send(())?)
        })
        .unwrap();
    for _ in 0..3 {
        let client = server.client();
        let mut stream = client.open::<Endless>(()).unwrap();
        begun.recv_timeout(PATIENCE).unwrap();
        let canceller = stream.canceller();
        let waiting = std::thread::spawn(move || {
            let error = stream.next().unwrap().unwrap_err();
            (error, stream.next().is_none())
        });
        canceller.cancel();
        stopped.recv_timeout(PATIENCE).unwrap();
        let (error, over) = waiting.join().unwrap();
        assert_eq!(error.kind(), Some(ProblemKind::Cancelled), "{error}");
        assert!(over);
        assert_eq!(client.open::<CountTo>(3).unwrap().finish().unwrap(), 3, "others go on");
        assert_eq!(canceller.cancel(), Ran::Unknown, "again is harmless");
    }
}

#[test]
fn an_end_that_came_before_it_was_cancelled_stays() {
    let server = server();
    let mut stream = server.client().open::<CountTo>(2).unwrap();
    let canceller = stream.canceller();
    assert_eq!(stream.by_ref().count(), 2);
    canceller.cancel();
    assert_eq!(stream.finish().unwrap(), 2);
}
