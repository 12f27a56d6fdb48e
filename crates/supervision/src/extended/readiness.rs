//! The pipe on which a service reports its readiness, as in s6: a newline on
//! the descriptor of `notification-fd`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};
use unix::file;

/// The end for reading, until the run exits or closes the other end.
#[derive(Debug, Default)]
pub(super) struct ReadinessPipe(Option<OwnedFd>);

impl ReadinessPipe {
    /// A pipe for the next run; returns the end for writing.
    pub(super) fn open(&mut self) -> Result<OwnedFd, Errno> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // Only supervise must not block.
        file::set_blocking(&writer)?;
        self.0 = Some(reader);
        Ok(writer)
    }

    pub(super) fn close(&mut self) {
        self.0 = None;
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    /// Whether the service has written a newline. Other bytes are discarded, so
    /// that the service does not block: at most as many as a pipe holds, so
    /// that a flood does not block supervise.
    pub(super) fn read_notification(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let mut ready = false;
        for _ in 0..16 {
            let Some(reader) = &self.0 else {
                break;
            };
            match read(reader, &mut bytes) {
                Ok(0) => self.close(),
                Ok(length) => ready |= bytes.iter().take(length).any(|&byte| byte == b'\n'),
                Err(_) => break,
            }
        }
        ready
    }
}
