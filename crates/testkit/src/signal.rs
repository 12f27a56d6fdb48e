//! Signals to single processes and groups; 0 and -1 are refused.
#![expect(
    clippy::disallowed_methods,
    reason = "it is here that they are fenced in"
)]

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Sends a signal to one process. `None` only checks that the process exists.
///
/// A pid that a test has read too early is 0, which to kill(2) is all that
/// belongs to the test run. Here the test fails.
///
/// # Errors
/// As kill(2).
#[track_caller]
pub fn kill(process: Pid, signal: impl Into<Option<Signal>>) -> nix::Result<()> {
    signal::kill(single(process), signal)
}

/// Sends a signal to a process group, by its leader.
///
/// # Errors
/// As killpg(3).
#[track_caller]
pub fn killpg(leader: Pid, signal: impl Into<Option<Signal>>) -> nix::Result<()> {
    signal::killpg(single(leader), signal)
}

#[track_caller]
fn single(process: Pid) -> Pid {
    assert!(process.as_raw() > 1, "{process} is not a process of a test");
    process
}
