//! A supervise that another svscan left behind: svscan can send it commands,
//! but does not get its exit status.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::client::{WhenFull, probe, send_commands};

/// A supervise that received an exit command and is no child of svscan.
#[derive(Debug)]
pub(super) struct ForeignSupervisor {
    /// `ok`, open for writing. poll(2) reports an error when supervise exits.
    ok: OwnedFd,
    /// The end of the stop timeout. None: no limit.
    pub(super) deadline: Option<Instant>,
}

impl ForeignSupervisor {
    /// Sends `command` to the supervise of the current directory. None if no
    /// supervise runs there.
    pub(super) fn stop(command: &[u8], timeout: Option<Duration>) -> Option<Self> {
        let ok = probe().ok()?;
        send_commands(command, WhenFull::Fail).ok()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Some(ForeignSupervisor { ok, deadline })
    }

    /// Whether supervise has exited or its stop timeout has expired.
    pub(super) fn is_done(&self) -> bool {
        let mut ok = [PollFd::new(self.ok.as_fd(), PollFlags::empty())];
        let _ = poll(&mut ok, PollTimeout::ZERO);
        let [ok] = ok;
        ok.any() == Some(true)
            || self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl AsFd for ForeignSupervisor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ok.as_fd()
    }
}
