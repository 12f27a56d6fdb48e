//! Failures below the programs: kills and signals, full disks and exceeded
//! quotas, power loss, clock steps, exhausted descriptors, unusable standard
//! errors, hostile directories, and random input.

#[cfg(target_arch = "x86_64")]
mod clock;
mod multilog_full;
mod multilog_kills;
mod multilog_power;
mod multilog_refused;
mod noise;
mod permissions;
mod power;
mod signals;
mod stderr;
mod supervise;
mod supervise_extended;
#[cfg(target_arch = "x86_64")]
mod supervise_steps;
mod svlogd_full;
mod svscan;
mod svscan_stop;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::Sandbox;

/// The duration of a random test: the given milliseconds, or the minutes in
/// `DAEMONTOOLS_MINUTES` if they are longer.
pub(crate) fn span(milliseconds: u64) -> Duration {
    let minutes = std::env::var("DAEMONTOOLS_MINUTES").map_or(0, |minutes| {
        minutes.parse().expect("DAEMONTOOLS_MINUTES is a number")
    });
    Duration::from_millis(milliseconds.max(60_000 * minutes))
}

/// A temporary directory, in memory if `/dev/shm` exists: fsync is fast there.
pub(crate) fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// The status record in a service directory. None if no complete record exists.
fn record(sandbox: &Sandbox, dir: &str) -> Option<[u8; 18]> {
    let record = fs::read(sandbox.path(format!("{dir}/supervise/status"))).ok()?;
    record.try_into().ok()
}

/// The pid in a status record; 0 without a process.
fn pid_of(record: [u8; 18]) -> i32 {
    i32::from_le_bytes(record[12..16].try_into().unwrap())
}

/// The children of a process, including zombies.
fn children(pid: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.map(Pid::from_raw).collect()
}

/// Whether a process has exited and its parent has not reaped it.
fn is_zombie(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.contains("State:\tZ")
}

/// The number of open descriptors of a process.
fn descriptors(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The working directory of a process.
fn directory(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Reads a value until ten reads in a row agree. A process at rest may hold a
/// descriptor for a moment, as svscan does while it scans its directory.
fn steady<T: PartialEq>(sandbox: &Sandbox, read: impl Fn() -> T) -> T {
    let mut last = read();
    let mut agreeing = 1;
    sandbox.wait_until("the value is steady", || {
        let next = read();
        agreeing = if next == last { agreeing + 1 } else { 1 };
        last = next;
        agreeing >= 10
    });
    last
}

/// The anonymous memory of a process, in KB.
fn memory(pid: Pid) -> Option<u64> {
    let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = memory
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
