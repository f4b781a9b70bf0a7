//! Bytes as everything that the wire is made of.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| isock_fuzz::frame_header::run(bytes));
