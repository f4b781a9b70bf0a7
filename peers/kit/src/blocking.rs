//! Runs the workloads on a client whose calls block.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use bytes::Bytes;

use crate::cli::{Server, Task};
use crate::data::{payloads, records, Msg, Record};
use crate::overload::{measure, CONNECTIONS};
use crate::{
    rss_bytes, unsupported, Latencies, Limit, Load, Meter, Quota, Report, Workload,
    IDLE_CONNECTIONS, NAP_MS, RECORDS, SHARERS, SLEEPERS, STREAM_ITEMS,
};

/// One connection of a blocking peer.
///
/// A peer implements what it has; the rest ends the client with `unsupported`. Calls panic on any error.
pub trait BlockingPeer: Send + Sized + 'static {
    /// Connects to a server, with the peer's recommended settings.
    fn connect(server: &Server) -> Self;

    /// Another handle on the same connection, for another thread (W8).
    fn share(&self) -> Self {
        unsupported("one client for several threads")
    }

    /// Sends the message and returns the reply; the runner checks it.
    fn echo(&mut self, msg: Msg) -> Msg;

    /// Sends the bytes and returns the reply; the runner checks it.
    fn bulk(&mut self, _payload: &Bytes) -> impl AsRef<[u8]> {
        unsupported::<&[u8]>("bulk")
    }

    /// Sends the records, compares the reply with `expected`, and returns the records to send next.
    fn records(&mut self, _records: Vec<Record>, _expected: &[Record]) -> Vec<Record> {
        unsupported("records")
    }

    /// Calls the action that sleeps for so many milliseconds.
    fn nap(&mut self, _millis: u32) {
        unsupported("sleeping actions")
    }

    /// Opens a stream of the messages 0 to `items` and hands each to `each`.
    fn stream(&mut self, _items: u64, _each: impl FnMut(Msg)) {
        unsupported("streams")
    }

    /// Calls the action that sleeps for [`WORK_MS`](crate::WORK_MS), at the pace of the load and over
    /// all connections, whatever becomes of the calls; says how many were answered in time.
    fn offer(_connections: &mut [Self], _load: Load) -> u64 {
        unsupported("a load of a fixed pace")
    }

    /// Keeps `depth` echo calls in flight on every connection until the quota is spent, then takes in the
    /// replies still due; checks every reply.
    fn in_flight(_connections: &mut [Self], _depth: usize, _quota: &mut Quota) {
        unsupported("calls in flight")
    }
}

fn overload<P: BlockingPeer>(task: &Task) -> Report {
    let mut peers: Vec<P> = (0..CONNECTIONS).map(|_| P::connect(&task.server)).collect();
    measure(task, |load| P::offer(&mut peers, load))
}

/// Runs the task and prints its line.
pub fn run<P: BlockingPeer>(task: &Task) {
    match task.workload {
        Workload::Sequential => sequential::<P>(task),
        Workload::InFlight { connections, depth } => in_flight::<P>(task, connections, depth),
        Workload::Bulk { size } => bulk::<P>(task, size),
        Workload::Idle => idle::<P>(task),
        Workload::Records => records_echo::<P>(task),
        Workload::Stream => stream::<P>(task),
        Workload::Shared => shared::<P>(task),
        Workload::Bystander => bystander::<P>(task),
        Workload::Overload => overload::<P>(task),
    }
    .print();
}

fn sequential<P: BlockingPeer>(task: &Task) -> Report {
    let mut peer = P::connect(&task.server);
    one_by_one(task, |n| peer.echo(Msg::new(n)).check(n)).calls()
}

fn bulk<P: BlockingPeer>(task: &Task, size: usize) -> Report {
    let mut peer = P::connect(&task.server);
    let payloads = payloads(size);
    one_by_one(task, |n| {
        let payload = &payloads[(n % 2) as usize];
        assert!(
            peer.bulk(payload).as_ref() == &payload[..],
            "the reply to call {n} has other content"
        );
    })
    .bulk(size)
}

fn records_echo<P: BlockingPeer>(task: &Task) -> Report {
    let mut peer = P::connect(&task.server);
    let expected = records(RECORDS);
    let mut next = expected.clone();
    one_by_one(task, |_| next = peer.records(std::mem::take(&mut next), &expected)).calls()
}

fn stream<P: BlockingPeer>(task: &Task) -> Report {
    let mut peer = P::connect(&task.server);
    one_by_one(task, |_| {
        let mut seen = 0;
        peer.stream(STREAM_ITEMS, |item| {
            item.check(seen);
            seen += 1;
        });
        assert_eq!(seen, STREAM_ITEMS, "the stream was cut short");
    })
    .items(STREAM_ITEMS)
}

fn in_flight<P: BlockingPeer>(task: &Task, connections: usize, depth: usize) -> Report {
    let mut peers: Vec<P> = (0..connections).map(|_| P::connect(&task.server)).collect();
    P::in_flight(&mut peers, depth, &mut Quota::new(task.limit.warm_up()));
    let meter = Meter::start(&task.server);
    let mut quota = Quota::new(task.limit);
    P::in_flight(&mut peers, depth, &mut quota);
    meter.finish(quota.done()).calls()
}

fn idle<P: BlockingPeer>(task: &Task) -> Report {
    let connect = |n| {
        let mut peer = P::connect(&task.server);
        peer.echo(Msg::new(n)).check(n);
        peer
    };
    drop(connect(0));
    let before = settled_rss(task.server.pid);
    let peers: Vec<P> = (0..IDLE_CONNECTIONS as u64).map(connect).collect();
    let after = settled_rss(task.server.pid);
    drop(peers);
    idle_report(before, after)
}

/// The server's memory once it has had time to notice what just happened.
fn settled_rss(pid: i32) -> u64 {
    thread::sleep(crate::meter::SETTLE);
    rss_bytes(pid)
}

/// W5's report: the server's memory per connection.
pub(crate) fn idle_report(before: u64, after: u64) -> Report {
    let each = (after as f64 - before as f64) / IDLE_CONNECTIONS as f64;
    Report::default().with("bytes_per_connection", each)
}

fn shared<P: BlockingPeer>(task: &Task) -> Report {
    let peer = P::connect(&task.server);
    by_threads(task, || {
        let mut peer = peer.share();
        move |msg| peer.echo(msg)
    })
}

/// W8: eight threads, each of which calls with what `caller` makes for it.
pub(crate) fn by_threads<C: FnMut(Msg) -> Msg + Send>(
    task: &Task,
    caller: impl Fn() -> C,
) -> Report {
    share_out(&caller, task.limit.warm_up());
    let meter = Meter::start(&task.server);
    let done = share_out(&caller, task.limit);
    meter.finish(done).calls()
}

/// Eight threads on one client, each with its own part of the limit.
fn share_out<C: FnMut(Msg) -> Msg + Send>(caller: &impl Fn() -> C, limit: Limit) -> u64 {
    let limit = match limit {
        Limit::Time(_) => limit,
        Limit::Calls(calls) => Limit::Calls(calls / SHARERS as u64),
    };
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for sharer in 0..SHARERS as u64 {
            let (mut echo, done) = (caller(), &done);
            scope.spawn(move || {
                let mut quota = Quota::new(limit);
                let mut call = |n| echo(Msg::new(n)).check(n);
                call(sharer << 32);
                while quota.spend(1) {
                    call((sharer << 32) + quota.done());
                }
                done.fetch_add(quota.done(), Ordering::Relaxed);
            });
        }
    });
    done.into_inner()
}

fn bystander<P: BlockingPeer>(task: &Task) -> Report {
    let task =
        Task { limit: task.limit.part(2), workload: task.workload, server: task.server.clone() };
    let mut peer = P::connect(&task.server);
    let mut measure = || {
        let mut latencies = Latencies::default();
        timed(Quota::new(task.limit), &mut latencies, |n| peer.echo(Msg::new(n)).check(n));
        latencies
    };
    measure();
    let alone = measure();
    let awake = AtomicBool::new(true);
    let mut beside = thread::scope(|scope| {
        for _ in 0..SLEEPERS {
            let mut sleeper = P::connect(&task.server);
            let awake = &awake;
            scope.spawn(move || {
                while awake.load(Ordering::Relaxed) {
                    sleeper.nap(NAP_MS);
                }
            });
        }
        let beside = measure();
        awake.store(false, Ordering::Relaxed);
        beside
    });
    bystander_report(alone, &mut beside)
}

/// W9's report: the bystander's latency with the sleepers and without.
pub(crate) fn bystander_report(mut alone: Latencies, beside: &mut Latencies) -> Report {
    Report::default()
        .with("p50_us", beside.percentile_us(50))
        .with("p99_us", beside.percentile_us(99))
        .with("p50_alone_us", alone.percentile_us(50))
        .with("p99_alone_us", alone.percentile_us(99))
}

/// Warms up, then measures one call after the other.
fn one_by_one(task: &Task, mut call: impl FnMut(u64)) -> Report {
    let mut latencies = Latencies::default();
    timed(Quota::new(task.limit.warm_up()), &mut latencies, &mut call);
    latencies.clear();
    let meter = Meter::start(&task.server);
    let done = timed(Quota::new(task.limit), &mut latencies, &mut call);
    latencies.report(meter.finish(done))
}

/// One clock read per call serves the latency and the quota.
fn timed(mut quota: Quota, latencies: &mut Latencies, mut call: impl FnMut(u64)) -> u64 {
    let mut before = Instant::now();
    loop {
        call(quota.done());
        let now = Instant::now();
        latencies.add(now - before);
        before = now;
        if !quota.spend_at(1, || now) {
            return quota.done();
        }
    }
}
