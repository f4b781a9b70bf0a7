//! A network that breaks and heals, in a namespace of its own. Over Unix sockets, where there is no
//! network, a relay stands still instead.

use crate::{relay::Relay, say, until_told};
use isock::{Client, Limits, Ran, Server, ServerHandle};
use isock_tests::{
    actions::{Echo, Hold, Square},
    usage,
    waiting::{ms, pass, within},
};
use std::{
    collections::HashMap,
    env,
    error::Error,
    process::Command,
    sync::{
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

const CLIENTS: usize = 8;
/// By then every client is served again.
const HEALED: Duration = ms(10_000);
/// What a busy machine may add to a bound.
const SLACK: Duration = ms(400);

/// How long the network is broken, and the bounds that are to be kept meanwhile: a minute and the
/// defaults if `NETWORK_LONG` is set.
struct Times {
    broken: Duration,
    timeout: Duration,
    limits: Limits,
    /// By then either end has let the other one go.
    free: Duration,
}

impl Times {
    fn new() -> Times {
        if env::var_os("NETWORK_LONG").is_some() {
            let limits = Limits::default();
            let free = limits.ping_after + limits.ping_patience + ms(5000);
            return Times { broken: ms(60_000), timeout: ms(5000), limits, free };
        }
        let limits = Limits::default().ping_after(ms(300)).ping_patience(ms(700));
        Times { broken: ms(3000), timeout: ms(500), limits, free: ms(2500) }
    }
}

/// What lies between the two ends.
enum Wire {
    Network,
    Relay(Relay),
}

impl Wire {
    fn breaks(&self) -> Result<(), Box<dyn Error>> {
        match self {
            Wire::Network => nft("add rule inet wire out oif lo drop"),
            Wire::Relay(relay) => {
                relay.stands_still(true);
                Ok(())
            }
        }
    }

    fn heals(&self) -> Result<(), Box<dyn Error>> {
        match self {
            Wire::Network => nft("flush chain inet wire out"),
            Wire::Relay(relay) => {
                relay.stands_still(false);
                Ok(())
            }
        }
    }
}

/// Everything that leaves, and so comes, passes this chain.
pub(crate) fn network() -> Result<(), Box<dyn Error>> {
    run("ip", &["link", "set", "lo", "up"])?;
    nft("add table inet wire")?;
    nft("add chain inet wire out { type filter hook output priority 0; }")
}

fn nft(command: &str) -> Result<(), Box<dyn Error>> {
    run("nft", &[command])
}

/// How many packets the rule has dropped.
fn lost() -> Result<u64, Box<dyn Error>> {
    let listed = Command::new("nft").args(["list", "chain", "inet", "wire", "out"]).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let counted = listed.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next());
    Ok(counted.ok_or("no rule counts")?.parse()?)
}

fn run(program: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new(program).args(args).status();
    match status.map_err(|error| format!("{program}: {error}; install it to run this test"))? {
        status if status.success() => Ok(()),
        status => Err(format!("{program} {args:?}: {status}").into()),
    }
}

/// How often the handlers have run with each number.
type Runs = Arc<Mutex<HashMap<u32, u32>>>;

/// A server, the way to it, and what lies between.
struct Scene {
    server: ServerHandle,
    address: String,
    wire: Wire,
    runs: Runs,
    times: Times,
}

impl Scene {
    fn new(address: &str) -> Result<Scene, Box<dyn Error>> {
        let (runs, times) = (Runs::default(), Times::new());
        let count = Arc::clone(&runs);
        let server = Server::builder()
            .limits(times.limits.clone())
            .on::<Echo>(|text, _| Ok(text))
            .on::<Hold>(move |number, _| {
            *count.lock().unwrap().entry(number).or_default() += 1;
            // So that the network breaks between a call and its answer.
            pass(ms(5));
            Ok(number)
        });
        if let Some(path) = address.strip_prefix("unix:") {
            let behind = format!("{path}.server");
            let server = server.bind(format!("unix:{behind}"))?.spawn()?;
            let wire = Wire::Relay(Relay::new(path.to_owned(), behind)?);
            return Ok(Scene { server, address: address.to_owned(), wire, runs, times });
        }
        network()?;
        let server = server.bind(address)?.spawn()?;
        let address = server.address().to_string();
        Ok(Scene { server, address, wire: Wire::Network, runs, times })
    }

    /// Each is asked whether it is there, and asks.
    fn client(&self, timeout: Duration) -> Result<Client, Box<dyn Error>> {
        let client = Client::builder().limits(self.times.limits.clone());
        let client = client.timeout(timeout).on::<Square>(|n, _| Ok(n * n));
        Ok(client.connect(&*self.address)?)
    }
}

/// The calls of some clients, which go on whatever becomes of them.
#[derive(Default)]
struct Calls {
    done: AtomicBool,
    numbers: AtomicU32,
    /// How many calls of each client have been answered.
    answered: [AtomicUsize; CLIENTS],
    /// What was said of those that were not.
    failed: Mutex<Vec<(u32, Ran)>>,
    /// By how much one of them was late at most.
    late: Mutex<Duration>,
}

impl Calls {
    fn go_on(&self, who: usize, client: &Client, timeout: Duration) {
        while !self.done.load(Ordering::SeqCst) {
            let number = self.numbers.fetch_add(1, Ordering::SeqCst);
            let began = Instant::now();
            match client.run::<Hold>(number) {
                Ok(_) => drop(self.answered[who].fetch_add(1, Ordering::SeqCst)),
                Err(error) => {
                    self.failed.lock().unwrap().push((number, error.ran()));
                    let mut late = self.late.lock().unwrap();
                    *late = began.elapsed().saturating_sub(timeout).max(*late);
                }
            }
        }
    }

    /// Waits until every client has had so many more answers.
    fn are_answered(&self, more: usize, patience: Duration) -> Result<(), Box<dyn Error>> {
        let now = |who: &AtomicUsize| who.load(Ordering::SeqCst);
        let before: Vec<_> = self.answered.iter().map(now).collect();
        let left =
            || self.answered.iter().zip(&before).filter(|(who, n)| now(who) < *n + more).count();
        match within(patience, || left() == 0) {
            true => Ok(()),
            false => Err(format!("{} clients are not served after {patience:?}", left()).into()),
        }
    }

    /// What the callers were told is true, and nothing has run twice.
    fn are_true(&self, runs: &Runs) -> Result<(), Box<dyn Error>> {
        let (runs, failed) = (runs.lock().unwrap(), self.failed.lock().unwrap());
        let said: HashMap<u32, Ran> = failed.iter().copied().collect();
        for number in 0..self.numbers.load(Ordering::SeqCst) {
            let (ran, count) = (said.get(&number), runs.get(&number).copied().unwrap_or(0));
            match (ran, count) {
                (None | Some(Ran::Yes), 1) | (Some(Ran::No), 0) | (Some(Ran::Unknown), 0 | 1) => {}
                _ => return Err(format!("call {number}: {ran:?}, and it ran {count} times").into()),
            }
        }
        Ok(())
    }
}

/// Nothing passes, in either direction, for a while. Every call ends in time, both ends let go of
/// each other, and after that all is as before.
pub(crate) fn partition(address: &str) -> Result<(), Box<dyn Error>> {
    let scene = Scene::new(address)?;
    let Times { broken, timeout, free, .. } = scene.times;
    let calls = Calls::default();
    // Half of them wait for as long as it is broken: what they call must not run twice after that.
    let timeouts = (0..CLIENTS).map(|who| if who % 2 == 0 { timeout } else { broken + HEALED });
    let clients = timeouts.map(|timeout| Ok((scene.client(timeout)?, timeout)));
    let clients = clients.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        for (who, (client, timeout)) in clients.iter().enumerate() {
            let calls = &calls;
            scope.spawn(move || calls.go_on(who, client, *timeout));
        }
        let watched = || -> Result<(), Box<dyn Error>> {
            calls.are_answered(20, HEALED)?;
            let began = Instant::now();
            scene.wire.breaks()?;
            let gone = || scene.server.connections().is_empty();
            if !within(free, gone) {
                let left = scene.server.connections().len();
                return Err(format!("{left} connections of the dead after {free:?}").into());
            }
            if !within(ms(500), || scene.server.held_bytes() == 0) {
                return Err("something of them has stayed on the account".into());
            }
            pass(broken.saturating_sub(began.elapsed()));
            scene.wire.heals()?;
            calls.are_answered(5, HEALED)
        };
        let watched = watched();
        calls.done.store(true, Ordering::SeqCst);
        watched
    })?;
    drop(clients);
    if !within(HEALED, || scene.server.connections().is_empty()) {
        return Err("a connection has stayed".into());
    }
    let (failed, late) = (calls.failed.lock().unwrap().len(), *calls.late.lock().unwrap());
    if failed < CLIENTS || late > ms(100) + SLACK {
        return Err(format!("{failed} calls failed, the slowest {late:?} too late").into());
    }
    calls.are_true(&scene.runs)?;
    if usage::own().threads() > 64 {
        return Err(format!("{} threads", usage::own().threads()).into());
    }
    say("healed");
    until_told();
    Ok(())
}

/// Of twenty packets one is lost. That is the system's to mend: no call fails.
pub(crate) fn loss(address: &str) -> Result<(), Box<dyn Error>> {
    let scene = Scene::new(address)?;
    let calls = Calls::default();
    let clients = (0..CLIENTS)
        .map(|_| Client::connect(&*scene.address).map_err(Into::into))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        for (who, client) in clients.iter().enumerate() {
            let calls = &calls;
            scope.spawn(move || calls.go_on(who, client, HEALED));
        }
        let watched = || -> Result<(), Box<dyn Error>> {
            calls.are_answered(20, HEALED)?;
            nft("add rule inet wire out oif lo numgen random mod 20 == 0 counter drop")?;
            while lost()? < 100 {
                calls.are_answered(20, ms(60_000))?;
            }
            scene.wire.heals()?;
            calls.are_answered(20, HEALED)
        };
        let watched = watched();
        calls.done.store(true, Ordering::SeqCst);
        watched
    })?;
    drop(clients);
    let failed = calls.failed.lock().unwrap().len();
    if failed > 0 {
        return Err(format!("{failed} calls failed").into());
    }
    calls.are_true(&scene.runs)?;
    say("no call lost");
    until_told();
    Ok(())
}
