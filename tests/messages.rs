//! What the compiler says about misuse, word for word.
//!
//! To accept new texts: `TRYBUILD=overwrite cargo test -p isock-tests --test messages`, and read
//! the difference.

use std::{env, ffi::OsString, process::Command};
use trybuild::TestCases;

/// The compiler whose wording `ui/use` holds.
const RECORDED_WITH: &str = "rustc 1.95.";

/// Messages that are the derive's own, under every compiler.
#[test]
fn the_derive_says_what_to_write() {
    TestCases::new().compile_fail("ui/derive/*.rs");
}

/// Messages that quote our traits between words of the compiler's, which change with its version.
#[test]
fn the_traits_say_what_to_write() {
    let version = compiler_version();
    if version.starts_with(RECORDED_WITH) {
        TestCases::new().compile_fail("ui/use/*.rs");
    } else {
        eprintln!("skipped: recorded with {RECORDED_WITH}x, this is {version}");
    }
}

fn compiler_version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc).arg("--version").output().expect("rustc runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
