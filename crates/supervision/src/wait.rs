//! Waiting, for both loops.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Waits until one of the descriptors can be read or the moment has come.
pub(crate) fn wait(descriptors: &[BorrowedFd<'_>], until: Option<Instant>) {
    let timeout = until.map_or(PollTimeout::NONE, |until| {
        // Rounded up: waking early would find nothing to do yet.
        let left = until
            .saturating_duration_since(Instant::now())
            .as_micros()
            .div_ceil(1000);
        left.try_into().unwrap_or(PollTimeout::MAX)
    });
    let mut descriptors: Vec<_> = descriptors
        .iter()
        .map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN))
        .collect();
    // Interrupted or failed, it only returns sooner.
    let _ = poll(&mut descriptors, timeout);
}

/// Takes leave of the children that have ended, one after the other.
pub(crate) fn reap(mut each: impl FnMut(Pid, WaitStatus)) {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return,
            Ok(status) => {
                if let Some(pid) = status.pid() {
                    each(pid, status);
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
