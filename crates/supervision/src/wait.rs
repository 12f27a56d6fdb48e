//! Waiting, for both loops.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until one of the descriptors can be read or the moment has come.
pub(crate) fn wait(descriptors: &[BorrowedFd<'_>], until: Option<Instant>) {
    let mut descriptors: Vec<_> = descriptors
        .iter()
        .map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN))
        .collect();
    wait_for(&mut descriptors, until);
}

/// Waits for what is asked of the descriptors, or until the moment has come.
pub(crate) fn wait_for(descriptors: &mut [PollFd<'_>], until: Option<Instant>) {
    let timeout = until.map_or(PollTimeout::NONE, |until| {
        // Rounded up: waking early would find nothing to do yet.
        let left = until
            .saturating_duration_since(Instant::now())
            .as_micros()
            .div_ceil(1000);
        left.try_into().unwrap_or(PollTimeout::MAX)
    });
    // Interrupted or failed, it only returns sooner.
    let _ = poll(descriptors, timeout);
}
