//! Claims about whole connections, in virtual time.
//!
//! A function whose name begins with `pNNN_` proves the sentence of `PROTOCOL.md` with that id.

mod close;
mod frames;
mod handshake;
mod lone;
mod pair;
mod pair_works;
