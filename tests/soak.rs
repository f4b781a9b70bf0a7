//! Everything at once: fifty clients that call, are called back, stream in both directions, send,
//! give up and come again. Nothing is lost, and what the server holds does not grow.
//!
//! Five seconds in `cargo test`; `SOAK_SECONDS=60 cargo test -p isock-tests --test soak` takes longer.

use isock::{wire::spare, Action, Client, Limits, ProblemKind, Server, ServerHandle};
use isock_tests::{
    memory::{self, Counting},
    usage,
    waiting::within,
};
use std::{
    collections::HashMap,
    env,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex, PoisonError,
    },
    thread,
    time::{Duration, Instant},
};

#[global_allocator]
static MEMORY: Counting = Counting;

/// Multiplies a number with itself.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct Square;

/// Asks the caller for the square, and adds one.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct AskBack;

/// Counts up to a number.
#[derive(Action)]
#[action(input = u64, stream = u64, output = u64)]
struct CountTo;

/// Adds up what comes.
#[derive(Action)]
#[action(upload = u64, output = u64)]
struct Sum;

/// Sends back what comes.
#[derive(Action)]
#[action(upload = isock::Bytes, stream = isock::Bytes, output = u64)]
struct Mirror;

/// Keeps the last number of a client; they come in order.
#[derive(Action)]
#[action(input = (u64, u64))]
struct Note;

/// Takes a moment, and ends earlier if nobody waits any more.
#[derive(Action)]
#[action(input = u64)]
struct Slow;

const CLIENTS: u64 = 50;
const WORKERS: usize = 64;
const LOOPS: usize = 2;
/// What may have grown, in bytes, between two moments at which nothing is under way.
const GROWTH: usize = 1 << 20;
const SETTLED: Duration = Duration::from_secs(15);

/// What has been done, as one side counts it.
#[derive(Debug, Default)]
struct Counts {
    squares: AtomicU64,
    back: AtomicU64,
    items_down: AtomicU64,
    items_up: AtomicU64,
    mirrored: AtomicU64,
    notes: AtomicU64,
}

impl Counts {
    fn all(&self) -> [u64; 6] {
        let Counts { squares, back, items_down, items_up, mirrored, notes } = self;
        [squares, back, items_down, items_up, mirrored, notes]
            .map(|count| count.load(Ordering::SeqCst))
    }
}

fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Ordering::SeqCst);
}

/// The last note of each client.
type Notes = Arc<Mutex<HashMap<u64, u64>>>;

fn serve(counts: &Arc<Counts>, notes: &Notes) -> ServerHandle {
    let [squares, back, down, up, mirrored, noted] = [(); 6].map(|()| Arc::clone(counts));
    let notes = Arc::clone(notes);
    Server::builder()
        .workers(WORKERS)
        .event_loops(LOOPS)
        .limits(Limits::default())
        .on::<Square>(move |n, _| {
            add(&squares.squares, 1);
            Ok(n * n)
        })
        .on::<AskBack>(move |n, cx| {
            let squared = cx.peer().run::<Square>(n)?;
            add(&back.back, 1);
            Ok(squared + 1)
        })
        .on::<CountTo>(move |to, cx| {
            (1..=to).try_for_each(|n| cx.send(n))?;
            add(&down.items_down, to);
            Ok(to)
        })
        .on::<Sum>(move |(), cx| {
            let (mut sum, mut count) = (0, 0);
            for number in cx.items() {
                sum += number?;
                count += 1;
            }
            add(&up.items_up, count);
            Ok(sum)
        })
        .on::<Mirror>(move |(), cx| {
            let mut count = 0;
            for bytes in cx.items() {
                cx.send(bytes?)?;
                count += 1;
            }
            add(&mirrored.mirrored, count);
            Ok(count)
        })
        .on::<Note>(move |(client, number), _| {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            let last = notes.entry(client).or_default();
            assert_eq!(*last + 1, number, "the notes of client {client}");
            *last = number;
            add(&noted.notes, 1);
            Ok(())
        })
        .on::<Slow>(|_, cx| {
            let until = Instant::now() + Duration::from_millis(20);
            while Instant::now() < until && !cx.cancelled() {
                thread::park_timeout(Duration::from_millis(1));
            }
            Ok(())
        })
        .bind("127.0.0.1:0")
        .and_then(Server::spawn)
        .expect("a server")
}

/// One client, and what it has done.
struct Player<'s> {
    server: &'s ServerHandle,
    counts: &'s Counts,
    notes: &'s Notes,
    me: u64,
    noted: u64,
    random: u64,
}

impl Player<'_> {
    fn play(mut self, until: Instant) {
        while Instant::now() < until {
            let client = self.connect();
            for _ in 0..self.below(200) {
                self.move_once(&client);
                if until <= Instant::now() {
                    break;
                }
            }
            // What is sent is lost with its connection: it has to have arrived.
            let arrived = within(SETTLED, || self.last_note() == self.noted);
            assert!(arrived, "client {} sent {} notes", self.me, self.noted);
            if self.below(2) == 0 {
                client.close();
            }
        }
    }

    fn connect(&self) -> Client {
        let connected = self.server.client_with(|client| client.on::<Square>(|n, _| Ok(n * n)));
        connected.expect("a client")
    }

    fn last_note(&self) -> u64 {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(&self.me).copied().unwrap_or_default()
    }

    /// A number below `n`, the same ones in each run.
    fn below(&mut self, n: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) % n
    }

    fn move_once(&mut self, client: &Client) {
        match self.below(10) {
            0 | 1 => self.call(client),
            2 => self.pipeline(client),
            3 => self.ask_back(client),
            4 => self.download(client),
            5 => self.upload(client),
            6 => self.mirror(client),
            7 => self.send(client),
            8 => self.drop_streams(client),
            _ => self.cancel(client),
        }
    }

    fn call(&mut self, client: &Client) {
        let n = self.below(1000);
        assert_eq!(client.run::<Square>(n).expect("a square"), n * n);
        add(&self.counts.squares, 1);
    }

    fn pipeline(&mut self, client: &Client) {
        let calls: Vec<_> = (0..50).map(|n| client.start::<Square>(n)).collect();
        for (n, call) in (0..).zip(calls) {
            assert_eq!(call.wait().expect("a square"), n * n);
        }
        add(&self.counts.squares, 50);
    }

    fn ask_back(&mut self, client: &Client) {
        let n = self.below(1000);
        assert_eq!(client.run::<AskBack>(n).expect("an answer"), n * n + 1);
        add(&self.counts.back, 1);
    }

    fn download(&mut self, client: &Client) {
        let to = self.below(3000);
        let mut stream = client.open::<CountTo>(to).expect("an open call");
        for (n, item) in (1..).zip(stream.by_ref()) {
            assert_eq!(item.expect("an item"), n);
        }
        assert_eq!(stream.finish().expect("an end"), to);
        add(&self.counts.items_down, to);
    }

    fn upload(&mut self, client: &Client) {
        let many = self.below(3000);
        let stream = client.open::<Sum>(()).expect("an open call");
        (0..many).for_each(|n| stream.send(n).expect("it is taken"));
        assert_eq!(stream.finish().expect("a sum"), (0..many).sum::<u64>());
        add(&self.counts.items_up, many);
    }

    fn mirror(&mut self, client: &Client) {
        let (many, len) = (self.below(50), self.below(5000) as usize);
        let mut stream = client.open::<Mirror>(()).expect("an open call");
        for n in 0..many {
            stream.send(vec![n as u8; len]).expect("it is taken");
            let back = stream.next().expect("an item").expect("an item");
            assert!(back.len() == len && back.iter().all(|byte| *byte == n as u8));
        }
        assert_eq!(stream.finish().expect("a count"), many);
        add(&self.counts.mirrored, many);
    }

    fn send(&mut self, client: &Client) {
        for _ in 0..self.below(100) {
            let next = (self.me, self.noted + 1);
            match client.send::<Note>(next) {
                Ok(()) => self.noted += 1,
                Err(problem) => assert_eq!(problem.kind(), ProblemKind::Busy),
            }
        }
    }

    /// Their handlers end early: what they have sent is on nobody's count.
    fn drop_streams(&mut self, client: &Client) {
        let mut stream = client.open::<CountTo>(u64::MAX).expect("an open call");
        for _ in 0..self.below(100) {
            stream.next().expect("an item").expect("an item");
        }
        drop(stream);
        let stream = client.open::<Sum>(()).expect("an open call");
        stream.send(1).expect("it is taken");
        drop(stream);
    }

    fn cancel(&mut self, client: &Client) {
        let calls: Vec<_> = (0..4).map(|n| client.start::<Slow>(n)).collect();
        for call in calls {
            match self.below(3) {
                0 => drop(call),
                1 => drop(call.cancel()),
                _ => call.wait().expect("it ends"),
            }
        }
    }
}

/// What a process uses while nothing is under way.
#[derive(Debug)]
struct Rest {
    descriptors: usize,
    threads: usize,
    memory: usize,
}

impl Rest {
    /// Waits until no more than `descriptors` are left, for a while: clients close theirs by themselves.
    fn of(server: &ServerHandle, patience: Duration, descriptors: usize) -> Rest {
        let connections = || server.connections().len();
        assert!(within(SETTLED, || connections() == 0), "{} connections stay", connections());
        let held = || server.held_bytes();
        assert!(within(SETTLED, || held() == 0), "{} bytes stay on the account", held());
        let threads = || usage::own().tasks().len();
        within(patience, || threads() <= RESTING);
        within(SETTLED, || usage::own().descriptors() <= descriptors);
        Rest {
            descriptors: usage::own().descriptors(),
            threads: threads(),
            memory: memory::held().saturating_sub(spare::kept()),
        }
    }
}

/// The test's own two, and of the server its own, the loops' and their watchers.
const RESTING: usize = 3 + 2 * LOOPS;

#[test]
fn nothing_is_lost_and_nothing_grows() {
    let seconds = env::var("SOAK_SECONDS").ok().map(|text| text.parse().expect("seconds"));
    let time = Duration::from_secs(seconds.unwrap_or(5));
    // Threads that have nothing to do end by themselves after ten seconds: a short run does not wait.
    let patience = if seconds.is_some() { SETTLED } else { Duration::ZERO };
    let (served, done, notes) = (Arc::default(), Counts::default(), Notes::default());
    let server = serve(&served, &notes);
    let mut first: Option<Rest> = None;
    let unused = usage::own().descriptors();
    let mut noted = HashMap::new();
    // The first part is the warm-up.
    for (part, time) in [(0, time / 5), (1, time * 4 / 5)] {
        let until = Instant::now() + time;
        let mut most = 0;
        thread::scope(|scope| {
            for me in 0..CLIENTS {
                let noted = noted.get(&me).copied().unwrap_or_default();
                let (server, counts, notes) = (&server, &done, &notes);
                let random = me + 1000 * part;
                let player = Player { server, counts, notes, me, noted, random };
                scope.spawn(move || player.play(until));
            }
            while Instant::now() < until {
                most = most.max(usage::own().tasks().len());
                thread::park_timeout(Duration::from_millis(50));
            }
        });
        noted.clone_from(&notes.lock().unwrap_or_else(PoisonError::into_inner));
        done.notes.store(noted.values().sum(), Ordering::SeqCst);
        let known = first.as_ref().map_or(unused, |first| first.descriptors);
        let rest = Rest::of(&server, patience, known);
        assert_eq!(served.all(), done.all(), "what was served, and what came back");
        println!("after {time:?}: {:?}, {rest:?}, at most {most} threads", done.all());
        let Some(first) = &first else {
            first = Some(rest);
            continue;
        };
        assert!(rest.descriptors <= first.descriptors, "{rest:?} after {first:?}");
        let most = if patience.is_zero() { most } else { RESTING };
        assert!(rest.threads <= most, "{} threads", rest.threads);
        let grown = rest.memory.saturating_sub(first.memory);
        assert!(grown <= GROWTH, "{grown} bytes of memory more");
    }
}
