//! One client of several servers: whom it calls, and what it does when one of them fails.

use super::{spawn, PEER};
use isock::{Address, Client, ConnectError, ProblemKind, Ran, Server, ServerBuilder, ServerHandle};
use isock_tests::{
    actions::*,
    gate::Gate,
    process::Process,
    waiting::{block_on, eventually, in_time, join_all, ms, pass},
};
use std::{
    fs,
    net::TcpListener,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc, Mutex,
    },
    thread,
    time::Duration,
};

/// Servers that count what they run.
struct Counted {
    servers: Vec<ServerHandle>,
    runs: Vec<Arc<AtomicU32>>,
}

fn counted(count: usize) -> Counted {
    counted_with(count, |_, server| server)
}

fn counted_with(count: usize, with: impl Fn(usize, ServerBuilder) -> ServerBuilder) -> Counted {
    let runs: Vec<Arc<AtomicU32>> = (0..count).map(|_| Arc::default()).collect();
    let server = |(at, runs): (usize, &Arc<AtomicU32>)| {
        let (once, read) = (Arc::clone(runs), Arc::clone(runs));
        let server = Server::builder()
            .on::<Hold>(move |number, _| {
                once.fetch_add(1, Ordering::SeqCst);
                Ok(number)
            })
            .on::<Square>(move |n, _| {
                read.fetch_add(1, Ordering::SeqCst);
                Ok(n * n)
            });
        spawn(with(at, server))
    };
    Counted { servers: runs.iter().enumerate().map(server).collect(), runs }
}

impl Counted {
    fn addresses(&self) -> Vec<Address> {
        self.servers.iter().map(ServerHandle::address).collect()
    }

    /// A client that is connected to all of them.
    fn client(&self) -> Client {
        let client = Client::connect(self.addresses()).unwrap();
        eventually("it is connected to all", ms(5000), || {
            self.servers.iter().all(|server| !server.connections().is_empty())
        });
        // A connection is there for the client a moment after its server has seen it.
        eventually("all are called", ms(5000), || {
            client.run::<Square>(1).unwrap();
            self.runs().iter().all(|runs| *runs > 0)
        });
        self.runs.iter().for_each(|runs| runs.store(0, Ordering::SeqCst));
        client
    }

    fn runs(&self) -> Vec<u32> {
        self.runs.iter().map(|runs| runs.load(Ordering::SeqCst)).collect()
    }
}

/// Says that it is over, whichever way a test ends: else those who go on until then would hang it.
struct AtTheEnd<'t>(&'t AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A place where nobody listens, and nobody else comes to.
fn nobody() -> Address {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.7:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // Bound and not listening, until the end of the test process.
    std::mem::forget(socket);
    address.into()
}

#[test]
fn calls_one_after_the_other_and_at_once_are_shared() {
    let counted = counted(3);
    let client = counted.client();
    for n in 0..600 {
        assert_eq!(client.run::<Square>(n).unwrap(), n * n);
    }
    let runs = counted.runs();
    assert!(runs.iter().all(|runs| (140..=260).contains(runs)), "{runs:?}");
    let calls: Vec<_> = (0..600).map(|n| client.start::<Square>(n)).collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.wait().unwrap(), n * n);
    }
    let calls = (0..600).map(|n| client.start::<Square>(n));
    assert!(block_on(join_all(calls)).into_iter().all(|square| square.is_ok()));
    let runs = counted.runs();
    assert_eq!(runs.iter().sum::<u32>(), 1800);
    assert!(runs.iter().all(|runs| (500..=700).contains(runs)), "{runs:?}");
}

#[test]
fn a_server_that_has_much_to_do_gets_fewer_calls() {
    let gate = Gate::new();
    let counted = counted_with(2, |at, server| {
        let held = gate.clone();
        server.on::<Peek>(move |number, _| {
            if at == 0 {
                held.pass();
            }
            Ok(number)
        })
    });
    let _end = gate.opened_at_the_end();
    let client = counted.client();
    thread::scope(|scope| {
        // Those that come to the other server end, so that there are more and more here.
        let held: Vec<_> = (0..6)
            .map(|_| {
                let client = &client;
                scope.spawn(move || (0..20).try_for_each(|n| client.run::<Peek>(n).map(drop)))
            })
            .collect();
        eventually("all are held up", ms(5000), || {
            gate.entered() + held.iter().filter(|it| it.is_finished()).count() == 6
        });
        assert!(gate.entered() >= 1, "one of six went there");
        for n in 0..200 {
            assert_eq!(client.run::<Square>(n).unwrap(), n * n);
        }
        let runs = counted.runs();
        gate.open();
        assert_eq!(runs, [0, 200]);
        held.into_iter().for_each(|held| held.join().unwrap().unwrap());
    });
}

#[test]
fn a_server_that_stops_is_left_without_an_error_and_a_call_runs_once() {
    let mut counted = counted(2);
    let client = Client::builder().attempts(3).connect(counted.addresses()).unwrap();
    let (done, calls) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let end = AtTheEnd(&done);
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        let n = calls.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(client.run::<Hold>(n).unwrap(), n);
                    }
                })
            })
            .collect();
        pass(ms(50));
        let stopped = counted.servers.remove(0);
        let at = stopped.address();
        stopped.stop();
        pass(ms(100));
        // It comes back, and is found again.
        let (runs, before) = (Arc::clone(&counted.runs[0]), counted.runs()[0]);
        let again = Server::builder().on::<Hold>(move |number, _| {
            runs.fetch_add(1, Ordering::SeqCst);
            Ok(number)
        });
        let _again = again.bind(&at).unwrap().spawn().unwrap();
        eventually("it is called again", ms(15_000), || counted.runs()[0] > before + 10);
        drop(end);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
    assert_eq!(counted.runs().iter().sum::<u32>(), calls.load(Ordering::SeqCst));
}

#[test]
fn a_server_that_is_killed_costs_no_read_and_no_call_runs_twice() {
    let files = ["a", "b"].map(|name| {
        let file = format!("isock-several-{name}-{}", std::process::id());
        std::env::temp_dir().join(file)
    });
    files.iter().for_each(|file| drop(fs::remove_file(file)));
    let mut peers =
        files.each_ref().map(|file| Process::start(PEER, &["server", file.to_str().unwrap()]));
    let addresses = peers.each_mut().map(Process::line);
    let client = Client::connect(&addresses[..]).unwrap();
    let runs = || {
        let text = |file| fs::read_to_string(file).unwrap_or_default();
        files.iter().map(|file| text(file).lines().count()).collect::<Vec<_>>()
    };
    let done = AtomicBool::new(false);
    let (mut sure, mut unsure) = (0, 0);
    thread::scope(|scope| {
        let end = AtTheEnd(&done);
        let reads = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(client.run::<Echo>("there?").unwrap(), "there?");
            }
        });
        let orders = [(); 3].map(|()| {
            scope.spawn(|| {
                let (mut sure, mut unsure) = (0, 0);
                while !done.load(Ordering::SeqCst) {
                    match client.run::<Last>(1) {
                        Ok(_) => sure += 1,
                        Err(error) if error.ran() == Ran::Unknown => unsure += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                (sure, unsure)
            })
        });
        eventually("both are called", ms(15_000), || runs().iter().all(|runs| *runs > 5));
        peers[0].kill();
        let before = runs()[1];
        eventually("the other one goes on", ms(15_000), || runs()[1] > before + 20);
        drop(end);
        reads.join().unwrap();
        for orders in orders {
            let (some, others) = orders.join().unwrap();
            (sure, unsure) = (sure + some, unsure + others);
        }
    });
    let runs: usize = runs().iter().sum();
    files.iter().for_each(|file| drop(fs::remove_file(file)));
    assert!((sure..=sure + unsure).contains(&runs), "{sure} sure, {unsure} unsure, {runs} runs");
    assert!(unsure <= 3, "{unsure}: one for each that was under way");
}

#[test]
fn servers_that_are_down_or_silent_cost_no_call_its_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let counted = counted(1);
    for other in [nobody(), silent.local_addr().unwrap().into()] {
        for addresses in [
            [counted.addresses()[0].clone(), other.clone()],
            [other, counted.addresses()[0].clone()],
        ] {
            let client = in_time(ms(500), || Client::connect(&addresses[..]).unwrap());
            in_time(ms(500), || {
                for n in 0..100 {
                    assert_eq!(client.run::<Square>(n).unwrap(), n * n);
                }
            });
        }
    }
}

#[test]
fn all_that_are_down_are_named_with_what_they_said() {
    let addresses = [nobody(), nobody()];
    match Client::builder().attempts(2).connect(&addresses[..]) {
        Err(ConnectError::Unreachable { address, attempts, source }) => {
            assert_eq!(address, format!("{}, {}", addresses[0], addresses[1]));
            assert_eq!(attempts, 2);
            let text = source.to_string();
            for address in &addresses {
                assert!(text.contains(&format!("{address}: Connection refused")), "{text}");
            }
            assert!(text.ends_with("; start one there, or check the addresses"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let client = Client::builder().connect_lazy(&addresses[..]).unwrap();
    for error in
        [client.run::<Square>(1).unwrap_err(), block_on(client.start::<Square>(1)).unwrap_err()]
    {
        assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::NotConnected), Ran::No));
        assert_eq!(error.problem().unwrap().attempts(), 3);
    }
}

#[test]
fn sends_keep_their_order_on_one_connection_while_calls_are_shared() {
    let noted: [Arc<Mutex<Vec<u32>>>; 2] = Default::default();
    let counted = counted_with(2, |at, server| {
        let noted = Arc::clone(&noted[at]);
        server.on::<Peek>(move |number, _| {
            noted.lock().unwrap().push(number);
            Ok(number)
        })
    });
    let client = counted.client();
    let id = client.id().unwrap();
    for n in 0..200 {
        client.send::<Peek>(n).unwrap();
        client.run::<Square>(u64::from(n)).unwrap();
    }
    let lens = || noted.each_ref().map(|noted| noted.lock().unwrap().len());
    eventually("all have come", ms(5000), || lens().iter().sum::<usize>() == 200);
    assert!(lens().contains(&200), "{:?}", lens());
    let all = noted.each_ref().map(|noted| noted.lock().unwrap().clone()).concat();
    assert!(all.is_sorted(), "{all:?}");
    assert!(counted.runs().iter().all(|runs| *runs > 50), "{:?}", counted.runs());
    assert_eq!(client.id(), Some(id));
    client.ping().unwrap();
}

#[test]
fn what_belongs_to_one_connection_keeps_to_one() {
    let counted = counted(2);
    let addresses = counted.addresses();
    let with_a_handler = || Client::builder().on::<Echo>(|text, _| Ok(text));
    for builder in
        [with_a_handler(), Client::builder().on_connect(|_| ()), Client::builder().balance(false)]
    {
        let client = builder.connect(&addresses[..]).unwrap();
        for n in 0..50 {
            assert_eq!(client.run::<Square>(n).unwrap(), n * n);
        }
        drop(client);
    }
    assert_eq!(counted.runs(), [150, 0]);
    // A client that serves something later on keeps to one from then on.
    let client = counted.client();
    client.on::<Echo>(|text, _| Ok(text)).unwrap();
    for n in 0..50 {
        assert_eq!(client.run::<Square>(n).unwrap(), n * n);
    }
    let runs = counted.runs();
    assert!(runs.contains(&50) && runs.contains(&0), "{runs:?}");
}

#[test]
fn a_problem_names_the_server_that_had_it() {
    let counted = counted(2);
    let client = counted.client();
    let mut named: Vec<Address> = (0..100)
        .map(|_| {
            let error = client.run::<Exec>("x").unwrap_err();
            assert_eq!(error.kind(), Some(ProblemKind::UnknownAction));
            error.problem().unwrap().address().unwrap().clone()
        })
        .collect();
    named.sort_by_key(ToString::to_string);
    named.dedup();
    let mut addresses = counted.addresses();
    addresses.sort_by_key(ToString::to_string);
    assert_eq!(named, addresses);
}

#[test]
fn closing_reaches_those_who_wait_for_any_of_several() {
    let silent = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = silent.each_ref().map(|silent| silent.local_addr().unwrap());
    let client = Client::builder().connect_lazy(addresses).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| client.run::<Echo>("hi"));
        let _dialled = silent.each_ref().map(|silent| silent.accept().unwrap());
        let before = std::time::Instant::now();
        client.close();
        let error = waiting.join().unwrap().unwrap_err();
        assert!(before.elapsed() < ms(500), "{:?}", before.elapsed());
        assert_eq!(error.ran(), Ran::No, "{error}");
    });
    assert_eq!(client.run::<Echo>("hi").unwrap_err().kind(), Some(ProblemKind::Closed));
}

#[test]
fn a_call_to_several_that_are_silent_ends_by_its_deadline() {
    let silent = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = silent.each_ref().map(|silent| silent.local_addr().unwrap());
    let client = Client::builder().connect_lazy(addresses).unwrap();
    let timeout = Duration::from_millis(200);
    let error = in_time(timeout + ms(100), || {
        client.request::<Echo>("hi").timeout(timeout).run().unwrap_err()
    });
    assert_eq!(error.ran(), Ran::No, "{error}");
}
