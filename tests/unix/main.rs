//! Unix sockets, with real ones in a folder of their own for each test.
#![cfg(unix)]

mod child;
mod client;
mod folder;
mod peer;
mod server;
mod signal;

use isock::{Server, ServerBuilder, ServerHandle};
use isock_tests::actions::Echo;
use std::path::Path;

/// A server that sends texts back.
fn echo() -> ServerBuilder {
    Server::builder().on::<Echo>(|text, _| Ok(text)).log(|_| {})
}

fn serve(path: &Path) -> ServerHandle {
    echo().bind(path).unwrap().spawn().unwrap()
}

/// What it says when a server cannot listen at `path`.
fn refusal(path: &Path) -> String {
    let error = echo().bind(path).expect_err("it was let in").to_string();
    assert!(error.contains(&format!("unix:{}", path.display())), "{error}");
    error
}
