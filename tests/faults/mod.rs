#[cfg(target_arch = "x86_64")]
mod clock;
mod multilog_full;
mod multilog_kills;
mod multilog_power;
mod multilog_refused;
mod noise;
mod power;
mod signals;
mod stderr;

use std::time::Duration;

use tempfile::TempDir;

/// How long a test keeps disturbing that could do so for ever: so many
/// milliseconds, or minutes by `DAEMONTOOLS_MINUTES`.
fn span(milliseconds: u64) -> Duration {
    let minutes = std::env::var("DAEMONTOOLS_MINUTES").map_or(0, |minutes| {
        minutes.parse().expect("DAEMONTOOLS_MINUTES is a number")
    });
    Duration::from_millis(milliseconds.max(60_000 * minutes))
}

/// A directory where no log waits for a disk, if the system has such a place.
fn memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}
