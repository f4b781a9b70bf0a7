use super::{Note, Square, Who};
use crate::PATIENCE;
use isock::{Client, ConnectionId, Failure, ProblemKind, Server, ServerHandle};
use isock_tests::waiting::eventually;
use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

fn server() -> ServerHandle {
    Server::builder()
        .on::<Who>(|(), cx| {
            Ok(cx.connection().ok_or_else(|| Failure::new("no connection"))?.id().to_string())
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn()
        .unwrap()
}

fn connected(server: &ServerHandle, count: usize) -> Vec<Client> {
    (0..count)
        .map(|me| server.client_with(|client| client.on::<Square>(move |n, _| Ok(n + me as u64))))
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn both_ends_know_the_connection_by_one_name() {
    let server = server();
    let clients = connected(&server, 3);
    let mut names = HashSet::new();
    for client in &clients {
        let id = client.id().unwrap();
        assert_eq!(client.run::<Who>(()).unwrap(), id.to_string());
        assert_eq!(id.to_string().parse::<ConnectionId>(), Ok(id));
        assert!(server.connections().get(id).is_some());
        names.insert(id);
    }
    assert_eq!(names.len(), 3);
    assert!("no id".parse::<ConnectionId>().is_err());
    assert!(format!("+{}", "0".repeat(31)).parse::<ConnectionId>().is_err());
}

#[test]
fn connections_are_listed_picked_and_called_together() {
    let server = server();
    let before = SystemTime::now();
    let clients = connected(&server, 5);
    let all = server.connections();
    assert_eq!(all.len(), 5);
    assert_eq!(all.latest().unwrap().id(), clients[4].id().unwrap());
    assert_eq!(all.all()[0].id(), clients[0].id().unwrap());
    assert!(all.latest().unwrap().since() >= before);
    let mut seen = HashSet::new();
    while seen.len() < 5 {
        seen.insert(all.random().unwrap().id());
    }
    let mut sums: Vec<u64> = all
        .run_all::<Square>(10, Duration::from_secs(10))
        .into_iter()
        .map(|(_, result)| result.unwrap())
        .collect();
    sums.sort_unstable();
    assert_eq!(sums, [10, 11, 12, 13, 14]);
    drop(clients);
    eventually("all have gone", PATIENCE, || all.is_empty());
    assert!(all.latest().is_none() && all.random().is_none());
}

#[test]
fn the_reason_of_a_disconnect_reaches_the_client() {
    let server = server();
    // Without actions of its own it does not come back before its next call.
    let client = server.client();
    let (began, begun) = std::sync::mpsc::channel();
    server
        .on::<Note>(move |_, cx| {
            began.send(())?;
            while !cx.cancelled() {
                std::thread::yield_now();
            }
            Ok(())
        })
        .unwrap();
    let call = client.start::<Note>("an action that is not called twice");
    begun.recv().unwrap();
    server.connections().latest().unwrap().disconnect("you have been idle for too long");
    let error = call.wait().unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::ConnectionLost);
    assert!(error.to_string().contains("you have been idle for too long"), "{error}");
}

#[test]
fn a_server_whose_client_goes_reads_of_a_client() {
    let server = server();
    let (began, begun) = std::sync::mpsc::channel();
    let client = Client::builder()
        .on::<Note>(move |_, cx| {
            began.send(())?;
            while !cx.cancelled() {
                std::thread::yield_now();
            }
            Ok(())
        })
        .connect(server.address())
        .unwrap();
    let call = server.connections().latest().unwrap().start::<Note>("are you there?");
    begun.recv().unwrap();
    client.close();
    let error = call.wait().unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::ConnectionLost), "{error}");
    let text = error.to_string();
    assert!(text.contains("the client") && !text.contains("server"), "{text}");
}

#[test]
fn a_handle_that_outlives_its_connection_says_so() {
    let server = server();
    let clients = connected(&server, 1);
    let connection = server.connections().latest().unwrap();
    assert!(connection.is_connected());
    drop(clients);
    eventually("it has gone", PATIENCE, || !connection.is_connected());
    let error = connection.run::<Square>(1).unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::NotConnected);
    connection.disconnect("again");
}

#[test]
fn each_connection_has_a_session_of_its_own() {
    #[derive(Default)]
    struct Calls(AtomicU32);
    let server = server();
    server
        .on::<Square>(|_, cx| {
            let calls = cx.session().get_or_default::<Calls>();
            Ok(u64::from(calls.0.fetch_add(1, Ordering::Relaxed)))
        })
        .unwrap();
    let (a, b) = (server.client(), server.client());
    let counted = |client: &Client| client.run::<Square>(0).unwrap();
    assert_eq!([counted(&a), counted(&a), counted(&b), counted(&a)], [0, 1, 0, 2]);
}
