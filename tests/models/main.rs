//! State that several threads change at once, in every order in which they can.
#![allow(dead_code, unused_imports, reason = "each model uses a part of the library")]
#![allow(private_interfaces, reason = "what the neighbours of a file may use is open to all here")]
#![allow(unused_doc_comments, reason = "those of statics, which the models have in a macro")]

include!(concat!(env!("OUT_DIR"), "/engine.rs"));

mod background;
mod calls;
mod chain;
mod deferred;
mod flow;
mod handover;
mod link;
mod loops;
mod pair;
mod pipe;
mod room;
mod small;
mod spare;
mod workers;
