//! isock with its defaults; as `poll` both sides poll before they sleep, as `views` both read
//! records where they have arrived.
//!
//! The server is what a user writes: closures on a builder. The client shares one connection where
//! the workload does, and starts overlapping calls with `start`.

mod actions;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use actions::{Bulk, Count, Echo, Nap, Records};
use isock::{Call, Client, Limits};
use kit::blocking::BlockingPeer;
use kit::cli::{Args, Role, Server};
use kit::data::{Msg, Record};
use kit::{Bytes, Load, Quota};

fn main() {
    let args = Args::from_env();
    match args.role {
        Role::Server { address_file } => serve(&address_file, &args.variant),
        Role::Client(task) => match &*args.variant {
            "" | "bounded" => kit::blocking::run::<Peer>(&task),
            "poll" => kit::blocking::run::<PollingPeer>(&task),
            "views" => kit::blocking::run::<ViewingPeer>(&task),
            _ => kit::unsupported("this variant"),
        },
    }
}

/// What the documentation calls plenty.
const POLL: Duration = Duration::from_micros(200);

/// The default limit is 8 MiB, and W4c sends 16.
fn limits() -> Limits {
    Limits::default().message(32 << 20)
}

fn serve(address_file: &Path, variant: &str) {
    let server = isock::Server::builder();
    let server = match variant {
        "bounded" => server.workers(kit::WORKERS),
        "poll" => server.busy_poll(POLL),
        _ => server,
    };
    let server = match variant {
        "views" => server.on_views::<Records>(|records, _| Ok(records)),
        _ => server.on::<Records>(|records, _| Ok(records)),
    };
    let server = server
        .limits(limits())
        .on::<Echo>(|msg, _| Ok(msg))
        .on::<Bulk>(|payload, _| Ok(payload))
        .on::<Nap>(|millis, _| {
            thread::sleep(Duration::from_millis(millis.into()));
            Ok(())
        })
        .on::<Count>(|items, cx| Ok((0..items).try_for_each(|n| cx.send(Msg::new(n)))?))
        .bind("127.0.0.1:0")
        .expect("a free port");
    let address = server.addresses()[0].socket().expect("a TCP address");
    kit::cli::announce(address_file, address);
    server.run();
}

#[derive(Clone)]
struct Peer(Client);

impl BlockingPeer for Peer {
    fn connect(server: &Server) -> Peer {
        Peer(Client::builder().limits(limits()).connect(server.address).expect("the server runs"))
    }

    fn share(&self) -> Peer {
        self.clone()
    }

    fn echo(&mut self, msg: Msg) -> Msg {
        self.0.run::<Echo>(msg).expect("echo")
    }

    /// The payload stays with its owner, and is written from there.
    fn bulk(&mut self, payload: &Bytes) -> impl AsRef<[u8]> {
        let payload = isock::Bytes::from_owner(payload.clone());
        self.0.run::<Bulk>(payload).expect("bulk")
    }

    fn records(&mut self, records: Vec<Record>, expected: &[Record]) -> Vec<Record> {
        let reply = self.0.run::<Records>(&records).expect("records");
        assert!(reply == expected, "the records came back changed");
        reply
    }

    fn nap(&mut self, millis: u32) {
        self.0.run::<Nap>(millis).expect("nap");
    }

    fn stream(&mut self, items: u64, mut each: impl FnMut(Msg)) {
        for item in self.0.open::<Count>(items).expect("an open stream") {
            each(item.expect("an item"));
        }
    }

    fn offer(connections: &mut [Peer], load: Load) -> u64 {
        let load = load.part(connections.len());
        let answered = AtomicU64::new(0);
        thread::scope(|scope| {
            for peer in connections {
                let (begun, calls) = mpsc::channel::<Call<Nap>>();
                let (client, answered) = (&peer.0, &answered);
                scope.spawn(move || {
                    let (began, mut sent) = (Instant::now(), 0);
                    while let Some(due) = load.due(began) {
                        for _ in sent..due {
                            let work = client.request::<Nap>(kit::WORK_MS as u32);
                            let work = work.timeout(load.deadline);
                            begun.send(work.start()).expect("the other thread waits");
                        }
                        sent = sent.max(due);
                        thread::sleep(Duration::from_millis(1));
                    }
                });
                scope.spawn(move || {
                    let in_time = calls.iter().filter_map(|call| call.wait().ok()).count();
                    answered.fetch_add(in_time as u64, Ordering::Relaxed);
                });
            }
        });
        answered.into_inner()
    }

    fn in_flight(connections: &mut [Peer], depth: usize, quota: &mut Quota) {
        let mut windows: Vec<Window> =
            connections.iter().map(|peer| Window::new(&peer.0)).collect();
        for window in &mut windows {
            window.fill(depth);
        }
        loop {
            for window in &mut windows {
                let done = window.take();
                window.fill(depth);
                if !quota.spend(done) {
                    return windows.iter_mut().for_each(Window::finish);
                }
            }
        }
    }
}

/// A peer that polls, for sequential calls.
struct PollingPeer(Client);

impl BlockingPeer for PollingPeer {
    fn connect(server: &Server) -> PollingPeer {
        let client = Client::builder().busy_poll(POLL).connect(server.address);
        PollingPeer(client.expect("the server runs"))
    }

    fn echo(&mut self, msg: Msg) -> Msg {
        self.0.run::<Echo>(msg).expect("echo")
    }
}

/// A peer that reads records where they have arrived.
struct ViewingPeer(Client);

impl BlockingPeer for ViewingPeer {
    fn connect(server: &Server) -> ViewingPeer {
        ViewingPeer(Client::connect(server.address).expect("the server runs"))
    }

    fn echo(&mut self, msg: Msg) -> Msg {
        self.0.run::<Echo>(msg).expect("echo")
    }

    /// The reply is compared where it lies.
    fn records(&mut self, records: Vec<Record>, expected: &[Record]) -> Vec<Record> {
        let same = self.0.run_view::<Records, _>(&records, |reply| reply == expected);
        assert!(same.expect("records"), "the records came back changed");
        records
    }
}

/// The calls under way on one connection, oldest first.
struct Window<'c> {
    client: &'c Client,
    calls: VecDeque<(u64, Call<Echo>)>,
    next: u64,
}

impl<'c> Window<'c> {
    fn new(client: &'c Client) -> Window<'c> {
        Window { client, calls: VecDeque::new(), next: 0 }
    }

    fn fill(&mut self, depth: usize) {
        while self.calls.len() < depth {
            self.calls.push_back((self.next, self.client.start::<Echo>(Msg::new(self.next))));
            self.next += 1;
        }
    }

    /// Waits for the oldest call and takes all that have come with it.
    fn take(&mut self) -> u64 {
        let mut done = 0;
        while let Some((number, call)) = self.calls.pop_front() {
            call.wait().expect("echo").check(number);
            done += 1;
            if !self.calls.front().is_some_and(|(_, call)| call.is_finished()) {
                break;
            }
        }
        done
    }

    fn finish(&mut self) {
        while !self.calls.is_empty() {
            self.take();
        }
    }
}
