//! What the fuzz targets claim. Each is a function of bytes that panics when a claim is broken, so
//! that a crash can be run again without a fuzzer.

pub mod frame_header;
pub mod guard_equals_plain;
pub mod server_connection;
pub mod shape_decode;
