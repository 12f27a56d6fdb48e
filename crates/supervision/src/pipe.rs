//! The pipes between services and their loggers.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use unix::file::dup_min;

use crate::role::Role;

/// The pipe from a service to its logger, open at both ends for as long as
/// this lives, so that no line is lost while either role is away.
#[derive(Debug)]
pub enum Pipe {
    /// One descriptor is both ends. There may be as many services as
    /// descriptors then, and making a pipe takes three of them for a moment,
    /// so that the last ones are always left for what must go on.
    Whole(OwnedFd),
    /// One descriptor for each end, where there is no /proc to join them.
    Ends {
        /// Where the service writes.
        from_service: OwnedFd,
        /// Where the logger reads.
        to_logger: OwnedFd,
    },
    /// Where the logger reads what is left: nobody writes here any more.
    Rest(OwnedFd),
}

impl Pipe {
    /// A new pipe, empty.
    ///
    /// # Errors
    /// As pipe2(2), and EMFILE or ENFILE.
    pub fn new() -> Result<Self, Errno> {
        let (to_logger, from_service) = pipe2(OFlag::O_CLOEXEC)?;
        match reopen(&to_logger, OFlag::O_RDWR) {
            Ok(whole) => Ok(Pipe::Whole(whole)),
            Err(error @ (Errno::EMFILE | Errno::ENFILE)) => Err(error),
            Err(_) => Ok(Pipe::Ends {
                from_service,
                to_logger,
            }),
        }
    }

    /// The end that belongs to a role, in a descriptor of its own.
    pub(crate) fn end(&self, role: Role) -> Result<OwnedFd, Errno> {
        match (self, role) {
            (Pipe::Whole(whole), Role::Service) => reopen(whole, OFlag::O_WRONLY),
            (Pipe::Whole(whole), Role::Logger) => reopen(whole, OFlag::O_RDONLY),
            (Pipe::Ends { from_service, .. }, Role::Service) => dup_min(from_service, 0),
            (Pipe::Ends { to_logger, .. } | Pipe::Rest(to_logger), Role::Logger) => {
                dup_min(to_logger, 0)
            }
            (Pipe::Rest(_), Role::Service) => Err(Errno::EPIPE),
        }
    }

    /// Lets the logger come to the end, once all others have closed their ends
    /// for writing. What it does not read is kept for as long as this lives;
    /// None if it cannot be.
    pub(crate) fn close_for_writing(self) -> Option<Self> {
        match self {
            Pipe::Whole(_) => self.end(Role::Logger).ok().map(Pipe::Rest),
            Pipe::Ends { to_logger, .. } | Pipe::Rest(to_logger) => Some(Pipe::Rest(to_logger)),
        }
    }

    /// Whether something is left to be read.
    pub(crate) fn is_unread(&self) -> bool {
        let end = match self {
            Pipe::Whole(end) | Pipe::Ends { to_logger: end, .. } | Pipe::Rest(end) => end,
        };
        let mut end = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut end, PollTimeout::ZERO);
        let [end] = end;
        let events = end.revents();
        events.is_some_and(|events| events.contains(PollFlags::POLLIN))
    }
}

fn reopen(end: &OwnedFd, how: OFlag) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", end.as_raw_fd());
    open(path.as_str(), how | OFlag::O_CLOEXEC, Mode::empty())
}
