//! The socket of systemd's notification protocol, which only Linux has: its name is
//! in the abstract namespace, and the kernel adds the sender's user to a datagram.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::Uid;

/// No value exists.
#[derive(Debug)]
pub enum NotifySocket {}

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The user of the sender, as the kernel reports it.
    pub sender: Uid,
    /// The text: lines `KEY=value`.
    pub text: Vec<u8>,
}

impl NotifySocket {
    /// Errors: EOPNOTSUPP.
    pub fn new() -> Result<Self, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// The name for the variable `NOTIFY_SOCKET`.
    pub fn name(&self) -> Result<Vec<u8>, Errno> {
        match *self {}
    }

    /// Receives a datagram.
    pub fn receive(&self) -> Result<Option<Notification>, Errno> {
        match *self {}
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}
