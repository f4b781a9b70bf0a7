//! Runs the workloads on a client whose calls are futures, on a current-thread tokio runtime.
//!
//! One thread serves small messages better than several on two cores; calls in flight are tasks that call
//! one after the other.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{spawn_local, JoinHandle, LocalSet};

use crate::blocking::{self, bystander_report, idle_report};
use crate::cli::{Server, Task};
use crate::data::{payloads, records, Msg, Record};
use crate::meter::SETTLE;
use crate::overload::{measure, CONNECTIONS};
use crate::{
    rss_bytes, unsupported, Latencies, Limit, Load, Meter, Quota, Report, Workload,
    IDLE_CONNECTIONS, NAP_MS, RECORDS, SLEEPERS, STREAM_ITEMS,
};

/// One connection of an asynchronous peer; a clone is another handle on the same connection.
///
/// A peer implements what it has; the rest ends the client with `unsupported`. Calls panic on any error.
pub trait TaskPeer: Clone + 'static {
    /// The records of W6 in the peer's own types.
    type Records: Default + 'static;

    /// Connects to a server, with the peer's recommended settings.
    fn connect(server: &Server) -> impl Future<Output = Self>;

    /// Sends the message and returns the reply; the runner checks it.
    fn echo(&self, msg: Msg) -> impl Future<Output = Msg>;

    /// Sends the bytes and returns the reply; the runner checks it.
    fn bulk(&self, payload: &Bytes) -> impl Future<Output = impl AsRef<[u8]>>;

    /// Puts the records into the peer's own types, once.
    fn own(records: &[Record]) -> Self::Records;

    /// Sends the records, compares the reply with `expected`, and returns the records to send next.
    fn records(
        &self,
        records: Self::Records,
        expected: &[Record],
    ) -> impl Future<Output = Self::Records>;

    /// Calls the action that sleeps for so many milliseconds.
    fn nap(&self, millis: u32) -> impl Future<Output = ()>;

    /// Calls the action that sleeps for [`WORK_MS`](crate::WORK_MS) and gives up after this time;
    /// says whether it was answered.
    fn work(&self, _deadline: Duration) -> impl Future<Output = bool> {
        async { unsupported("calls with a deadline") }
    }

    /// Runs W8, usually by [`by_threads`], if handles on a connection may go to other threads.
    fn shared(_task: &Task) -> Report {
        unsupported("one client for several threads")
    }

    /// Opens a stream of the messages 0 to `items` and hands each to `each`.
    fn stream(&self, _items: u64, _each: impl FnMut(Msg)) -> impl Future<Output = ()> {
        async { unsupported("streams") }
    }
}

/// The runtime that clients run on, and servers unless their peer recommends another.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the system has a poll to give")
}

fn overload<P: TaskPeer>(task: &Task) -> Report {
    let (runtime, tasks) = (runtime(), LocalSet::new());
    let peers = tasks.block_on(&runtime, async {
        let mut peers = Vec::new();
        for _ in 0..CONNECTIONS {
            peers.push(P::connect(&task.server).await);
        }
        peers
    });
    measure(task, |load| tasks.block_on(&runtime, offer(&peers, load)))
}

/// Begins a call whenever one is due, and counts those that are answered in time.
async fn offer<P: TaskPeer>(peers: &[P], load: Load) -> u64 {
    let (began, answered) = (Instant::now(), Rc::new(Cell::new(0)));
    let mut calls = Vec::new();
    while let Some(due) = load.due(began) {
        while (calls.len() as u64) < due {
            let (peer, answered) = (peers[calls.len() % peers.len()].clone(), Rc::clone(&answered));
            calls.push(spawn_local(async move {
                let in_time = peer.work(load.deadline).await;
                answered.set(answered.get() + u64::from(in_time));
            }));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for call in calls {
        call.await.expect("a call does not panic");
    }
    answered.get()
}

/// W8: threads that block share a client, whose connection another thread drives.
pub fn by_threads<P: TaskPeer + Send>(task: &Task) -> Report {
    let runtime = runtime();
    let (handle, peer) = (runtime.handle().clone(), runtime.block_on(P::connect(&task.server)));
    let (over, until_over) = oneshot::channel::<()>();
    let driver = thread::spawn(move || runtime.block_on(until_over));
    let report = blocking::by_threads(task, || {
        let (handle, peer) = (handle.clone(), peer.clone());
        move |msg| handle.block_on(peer.echo(msg))
    });
    drop(over);
    // The other end has been dropped, and that is what it waits for.
    let _ = driver.join();
    report
}

/// Runs the task and prints its line.
pub fn run<P: TaskPeer>(task: &Task) {
    match task.workload {
        Workload::Overload => overload::<P>(task).print(),
        Workload::Shared => P::shared(task).print(),
        _ => as_tasks::<P>(task),
    }
}

fn as_tasks<P: TaskPeer>(task: &Task) {
    let report = LocalSet::new().block_on(&runtime(), async {
        match task.workload {
            Workload::Sequential => sequential::<P>(task).await,
            Workload::InFlight { connections, depth } => {
                in_flight::<P>(task, connections, depth).await
            }
            Workload::Bulk { size } => bulk::<P>(task, size).await,
            Workload::Idle => idle::<P>(task).await,
            Workload::Records => records_echo::<P>(task).await,
            Workload::Stream => stream::<P>(task).await,
            Workload::Bystander => bystander::<P>(task).await,
            Workload::Shared | Workload::Overload => unreachable!("they have been run"),
        }
    });
    report.print();
}

async fn sequential<P: TaskPeer>(task: &Task) -> Report {
    let peer = P::connect(&task.server).await;
    one_by_one(task, async |n| peer.echo(Msg::new(n)).await.check(n)).await.calls()
}

async fn bulk<P: TaskPeer>(task: &Task, size: usize) -> Report {
    let peer = P::connect(&task.server).await;
    let payloads = payloads(size);
    let call = async |n| {
        let payload = &payloads[(n % 2) as usize];
        let reply = peer.bulk(payload).await;
        assert!(reply.as_ref() == &payload[..], "the reply to call {n} has other content");
    };
    one_by_one(task, call).await.bulk(size)
}

async fn records_echo<P: TaskPeer>(task: &Task) -> Report {
    let peer = P::connect(&task.server).await;
    let expected = records(RECORDS);
    let next = Cell::new(P::own(&expected));
    let call = async |_| next.set(peer.records(next.take(), &expected).await);
    one_by_one(task, call).await.calls()
}

async fn stream<P: TaskPeer>(task: &Task) -> Report {
    let peer = P::connect(&task.server).await;
    let call = async |_| {
        let mut seen = 0;
        let each = |item: Msg| {
            item.check(seen);
            seen += 1;
        };
        peer.stream(STREAM_ITEMS, each).await;
        assert_eq!(seen, STREAM_ITEMS, "the stream was cut short");
    };
    one_by_one(task, call).await.items(STREAM_ITEMS)
}

async fn in_flight<P: TaskPeer>(task: &Task, connections: usize, depth: usize) -> Report {
    let mut peers = Vec::new();
    for _ in 0..connections {
        peers.push(P::connect(&task.server).await);
    }
    keep_in_flight(&peers, depth, task.limit.warm_up()).await;
    let meter = Meter::start(&task.server);
    let done = keep_in_flight(&peers, depth, task.limit).await;
    meter.finish(done).calls()
}

/// A task per call in flight; together they use up the limit.
async fn keep_in_flight<P: TaskPeer>(peers: &[P], depth: usize, limit: Limit) -> u64 {
    let quota = Rc::new(Strided {
        quota: RefCell::new(Quota::new(limit)),
        uncounted: Cell::new(0),
        more: Cell::new(true),
    });
    let callers: Vec<JoinHandle<()>> = (0..peers.len() * depth)
        .map(|caller| {
            let (peer, quota) = (peers[caller / depth].clone(), quota.clone());
            spawn_local(async move {
                let mut n = (caller as u64) << 32;
                while quota.more.get() {
                    peer.echo(Msg::new(n)).await.check(n);
                    quota.spend();
                    n += 1;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no call fails");
    }
    let done = quota.quota.borrow().done() + quota.uncounted.get();
    done
}

/// A quota shared by tasks, which reads the clock on every eighth call only.
struct Strided {
    quota: RefCell<Quota>,
    uncounted: Cell<u64>,
    more: Cell<bool>,
}

impl Strided {
    fn spend(&self) {
        const STRIDE: u64 = 8;
        self.uncounted.set(self.uncounted.get() + 1);
        if self.uncounted.get() == STRIDE {
            self.uncounted.set(0);
            let more = self.quota.borrow_mut().spend(STRIDE);
            self.more.set(self.more.get() && more);
        }
    }
}

async fn idle<P: TaskPeer>(task: &Task) -> Report {
    let connect = async |n| {
        let peer = P::connect(&task.server).await;
        peer.echo(Msg::new(n)).await.check(n);
        peer
    };
    drop(connect(0).await);
    let before = settled_rss(task.server.pid).await;
    let mut peers = Vec::new();
    for n in 0..IDLE_CONNECTIONS as u64 {
        peers.push(connect(n).await);
    }
    idle_report(before, settled_rss(task.server.pid).await)
}

async fn settled_rss(pid: i32) -> u64 {
    tokio::time::sleep(SETTLE).await;
    rss_bytes(pid)
}

async fn bystander<P: TaskPeer>(task: &Task) -> Report {
    let peer = P::connect(&task.server).await;
    let measure = async || {
        let mut latencies = Latencies::default();
        timed(Quota::new(task.limit.part(2)), &mut latencies, async |n| {
            peer.echo(Msg::new(n)).await.check(n)
        })
        .await;
        latencies
    };
    measure().await;
    let alone = measure().await;
    for _ in 0..SLEEPERS {
        let sleeper = P::connect(&task.server).await;
        spawn_local(async move {
            loop {
                sleeper.nap(NAP_MS).await;
            }
        });
    }
    bystander_report(alone, &mut measure().await)
}

/// Warms up, then measures one call after the other.
async fn one_by_one(task: &Task, mut call: impl AsyncFnMut(u64)) -> Report {
    let mut latencies = Latencies::default();
    timed(Quota::new(task.limit.warm_up()), &mut latencies, &mut call).await;
    latencies.clear();
    let meter = Meter::start(&task.server);
    let done = timed(Quota::new(task.limit), &mut latencies, &mut call).await;
    latencies.report(meter.finish(done))
}

/// One clock read per call serves the latency and the quota.
async fn timed(mut quota: Quota, latencies: &mut Latencies, mut call: impl AsyncFnMut(u64)) -> u64 {
    let mut before = Instant::now();
    loop {
        call(quota.done()).await;
        let now = Instant::now();
        latencies.add(now - before);
        before = now;
        if !quota.spend_at(1, || now) {
            return quota.done();
        }
    }
}
