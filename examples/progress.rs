//! A long job that tells how far it is, and that Ctrl-C stops: `cargo run --example progress`
//!
//! The server counts prime numbers and streams its progress; the client shows it, and its Ctrl-C
//! stops the job at the server too, which cleans up. In two terminals:
//!
//! ```sh
//! cargo run --example progress -- serve
//! cargo run --example progress -- count 20000000     # then Ctrl-C
//! ```
//!
//! `serve [ADDRESS]` and `count TO [ADDRESS]` take another address than 127.0.0.1:4441. Without
//! arguments one program is both, and counts to 200000.
//!
//! Ends with 0 and the result on standard output; with 1 and a sentence on standard error when the
//! job fails; with 2 when it does not understand its arguments; with 130 after Ctrl-C.

use isock::{
    Action, CallError, Canceller, Client, ConnectError, Context, Problem, ServeError, Server,
    Stopped,
};
use serde::{Deserialize, Serialize};
use std::{
    env, fs,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    process::{self, ExitCode},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc, RwLock,
    },
    thread,
    time::Duration,
};

/// Where the server listens unless it is told otherwise.
const ADDRESS: &str = "127.0.0.1:4441";

const USAGE: &str = "usage: progress [serve [ADDRESS] | count TO [ADDRESS]]";

/// Numbers between two reports.
const STEP: u64 = 10_000;

/// Counts the primes up to a number.
#[derive(Action, Serialize, Deserialize)]
#[action(stream = Progress, output = Summary, error = JobError)]
struct CountPrimes {
    to: u64,
}

/// How far a job is.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    done: u64,
    of: u64,
    primes: u64,
}

/// What a job found.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    primes: u64,
    largest: Option<u64>,
}

/// Why a job found nothing.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum JobError {
    #[error("nobody waits for it any more")]
    Stopped,
    #[error("its scratch file: {0}")]
    Scratch(String),
}

// What `?` makes of the end of a stream, and of a full disk.

impl From<Stopped> for JobError {
    fn from(_: Stopped) -> JobError {
        JobError::Stopped
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> JobError {
        JobError::Scratch(error.to_string())
    }
}

/// A file that is gone when the job is, however it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(job: u64) -> Scratch {
        Scratch(env::temp_dir().join(format!("isock-primes-{}-{job}", process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = fs::remove_file(&self.0);
    }
}

/// One job. Its primes are kept in a file, as something that must be cleaned up.
fn count(
    job: &CountPrimes,
    scratch: &Path,
    cx: &Context<CountPrimes>,
) -> Result<Summary, JobError> {
    let mut file = BufWriter::new(fs::File::create(scratch)?);
    let mut summary = Summary { primes: 0, largest: None };
    let mut next = 0;
    while next <= job.to {
        // Waits while the client is behind, and fails once it has gone: then the job ends here.
        cx.send(Progress { done: next, of: job.to, primes: summary.primes })?;
        let end = next.saturating_add(STEP).min(job.to.saturating_add(1));
        for prime in (next..end).filter(|n| is_prime(*n)) {
            writeln!(file, "{prime}")?;
            summary.primes += 1;
            summary.largest = Some(prime);
        }
        next = end;
        if next == u64::MAX {
            break;
        }
    }
    Ok(summary)
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{USAGE}")]
    Usage,
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no answer to Ctrl-C: {0}")]
    Signal(#[from] io::Error),
    #[error(transparent)]
    Open(#[from] Problem),
    #[error(transparent)]
    Job(#[from] CallError<JobError>),
    #[error("interrupted: the job has been stopped")]
    Interrupted,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => both(),
        ["serve"] => serve(ADDRESS),
        ["serve", address] => serve(address),
        ["count", to] => number(to).and_then(|to| watch(to, ADDRESS)),
        ["count", to, address] => number(to).and_then(|to| watch(to, address)),
        _ => Err(Error::Usage),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("progress: {error}");
    ExitCode::from(match error {
        Error::Usage => 2,
        // What shells say of a program that Ctrl-C has ended.
        Error::Interrupted => 130,
        _ => 1,
    })
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::Usage)
}

fn server(address: &str, running: Arc<RwLock<()>>) -> Result<Server, ServeError> {
    let numbers = AtomicU64::new(1);
    Server::builder()
        .on::<CountPrimes>(move |job, cx| {
            // Held for reading by every job, for writing by who waits for the last one.
            let _running = running.read();
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let scratch = Scratch::new(number);
            println!("job {number}: primes up to {}, in {}", job.to, scratch.0.display());
            let result = count(&job, &scratch.0, cx);
            drop(scratch);
            match &result {
                Ok(summary) => println!("job {number}: done, {} primes", summary.primes),
                Err(error) => println!("job {number}: stopped and cleaned up: {error}"),
            }
            result
        })
        .bind(address)
}

fn serve(address: &str) -> Result<(), Error> {
    let running = Arc::default();
    let server = server(address, Arc::clone(&running))?;
    for address in server.addresses() {
        println!("listening at {address}");
    }
    // Ctrl-C ends it as well, and every connection at once: nobody waits for hours.
    let stopper = server.stopper();
    on_interrupt(move || stopper.drain(Duration::ZERO))?;
    server.run();
    // The jobs notice with their next report, and clean up before the program ends.
    drop(running.write());
    Ok(())
}

fn both() -> Result<(), Error> {
    let server = server("127.0.0.1:0", Arc::default())?.spawn()?;
    watch(200_000, &server.address().to_string())
}

/// Starts a job, and shows how far it is until it ends or Ctrl-C comes.
fn watch(to: u64, address: &str) -> Result<(), Error> {
    let client = Client::connect(address)?;
    let mut stream = client.open::<CountPrimes>(CountPrimes { to })?;
    let interrupted = interrupts(stream.canceller())?;
    let mut line = ProgressLine::new();
    for progress in stream.by_ref() {
        match progress {
            Ok(progress) => line.show(&progress),
            Err(_) if interrupted.load(Ordering::Relaxed) => return Err(Error::Interrupted),
            Err(error) => return Err(error.into()),
        }
    }
    drop(line);
    let Summary { primes, largest } = stream.finish()?;
    let largest = largest.map(|n| format!(", the largest is {n}")).unwrap_or_default();
    println!("{primes} primes up to {to}{largest}");
    Ok(())
}

/// Stops a stream on Ctrl-C, also while it waits for an item, and says afterwards that it did.
fn interrupts(canceller: Canceller) -> Result<Arc<AtomicBool>, io::Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    on_interrupt(move || {
        flag.store(true, Ordering::Relaxed);
        canceller.cancel();
    })?;
    Ok(interrupted)
}

/// Runs this on a thread of its own when Ctrl-C comes.
fn on_interrupt(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            run();
        }
    });
    Ok(())
}

/// The progress on standard error: on a terminal one line that changes, elsewhere a line for each
/// percent.
struct ProgressLine {
    terminal: bool,
    shown: Option<u64>,
}

impl ProgressLine {
    fn new() -> ProgressLine {
        ProgressLine { terminal: io::stderr().is_terminal(), shown: None }
    }

    fn show(&mut self, Progress { done, of, primes }: &Progress) {
        let percent = (u128::from(*done) * 100 / u128::from((*of).max(1))) as u64;
        match self.terminal {
            true => eprint!("\r{percent:>3} %  {primes} primes"),
            false if self.shown != Some(percent) => eprintln!("{percent} %, {primes} primes"),
            false => {}
        }
        self.shown = Some(percent);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        // What follows gets a line of its own.
        if self.terminal && self.shown.is_some() {
            eprintln!();
        }
    }
}
