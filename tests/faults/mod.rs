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
mod passing_errors;
mod permissions;
mod power;
mod records;
mod signals;
mod stderr;
mod supervise;
mod supervise_extended;
#[cfg(target_arch = "x86_64")]
mod supervise_steps;
mod svlogd_full;
mod svlogd_power;
mod svscan;
mod svscan_stop;
mod waits;

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use testkit::Sandbox;

use crate::processes::{children, descriptors, directory, is_zombie, memory};

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
