//! poll(2) with a deadline in place of a timeout.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

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

/// As [`wait_readable`], with the events that each descriptor requests.
pub fn wait_for_events(descriptors: &mut [PollFd<'_>], deadline: Option<Instant>) {
    let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
        rounded_up(deadline.saturating_duration_since(Instant::now()))
    });
    // A failed or interrupted poll is an early return.
    let _ = poll(descriptors, timeout);
}

/// A timeout in whole milliseconds. After an earlier return, nothing would be due.
pub(crate) fn rounded_up(timeout: Duration) -> PollTimeout {
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}
