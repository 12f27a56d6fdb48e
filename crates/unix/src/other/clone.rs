//! The children of `clone.rs` for systems without clone(2): children of fork(2).

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::fork::fork;

/// As [`fork`]. The end of the child sends SIGCHLD, and a process that ignores
/// SIGCHLD gets no status of the child. Errors: as fork(2).
pub(crate) fn fork_silent(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    fork(child)
}

/// As [`fork`]. The child also has the descriptors from `_below` on, until it executes
/// another program: all of them are close-on-exec. Errors: as fork(2).
pub(crate) fn spawn(_below: RawFd, child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    fork(child)
}

/// A child of [`fork`] has a copy of the stack.
#[expect(clippy::unnecessary_wraps, reason = "the function of Linux can fail")]
pub(crate) fn map_stack() -> Result<(), Errno> {
    Ok(())
}
