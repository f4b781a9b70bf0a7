//! Bytes as values, guarded and not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| isock_fuzz::guard_equals_plain::run(bytes));
