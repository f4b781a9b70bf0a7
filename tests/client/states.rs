//! A blocking call returns by its deadline and a tenth of a second in every state that a server can
//! be in, over TCP and Unix sockets.

use super::PEER;
use isock::{Bytes, Client, ProblemKind, Ran};
use isock_tests::{
    actions::{Blob, Echo},
    process::Process,
    raw::{Host, Raw},
    waiting::{in_time, ms, pass},
};
use std::{cell::Cell, path::PathBuf, sync::mpsc, thread, time::Instant};

const TIMEOUT: std::time::Duration = ms(200);
const GRACE: std::time::Duration = ms(100);

/// What a server does once it has said hello.
type Then = fn(&mut Raw);

struct State {
    name: &'static str,
    then: Then,
    /// Sends as much as no socket holds.
    large: bool,
    /// Callers at once.
    callers: usize,
}

fn nothing(_: &mut Raw) {}

fn half_an_answer(raw: &mut Raw) {
    raw.send(&[200, 0, 0, 0, 2, 0, 0]);
}

/// Far less than what it is sent, for far longer than the call may take.
fn reads_slowly(raw: &mut Raw) {
    for _ in 0..200 {
        raw.take(1000);
        pass(ms(5));
    }
}

const STATES: [State; 6] = [
    State { name: "it never answers", then: nothing, large: false, callers: 1 },
    State { name: "it never answers many", then: nothing, large: false, callers: 8 },
    State { name: "it stalls in an answer", then: half_an_answer, large: false, callers: 1 },
    State { name: "all buffers are full", then: nothing, large: true, callers: 1 },
    State { name: "they are full for many", then: nothing, large: true, callers: 8 },
    State { name: "it reads slowly", then: reads_slowly, large: true, callers: 1 },
];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("isock-states-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A call that gets no answer; says how it ended.
fn expires(client: &Client, large: bool) -> (Option<ProblemKind>, Ran) {
    let before = Instant::now();
    let error = match large {
        false => client.request::<Echo>("hi").timeout(TIMEOUT).run().unwrap_err(),
        true => {
            let large = Bytes::from(vec![0; 950_000]);
            client.request::<Blob>(&large).timeout(TIMEOUT).run().unwrap_err()
        }
    };
    assert!(before.elapsed() >= TIMEOUT, "{:?}: {error}", before.elapsed());
    (error.kind(), error.ran())
}

#[test]
fn of_a_server_that_said_hello() {
    let folder = Folder::new("hello");
    for (at, state) in STATES.iter().enumerate() {
        let (path, hosts) = (folder.0.join(at.to_string()), Cell::new(0));
        // Each run has a server and a client of its own: what one has left unread would fill the
        // buffers of the next.
        let unix = || {
            hosts.set(hosts.get() + 1);
            Host::unix(&path.with_extension(hosts.get().to_string()))
        };
        in_time(TIMEOUT + GRACE, || calls_expire(state, Host::tcp()));
        in_time(TIMEOUT + GRACE, || calls_expire(state, unix()));
    }
}

fn calls_expire(state: &State, host: Host) {
    let address = host.address();
    let (over, until) = mpsc::channel::<()>();
    let then = state.then;
    thread::spawn(move || {
        let mut raw = host.accept();
        then(&mut raw);
        // Until the test is over, whichever way.
        let _ = until.recv();
    });
    let client = Client::connect(&address).unwrap();
    thread::scope(|scope| {
        for _ in 0..state.callers {
            scope.spawn(|| {
                let (kind, _) = expires(&client, state.large);
                assert_eq!(kind, Some(ProblemKind::Deadline), "{}", state.name);
            });
        }
    });
    drop(over);
}

#[test]
fn of_a_server_that_never_says_hello() {
    let folder = Folder::new("silent");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let path = folder.0.join("silent");
    let _unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let addresses = [tcp.local_addr().unwrap().to_string(), format!("unix:{}", path.display())];
    for address in addresses {
        let client = Client::builder().connect_lazy(address).unwrap();
        let (_, ran) = in_time(TIMEOUT + GRACE, || expires(&client, false));
        assert_eq!(ran, Ran::No);
    }
}

#[test]
fn of_a_server_that_does_not_even_accept() {
    let folder = Folder::new("full");
    let path = folder.0.join("full");
    let (tcp, unix) = (socket2::Domain::IPV4, socket2::Domain::UNIX);
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    for (domain, at) in [(tcp, any.into()), (unix, socket2::SockAddr::unix(&path).unwrap())] {
        let new = || socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        let listener = new();
        listener.bind(&at).unwrap();
        listener.listen(0).unwrap();
        let at = listener.local_addr().unwrap();
        // Its queue is full once a connection is not made at once.
        let queued: Vec<_> = (0..8)
            .map(|_| {
                let socket = new();
                socket.set_nonblocking(true).unwrap();
                // Some of them are refused for now: that is the point.
                let _ = socket.connect(&at);
                socket
            })
            .collect();
        let address = match at.as_socket() {
            Some(socket) => socket.to_string(),
            None => format!("unix:{}", path.display()),
        };
        let client = Client::builder().connect_lazy(address).unwrap();
        let (_, ran) = in_time(TIMEOUT + GRACE, || expires(&client, false));
        assert_eq!(ran, Ran::No);
        drop(queued);
    }
}

#[test]
fn of_a_process_that_is_stopped() {
    let folder = Folder::new("stopped");
    let path = format!("unix:{}", folder.0.join("stopped").display());
    for at in ["127.0.0.1:0", &path] {
        let mut process = Process::start(PEER, &["hoarder", at]);
        let address = process.line();
        let client = Client::connect(&address).unwrap();
        assert_eq!(client.run::<Echo>("before").unwrap(), "before");
        process.pause();
        let (kind, ran) = in_time(TIMEOUT + GRACE, || expires(&client, false));
        assert_eq!((kind, ran), (Some(ProblemKind::Deadline), Ran::Unknown));
        let stranger = Client::builder().connect_lazy(&address).unwrap();
        assert_eq!(in_time(TIMEOUT + GRACE, || expires(&stranger, false)).1, Ran::No);
        process.resume();
        assert_eq!(client.run::<Echo>("afterwards").unwrap(), "afterwards");
    }
}

/// In a network of its own, whose only name server takes every question and answers none.
#[test]
fn of_a_name_server_that_is_dead() {
    let folder = Folder::new("unresolved");
    let (resolv, switch) = (folder.0.join("resolv.conf"), folder.0.join("nsswitch.conf"));
    std::fs::write(&resolv, "nameserver 127.0.0.1\n").unwrap();
    std::fs::write(&switch, "hosts: dns\n").unwrap();
    let script = format!(
        "ip link set lo up && mount --bind {} /etc/resolv.conf && \
         {{ test ! -e /etc/nsswitch.conf || mount --bind {} /etc/nsswitch.conf; }} && \
         exec {PEER} unresolved",
        resolv.display(),
        switch.display()
    );
    let mut process = Process::start("unshare", &["-rnm", "sh", "-c", &script]);
    assert_eq!(process.line(), "left in time, and asked once");
}
