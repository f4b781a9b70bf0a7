//! Bytes in any pieces at a server's connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| isock_fuzz::server_connection::run(bytes));
