//! What the decode guard costs over plain postcard.
//!
//! `cargo run --release --example guard_cost [rounds]`. Each round times both decoders
//! back to back on the same bytes, in alternating order, so that a disturbance of the
//! machine meets both; the figures are medians over the rounds of the paired
//! difference, with the quartiles beside them. `guard_instructions.sh` counts instructions
//! instead, which no other program disturbs.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use isock::wire::guard;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
    id: u32,
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: Customer,
    note: Option<String>,
    state: State,
    total: (u64, u8),
    urgent: bool,
}

#[derive(Serialize, Deserialize)]
struct Customer {
    name: String,
    mail: String,
    age: Option<u8>,
}

#[derive(Serialize, Deserialize)]
enum State {
    New,
    Paid { at: u64 },
    Sent(u64, String),
}

#[derive(Serialize, Deserialize)]
struct Row(u64, String, f64, Option<u32>, Vec<u16>);

#[derive(Serialize, Deserialize)]
struct Tree {
    value: u32,
    children: Vec<Tree>,
}

/// What is done with each kind of message.
enum Work {
    /// Times both decoders.
    Compare { rounds: usize },
    /// Decodes one kind, named by its place, with one decoder so many times.
    Decode { case: usize, guarded: bool, times: usize },
    /// Prints the names.
    List,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse().expect("a number");
    let work = match &args[..] {
        [] => Work::Compare { rounds: 201 },
        [word] if word == "list" => Work::List,
        [rounds] => Work::Compare { rounds: number(rounds) },
        [_, case, decoder, times] => {
            Work::Decode { case: number(case), guarded: decoder == "guarded", times: number(times) }
        }
        _ => panic!("guard_cost [rounds | list | decode CASE plain|guarded TIMES]"),
    };
    if let Work::Compare { .. } = work {
        println!(
            "{:<28}{:>8}{:>12}{:>12}{:>9}{:>18}",
            "", "bytes", "plain", "guarded", "cost", "quartiles"
        );
    }
    let mut cases = 0..;
    let mut next = || cases.next().expect("no end");
    case(&work, next(), "struct of 3 numbers", &Point { x: 1.0, y: -2.5, id: 7 });
    case(&work, next(), "struct with 3 nested", &order());
    case(&work, next(), "100 structs of 3 numbers", &points(100));
    case(&work, next(), "10 rows", &rows(10));
    case(&work, next(), "1000 rows", &rows(1000));
    case(&work, next(), "10,000 u64, small", &integers(10_000, 7));
    case(&work, next(), "10,000 u64, large", &integers(10_000, 60));
    case(&work, next(), "10,000 f64", &floats(10_000));
    case(&work, next(), "1000 strings", &strings(1000));
    case(&work, next(), "map of 1000 u64 to string", &map(1000));
    case(&work, next(), "tree of 1093 nodes", &tree(6));
    case(
        &work,
        next(),
        "64 KiB through serde_bytes",
        &serde_bytes::ByteBuf::from(vec![7; 64 << 10]),
    );
    case(&work, next(), "64 KiB as Vec<u8>", &vec![7u8; 64 << 10]);
}

fn case<T: Serialize + DeserializeOwned>(work: &Work, at: usize, name: &str, value: &T) {
    match work {
        Work::Compare { rounds } => compare(name, value, *rounds),
        Work::List => println!("{name}"),
        Work::Decode { case, guarded, times } if *case == at => {
            let bytes = postcard::to_allocvec(value).expect("test values encode");
            for _ in 0..*times {
                match guarded {
                    false => decode_plain::<T>(&bytes),
                    true => decode_guarded::<T>(&bytes),
                }
            }
        }
        Work::Decode { .. } => {}
    }
}

fn decode_plain<T: DeserializeOwned>(bytes: &[u8]) {
    drop(black_box(postcard::from_bytes::<T>(black_box(bytes)).expect("valid")));
}

fn decode_guarded<T: DeserializeOwned>(bytes: &[u8]) {
    let limits = guard::DecodeLimits::for_len(bytes.len());
    drop(black_box(guard::decode::<T>(black_box(bytes), limits).expect("valid")));
}

/// Prints one line: medians of the time per decode and of the paired difference.
fn compare<T: Serialize + DeserializeOwned>(name: &str, value: &T, rounds: usize) {
    let bytes = postcard::to_allocvec(value).expect("test values encode");
    let plain = || decode_plain::<T>(&bytes);
    let guarded = || decode_guarded::<T>(&bytes);
    let repeats = repeats_for(&plain);
    let (mut plains, mut guardeds, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let (p, g) = if round % 2 == 0 {
            let p = time(&plain, repeats);
            (p, time(&guarded, repeats))
        } else {
            let g = time(&guarded, repeats);
            (time(&plain, repeats), g)
        };
        plains.push(p);
        guardeds.push(g);
        costs.push((g / p - 1.0) * 100.0);
    }
    let quartiles =
        format!("{:+.1} … {:+.1} %", quantile(&mut costs, 0.25), quantile(&mut costs, 0.75));
    println!(
        "{name:<28}{:>8}{:>9.0} ns{:>9.0} ns{:>+7.1} %{quartiles:>18}",
        bytes.len(),
        quantile(&mut plains, 0.5),
        quantile(&mut guardeds, 0.5),
        quantile(&mut costs, 0.5),
    );
}

/// Enough repeats for a sample of about half a millisecond; warms up on the way.
fn repeats_for(work: &impl Fn()) -> u32 {
    let mut repeats = 1;
    while time(work, repeats) * f64::from(repeats) < 500_000.0 {
        repeats *= 2;
    }
    repeats
}

/// Nanoseconds per call.
fn time(work: &impl Fn(), repeats: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        work();
    }
    let elapsed: Duration = start.elapsed();
    elapsed.as_nanos() as f64 / f64::from(repeats)
}

fn quantile(samples: &mut [f64], at: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[((samples.len() - 1) as f64 * at) as usize]
}

/// A number that looks arbitrary and is the same in every run.
fn scramble(n: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

fn order() -> Order {
    Order {
        id: 81_726_354,
        customer: Customer {
            name: "Ada Lovelace".into(),
            mail: "ada@example.org".into(),
            age: Some(36),
        },
        note: Some("leave it at the door".into()),
        state: State::Sent(1_700_000_000, "by post".into()),
        total: (129_900, 2),
        urgent: false,
    }
}

fn points(n: u64) -> Vec<Point> {
    (0..n).map(|n| Point { x: n as f64, y: 0.5, id: scramble(n) as u32 }).collect()
}

fn rows(n: u64) -> Vec<Row> {
    (0..n)
        .map(|n| {
            let tags = (0..n % 8).map(|tag| scramble(tag + n) as u16).collect();
            Row(
                scramble(n),
                format!("row number {n}"),
                n as f64 / 3.0,
                (n % 3 == 0).then_some(n as u32),
                tags,
            )
        })
        .collect()
}

fn integers(n: u64, bits: u32) -> Vec<u64> {
    (0..n).map(|n| scramble(n) >> (64 - bits)).collect()
}

fn floats(n: u64) -> Vec<f64> {
    (0..n).map(|n| n as f64 / 7.0).collect()
}

fn strings(n: u64) -> Vec<String> {
    (0..n).map(|n| format!("string {}", scramble(n))).collect()
}

fn map(n: u64) -> HashMap<u64, String> {
    (0..n).map(|n| (scramble(n), format!("value {n}"))).collect()
}

fn tree(depth: u32) -> Tree {
    let children = if depth == 0 { Vec::new() } else { (0..3).map(|_| tree(depth - 1)).collect() };
    Tree { value: depth, children }
}
