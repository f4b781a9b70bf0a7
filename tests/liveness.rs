//! Peers that are there, that rest, and that have gone without a word.

#[path = "liveness/pings.rs"]
mod pings;
#[path = "liveness/rest.rs"]
mod rest;
#[path = "liveness/vanished.rs"]
mod vanished;

const PEER: &str = env!("CARGO_BIN_EXE_peer");
