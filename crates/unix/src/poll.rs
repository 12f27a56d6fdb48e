//! poll(2) with a deadline in place of a timeout.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::stdio::STDIN;

/// Blocks until one of the descriptors can be read, or until the deadline if
/// there is one. A signal may end the wait earlier.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], deadline: Option<Instant>) {
    let mut descriptors: Vec<_> = descriptors
        .iter()
        .map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN))
        .collect();
    wait_for_events(&mut descriptors, deadline);
}

/// A few descriptors that are polled for reading, on the stack.
#[derive(Debug)]
pub struct ReadList<'fd> {
    descriptors: [PollFd<'fd>; ReadList::LENGTH],
    length: usize,
}

impl<'fd> ReadList<'fd> {
    /// The maximum number of descriptors; further ones are left out.
    pub const LENGTH: usize = 8;

    /// The list of these descriptors. Does not allocate.
    pub fn new(descriptors: impl IntoIterator<Item = BorrowedFd<'fd>>) -> Self {
        let mut list = ReadList {
            descriptors: std::array::from_fn(|_| PollFd::new(STDIN, PollFlags::empty())),
            length: 0,
        };
        for (place, descriptor) in list.descriptors.iter_mut().zip(descriptors) {
            *place = PollFd::new(descriptor, PollFlags::POLLIN);
            list.length += 1;
        }
        list
    }

    /// As [`wait_readable`].
    pub fn wait(mut self, deadline: Option<Instant>) {
        let length = self.length;
        wait_for_events(
            self.descriptors.get_mut(..length).unwrap_or_default(),
            deadline,
        );
    }
}

/// As [`wait_readable`], without an allocation. With more than 64 descriptors, the
/// wait lasts at most 100 milliseconds.
pub fn wait_readable_of<'fd>(
    descriptors: impl IntoIterator<Item = BorrowedFd<'fd>>,
    mut deadline: Option<Instant>,
) {
    let mut places: [_; 64] = std::array::from_fn(|_| PollFd::new(STDIN, PollFlags::empty()));
    let mut descriptors = descriptors.into_iter();
    let mut length = 0;
    for (place, descriptor) in places.iter_mut().zip(&mut descriptors) {
        *place = PollFd::new(descriptor, PollFlags::POLLIN);
        length += 1;
    }
    if length == places.len() {
        let soon = Instant::now() + SHORT_WAIT;
        deadline = Some(deadline.map_or(soon, |deadline| deadline.min(soon)));
    }
    wait_for_events(places.get_mut(..length).unwrap_or_default(), deadline);
}

const SHORT_WAIT: Duration = Duration::from_millis(100);

/// As [`wait_readable`], with the events that each descriptor requests.
pub fn wait_for_events(descriptors: &mut [PollFd<'_>], deadline: Option<Instant>) {
    if SKIPS_WAIT.swap(false, Ordering::Relaxed) {
        return;
    }
    let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
        rounded_up(deadline.saturating_duration_since(Instant::now()))
    });
    // A failed or interrupted poll is an early return.
    if !matches!(poll(descriptors, timeout), Ok(_) | Err(Errno::EINTR)) {
        pause_after_error(deadline);
    }
}

static SKIPS_WAIT: AtomicBool = AtomicBool::new(false);

/// Makes the next wait return at once, as after a signal. For signal handlers.
pub(crate) fn skip_next_wait() {
    SKIPS_WAIT.store(true, Ordering::Relaxed);
}

/// The interval between two polls that fail. Without it, a caller would use a
/// whole processor while the errors last.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Pauses before the next poll, at most until the deadline.
fn pause_after_error(deadline: Option<Instant>) {
    let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    std::thread::sleep(rest.map_or(RETRY_INTERVAL, |rest| rest.min(RETRY_INTERVAL)));
}

/// A timeout in whole milliseconds. After an earlier return, nothing would be due.
pub(crate) fn rounded_up(timeout: Duration) -> PollTimeout {
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}
