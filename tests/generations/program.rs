//! What both generations do, each with its own types.

use super::{
    actions::{Cancel, Find, OnlyHere, Place, Total, Who},
    lines, order, refused, total,
};
use isock::{Action, CallError, CallResult, Client, Server};
use std::{
    env, fmt,
    io::{self, BufRead},
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
};

pub(super) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server"] => serve(),
        ["client", address] => call(address),
        _ => Err("usage: generation server | client ADDRESS".into()),
    }
}

/// Serves at an address that it prints. At each line that it reads it prints how often those of its
/// handlers have run whose types have changed.
fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let ran = Arc::new(AtomicU32::new(0));
    let count = || {
        let ran = Arc::clone(&ran);
        move || ran.fetch_add(1, Ordering::SeqCst)
    };
    let (place, find, cancel) = (count(), count(), count());
    let server = Server::builder()
        .on::<Place>(move |order, _| {
            place();
            Ok(order.id)
        })
        .on::<Find>(move |_, _| {
            find();
            Ok(order())
        })
        .on::<Cancel>(move |_, _| {
            cancel();
            Err(refused())
        })
        .on::<Total>(|lines, _| Ok(total(&lines)))
        .on::<Who>(|(), cx| Ok(cx.peer().address().to_string()))
        .on::<OnlyHere>(|(), _| Ok(1))
        .bind("127.0.0.1:0")?
        .spawn()?;
    println!("{}", server.address());
    for line in io::stdin().lock().lines() {
        line?;
        println!("{}", ran.load(Ordering::SeqCst));
    }
    Ok(())
}

/// Calls what it reads, an action a line, and prints what came of it.
fn call(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect(address)?;
    println!("connected");
    for line in io::stdin().lock().lines() {
        let said = match line?.as_str() {
            "Place" => said::<Place>(client.run::<Place>(order())),
            "Find" => said::<Find>(client.run::<Find>(7)),
            "Cancel" => said::<Cancel>(client.run::<Cancel>(7)),
            "Total" => said::<Total>(client.run::<Total>(lines())),
            "Who" => said::<Who>(client.run::<Who>(())),
            "OnlyHere" => said::<OnlyHere>(client.run::<OnlyHere>(())),
            other => format!("no action {other}"),
        };
        println!("{said}");
    }
    Ok(())
}

fn said<A: Action>(result: CallResult<A>) -> String
where
    A::Output: fmt::Debug,
{
    match result {
        Ok(value) => format!("{value:?}"),
        Err(CallError::Action(error)) => format!("error: {error}"),
        Err(CallError::Call(problem)) => {
            format!("{:?}, ran {:?}: {problem}", problem.kind(), problem.ran())
        }
    }
}
