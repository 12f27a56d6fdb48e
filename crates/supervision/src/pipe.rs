//! The pipes between services and their loggers.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use unix::file::{dup_min, reopen};
use unix::pipe::pipe2;

use crate::Role;

/// The pipe from a service to its logger. The parent holds both ends, so that
/// no line is lost while the service or the logger restarts.
#[derive(Debug)]
pub enum Pipe {
    /// A single descriptor for both ends, so that svscan can hold nearly as many
    /// pipes as descriptors. Making a pipe needs three descriptors for a moment,
    /// so the last ones stay free for other uses.
    ReadWrite(OwnedFd),
    /// A descriptor for each end, without /proc, through which one is reopened
    /// as both.
    Ends {
        /// The end for writing.
        from_service: OwnedFd,
        /// The end for reading.
        to_logger: OwnedFd,
    },
    /// The end for reading, after the service has ended.
    ReadEnd(OwnedFd),
}

impl Pipe {
    /// A new pipe, empty.
    ///
    /// # Errors
    /// As pipe2(2), and EMFILE or ENFILE.
    pub fn new() -> Result<Self, Errno> {
        let (to_logger, from_service) = pipe2(OFlag::O_CLOEXEC)?;
        match reopen(&to_logger, OFlag::O_RDWR) {
            Ok(both) => Ok(Pipe::ReadWrite(both)),
            Err(error @ (Errno::EMFILE | Errno::ENFILE)) => Err(error),
            Err(_) => Ok(Pipe::Ends {
                from_service,
                to_logger,
            }),
        }
    }

    /// Opens a new descriptor for the end of a role.
    pub(crate) fn open_end(&self, role: Role) -> Result<OwnedFd, Errno> {
        match (self, role) {
            (Pipe::ReadWrite(both), Role::Service) => reopen(both, OFlag::O_WRONLY),
            (Pipe::ReadWrite(both), Role::Logger) => reopen(both, OFlag::O_RDONLY),
            (Pipe::Ends { from_service, .. }, Role::Service) => dup_min(from_service, 0),
            (Pipe::Ends { to_logger, .. } | Pipe::ReadEnd(to_logger), Role::Logger) => {
                dup_min(to_logger, 0)
            }
            (Pipe::ReadEnd(_), Role::Service) => Err(Errno::EPIPE),
        }
    }

    /// Closes the end for writing, so that the logger reaches the end of its
    /// input. Unread data stays in the pipe. None if no descriptor for the end
    /// for reading could be opened.
    pub(crate) fn close_write_end(self) -> Option<Self> {
        match self {
            Pipe::ReadWrite(_) => self.open_end(Role::Logger).ok().map(Pipe::ReadEnd),
            Pipe::Ends { to_logger, .. } | Pipe::ReadEnd(to_logger) => {
                Some(Pipe::ReadEnd(to_logger))
            }
        }
    }

    /// Whether the pipe holds unread data.
    pub(crate) fn has_unread_data(&self) -> bool {
        let end = match self {
            Pipe::ReadWrite(end) | Pipe::Ends { to_logger: end, .. } | Pipe::ReadEnd(end) => end,
        };
        let mut end = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut end, PollTimeout::ZERO);
        let [end] = end;
        let events = end.revents();
        events.is_some_and(|events| events.contains(PollFlags::POLLIN))
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::unistd::{read, write};

    use super::*;

    fn access_of(end: &OwnedFd) -> OFlag {
        OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL).unwrap()) & OFlag::O_ACCMODE
    }

    #[test]
    fn ends_differ_and_close_on_exec() {
        let pipe = Pipe::new().unwrap();
        let service = pipe.open_end(Role::Service).unwrap();
        let logger = pipe.open_end(Role::Logger).unwrap();
        assert_eq!(access_of(&service), OFlag::O_WRONLY);
        assert_eq!(access_of(&logger), OFlag::O_RDONLY);
        for end in [&service, &logger] {
            assert_eq!(fcntl(end, FcntlArg::F_GETFD), Ok(1));
        }
    }

    #[test]
    fn closed_pipe_keeps_unread_data() {
        let pipe = Pipe::new().unwrap();
        assert!(!pipe.has_unread_data());
        let service = pipe.open_end(Role::Service).unwrap();
        write(&service, b"line").unwrap();
        assert!(pipe.has_unread_data());
        drop(service);
        let pipe = pipe.close_write_end().unwrap();
        assert_eq!(pipe.open_end(Role::Service).unwrap_err(), Errno::EPIPE);
        assert!(pipe.has_unread_data());
        let logger = pipe.open_end(Role::Logger).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(read(&logger, &mut bytes), Ok(4));
        assert!(!pipe.has_unread_data());
        assert_eq!(read(&logger, &mut bytes), Ok(0));
    }
}
