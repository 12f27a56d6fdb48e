//! poll(2) with a deadline in place of a timeout.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Blocks until one of the descriptors can be read, or until the deadline if
/// there is one. A signal may end the wait earlier.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], deadline: Option<Instant>) {
    let mut descriptors: Vec<_> = descriptors
        .iter()
        .map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN))
        .collect();
    wait_for_events(&mut descriptors, deadline);
}

/// As [`wait_readable`], with the events that each descriptor asks for.
pub fn wait_for_events(descriptors: &mut [PollFd<'_>], deadline: Option<Instant>) {
    let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
        // Rounded up: an early return would find nothing due.
        let left = deadline
            .saturating_duration_since(Instant::now())
            .as_micros()
            .div_ceil(1000);
        left.try_into().unwrap_or(PollTimeout::MAX)
    });
    // A failed or interrupted poll is an early return.
    let _ = poll(descriptors, timeout);
}
