//! Readiness: how a service reports that it is ready.

use std::io;
use std::os::fd::RawFd;

use nix::unistd::write;
use unix::file;

/// Reports that this process is ready, on the descriptor with the number in the file
/// `notification-fd` of its service directory. The supervisor, `supervise -e` or
/// s6-supervise, then sets the state `ready`.
///
/// The report is one newline, written once: a supervisor ignores further bytes. The
/// descriptor gets close-on-exec, so that programs that the service starts cannot
/// report in its place. A pipe that lost its reader is no error: the supervisor has
/// exited or was replaced, and the service runs on.
///
/// # Errors
/// As fcntl(2), EBADF if the number is not open; as write(2).
pub fn report_ready(number: RawFd) -> io::Result<()> {
    let descriptor = file::dup_inherited(number)?;
    match write(&descriptor, b"\n") {
        Ok(_) | Err(nix::errno::Errno::EPIPE) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
