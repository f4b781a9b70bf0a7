//! What the kernel says about a process.

use std::fs;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// The process we are in.
pub(crate) fn this_process() -> i32 {
    std::process::id() as i32
}

/// Processor time of all threads so far, those that ended included, in nanoseconds rather than ticks.
pub(crate) fn cpu_time(pid: i32) -> Duration {
    clock_getcpuclockid(Pid::from_raw(pid))
        .and_then(clock_gettime)
        .expect("the process lives")
        .into()
}

/// The highest resident memory so far, in KiB.
pub(crate) fn peak_kib(pid: i32) -> u64 {
    field(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The resident memory now, in bytes.
///
/// Read from the page tables: the counter in `status` may be a quarter of a megabyte late.
pub fn rss_bytes(pid: i32) -> u64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Rss:") * 1024
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("the process lives");
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel writes this line");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number of kB")
}
