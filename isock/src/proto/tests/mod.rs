//! Claims about whole connections, in virtual time.
//!
//! A function whose name begins with `pNNN_` proves the sentence of `PROTOCOL.md` with that id.

mod aside;
mod cancel;
mod clock;
mod close;
mod control;
mod credit;
mod cut;
mod exchange;
mod floods;
mod fragments;
mod frames;
mod handshake;
mod items;
mod lone;
mod outcomes;
mod pair;
mod pair_works;
mod random;
mod random_pair;
mod settings;
mod silence;
mod slots;
mod two_ways;
mod upload;
