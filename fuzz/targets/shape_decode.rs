//! Bytes as a shape from a peer, and all that is done with one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| isock_fuzz::shape_decode::run(bytes));
