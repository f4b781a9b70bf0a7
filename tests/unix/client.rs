//! What a client meets at a path.

use crate::{folder::Folder, serve};
use isock::{Client, ProblemKind, Ran};
use isock_tests::actions::Echo;
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// What it says when there is no connection to `path`.
fn complaint(path: &Path) -> String {
    let error = Client::builder().attempts(1).connect(path).unwrap_err().to_string();
    let start = format!("no server at unix:{} after 1 attempt: ", path.display());
    assert!(error.starts_with(&start), "{error}");
    error
}

#[test]
fn a_hundred_calls_and_many_at_once() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let _server = serve(&path);
    let client = Client::connect(format!("unix:{}", path.display())).unwrap();
    for n in 0..100 {
        assert_eq!(client.run::<Echo>(n.to_string()).unwrap(), n.to_string());
    }
    let calls: Vec<_> = (0..100).map(|n| client.start::<Echo>(n.to_string())).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.wait().unwrap(), n.to_string());
    }
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(client.run::<Echo>("a").unwrap(), "a");
                }
            });
        }
    });
}

#[test]
fn four_mebibytes_go_there_and_back() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let _server = serve(&path);
    let client = Client::connect(&path).unwrap();
    let text = "a".repeat(4 << 20);
    assert!(client.run::<Echo>(&text).unwrap() == text);
}

#[test]
fn it_connects_again_when_the_server_is_back() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let client = Client::builder().connect_lazy(&path).unwrap();
    for round in 0..3 {
        let server = serve(&path);
        assert_eq!(client.run::<Echo>("a").unwrap(), "a", "round {round}");
        server.stop();
        let problem = match client.run::<Echo>("a").unwrap_err() {
            isock::CallError::Call(problem) => problem,
            other => panic!("{other:?}"),
        };
        assert_eq!((problem.kind(), problem.ran()), (ProblemKind::NotConnected, Ran::No));
        let text = problem.to_string();
        assert!(text.contains(&format!("at unix:{}", path.display())), "{text}");
        assert!(text.contains("nothing is there; start the server"), "{text}");
    }
}

#[test]
fn each_way_not_to_connect_names_the_path_and_what_to_do() {
    let folder = Folder::new();
    let missing = complaint(&folder.join("missing"));
    assert!(missing.ends_with("nothing is there; start the server, or check the path"));
    let stale = complaint(&folder.stale("stale"));
    let words = "its server has ended without removing it; start the server again";
    assert!(stale.ends_with(words), "{stale}");
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    let file = complaint(&file);
    assert!(file.ends_with("what is there is no socket; check the path"), "{file}");
}

#[test]
fn a_server_that_does_not_accept_costs_no_more_than_the_time_given() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    // Linux takes one more than it was told.
    let _first = UnixStream::connect(&path).unwrap();
    let began = Instant::now();
    let client = Client::builder().attempts(1).timeout(Duration::from_millis(300));
    let error = client.connect(&path).unwrap_err().to_string();
    let took = began.elapsed();
    if cfg!(target_os = "linux") {
        assert!(error.ends_with("the server does not accept connections; is it stuck?"), "{error}");
        assert!(took >= Duration::from_millis(250), "{took:?}");
    }
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(crate::refusal(&path).contains("a server is there already"));
}
