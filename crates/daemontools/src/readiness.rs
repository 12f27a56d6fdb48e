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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::unistd::pipe;

    use super::*;

    #[test]
    fn report_is_one_newline_on_a_closed_descriptor() {
        let (reader, writer) = pipe().unwrap();
        report_ready(writer.as_raw_fd()).unwrap();
        let flags = fcntl(&writer, FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
        drop(writer);
        let mut report = Vec::new();
        // The pipe ends: no copy of the descriptor is left.
        File::from(reader).read_to_end(&mut report).unwrap();
        assert_eq!(report, b"\n");
    }

    #[test]
    fn lost_supervisor_is_no_error() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        assert!(report_ready(writer.as_raw_fd()).is_ok());
        let closed = report_ready(-1).unwrap_err();
        assert_eq!(closed.raw_os_error(), Some(Errno::EBADF as i32));
    }
}
